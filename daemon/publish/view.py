"""What a verification plot shows, computed once from a reduced spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.publish.page import middle
from reducers.frame import Vector
from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum

Plane = NDArray[np.float64]

WAVELENGTH = "vacuum wavelength (Angstrom)"
IN_PIXELS = "detector pixel along the dispersion: no wavelengths are known"
#: Rows of the slit drawn on either side of the object.
_HALF_HEIGHT_PX = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The slit image on a linear wavelength grid, and the object that is judged.

    Attributes
    ----------
    low, high : float
        Vacuum Angstrom, or detector pixels, shown on every axis along the dispersion.
    first_column, last_column : int
        Image columns (places along the slit) shown.
    image, residual : (n_slit, n_wave) float64
        Electrons, and (image - sky) / sigma; 0 where the pixel is masked.
    trace_wavelength, trace_column : (n,) float64
        Where the object lies.
    """

    reduced: ReducedSpectrum
    exposure: Exposure
    shown: ExtractedObject | None
    low: float
    high: float
    first_column: int
    last_column: int
    image: Plane
    residual: Plane
    trace_wavelength: Vector
    trace_column: Vector

    @property
    def along(self) -> str:
        """What the horizontal axes show, with its unit."""
        return IN_PIXELS if self.reduced.in_pixels else WAVELENGTH


def look(reduced: ReducedSpectrum, exposure: Exposure, object_index: int, *, width_px: int) -> View:
    """Return what to draw of one object, resampled to `width_px` wavelength steps.

    Parameters
    ----------
    reduced, exposure
        The reduction and what it was made from.
    object_index
        Which object; out of range shows none.
    width_px
        Columns of the panel, so that no more pixels are drawn than are seen.
    """
    objects = reduced.objects
    shown = objects[object_index] if 0 <= object_index < len(objects) else None
    rows, columns = reduced.image.shape
    centre = columns / 2 if shown is None else middle(shown.trace.columns, columns / 2)
    first = int(max(0, min(centre - _HALF_HEIGHT_PX, columns - 2 * _HALF_HEIGHT_PX)))
    last = int(min(columns, first + 2 * _HALF_HEIGHT_PX))
    along = np.asarray(reduced.wavelengths, dtype=float)[:, int(np.clip(centre, 0, columns - 1))]
    # What the grism passes; without a spectrum, everything on the detector.
    own = None if shown is None else shown.spectrum.wavelength
    low, high = limits(along if own is None or own.size < 30 else own)
    row_of = rows_on_grid(along, np.linspace(low, high, max(width_px, 2)))
    data = reduced.image.data[:, first:last].astype(float)
    noise = np.sqrt(np.maximum(reduced.image.variance[:, first:last], 1e-6))
    usable = reduced.image.good[:, first:last]
    sky = np.asarray(reduced.sky, dtype=float)[:, first:last]
    trace_rows = np.zeros(0) if shown is None else np.asarray(shown.trace.rows, dtype=float)
    trace_columns = np.zeros(0) if shown is None else np.asarray(shown.trace.columns, dtype=float)
    return View(
        reduced=reduced,
        exposure=exposure,
        shown=shown,
        low=low,
        high=high,
        first_column=first,
        last_column=last,
        image=resampled(data, row_of),
        residual=resampled(np.where(usable, (data - sky) / noise, 0.0), row_of, in_sigma=True),
        trace_wavelength=np.interp(trace_rows, np.arange(rows), along),
        trace_column=trace_columns,
    )


def limits(values: Any, default: tuple[float, float] = (3000.0, 10000.0)) -> tuple[float, float]:
    """Return the smallest and largest finite value, or the default when they do not differ."""
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if array.size < 2 or array.min() >= array.max():
        return default
    return float(array.min()), float(array.max())


def rows_on_grid(along: Vector, grid: Vector) -> NDArray[np.intp]:
    """Return the row nearest to each wavelength of the grid.

    Parameters
    ----------
    along : (ny,) float64
        Wavelength of every row, rising or falling.
    grid : (n,) float64
        Wavelengths wanted, rising.
    """
    rows = np.arange(along.size)
    usable = np.isfinite(along)
    if usable.sum() < 2:
        return np.linspace(0, along.size - 1, grid.size).astype(np.intp)
    order = np.argsort(along[usable])
    return np.rint(np.interp(grid, along[usable][order], rows[usable][order])).astype(np.intp)


def resampled(plane: Plane, row_of: NDArray[np.intp], *, in_sigma: bool = False) -> Plane:
    """Return the plane as (slit, wavelength), each step the mean of the rows it spans.

    Parameters
    ----------
    plane : (ny, n_slit) float64
        Rows along the dispersion; NaN counts as zero.
    row_of : (n_wave,) int
        First row of every wavelength step.
    in_sigma : bool
        The plane is in units of its noise: the mean of n rows is worth sqrt(n) more.
    """
    summed = np.vstack([np.zeros((1, plane.shape[1])), np.cumsum(np.nan_to_num(plane), axis=0)])
    nearest = np.clip(row_of, 0, plane.shape[0] - 1)
    edge = np.append(nearest[1:], nearest[-1:])
    start = np.minimum(nearest, edge)
    stop = np.maximum(np.maximum(nearest, edge), start + 1)
    number = (stop - start)[:, None].astype(float)
    mean: Plane = (summed[stop] - summed[start]) / (np.sqrt(number) if in_sigma else number)
    return mean.T
