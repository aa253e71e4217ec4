"""Move an image onto another grid of the sky: splines, flux kept, masks carried along."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter, spline_filter1d

from reducers.frame import UNUSABLE, Frame, Geometry, Mask, Vector
from reducers.imaging.fill import fill_masked
from reducers.imaging.sky_map import SkyMap

#: Distance of the nodes at which the sky is asked.
STEP_PX = 32
#: Place of what has none: outside of every image.
NOWHERE_PX = 1e7
#: Rows that are moved at a time, and rows beyond what they need: the spline's reach.
STRIP_ROWS, REACH_PX = 256, 12
#: FWHM of the weights that fill masked pixels before they are moved, so that they do not ring.
FILL_FWHM_PX = 3.0


class Readable(Protocol):
    """An image of which rows can be had: a `Frame` in memory, or a product on disc."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    def rows(self, start: int, stop: int) -> Frame:
        """Return the rows from start to stop, sky subtracted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The pixels onto which images are moved.

    Attributes
    ----------
    sky_map : SkyMap
        Where they lie.
    shape : tuple of int
        Rows and columns.
    """

    sky_map: SkyMap
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Displacement:
    """Where the pixels of a grid lie on an image.

    Attributes
    ----------
    rows, columns : (n,), (m,) float64
        Nodes on the grid.
    dx, dy : (n, m) float64
        From the node to its place on the image, pixels.
    area : (n, m) float64
        Image pixels per grid pixel.
    """

    rows: Vector
    columns: Vector
    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    area: NDArray[np.float64]

    def at(self, start: int, stop: int, width: int) -> tuple[NDArray[np.float64], ...]:
        """Return image x, image y and area of the grid's rows from start to stop."""
        row, column = np.arange(start, stop, dtype=float), np.arange(width, dtype=float)
        down, along = _linear(self.rows, row), _linear(self.columns, column).T
        x = down @ self.dx @ along + column
        y = down @ self.dy @ along + row[:, None]
        return x, y, down @ self.area @ along


