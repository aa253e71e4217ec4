"""Cores of sharp stars among what looks like cosmic rays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import label

from reducers.frame import Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Frame

#: Variance (px^2, that of the pixel included) of the sharpest image of a star: a FWHM of 1.1 px.
#: Charge spreads by a third of a pixel at most, which makes 0.2.
SHARPEST_STAR_PX2 = 0.30
#: Of the width of the frame's stars, what the noise may leave.
LEAST_OF_USUAL = 0.6
#: Light along one diagonal, in units of a round star's.
LONGEST = 5.0
#: Noise above which a peak tells of the width of stars, and how many it takes.
BRIGHT_SIGMA, ENOUGH_STARS = 20.0, 10
REACH_PX = 3
ROUNDS = 3
#: A star's light falls at least with the square of the distance; looked at this far.
WINGS_PX = 6


def star_cores(frame: Frame, hits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the hits that are cores of stars.

    Parameters
    ----------
    frame : Frame
        Electrons, sky included.
    hits : (ny, nx) bool
        Pixels found to be cosmic rays. Where the brightest pixel of a group is as wide as a star
        in every direction, the hits around it are a star's, except those too bright for its wings.

    Notes
    -----
    In a Gaussian of variance v, the neighbours left and right of any pixel have a product that is
    exp(-1/v) of the square of that pixel, wherever in the pixel the star lies. A cosmic ray is
    narrow in one direction at least.
    """
    kept = np.zeros(hits.shape, bool)
    least_px2 = 0.0
    # A group may hold two stars: what is left of it is looked at again.
    for _ in range(ROUNDS):
        groups, number = label(hits & ~kept, np.ones((3, 3), bool))
        if not number:
            break
        least_px2 = least_px2 or max(SHARPEST_STAR_PX2, LEAST_OF_USUAL * _usual_width(frame))
        places = _brightest(frame.data, groups)
        stamps, levels, noise = _stamps(frame, places)
        stars = np.flatnonzero(_widths(stamps, noise) > least_px2)
        for star in stars:
            peak = stamps[star, REACH_PX, REACH_PX]
            box, bound = _wings(places[star], peak, levels[star], hits.shape)
            kept[box] |= hits[box] & (frame.data[box] <= bound)
        if not stars.size:
            break
    return kept


def _usual_width(frame: Frame) -> float:
    """Return the median variance (px^2) of the bright peaks that may be stars, 0 with few."""
    level = np.median(frame.data[::7, ::7])
    bright = frame.data > level + BRIGHT_SIGMA * np.sqrt(frame.variance)
    bright &= (frame.mask & np.uint16(Mask.SATURATED | Mask.BAD)) == 0
    stamps, _, noise = _stamps(frame, _peaks(frame.data, np.argwhere(bright)))
    widths = _widths(stamps, noise)
    stars = widths[widths > SHARPEST_STAR_PX2]
    return float(np.median(stars)) if len(stars) >= ENOUGH_STARS else 0.0


def _peaks(data: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of some places (row, column) that no neighbour outshines."""
    step = np.arange(-1, 2)
    rows = np.clip(places[:, :1] + step, 0, data.shape[0] - 1)
    columns = np.clip(places[:, 1:] + step, 0, data.shape[1] - 1)
    around = data[rows[:, :, None], columns[:, None, :]].max(axis=(1, 2))
    return np.asarray(places[data[places[:, 0], places[:, 1]] == around])


def _stamps(
    frame: Frame, places: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return stamps around places (row, column) less their rims, the rims, and the noise."""
    # Beyond the edge there is sky: what the edge cuts is narrow there, and no star.
    sky = np.median(frame.data[::7, ::7])
    data = np.pad(frame.data, REACH_PX, constant_values=sky)
    around = np.arange(2 * REACH_PX + 1)
    rows, columns = places.T[:, :, None, None]
    stamps = data[rows + around[:, None], columns + around].astype(np.float64)
    rim = np.ones(stamps.shape[1:], bool)
    rim[1:-1, 1:-1] = False
    levels = np.median(stamps[:, rim], axis=1)
    noise = np.sqrt(frame.variance[places[:, 0], places[:, 1]].astype(np.float64))
    return stamps - levels[:, None, None], levels, noise


def _widths(stamps: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance (px^2) of the peaks along their narrower axis, 0 where not round."""
    peak2 = np.maximum(stamps[:, REACH_PX, REACH_PX], 1e-6) ** 2
    beside = [_opposite(stamps, *step) for step in ((0, 1), (1, 0))]
    corners = [_opposite(stamps - noise[:, None, None], *step) for step in ((1, 1), (1, -1))]
    # For a round star, what lies diagonally has the product of both; for a diagonal track more.
    rounded = np.maximum(*corners) * peak2 < LONGEST * beside[0] * beside[1]
    ratio = np.clip(np.minimum(*beside) / peak2, 1e-12, 0.999)
    return np.asarray(np.where(rounded, -1 / np.log(ratio), 0))


def _opposite(stamps: NDArray[np.float64], row: int, column: int) -> NDArray[np.float64]:
    """Return the product of the pixels on either side of the middle, 0 where one is negative."""
    one = stamps[:, REACH_PX + row, REACH_PX + column]
    other = stamps[:, REACH_PX - row, REACH_PX - column]
    return np.asarray(np.maximum(one, 0) * np.maximum(other, 0))


def _wings(
    place: NDArray[np.intp], peak: float, level: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """Return the box around a star and the most light that the star may have in its pixels."""
    row, column = place
    rows = np.arange(max(row - WINGS_PX, 0), min(row + WINGS_PX + 1, shape[0]))
    columns = np.arange(max(column - WINGS_PX, 0), min(column + WINGS_PX + 1, shape[1]))
    distance2 = (rows[:, None] - row) ** 2 + (columns - column) ** 2
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return box, level + 1.3 * peak * 2 / np.maximum(distance2, 2)


def _brightest(data: NDArray[np.float32], groups: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return row and column of the brightest pixel of every group."""
    rows, columns = np.nonzero(groups)
    group = groups[rows, columns]
    order = np.lexsort((data[rows, columns], group))
    last = order[np.flatnonzero(np.diff(group[order], append=0))]
    return np.stack((rows[last], columns[last]), axis=1)
