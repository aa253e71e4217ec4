"""The catalogues on local disc: fill them, read them, and say how well they cover a field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from calibration_store.catalogues.coverage import date_of
from calibration_store.catalogues.entries import Holding, at_epoch, pack
from calibration_store.catalogues.motion import FASTEST_ARCSEC
from calibration_store.catalogues.services import known_catalogues
from calibration_store.catalogues.sky import (
    Cone,
    cells_as_ranges,
    common,
    ranges_held,
    without,
)
from calibration_store.catalogues.tiles import Found, TileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from calibration_store.catalogues.entries import Rows
    from calibration_store.catalogues.services import Facts, KnownCatalogues
    from calibration_store.catalogues.sky import Region
    from reducers.imaging.references import ReferenceCatalogue

#: A cone counts as covered when this much of it is: its border runs through pixels.
WHOLE = 0.999
#: Longest time over which a fast star from beyond the cone is looked for.
_LONGEST_YEARS = 30.0


class LocalCatalogues:
    """The catalogues below a folder.

    Parameters
    ----------
    folder
        Made when something is written.
    now
        The time (UTC), which dates what is written.
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
        self.now = now

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
        return self.read(name, Cone(ra_deg, dec_deg, radius_deg), epoch_year)

    def write_cone(
        self,
        name: str,
        columns: Mapping[str, Any],
        region: Region,
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
        facts = self.known.by_name.get(name)
        bands = facts.bands if facts else _bands_in(columns)
        rows = pack(columns, bands, epoch_year=facts.epoch_year if facts else 2000.0)
        holding = Holding(name=name, bands=bands, limits=dict(facts.limits) if facts else {})
        day = self.now().date().isoformat() if retrieved is None else retrieved
        return self.keep(holding, rows, region, release=release, day=day)

    def serving(self, band: str, cone: Cone) -> tuple[str, ...]:
        """Return the catalogues of magnitudes for a filter that reach a field, the best first.

        A catalogue of one's own (a name that is not known) that has the band comes before all.
        """
        letter = band.split("_")[0]
        own = [
            name
            for name in self.tiles.names()
            if name not in self.known.by_name
            and (held := self.tiles.holding(name)) is not None
            and letter in held.bands
        ]
        known = [facts.name for facts in self.known.photometric(band) if facts.reaches(cone)]
        return (*own, *known)

    def title(self, name: str) -> str:
        """Return how a catalogue is called in sentences."""
        facts = self.known.by_name.get(name)
        return facts.title if facts else name

    def keep(self, holding: Holding, rows: Rows, region: Region, *, release: str, day: str) -> int:
        """Put entries in place of what was held of a region; return how many were kept."""
        ranges = ranges_held(region)
        facts = self.known.by_name.get(holding.name)
        if facts is not None and facts.patchy:
            # A cell without one entry is one that the survey has not looked at.
            looked = cells_as_ranges(rows["pixel"])
            beyond = without(ranges, looked)
            ranges = common(ranges, looked)
            self.tiles.merge(holding, rows[:0], beyond, release=None, retrieved=day)
        return self.tiles.merge(holding, rows, ranges, release=release, retrieved=day)

    def read(self, name: str, cone: Cone, epoch_year: float) -> ReferenceCatalogue:
        """Return what is held of a cone, moved to an epoch."""
        return self.carried(name, self.look(name, cone, epoch_year), cone, epoch_year)

    def look(self, name: str, cone: Cone, epoch_year: float) -> Found:
        """Return what is held of a cone, and around it where fast stars may come from."""
        facts = self.known.by_name.get(name)
        years = abs(epoch_year - (facts.epoch_year if facts else 2000.0)) + 1
        pad_deg = FASTEST_ARCSEC * min(years, _LONGEST_YEARS) / 3600
        return self.tiles.read(name, cone, pad_deg=pad_deg)

    def carried(self, name: str, found: Found, cone: Cone, epoch_year: float) -> ReferenceCatalogue:
        """Return what was found, moved to an epoch."""
        holding = self.tiles.holding(name) or Holding(name=name, bands=())
        days = found.cover["day"]
        numbers = sorted(set(found.cover["release"].tolist()))
        return at_epoch(
            found.rows,
            cone,
            epoch_year,
            holding,
            covered=found.covered,
            retrieved=date_of(int(days.min())) if len(days) else "",
            releases=[holding.releases[n] for n in numbers if holding.releases[n]],
        )

    def met(self, choice: Sequence[str], cone: Cone) -> bool:
        """Tell whether asking for these catalogues would bring nothing that is not on disc."""
        return is_met([self.tiles.read(name, cone) for name in choice])


def is_met(found: Sequence[Found]) -> bool:
    """Tell whether one of the catalogues has the field whole, or none has more to give."""
    if any(one.covered >= WHOLE and len(one.rows) for one in found):
        return True
    return all(one.asked >= WHOLE for one in found)


def holding_of(facts: Facts) -> Holding:
    """Return the description under which a known catalogue is kept."""
    return Holding(name=facts.name, bands=facts.bands, limits=dict(facts.limits))


def _bands_in(columns: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in columns if f"{name}_error" in columns)