def displacement(sky_map: SkyMap, grid: Grid) -> Displacement:
    """Return where a grid lies on an image, at nodes that a straight line may join.

    The third-order distortion of a focal reducer leaves 0.001 px between nodes of 32 px.
    """
    rows, columns = (
        np.arange(-1, size // STEP_PX + 3, dtype=np.float64) * STEP_PX for size in grid.shape
    )
    x, y = np.meshgrid(columns, rows)
    image_x, image_y = sky_map.pixels(*grid.sky_map.sky(x, y))
    # Behind the tangent plane there is no image.
    image_x = np.nan_to_num(np.reshape(image_x, x.shape), nan=NOWHERE_PX)
    image_y = np.nan_to_num(np.reshape(image_y, x.shape), nan=NOWHERE_PX)
    down_x, along_x = np.gradient(image_x, STEP_PX)
    down_y, along_y = np.gradient(image_y, STEP_PX)
    area = np.abs(along_x * down_y - along_y * down_x)
    return Displacement(rows=rows, columns=columns, dx=image_x - x, dy=image_y - y, area=area)


def resample(frame: Frame, sky_map: SkyMap, grid: Grid) -> Frame:
    """Return an image on another grid.

    Parameters
    ----------
    frame : Frame
        Sky subtracted: what is masked or outside becomes 0.
    sky_map : SkyMap
        Where its pixels lie.
    grid : Grid
        Where the new ones lie, of about the same size.

    Returns
    -------
    Frame
        Light per new pixel, so that stars keep their flux. The variance is that of single pixels;
        neighbours are correlated, see `noise_gain`. A pixel takes the bits of all pixels that
        have more than a few hundredths of its weight; `Mask.EDGE` where there is no image.

    Notes
    -----
    Cubic splines (Unser 1999, IEEE Signal Processing Magazine 16, 22). Masked pixels are filled
    from their neighbours before they are moved, saturated ones excepted.
    """
    where, source = displacement(sky_map, grid), InMemory(frame)
    strips = [
        resample_rows(source, where, start, min(start + STRIP_ROWS, grid.shape[0]), grid.shape[1])
        for start in range(0, grid.shape[0], STRIP_ROWS)
    ]
    return Frame(
        data=np.concatenate([strip.data for strip in strips]),
        variance=np.concatenate([strip.variance for strip in strips]),
        mask=np.concatenate([strip.mask for strip in strips]),
        unit=frame.unit,
        geometry=Geometry(),
        history=(*frame.history, "resampled: cubic spline"),
    )


@dataclass(frozen=True, slots=True)
class InMemory:
    """A frame as a `Readable`."""

    frame: Frame

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.frame.shape

    def rows(self, start: int, stop: int) -> Frame:
        """Return the rows from start to stop."""
        cut = np.s_[start:stop]
        frame = self.frame
        return Frame(
            data=frame.data[cut],
            variance=frame.variance[cut],
            mask=frame.mask[cut],
            unit=frame.unit,
        )


def resample_rows(image: Readable, where: Displacement, start: int, stop: int, width: int) -> Frame:
    """Return the grid's rows from start to stop of an image; see `resample`."""
    x, y, area = where.at(start, stop, width)
    height, across = image.shape
    first = int(np.clip(np.floor(y.min()) - REACH_PX, 0, height))
    last = int(np.clip(np.ceil(y.max()) + REACH_PX, 0, height))
    outside = ~((x >= 1) & (x <= across - 2) & (y >= 1) & (y <= height - 2))
    if last - first < 2 or outside.all():
        empty = np.zeros(x.shape, np.float32)
        return Frame(data=empty, variance=empty, mask=np.full(x.shape, np.uint16(Mask.EDGE)))
    cut = _finite(image.rows(first, last))
    row, column = np.where(outside, 1, y - first), np.where(outside, 1, x)
    smooth = spline_filter(_filled(cut), 3, output=np.float32, mode="mirror")
    data = map_coordinates(
        smooth, [row, column], order=3, prefilter=False, output=np.float32, mode="mirror"
    )
    variance, mask = _carried(cut, row, column)
    variance *= (area**2).astype(np.float32)
    gain = _spline_noise(row) * _spline_noise(column)
    data, variance = data * area.astype(np.float32), variance * gain
    mask[outside] = np.uint16(Mask.EDGE)
    data[outside], variance[outside] = 0, 0
    return Frame(data=data, variance=np.maximum(variance, 0), mask=mask, unit=cut.unit)


def noise_gain(where: Displacement, shape: tuple[int, int]) -> float:
    """Return the variance of moved pixels over what it would be were they independent.

    The error of a sum over many pixels is that of independent pixels divided by its square root.
    """
    x, y, _ = where.at(0, shape[0], shape[1])
    return float(np.mean(_spline_noise(y[::7, ::7]) * _spline_noise(x[::7, ::7])))


def _finite(frame: Frame) -> Frame:
    """Return a frame whose pixels without a number are BAD."""
    lost = ~(np.isfinite(frame.data) & np.isfinite(frame.variance))
    if not lost.any():
        return frame
    return replace(
        frame,
        data=np.where(lost, 0, frame.data),
        variance=np.where(lost, 0, frame.variance),
        mask=frame.mask | np.where(lost, np.uint16(Mask.BAD), np.uint16(0)),
    )


def _filled(frame: Frame) -> NDArray[np.float32]:
    """Return the data with masked pixels filled; what is saturated is smooth as it is."""
    masked = (frame.mask & np.uint16(UNUSABLE & ~Mask.SATURATED)) != 0
    return fill_masked(frame.data, masked, FILL_FWHM_PX)[0] if masked.any() else frame.data


def _carried(
    frame: Frame, row: NDArray[np.float64], column: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Return variance between the four nearest pixels, and the bits of the nearest sixteen."""
    low_row = np.clip(row.astype(np.intp), 0, frame.shape[0] - 2)
    low_column = np.clip(column.astype(np.intp), 0, frame.shape[1] - 2)
    place = low_row * frame.shape[1] + low_column
    down = (row - low_row).astype(np.float32)
    along = (column - low_column).astype(np.float32)
    variance = frame.variance.ravel()
    top = variance[place] * (1 - along) + variance[place + 1] * along
    place += frame.shape[1]
    bottom = variance[place] * (1 - along) + variance[place + 1] * along
    place -= frame.shape[1]
    around = _four(_four(frame.mask).T).T
    return top * (1 - down) + bottom * down, np.ascontiguousarray(around).ravel()[place]


def _four(mask: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the bits of a row, the one before and the two after it."""
    joined = mask.copy()
    joined[1:] |= mask[:-1]
    joined[:-1] |= mask[1:]
    joined[:-2] |= mask[2:]
    return joined


def _spline_noise(place: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the variance that a spline leaves of unit noise, by the place between two pixels."""
    table = _noise_table()
    return table[(place * table.size).astype(np.intp) % table.size]


@functools.cache
def _noise_table() -> NDArray[np.float32]:
    """Return the sum of the squared weights of all pixels, at places from one pixel to the next."""
    steps = (np.arange(256) + 0.5) / 256
    unit = np.zeros(65)
    unit[32] = 1
    smooth = spline_filter1d(unit, 3, mode="mirror")
    distances = steps[:, None] + np.arange(-20, 20)
    weights = map_coordinates(smooth, [32 + distances.ravel()], order=3, prefilter=False)
    table = np.sum(weights.reshape(distances.shape) ** 2, axis=1)
    return np.asarray(table, np.float32)


def _linear(nodes: Vector, places: Vector) -> NDArray[np.float64]:
    """Return the matrix (places, nodes) that joins nodes by straight lines."""
    return np.array([np.interp(places, nodes, unit) for unit in np.eye(nodes.size)]).T
