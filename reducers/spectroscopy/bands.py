"""Where stars and the air absorb: facts that flux calibration steps over or corrects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class TelluricBand:
    """One absorption band of the air, vacuum Angstrom; `gas` is 'O2' or 'H2O'."""

    start: float
    stop: float
    gas: str


#: Edges as they look at a resolution of a few hundred (Catanzaro 1997, Ap&SS 257, 161).
TELLURIC = (
    TelluricBand(start=6868.0, stop=6950.0, gas="O2"),
    TelluricBand(start=7160.0, stop=7340.0, gas="H2O"),
    TelluricBand(start=7590.0, stop=7705.0, gas="O2"),
    TelluricBand(start=8130.0, stop=8350.0, gas="H2O"),
    TelluricBand(start=8940.0, stop=9850.0, gas="H2O"),
)
#: Gaps in the last water band where above a mountain at most a few per cent are lost.
WATER_WINDOWS = ((9030.0, 9085.0), (9190.0, 9285.0))
#: Vacuum Angstrom and half width: lines of stars, where bandpass and resolution matter most.
STELLAR = (
    (3798.0, 12.0), (3836.0, 14.0), (3890.0, 16.0), (3934.8, 12.0), (3970.0, 22.0),
    (4102.9, 30.0), (4341.7, 32.0), (4687.0, 15.0), (4862.7, 35.0), (5891.0, 20.0),
    (6564.6, 35.0),
)  # fmt: skip


def in_telluric(wavelength: Vector, margin: float = 0.0) -> NDArray[np.bool_]:
    """Tell which wavelengths (vacuum Angstrom) lie in a telluric band widened by `margin`."""
    inside = np.zeros(np.shape(wavelength), bool)
    for band in TELLURIC:
        inside |= (wavelength > band.start - margin) & (wavelength < band.stop + margin)
    return inside


def in_window(start: float, stop: float) -> bool:
    """Tell whether a stretch lies wholly in a gap of the water band."""
    return any(start >= low and stop <= high for low, high in WATER_WINDOWS)


def near_stellar_line(centre: float, half: float) -> bool:
    """Tell whether a band of half width `half` touches a strong stellar line."""
    return any(abs(centre - line) < width + half / 2 for line, width in STELLAR)
