"""The profile of an object along the slit in the blue, green and red third of its spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from daemon.publish.page import middle
from reducers.frame import Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.reduced import ExtractedObject, ReducedSpectrum

NAMES = ("blue", "green", "red")
_MOST_ROWS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One third of the spectrum, collapsed along the trace.

    Attributes
    ----------
    offset_px : (n,) float64
        Distance from the trace along the slit.
    data, error, model : (n,) float64
        Median electrons per row, their standard error, and the Moffat profile fitted to them.
    fwhm_px : float
        Of the model; NaN when it could not be fitted.
    """

    name: str
    low_angstrom: float
    high_angstrom: float
    offset_px: Vector
    data: Vector
    error: Vector
    model: Vector
    fwhm_px: float

    @property
    def chi2(self) -> float:
        """Mean squared distance of data and model in errors."""
        off = (self.data - self.model) / self.error
        off = off[np.isfinite(off)]
        return float((off**2).mean()) if off.size else math.nan


def zones_of(reduced: ReducedSpectrum, item: ExtractedObject) -> tuple[Zone, ...]:
    """Return the three zones of an object; none where its rows hold no signal.

    Only its own spectral range counts, and along the slit what is nearer to it than to another
    object. The trace's own sub-pixel course is taken out row by row.
    """
    rows = np.asarray(item.trace.rows, dtype=np.intp)
    columns = np.asarray(item.trace.columns, dtype=float)
    wavelength = _along(reduced, rows, columns)
    inside = item.spectrum.wavelength
    use = np.isfinite(columns) & np.isfinite(wavelength)
    if inside.size:
        use &= (wavelength >= inside[0]) & (wavelength <= inside[-1])
    order = np.flatnonzero(use)[np.argsort(wavelength[use])]
    if order.size < 30:
        return ()
    fwhm = max(item.trace.fwhm_px, 1.5) if np.isfinite(item.trace.fwhm_px) else 5.0
    half = int(np.clip(4 * fwhm, 8, 30))
    offset = np.arange(-half, half + 1.0)
    others = _nearer_to_others(reduced, item, offset)
    made = []
    for name, part in zip(NAMES, np.array_split(order, 3), strict=True):
        few = part[:: max(1, part.size // _MOST_ROWS)]
        data, error = _collapsed(reduced, rows[few], columns[few], half)
        data[others] = np.nan
        model, width = _moffat(offset, data, error, fwhm)
        made.append(
            Zone(name=name, low_angstrom=float(wavelength[part[0]]),
                 high_angstrom=float(wavelength[part[-1]]),
                 offset_px=offset, data=data, error=error, model=model,
                 fwhm_px=width)
        )  # fmt: skip
    return tuple(made)


def _nearer_to_others(
    reduced: ReducedSpectrum, item: ExtractedObject, offset: Vector
) -> NDArray[np.bool_]:
    """Return at which distances from an object another one is nearer."""
    own = middle(item.trace.columns)
    apart = np.array([middle(other.trace.columns) - own for other in reduced.objects])
    apart = apart[np.isfinite(apart) & (apart != 0)]
    nearest = np.abs(offset[:, None] - apart[None, :]).min(axis=1, initial=np.inf)
    return np.asarray(nearest < np.abs(offset))


def _along(reduced: ReducedSpectrum, rows: NDArray[np.intp], columns: Vector) -> Vector:
    """Return the wavelength on the trace."""
    ny, nx = reduced.wavelengths.shape
    column = np.clip(np.nan_to_num(columns, nan=nx / 2), 0, nx - 1).astype(np.intp)
    return np.asarray(reduced.wavelengths[np.clip(rows, 0, ny - 1), column], dtype=float)


def _collapsed(
    reduced: ReducedSpectrum, rows: NDArray[np.intp], columns: Vector, half: int
) -> tuple[Vector, Vector]:
    """Return the median over rows at whole offsets from the trace, and its standard error."""
    place = columns[:, None] + np.arange(-half, half + 1)[None, :]
    left = np.floor(place).astype(np.intp)
    part = place - left
    inside = (left >= 0) & (left + 1 < reduced.image.shape[1])
    left = np.clip(left, 0, max(reduced.image.shape[1] - 2, 0))
    right = np.minimum(left + 1, reduced.image.shape[1] - 1)
    across = rows[:, None]
    image, sky, good = reduced.image.data, reduced.sky, reduced.image.good

    def at(column: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.where(good[across, column], image[across, column] - sky[across, column], np.nan)

    values = np.where(inside, (1 - part) * at(left) + part * at(right), np.nan)
    counted = np.isfinite(values)
    # A column without any good pixel keeps NaN without numpy's warning.
    values[0, ~counted.any(axis=0)] = 0.0
    data = np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(values - data), axis=0)
    error = 1.2533 * spread / np.sqrt(np.maximum(counted.sum(axis=0), 1))
    empty = ~counted.any(axis=0)
    data[empty], error[empty] = np.nan, np.nan
    return data, np.where(error > 0, error, np.nan)


def _moffat(offset: Vector, data: Vector, error: Vector, fwhm: float) -> tuple[Vector, float]:
    """Return the fitted Moffat profile and its FWHM; NaN where there is nothing to fit."""
    known = np.isfinite(data) & np.isfinite(error)
    nothing = np.full(offset.size, np.nan)
    if known.sum() < 8:
        return nothing, float("nan")
    weight = 1 / np.maximum(error[known], 1e-3 * middle(error[known], 1.0))
    top = max(float(data[known].max()), 1e-6)

    def profile(values: Any, at: Vector) -> Vector:
        height, centre, width, beta = values
        core = width / (2 * np.sqrt(2 ** (1 / beta) - 1))
        return np.asarray(height * (1 + ((at - centre) / core) ** 2) ** -beta)

    found = optimize.least_squares(
        lambda values: (profile(values, offset[known]) - data[known]) * weight,
        (top, 0.0, fwhm, 3.0),
        bounds=((0.0, -3.0, 1.0, 1.5), (10 * top, 3.0, 5 * fwhm + 5, 8.0)),
        max_nfev=25,
    )
    return profile(found.x, offset), float(found.x[2])
