"""Light still below each source after the sky was taken off: a ring, trusted as far as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.imaging.plane import Plane

#: Ring around a source, in FWHM, and the pixels of it that are looked at.
INNER_FWHM, OUTER_FWHM = 3.5, 7.0
PIXELS = 400
#: A ring with fewer usable pixels says nothing.
LEAST_PIXELS = 40


@dataclass(frozen=True, slots=True)
class LocalSky:
    """Light per pixel below each source, electrons, and its error."""

    level: Vector
    error: Vector


def local_sky(
    plane: Plane,
    model: NDArray[np.float32],
    x: Vector,
    y: Vector,
    fwhm_px: float,
    occupied: NDArray[np.bool_] | None = None,
) -> LocalSky:
    """Return what the rings around the sources say, drawn towards zero by what they cannot tell.

    The median of a ring has its own error; the rings of the whole image tell how much the true
    level varies. The estimate with the least expected error is the ring's value times
    variation^2 / (variation^2 + error^2) (James & Stein 1961).

    Parameters
    ----------
    model : (ny, nx)
        The light of the stars.
    occupied : (ny, nx) bool, optional
        Pixels that belong to a source and say nothing of the sky.
    """
    if not len(x):
        return LocalSky(np.empty(0), np.empty(0))
    rows, columns, inside = _ring(x, y, fwhm_px, plane.shape)
    usable = inside & plane.good[rows, columns]
    if occupied is not None:
        usable &= ~occupied[rows, columns]
    values = np.where(usable, plane.light[rows, columns] - model[rows, columns], np.inf)
    count = usable.sum(axis=1)
    level = _median(values, count)
    noise = np.sqrt(_median(np.where(usable, plane.sky_variance[rows, columns], np.inf), count))
    known = count >= LEAST_PIXELS
    error = 1.2533 * noise / np.sqrt(np.maximum(count, 1))
    if known.sum() < 5:
        return LocalSky(np.zeros(len(x)), np.where(known, error, noise / np.sqrt(LEAST_PIXELS)))
    spread = 1.4826 * np.median(np.abs(level[known] - np.median(level[known])))
    variation = float(max(spread**2 - np.median(error[known] ** 2), 0.0))
    share = variation / np.maximum(variation + error**2, 1e-30)
    # Beyond three times the usual variation a ring holds something else than sky.
    limit = 3 * np.sqrt(variation)
    drawn = np.clip(share * np.where(known, level, 0), -limit, limit)
    return LocalSky(np.where(known, drawn, 0), np.sqrt(np.where(known, share, 1) * error**2))


def _ring(
    x: Vector, y: Vector, fwhm_px: float, shape: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Return pixels spread evenly over the rings: rows, columns, inside, all (n, PIXELS)."""
    number = np.arange(PIXELS) + 0.5
    inner, outer = max(INNER_FWHM * fwhm_px, 8.0), max(OUTER_FWHM * fwhm_px, 18.0)
    radius = np.sqrt(inner**2 + number / PIXELS * (outer**2 - inner**2))
    angle = number * np.pi * (3 - np.sqrt(5))
    columns = np.rint(x[:, None] + radius * np.cos(angle)).astype(np.intp)
    rows = np.rint(y[:, None] + radius * np.sin(angle)).astype(np.intp)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return np.clip(rows, 0, shape[0] - 1), np.clip(columns, 0, shape[1] - 1), inside


def _median(values: NDArray[np.float64], count: NDArray[np.intp]) -> Vector:
    """Return the medians of rows whose last entries, infinite, do not count."""
    ordered = np.sort(values, axis=1)
    index = np.arange(len(values))
    last = np.maximum(count - 1, 0)
    middle = (ordered[index, last // 2] + ordered[index, (last + 1) // 2]) / 2
    return np.where(count > 0, middle, 0.0)
