"""In what the spectral axis of a product is told: vacuum or air wavelengths, or bare pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.spectroscopy.lines import air_to_vacuum, vacuum_to_air

if TYPE_CHECKING:
    from reducers.frame import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralAxis:
    """How wavelengths are published; inside they are always in vacuum.

    Attributes
    ----------
    name
        'vacuum', 'air' or 'none' (the axis is the detector pixel), as in the card WAVETYPE.
    ctype, unit
        Cards of a linear axis: FITS calls vacuum wavelengths WAVE and air wavelengths AWAV
        (Greisen et al. 2006, A&A 446, 747, table 1).
    ucd
        What the column is to the Virtual Observatory (TUCDn).
    words
        For people.
    """

    name: str
    ctype: str
    unit: str
    ucd: str
    words: str

    def published(self, wavelength: Any) -> Any:
        """Return what is written for wavelengths in vacuum Angstrom; pixels stay pixels."""
        return vacuum_to_air(wavelength) if self.name == "air" else wavelength

    def in_vacuum(self, published: Vector) -> Vector:
        """Return the vacuum wavelengths (Angstrom) of what a product says."""
        return np.asarray(air_to_vacuum(published) if self.name == "air" else published)

    @property
    def cards(self) -> list[tuple[str, Any, str]]:
        """What every header says of it."""
        cards: list[tuple[str, Any, str]] = [("WAVETYPE", self.name, self.words)]
        if self.name == "air":
            cards.append(("AIRINDEX", "Ciddor 1996", "dry air, 15 C, 101325 Pa, 450 ppm CO2"))
        return cards


VACUUM = SpectralAxis(
    name="vacuum", ctype="WAVE", unit="Angstrom", ucd="em.wl", words="vacuum Angstrom"
)
AIR = SpectralAxis(
    name="air", ctype="AWAV", unit="Angstrom", ucd="em.wl;obs.atmos", words="air Angstrom"
)
PIXELS = SpectralAxis(
    name="none",
    ctype="PIXEL",
    unit="pixel",
    ucd="instr.pixel",
    words="unbinned detector pixel, 0-based",
)


def axis_named(name: str) -> SpectralAxis:
    """Return the axis that a setting or a card WAVETYPE names; vacuum for any other word."""
    return {AIR.name: AIR, PIXELS.name: PIXELS}.get(name, VACUUM)
