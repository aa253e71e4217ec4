"""A standard's counts against its published magnitudes: one zero point per reference band."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector
from reducers.spectroscopy.bands import in_telluric, in_window, near_stellar_line
from reducers.spectroscopy.lines import air_to_vacuum

if TYPE_CHECKING:
    from collections.abc import Callable

    from reducers.instrument import Standard

_MAG = 2.5 / np.log(10)
#: A band counts where the star outshines its noise this much.
_LEAST_SNR = 10.0
#: What a stellar line adds to the error of a band (mag), and what an interpolated reference does.
_LINE_SIGMA, _BETWEEN_SIGMA, _WINDOW_SIGMA = 0.03, 0.015, 0.03
#: Gaps of the table that are longer than this (Angstrom) are bridged by bands of this width.
_GAP, _GAP_STEP, _GAP_BAND = 150.0, 80.0, 40.0
_THIN = 15.0
#: Bands keep this distance (Angstrom) from the edge of a telluric band.
_CLEAR = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePoints:
    """Zero points at the reference bands that can be used, wavelength rising.

    Attributes
    ----------
    wavelength, zero_point, sigma : (n,)
        Vacuum Angstrom; AB magnitude that gives 1 electron / s / Angstrom; its error.
    half_width : (n,)
        Of the band, Angstrom.
    tabulated : (n,) bool
        False where the reference was interpolated between two of its own bands.
    bent : bool
        The bend of star and response inside the bands has been taken out.
    """

    wavelength: Vector
    zero_point: Vector
    sigma: Vector
    half_width: Vector
    tabulated: NDArray[np.bool_]
    bent: bool


def reference_wavelengths(standard: Standard) -> Vector:
    """Return the wavelengths of a reference table in vacuum, whatever its own medium is."""
    own = np.array(standard.wavelength_angstrom, dtype=np.float64)
    return own if standard.medium == "vacuum" else np.asarray(air_to_vacuum(own))


def reference_magnitude(standard: Standard, wavelength: Vector) -> Vector:
    """Return the AB magnitude between the bands of a reference table; NaN outside them."""
    return np.asarray(
        np.interp(
            wavelength, reference_wavelengths(standard), np.array(standard.ab_magnitude),
            left=np.nan, right=np.nan,
        )
    )  # fmt: skip


def measure_points(
    wavelength: Vector,
    rate: Vector,
    error: Vector,
    good: NDArray[np.bool_],
    standard: Standard,
    shape: Callable[[Vector], Vector] | None = None,
) -> ReferencePoints:
    """Return the zero point of every usable band.

    Parameters
    ----------
    wavelength, rate, error, good : (n,)
        The star above the atmosphere, electrons / s / Angstrom, wavelength rising.
    shape
        Zero point as known so far. A band's mean belongs to its centre only where the star
        and the response are straight; with the shape the bend inside the band is taken out.
    """
    pixel = float(np.median(np.diff(wavelength)))
    rows = []
    for centre, magnitude, half, tabulated in _bands(standard, pixel):
        inside = np.abs(wavelength - centre) <= half
        if inside.sum() < 2 or not good[inside].all():
            continue
        mean = float(rate[inside].mean())
        noise = float(np.sqrt((error[inside] ** 2).sum()) / inside.sum())
        bright = mean > _LEAST_SNR * noise
        zero = magnitude + 2.5 * np.log10(mean) if mean > 0 else np.nan
        sigma = _sigma(centre, half, tabulated=tabulated)
        if bright and shape is not None:
            zero -= _bend(wavelength[inside], centre, magnitude, standard, shape)
            sigma = float(np.hypot(sigma, 0.3 * pixel * _slope(shape, centre, pixel)))
        sigma = float(np.hypot(sigma, _MAG * noise / mean)) if mean > 0 else np.inf
        blocked = _blocked(centre, half)
        rows.append((centre, zero, sigma, half, tabulated, bright, blocked, mean))
    table = np.array(rows, dtype=np.float64).reshape(-1, 8)
    table = table[_lit(table[:, 5] > 0, table[:, 7])]
    table = table[(table[:, 6] == 0) & np.isfinite(table[:, 1])]
    table = table[_thinned(table[:, 0])]
    return ReferencePoints(
        wavelength=table[:, 0], zero_point=table[:, 1], sigma=table[:, 2],
        half_width=table[:, 3], tabulated=table[:, 4] > 0, bent=shape is not None,
    )  # fmt: skip


def _bands(standard: Standard, pixel: float) -> list[tuple[float, float, float, bool]]:
    """Return (centre, magnitude, half width, tabulated) of bands, those in long gaps too."""
    centres, magnitudes = reference_wavelengths(standard), np.array(standard.ab_magnitude)
    halves = np.maximum(np.array(standard.bandpass_angstrom), 2 * pixel) / 2
    found = [(*row, True) for row in zip(centres, magnitudes, halves, strict=True)]
    half = max(_GAP_BAND, 2 * pixel) / 2
    usable = [c for c, h in zip(centres, halves, strict=True) if not _blocked(c, h)]
    for left, right in pairwise(usable):
        for centre in np.arange(left + _GAP_STEP, right - _GAP_STEP / 2, _GAP_STEP / 2):
            if right - left > _GAP and not _blocked(centre, half):
                magnitude = float(np.interp(centre, centres, magnitudes))
                found.append((float(centre), magnitude, half, False))
    return sorted(found)


def _blocked(centre: float, half: float) -> bool:
    """Tell whether the air absorbs in a band."""
    if in_window(centre - half, centre + half):
        return False
    return bool(in_telluric(np.array([centre - half, centre, centre + half]), _CLEAR).any())


def _sigma(centre: float, half: float, *, tabulated: bool) -> float:
    squares = 0.0 if tabulated else _BETWEEN_SIGMA**2
    if near_stellar_line(centre, half):
        squares += _LINE_SIGMA**2
    if in_window(centre - half, centre + half):
        squares += _WINDOW_SIGMA**2
    return float(np.sqrt(squares))


def _bend(
    inside: Vector,
    centre: float,
    magnitude: float,
    standard: Standard,
    shape: Callable[[Vector], Vector],
) -> float:
    """Return how far the mean over a band lies above the value at its centre (mag)."""
    middle = float(shape(np.array([centre]))[0])
    zero, star = shape(inside), reference_magnitude(standard, inside)
    # The outermost band reaches half beyond the curve and the table: as straight as within.
    zero = np.where(np.isfinite(zero), zero, 2 * middle - shape(2 * centre - inside))
    star = np.where(
        np.isfinite(star), star, 2 * magnitude - reference_magnitude(standard, 2 * centre - inside)
    )
    expected = 10 ** (0.4 * (zero - star))
    bend = 2.5 * np.log10(np.mean(expected)) + magnitude - middle
    return float(bend) if np.isfinite(bend) else 0.0


def _slope(shape: Callable[[Vector], Vector], centre: float, pixel: float) -> float:
    """Return magnitudes per Angstrom: what a star off the middle of the slit costs."""
    values = shape(centre + pixel * np.array([-1.0, 0.0, 1.0]))
    steps = np.abs(np.diff(values))
    return float(np.nanmax(steps) / pixel) if np.isfinite(steps).any() else 0.0


def _lit(bright: NDArray[np.bool_], mean: Vector) -> NDArray[np.bool_]:
    """Return the run of bright bands around the brightest one."""
    lit = np.zeros(bright.size, bool)
    if not bright.any():
        return lit
    top = int(np.argmax(np.where(bright, mean, -np.inf)))
    dark = np.flatnonzero(~bright)
    low = int(dark[dark < top].max()) + 1 if (dark < top).any() else 0
    high = int(dark[dark > top].min()) if (dark > top).any() else bright.size
    lit[low:high] = True
    return lit


def _thinned(wavelength: Vector) -> NDArray[np.int64]:
    """Finely sampled tables weigh in at most every 15 A, or their noise is taken for shape."""
    picked: list[int] = []
    for index, value in enumerate(wavelength):
        if not picked or value - wavelength[picked[-1]] >= _THIN:
            picked.append(index)
    return np.array(picked, dtype=np.int64)
