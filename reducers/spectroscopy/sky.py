"""Fit the night sky on unrectified pixels.

Kelson (2003, PASP 115, 688): the sky is a spline in the wavelength coordinate times a low
polynomial along the slit, fitted to pixels where they were recorded, so that tilted lines
are sampled more finely than the detector does and no noise is resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.spectroscopy.slit_spline import SlitSpline, Solution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector

#: (columns of sky at least, knot spacing in rows, degree along the slit), the finest first.
_BASES = ((100, 0.6, 2), (40, 0.8, 2), (20, 1.0, 1), (0, 1.0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyFit:
    """A sky model.

    Attributes
    ----------
    sky : (ny, nx) electrons
        The model at every pixel.
    kept : (ny, nx)
        Pixels that carry it.
    spline, solution
        The basis in which it was fitted, and the fit.
    """

    sky: NDArray[np.float64]
    kept: NDArray[np.bool_]
    spline: SlitSpline
    solution: Solution

    def variance_along(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance (electrons^2) of the model along one or several paths of columns."""
        return self.spline.variance_along(self.solution, columns)


def dispersion_coordinate(wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for every pixel, the row at which its wavelength falls in the middle column.

    Parameters
    ----------
    wavelengths : (ny, nx) Angstrom
        Monotonic along the rows of the middle column.
    """
    middle = wavelengths[:, wavelengths.shape[1] // 2]
    rows = np.arange(middle.size, dtype=np.float64)
    order = np.argsort(middle)
    inner = np.interp(wavelengths, middle[order], rows[order])
    # np.interp clamps: outside the middle column's range follow the local slope instead.
    slope = np.gradient(middle)
    for index in (0, -1):
        beyond = wavelengths - middle[index]
        beyond /= slope[index]
        out = beyond < 0 if index == 0 else beyond > 0
        np.add(beyond, rows[index], out=inner, where=out)
    # A wild extrapolation of the solution must not make a spline of a million knots.
    inner = np.where(np.isfinite(inner), inner, rows[:, None])
    return np.clip(inner, -0.1 * rows.size - 20, 1.1 * rows.size + 20)


def free_columns(
    profile: Vector, noise_e: float, objects: Sequence[tuple[float, float]]
) -> NDArray[np.bool_]:
    """Return the columns that are far enough from every object to show the sky alone.

    Parameters
    ----------
    profile : (nx,) electrons per row
        Mean signal along the slit.
    noise_e
        Noise of one pixel, electrons.
    objects
        Column and FWHM (px) of each, the brightest first.

    Notes
    -----
    Far from the core the image of a star falls with the cube of the distance or faster; a column
    is free where less than a tenth of a pixel's noise is left of it. At least a third of the slit
    is left to the sky, if need be at the cost of the wings.
    """
    columns = np.arange(profile.size)
    free = np.ones(columns.size, bool)
    for column, fwhm_px in objects:
        peak = float(profile[int(np.clip(round(column), 0, columns.size - 1))])
        reach = np.cbrt(max(peak, 0.0) / (0.1 * max(noise_e, 1e-3))) / 2
        for share in (1.0, 0.7, 0.5, 0.35, 0.2, 0.0):
            reach_px = fwhm_px * max(reach * share, 2.0) + 2
            beside = free & (np.abs(columns - column) > reach_px)
            if beside.sum() > columns.size / 3:
                free = beside
                break
    return free


def spline_for(coordinate: NDArray[np.float64], free: NDArray[np.bool_]) -> SlitSpline:
    """Return the basis that so many columns of sky can bear.

    Parameters
    ----------
    coordinate : (ny, nx)
        From `dispersion_coordinate`.
    free : (nx,)
        Columns without an object.

    Notes
    -----
    Knots of 0.6 px follow lines of 2 px FWHM; with fewer columns the noise of the fit itself
    would count, so that the basis becomes coarser (at most 3 % of the variance is added).
    """
    columns = int(free.sum())
    knot_px, slit_degree = next(basis for least, *basis in _BASES if columns >= least)
    return SlitSpline(coordinate, knot_px=knot_px, slit_degree=int(slit_degree))


def fit_sky(
    data: NDArray[np.float64],
    use: NDArray[np.bool_],
    spline: SlitSpline,
    floor: NDArray[np.float64] | float,
    *,
    before: NDArray[np.float64] | None = None,
    clip_sigma: float = 4.0,
    rounds: int = 3,
) -> SkyFit:
    """Fit the sky and evaluate it everywhere, also under the objects.

    Parameters
    ----------
    data : (ny, nx) electrons
    use : (ny, nx)
        Pixels of sky: good and away from objects.
    spline
        From `spline_for`.
    floor : (ny, nx) or float, electrons^2
        Read noise squared and what the masters add.
    before : (ny, nx) electrons
        An earlier model of the sky, which gives the variance; without it the fit is made twice.
    clip_sigma, rounds
        Pixels farther from the model are left out, in so many rounds.
    """
    if before is None:
        rough = rough_sky(data, use)
        before = _fit(data, use, spline, _weight(rough, floor, use), clip_sigma, 2).sky
    return _fit(data, use, spline, _weight(before, floor, use), clip_sigma, rounds)


def _weight(
    sky: NDArray[np.float64], floor: NDArray[np.float64] | float, use: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the inverse of the variance where pixels count, 0 elsewhere."""
    weight = np.zeros(sky.shape)
    np.divide(1, _variance(sky, floor), out=weight, where=use)
    return weight


def _fit(
    data: NDArray[np.float64],
    use: NDArray[np.bool_],
    spline: SlitSpline,
    weight: NDArray[np.float64],
    clip_sigma: float,
    rounds: int,
) -> SkyFit:
    data = np.where(use, data, 0.0)  # what is not used may be NaN
    sums = spline.sums(data, weight)
    kept = use
    for _ in range(rounds - 1):
        squares = spline.evaluate(spline.solve(sums))
        np.subtract(data, squares, out=squares)
        squares *= squares
        squares *= weight
        some = squares[:, ::4][kept[:, ::4]]
        scale = 2.1981 * float(np.median(some)) if some.size else 1.0
        survivors = use & (squares < clip_sigma**2 * max(1.0, scale))
        if (survivors == kept).all():
            break
        # Few pixels change sides: their share is taken out or put back.
        sums = sums.without(spline.sums_of(data, weight, kept & ~survivors))
        sums = sums.plus(spline.sums_of(data, weight, survivors & ~kept))
        kept = survivors
        del squares
    del data
    free = spline.solve(sums)
    solution = spline.solve(sums, spline.restraint_for(free))
    return SkyFit(sky=spline.evaluate(solution), kept=kept, spline=spline, solution=solution)


def line_chi2(
    data: NDArray[np.float64],
    fit: SkyFit,
    coordinate: NDArray[np.float64],
    floor: NDArray[np.float64] | float,
) -> tuple[float, float]:
    """Return the reduced chi2 at the cores of sky lines and of the continuum between them.

    A core is where a line rises above its surroundings by more than five times the noise of one
    pixel; NaN where there are fewer than 200 pixels.
    """
    middle = fit.sky[:, fit.sky.shape[1] // 2]
    excess = middle - ndimage.median_filter(middle, size=min(61, middle.size | 1))
    noise = np.sqrt(np.median(_variance(fit.sky, floor), axis=1))
    is_core = ndimage.maximum_filter1d(excess > 5 * noise, 3) & (excess > 0)
    near = np.clip(np.rint(coordinate), 0, middle.size - 1).astype(np.intp)
    core = is_core[near] & (np.abs(coordinate - near) <= 0.5)
    squares = data - fit.sky
    squares *= squares
    squares /= _variance(fit.sky, floor)
    share = 1 - _noise_followed(fit, floor)

    def reduced(where: NDArray[np.bool_]) -> float:
        chosen = squares[where & fit.kept]
        return float(chosen.mean()) / share if chosen.size >= 200 and share > 0.5 else math.nan

    return reduced(core), reduced(~core)


def _noise_followed(fit: SkyFit, floor: NDArray[np.float64] | float) -> float:
    """Return the share of the pixels' variance that the fit has taken with it."""
    rows, columns = fit.sky.shape
    variance = _variance(fit.sky, floor)
    places = (np.arange(5) + 0.5) / 5 * columns
    taken = fit.variance_along(np.repeat(places[:, None], rows, axis=1))
    return float(np.mean(np.median(taken / variance[:, places.astype(int)].T, axis=1)))


def _variance(sky: NDArray[np.float64], floor: NDArray[np.float64] | float) -> NDArray[np.float64]:
    variance = np.clip(sky, 0, None)
    variance += floor
    return np.maximum(variance, 1e-6, out=variance)


def rough_sky(data: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median of every row, spread over the row: enough to find objects."""
    # Sorting puts NaN last; much faster than np.nanmedian on short rows.
    ordered = np.sort(np.where(good, data, np.nan), axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rows, half = np.arange(count.size), np.maximum(count - 1, 0) / 2
    level = (
        ordered[rows, np.floor(half).astype(int)] + ordered[rows, np.ceil(half).astype(int)]
    ) / 2
    return np.broadcast_to(np.where(count > 0, level, 0.0)[:, None], data.shape).copy()
