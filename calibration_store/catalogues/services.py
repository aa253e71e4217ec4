"""Facts about the catalogues: bands, limits, footprints, and where they can be asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration_store.catalogues.sky import Cone

_FACTS = Path(__file__).with_name("services.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One way to ask for a catalogue; every host of it answers alike.

    Attributes
    ----------
    kind
        'vizier' (host names) or 'tap' (URLs).
    columns
        Our name of a column -> the service's.
    factors
        By which a column is multiplied to come into our unit.
    filters
        Further conditions on columns (VizieR).
    where
        Further condition (ADQL).
    extended
        How stars are told from galaxies; see `answers.star_of`.
    ruwe
        Column of Gaia's renormalised unit weight error, by which position errors grow above 1.
    """

    kind: str
    hosts: tuple[str, ...]
    table: str
    release: str
    columns: Mapping[str, str]
    brightest: str
    factors: Mapping[str, float] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    extended: Mapping[str, Any] = field(default_factory=dict)
    ruwe: str = ""
    missing_value: float | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of its magnitudes, as ours."""
        ends = ("_error", "_flux_over_error")
        return tuple(
            name for name in self.columns if any(name + end in self.columns for end in ends)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one catalogue.

    Attributes
    ----------
    dec_deg
        Southern and northern end of its sky.
    patchy
        It covers only parts of that: where it has nothing at all, it has not looked.
    """

    name: str
    title: str
    bands: tuple[str, ...]
    limits: Mapping[str, float]
    epoch_year: float
    astrometric: bool = False
    dec_deg: tuple[float, float] = (-90.0, 90.0)
    patchy: bool = False
    services: tuple[Service, ...] = ()

    def reaches(self, cone: Cone) -> bool:
        """Tell whether the middle of a cone lies in the catalogue's declinations."""
        south, north = self.dec_deg
        return south <= cone.dec_deg <= north


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCatalogues:
    """All known catalogues, and which serve a filter."""

    source: Path
    by_name: Mapping[str, Facts]
    filters: Mapping[str, tuple[str, ...]]

    def astrometric(self) -> tuple[Facts, ...]:
        """Return the catalogues of positions, the best first."""
        return tuple(facts for facts in self.by_name.values() if facts.astrometric)

    def usual(self) -> tuple[str, ...]:
        """Return the names of the catalogues that serve filters of the visible."""
        visible = [names for letter, names in self.filters.items() if letter not in "JHK"]
        wanted = {name for names in visible for name in names}
        return tuple(n for n, facts in self.by_name.items() if facts.astrometric or n in wanted)

    def photometric(self, band: str) -> tuple[Facts, ...]:
        """Return the catalogues that can calibrate a filter, the best first.

        Parameters
        ----------
        band
            Short name of the filter, of which the first letter counts where the rest is an
            addition ('g_SDSS' is g).
        """
        letter = band.split("_")[0]
        return tuple(self.by_name[name] for name in self.filters.get(letter, self.filters["other"]))


@cache
def known_catalogues() -> KnownCatalogues:
    """Return the facts of `services.toml`."""
    return read_facts(_FACTS)


def read_facts(path: Path) -> KnownCatalogues:
    """Read facts about catalogues; an unknown key is an error."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    by_name = {name: _facts(name, given) for name, given in table["catalogues"].items()}
    filters = {letter: tuple(names) for letter, names in table["filters"].items()}
    return KnownCatalogues(source=path, by_name=by_name, filters=filters)


def _facts(name: str, given: Mapping[str, Any]) -> Facts:
    services = tuple(_service(item) for item in given.get("services", ()))
    values = {key: _frozen(value) for key, value in given.items() if key != "services"}
    return Facts(name=name, services=services, **values)


def _service(given: Mapping[str, Any]) -> Service:
    known = {item.name for item in fields(Service)}
    unknown = set(given) - known
    if unknown:
        raise ValueError(f"services.toml: a service has no {', '.join(sorted(unknown))}")
    return Service(**{key: _frozen(value) for key, value in given.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
