"""Put a slit image or a spectrum on a linear wavelength grid without gaining or losing flux.

Nothing is measured on the result: neighbouring bins share pixels, so their noise is correlated.
It is made for eyes and for programs that know only linear wavelengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Frame, Mask, Vector

if TYPE_CHECKING:
    from typing import Any

Plane = NDArray[np.float32]

#: Slit columns that are resampled together.
STRIP_PX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearGrid:
    """Wavelength bins of equal width: vacuum Angstrom of the first centre, step, number."""

    start: float
    step: float
    count: int

    @property
    def centres(self) -> Vector:
        """Vacuum Angstrom of every bin."""
        return np.asarray(self.start + self.step * np.arange(self.count))

    @property
    def edges(self) -> Vector:
        """Vacuum Angstrom of the borders of the bins, one more than bins."""
        return np.asarray(self.start + self.step * (np.arange(self.count + 1) - 0.5))


def linear_grid(wavelength: Vector) -> LinearGrid:
    """Return the grid from the first to the last of rising wavelengths, with their median step.

    Parameters
    ----------
    wavelength : (n,) vacuum Angstrom
        Fewer than two give a grid of as many bins, 1 Angstrom wide.
    """
    if wavelength.size < 2:
        return LinearGrid(start=float(wavelength.sum()), step=1.0, count=int(wavelength.size))
    start, step = float(wavelength[0]), float(np.median(np.diff(wavelength)))
    return LinearGrid(start=start, step=step, count=int((wavelength[-1] - start) / step) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Which old pixels every new bin covers, and how much of its first and last one.

    Attributes
    ----------
    first, last : (..., n) int
        Old pixels at either end of the bin.
    first_part, last_part : (..., n) float64
        Covered fraction of them; the last counts nothing where it is also the first.
    whole : (..., n) bool
        The bin lies inside the old pixels altogether.
    """

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    first_part: Vector
    last_part: Vector
    whole: NDArray[np.bool_]

    def total(self, values: NDArray[Any]) -> Vector:
        """Return the sum of `values` (..., n_old) in every bin, cut pixels by their fraction."""
        return self._sum(values, self.first_part, self.last_part)

    def variance(self, values: NDArray[Any]) -> Vector:
        """Return the variance of `total` for independent pixels of variance `values`."""
        return self._sum(values, self.first_part**2, self.last_part**2)

    def union(self, mask: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return every bit that any covered pixel carries."""
        found = np.where(self.first_part > 0, _at(mask, self.first), np.uint16(0))
        found |= np.where(self.last_part > 0, _at(mask, self.last), np.uint16(0))
        for inner in range(1, int((self.last - self.first).max(initial=0))):
            place = np.minimum(self.first + inner, self.last)
            found |= np.where(self.first + inner < self.last, _at(mask, place), np.uint16(0))
        return found

    def _sum(self, values: NDArray[Any], first_part: Vector, last_part: Vector) -> Vector:
        running = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
        np.cumsum(values, axis=-1, out=running[..., 1:])
        inner = _at(running, np.maximum(self.last, self.first + 1)) - _at(running, self.first + 1)
        cut = first_part * _at(values, self.first) + last_part * _at(values, self.last)
        return np.asarray(cut + inner)


def _at(values: NDArray[Any], place: NDArray[np.intp]) -> NDArray[Any]:
    return np.take_along_axis(values, place, axis=-1)


def overlap_of(wavelength: Vector, grid: LinearGrid) -> Overlap:
    """Return how the bins of the grid lie on pixels of these wavelengths.

    Parameters
    ----------
    wavelength : (..., n_old) vacuum Angstrom
        Rising, at pixel centres; at least two.
    """
    count = wavelength.shape[-1]
    borders = np.empty((*wavelength.shape[:-1], count + 1))
    borders[..., 1:-1] = 0.5 * (wavelength[..., 1:] + wavelength[..., :-1])
    borders[..., 0] = 1.5 * wavelength[..., 0] - 0.5 * wavelength[..., 1]
    borders[..., -1] = 1.5 * wavelength[..., -1] - 0.5 * wavelength[..., -2]
    edges, steps = grid.edges, np.arange(count + 1, dtype=np.float64)
    place = np.empty((*wavelength.shape[:-1], edges.size))
    for index in np.ndindex(wavelength.shape[:-1]):
        place[index] = np.interp(edges, borders[index], steps)
    left, right = place[..., :-1], place[..., 1:]
    first = np.minimum(left.astype(np.intp), count - 1)
    last = np.minimum(right.astype(np.intp), count - 1)
    same = first == last
    return Overlap(
        first=first,
        last=last,
        first_part=np.where(same, right - left, first + 1 - left),
        last_part=np.where(same, 0.0, right - last),
        whole=(edges[:-1] >= borders[..., :1]) & (edges[1:] <= borders[..., -1:]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectified:
    """A sky-subtracted slit image on a linear wavelength grid.

    Attributes
    ----------
    data, error, sky : (n_slit, n_wave) float32
        Electrons per bin, NaN where the detector ends.
    mask : (n_slit, n_wave) uint16
        Bits of `Mask` of every pixel that the bin covers.
    """

    grid: LinearGrid
    data: Plane
    error: Plane
    sky: Plane
    mask: NDArray[np.uint16]


def rectify(
    frame: Frame, sky: NDArray[np.float64], wavelengths: NDArray[np.float64], grid: LinearGrid
) -> Rectified:
    """Resample every column of a slit image to the grid, conserving its electrons.

    Parameters
    ----------
    frame
        Electrons with the sky still in them, rows along the dispersion.
    sky, wavelengths : (ny, nx)
        Sky model in electrons; vacuum Angstrom at pixel centres.
    """
    shape = (frame.shape[1], grid.count)
    data, error, light = (np.full(shape, np.nan, np.float32) for _ in range(3))
    mask = np.full(shape, np.uint16(Mask.EDGE))
    usable = np.isfinite(wavelengths).all(axis=0) & (frame.shape[0] > 1)
    rising = wavelengths[-1] > wavelengths[0]
    for upwards in (True, False):
        order = slice(None, None, 1 if upwards else -1)
        chosen = np.flatnonzero(usable & (rising == upwards))
        for strip in np.array_split(chosen, max(1, -(-chosen.size // STRIP_PX))):
            # Slit columns become rows, laid out so that each is contiguous.
            below = np.ascontiguousarray(sky[order, strip].T)
            seen = np.ascontiguousarray(frame.data[order, strip].T) - below
            known = np.isfinite(seen) & np.isfinite(below)
            bits = np.where(known, frame.mask[order, strip].T, np.uint16(Mask.BAD))
            noise = np.maximum(np.nan_to_num(frame.variance[order, strip].T), 0)
            over = overlap_of(np.ascontiguousarray(wavelengths[order, strip].T), grid)
            planes = (np.where(known, seen, 0.0), np.where(known, below, 0.0))
            parts = (*(over.total(plane) for plane in planes), np.sqrt(over.variance(noise)))
            for plane, part in zip((data, light, error), parts, strict=True):
                plane[strip] = np.where(over.whole, part, np.nan)
            mask[strip] = np.where(over.whole, over.union(bits), np.uint16(Mask.EDGE))
    return Rectified(grid=grid, data=data, error=error, sky=light, mask=mask)


def linear_flux(wavelength: Vector, flux: Vector, *, density: bool) -> tuple[LinearGrid, Plane]:
    """Return the grid and the flux on it, for one spectrum of rising wavelength.

    Parameters
    ----------
    flux : (n,)
        Not finite: bridged linearly between its neighbours, and 0 beyond the last of them.
    density : bool
        Flux per Angstrom; otherwise per pixel, and then per bin.
    """
    grid = linear_grid(wavelength)
    known = np.isfinite(flux)
    if wavelength.size < 2 or not known.any():
        return grid, np.zeros(grid.count, np.float32)
    bridged = np.interp(wavelength, wavelength[known], flux[known], left=0.0, right=0.0)
    if not density:
        return grid, overlap_of(wavelength, grid).total(bridged).astype(np.float32)
    over = overlap_of(wavelength, grid)
    width = np.gradient(wavelength)
    # The ends of the grid may stand half a bin outside the pixels: divide by what is covered.
    return grid, (over.total(bridged * width) / over.total(width)).astype(np.float32)
