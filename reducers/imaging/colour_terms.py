"""Magnitudes of catalogue stars in the bands of our filters: published relations and colours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector
from reducers.imaging.references import ReferenceCatalogue
from reducers.profile_schema import convert, structure

#: Bands whose magnitudes are on the Vega system.
VEGA = ("U", "B", "V", "R", "I")
#: g - r (SDSS) for which a zero point holds as it is.
REFERENCE_COLOUR = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Passband:
    """What is known of one filter as a photometric band.

    Attributes
    ----------
    band : str
        Band in which magnitudes are stated.
    colour_term, colour_term_error : float
        Magnitude = zero point - 2.5 log10(electrons/s) + term (g - r - 0.6).
    zero_point, zero_point_error : float
        Of 1 electron/s above the atmosphere, as expected.
    verified : bool
        Whether anything but an estimate stands behind the numbers.
    """

    band: str
    wavelength_angstrom: float
    colour_term: float = 0.0
    colour_term_error: float = 0.05
    zero_point: float = float("nan")
    zero_point_error: float = 0.3
    verified: bool = True

    @property
    def system(self) -> str:
        """'AB' or 'Vega'."""
        return "Vega" if self.band in VEGA else "AB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """How a band follows from the bands of a catalogue; see `transformations.toml`."""

    catalogues: tuple[str, ...]
    band: str
    base: str
    colour: tuple[str, str]
    terms: tuple[float, ...]
    scatter: float
    systematic: float
    range: tuple[float, float]
    source: str
    second: tuple[str, ...] = ()
    slope: float = 0.0
    verified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourRelation:
    """How g - r (SDSS) follows from a colour of a catalogue."""

    catalogues: tuple[str, ...]
    of: tuple[str, str]
    terms: tuple[float, ...]
    range: tuple[float, float]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformations:
    """All relations of `transformations.toml`."""

    relation: tuple[Relation, ...]
    colour: tuple[ColourRelation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrators:
    """Stars of one catalogue with magnitudes in the band of a filter.

    Attributes
    ----------
    index : (n,) int
        Rows of the catalogue.
    magnitude, error : (n,) float64
        Error of the catalogue and of the relation.
    colour, colour_error : (n,) float64
        g - r on the SDSS system; where it is not known the reference colour with a wide error.
    relation : Relation
        Used.
    """

    catalogue: ReferenceCatalogue
    index: NDArray[np.intp]
    magnitude: Vector
    error: Vector
    colour: Vector
    colour_error: Vector
    relation: Relation

    def __len__(self) -> int:
        return len(self.index)


@cache
def transformations() -> Transformations:
    """Return the relations between catalogues and bands."""
    path = resources.files("reducers.imaging") / "transformations.toml"
    return structure(Transformations, tomllib.loads(path.read_text("utf-8")), path.name)


@dataclass(frozen=True, slots=True)
class Passbands:
    """The filters of one instrument by their short names."""

    source: str = ""
    filters: Mapping[str, Passband] = field(default_factory=dict)


@cache
def passbands(instrument: str) -> Passbands:
    """Return the photometric bands of an instrument's filters; none for an unknown one."""
    path = resources.files("reducers.imaging") / "passbands.toml"
    table = tomllib.loads(path.read_text("utf-8")).get(instrument.casefold(), {})
    filters = {
        name: convert(Passband, entry, f"{path.name} {instrument} {name}")
        for name, entry in table.items()
        if name != "source"
    }
    return Passbands(source=table.get("source", ""), filters=filters)


def passband_of(instrument: str, filter_name: str) -> Passband | None:
    """Return the band of a filter; None where magnitudes cannot be stated in any system."""
    return passbands(instrument).filters.get(filter_name)


def calibrators(catalogue: ReferenceCatalogue, band: str) -> Calibrators | None:
    """Return the catalogue's stars with magnitudes in a band; None where no relation leads there.

    Known galaxies are left out, and colours outside the relation's range. A catalogue that no
    relation names (a person's own) is taken at its word where it has the band itself.
    """
    relation = next(
        (
            entry
            for entry in transformations().relation
            if catalogue.name in entry.catalogues and entry.band == band
        ),
        _as_it_is(catalogue, band),
    )
    if relation is None:
        return None
    if not {relation.base, *relation.colour, *relation.second} <= set(catalogue.magnitudes):
        return None
    colour, colour_error = _difference(catalogue, relation.colour)
    base = catalogue.magnitudes[relation.base]
    magnitude = base + np.polynomial.polynomial.polyval(colour, relation.terms)
    slope = np.polynomial.polynomial.polyval(
        colour, np.polynomial.polynomial.polyder(relation.terms) if len(relation.terms) > 1 else [0]
    )
    variance = catalogue.magnitude_errors[relation.base] ** 2 + relation.scatter**2
    variance = variance + (slope * colour_error) ** 2
    if relation.second:
        second, second_error = _difference(catalogue, relation.second)
        magnitude = magnitude + relation.slope * second
        variance = variance + (relation.slope * second_error) ** 2
    own_colour, own_error = _g_minus_r(catalogue)
    low, high = relation.range
    usable = np.isfinite(magnitude) & np.isfinite(variance) & (colour >= low) & (colour <= high)
    usable &= ~(catalogue.star < 0.5)
    index = np.flatnonzero(usable)
    return Calibrators(
        catalogue=catalogue,
        index=index,
        magnitude=magnitude[index],
        error=np.sqrt(variance[index]),
        colour=own_colour[index],
        colour_error=own_error[index],
        relation=relation,
    )


def _as_it_is(catalogue: ReferenceCatalogue, band: str) -> Relation | None:
    """Return the relation of a catalogue of one's own; None for one that is known, or lacks it."""
    known = any(catalogue.name in entry.catalogues for entry in transformations().relation)
    if known or band not in catalogue.magnitudes:
        return None
    return Relation(
        catalogues=(catalogue.name,),
        band=band,
        base=band,
        colour=(band, band),
        terms=(0.0,),
        scatter=0.0,
        systematic=0.0,
        range=(-1.0, 1.0),
        source="the catalogue's own band",
    )


def _difference(catalogue: ReferenceCatalogue, bands: tuple[str, ...]) -> tuple[Vector, Vector]:
    """Return a colour and its error."""
    first, second = bands
    return (
        catalogue.magnitudes[first] - catalogue.magnitudes[second],
        np.hypot(catalogue.magnitude_errors[first], catalogue.magnitude_errors[second]),
    )


def _g_minus_r(catalogue: ReferenceCatalogue) -> tuple[Vector, Vector]:
    """Return g - r on the SDSS system of every entry and its error."""
    unknown = np.full(len(catalogue), REFERENCE_COLOUR), np.full(len(catalogue), 0.5)
    for entry in transformations().colour:
        if catalogue.name in entry.catalogues and set(entry.of) <= set(catalogue.magnitudes):
            colour, error = _difference(catalogue, entry.of)
            value = np.polynomial.polynomial.polyval(colour, entry.terms)
            low, high = entry.range
            known = np.isfinite(value) & np.isfinite(error) & (colour > low) & (colour < high)
            return np.where(known, value, unknown[0]), np.where(known, error, unknown[1])
    return unknown
