"""What the catalogues know of a field: local disc first, then the services, and why if not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from calibration_store.catalogues.coverage import date_of
from calibration_store.catalogues.entries import Holding, at_epoch, pack
from calibration_store.catalogues.motion import FASTEST_ARCSEC
from calibration_store.catalogues.services import known_catalogues
from calibration_store.catalogues.sky import Cone, cells_as_ranges, common, ranges_held, without
from calibration_store.catalogues.tiles import TileStore
from reducers.imaging.references import ReferenceCatalogue, References

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from calibration_store.catalogues.entries import Rows
    from calibration_store.catalogues.services import Facts, KnownCatalogues
    from calibration_store.catalogues.sky import Region

#: A cone counts as covered when this much of it is: its border runs through pixels.
WHOLE = 0.999
#: Positions of a slow epoch are looked for no farther than this beyond the cone.
_LONGEST_YEARS = 30.0


class ReferenceSource(Protocol):
    """Anything that knows catalogues: local discs, or a fake."""

    def cone(
        self, name: str, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float
    ) -> ReferenceCatalogue:
        """Return what is known of a cone, moved to an epoch; `covered` says how much of it."""
        ...

    def references_for(
        self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float, band: str
    ) -> References:
        """Return the catalogues to compare an image with; never an exception for a missing one."""
        ...


class Catalogues:
    """The catalogues below a folder, and what services add to them.

    Parameters
    ----------
    folder
        Made when something is written.
    now
        The time (UTC) that is written beside what services gave.
    """

    def __init__(
        self,
        folder: Path,
        *,
        known: KnownCatalogues | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.tiles = TileStore(folder)
        self.known = known or known_catalogues()
        self._now = now

    def cone(
        self, name: str, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float
    ) -> ReferenceCatalogue:
        """Return what local disc holds of a cone, moved to an epoch.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg
            ICRS.
        epoch_year
            Julian year, e.g. of the middle of the exposure.
        """
        return self._local(name, Cone(ra_deg, dec_deg, radius_deg), epoch_year)[0]

    def references_for(
        self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float, band: str
    ) -> References:
        """Return the catalogues that an image is compared with.

        Every catalogue that has entries there is given, the preferred first; what is missing,
        partial or late stands in `reasons`.

        Parameters
        ----------
        band
            Short name of the filter ('V', 'g_SDSS', ''): it chooses the catalogues of magnitudes.
        """
        cone = Cone(ra_deg, dec_deg, radius_deg)
        reasons: list[str] = []
        astrometric = self._first(self.known.astrometric(), cone, epoch_year, reasons)
        chosen = [facts for facts in self.known.photometric(band) if facts.reaches(cone)]
        photometric = []
        for facts in chosen:
            found, _ = self._local(facts.name, cone, epoch_year)
            if len(found):
                photometric.append(found)
        if not photometric:
            reasons.append(_none_of(chosen, band))
        return References(
            astrometric=astrometric, photometric=tuple(photometric), reasons=tuple(reasons)
        )

    def write_cone(
        self,
        name: str,
        columns: Mapping[str, Any],
        region: Region | None = None,
        *,
        release: str = "",
        retrieved: str | None = None,
    ) -> int:
        """Fill a piece of sky of one catalogue; what was held there before is replaced.

        Parameters
        ----------
        columns
            By the names of `entries.COLUMNS`; magnitudes by band ('G'), errors as 'G_error'.
        region
            What the columns cover; entries outside are left out. Coverage is kept in pixels of
            26 arcsec that lie wholly inside: make it an arcmin wider than what will be asked for.
        retrieved
            ISO date; today by default.

        Returns
        -------
        int
            Entries kept.
        """
        if region is None:
            raise ValueError("say which piece of sky the entries cover")
        facts = self.known.by_name.get(name)
        bands = facts.bands if facts else _bands_in(columns)
        rows = pack(columns, bands, epoch_year=facts.epoch_year if facts else 2000.0)
        holding = Holding(name=name, bands=bands, limits=dict(facts.limits) if facts else {})
        day = self._now().date().isoformat() if retrieved is None else retrieved
        return self._keep(holding, rows, region, release=release, day=day)

    def _keep(self, holding: Holding, rows: Rows, region: Region, *, release: str, day: str) -> int:
        ranges = ranges_held(region)
        facts = self.known.by_name.get(holding.name)
        if facts is not None and facts.patchy:
            # A cell without one entry is one that the survey has not looked at.
            looked = cells_as_ranges(rows["pixel"])
            beyond = without(ranges, looked)
            ranges = common(ranges, looked)
            self.tiles.merge(holding, rows[:0], beyond, release=None, retrieved=day)
        return self.tiles.merge(holding, rows, ranges, release=release, retrieved=day)

    def _first(
        self, choice: tuple[Facts, ...], cone: Cone, epoch_year: float, reasons: list[str]
    ) -> ReferenceCatalogue | None:
        for facts in choice:
            found, _ = self._local(facts.name, cone, epoch_year)
            if found.covered > 0:
                if found.covered < WHOLE:
                    reasons.append(f"{facts.title} covers {found.covered:.0%} of the field")
                return found
        reasons.append(f"no positions: {choice[0].title} is not on local disc for this field")
        return None

    def _local(self, name: str, cone: Cone, epoch_year: float) -> tuple[ReferenceCatalogue, float]:
        """Return what local disc holds, and the fraction that asking would not better."""
        facts = self.known.by_name.get(name)
        from_year = facts.epoch_year if facts else 2000.0
        years = min(abs(epoch_year - from_year) + 1, _LONGEST_YEARS)
        found = self.tiles.read(name, cone, pad_deg=FASTEST_ARCSEC * years / 3600)
        holding = self.tiles.holding(name) or Holding(name=name, bands=())
        days = found.cover["day"]
        catalogue = at_epoch(
            found.rows,
            cone,
            epoch_year,
            holding,
            covered=found.covered,
            retrieved=date_of(int(days.min())) if len(days) else "",
            releases=[
                label
                for number, label in enumerate(holding.releases)
                if number in found.cover["release"] and label
            ],
        )
        return catalogue, found.asked


def _bands_in(columns: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name.removesuffix("_error") for name in columns if f"{name}_error" in columns)


def _none_of(chosen: list[Facts], band: str) -> str:
    names = ", ".join(facts.title for facts in chosen) or "no catalogue"
    return (
        f"no magnitudes for filter {band or 'unknown'}: {names} would serve, none is on local disc"
    )
