"""How far a product of the canary is from what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from numpy.polynomial import polynomial

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reducers.simulate.records import Truth

    Array = NDArray[np.float64]

#: Where arc and star have light enough for a verdict.
_RANGE = (4200.0, 8000.0)
_BAND = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The star of a canary against the truth.

    Attributes
    ----------
    wavelength_px
        RMS error of the wavelengths along its trace, in pixels as read; NaN without wavelengths.
    flux_ratio
        Median over bands of 500 Angstrom of found over true flux; NaN without flux.
    """

    wavelength_px: float
    flux_ratio: float


def figures_of(image2d: Path, spectrum: Path, truth: Truth) -> Figures:
    """Compare the products of the star with the truth.

    Raises
    ------
    OSError
        If a product cannot be read.
    """
    return Figures(wavelength_px=_wavelengths(image2d, truth), flux_ratio=_flux(spectrum, truth))


def _wavelengths(path: Path, truth: Truth) -> float:
    with fits.open(path) as hdus:
        header: Any = hdus[0].header
        if "WAVE" not in hdus:
            return float("nan")
        column = round(float(header["OBJCOL"]))
        found = np.asarray(hdus["WAVE"].data[:, column], dtype=np.float64)
        binning = int(header["DETYBIN"])
        rows = np.arange(len(found), dtype=np.float64)
        y: Array = int(header["DETY0"]) + (rows + 0.5) * binning - 0.5
        x = int(header["DETX0"]) + column
    inside = (found > _RANGE[0]) & (found < _RANGE[1])
    step: Array = np.gradient(found)
    off: Array = (found - true_wavelength(truth, y, x)) / step
    return float(np.sqrt(np.mean(off[inside] ** 2))) if inside.any() else float("nan")


def true_wavelength(truth: Truth, detector_y: Array, detector_x: float) -> Array:
    """Return the vacuum wavelengths that fall on rows of a column, by the simulator's truth."""
    t, u0 = (detector_x - 1050) / 100, (detector_y - 1050) / 1000
    a, b, c = truth.bend_px
    bend = (a * t + b * t**2) * (1 + c * u0)
    u = (detector_y - truth.shift_px - bend - 1000) / 1000
    return np.asarray(polynomial.polyval(u, np.array(truth.dispersion)))


def _flux(path: Path, truth: Truth) -> float:
    with fits.open(path) as hdus:
        table: Any = hdus["SPECTRUM"].data
        if "FLUX" not in table.names or table.columns["FLUX"].unit == "count":
            return float("nan")
        wavelength, flux = np.asarray(table["WAVE"]), np.asarray(table["FLUX"])
        good = (np.asarray(table["MASK"]) == 0) & np.isfinite(flux)
    real = truth.objects[0]
    expected = np.interp(wavelength, real.wavelength_angstrom, real.flux)
    ratios = []
    for low in np.arange(_RANGE[0], _RANGE[1] - _BAND / 2, _BAND):
        band = good & (wavelength > low) & (wavelength < low + _BAND)
        if band.sum() > 10:
            ratios.append(float(np.sum(flux[band]) / np.sum(expected[band])))
    return float(np.median(ratios)) if ratios else float("nan")
