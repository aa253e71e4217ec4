"""Trails of satellites and aircraft: found, measured, masked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects, label

from reducers.detector.grow import grown
from reducers.frame import UNUSABLE, Frame, Mask
from reducers.imaging.extraction import extract
from reducers.imaging.line_search import find_lines
from reducers.imaging.line_shape import LineShape, measure_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reducers.frame import Image
    from reducers.imaging.line_search import Line

#: Significance of a line; the highest of 300 frames without a trail is below 6.
LIMIT = 7.0
AT_MOST = 4
MOST_PER_PIXEL = 4.0
#: A trail may begin so far from where the frame begins; nothing wider is taken for one.
EDGE_PX, WIDEST_PX = 72, 40.0
#: On the short chord of a corner two bright stars make a line.
SHORTEST_PX = 144.0
#: A spike passes its star so closely, and its farther half is so much fainter.
NEAR_STAR_PX, FADED = 6.0, 0.6
#: A group of bright pixels so long, that fills so little of its length squared, may be a trail.
LONG_PX, FILLED = 60.0, 0.1
#: FWHM of a single column as it is measured here.
COLUMN_PX = 3.3
#: Side of the blocks in which lines are looked for; smaller frames have smaller ones.
BLOCK_PX, SMALL_BLOCK_PX, SMALL_FRAME_PX = 8, 4, 1200
#: So near to the edge of the field nothing is looked for.
RIM_PX = 12
#: Where stars are not masked, a trail must be so bright (sigma): the haloes of two bright stars
#: make a line through both, of 0.2 to 0.4 sigma on real frames.
LEAST_PEAK_AMONG_STARS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """A straight trail.

    Attributes
    ----------
    x1, y1, x2, y2
        Its ends, 0-based pixels.
    angle_deg
        Of its direction, counter-clockwise from x, 0 to 180.
    fwhm_px, half_width_px
        Of its profile across, and how far on either side it is masked.
    peak_sigma
        Its surface brightness on the ridge in units of the sky noise per pixel.
    score
        Significance of the sum along it.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    angle_deg: float
    fwhm_px: float
    half_width_px: float
    peak_sigma: float
    score: float


def find_trails(frame: Frame, background: Image, rms: Image) -> tuple[Frame, tuple[Trail, ...]]:
    """Mask the trails that cross an image.

    Parameters
    ----------
    frame : Frame
        Image, sky included.
    background, rms : (ny, nx)
        Sky and its noise per pixel, in the frame's unit.

    Returns
    -------
    Frame
        With `Mask.TRAIL` along the trails.
    tuple of Trail
        The most significant first.

    Notes
    -----
    A Radon transform of the image without its stars. What ends in a saturated star and fades away
    from it is a diffraction spike; what is one pixel wide along rows or columns is the detector's.
    """
    usable = (frame.mask & np.uint16(UNUSABLE | Mask.NEIGHBOUR)) == 0
    usable &= np.isfinite(frame.data) & (rms > 0) & ~near_edge(frame)
    signal = np.where(usable, (frame.data - background) / np.where(rms > 0, rms, 1), 0)
    signal = np.ascontiguousarray(signal, np.float32)
    trails: list[Trail] = []
    mask = frame.mask.copy()
    for line, starless in _lines(signal, usable):
        shape = measure_line(signal, usable, line)
        if shape is None or _of_the_detector(shape) or _is_an_object(shape):
            continue
        if not starless and shape.peak < LEAST_PEAK_AMONG_STARS:
            continue
        if _is_spike(shape, _saturated_stars(frame)):
            continue
        trail = _trail(shape, line.score, frame.shape)
        if any(_same(trail, other) for other in trails):
            continue
        trails.append(trail)
        mask[_covered(shape, frame.shape)] |= np.uint16(Mask.TRAIL)
    done = f"trails: {len(trails)} masked"
    return frame.after(done, mask=mask), tuple(trails)


def near_edge(frame: Frame) -> NDArray[np.bool_]:
    """Return the pixels beside the frame's edge and the field's, where a rim of light may lie."""
    beside = (frame.mask & np.uint16(Mask.VIGNETTED | Mask.EDGE)) != 0
    beside[[0, -1]] = True
    beside[:, [0, -1]] = True
    return grown(beside, rows=RIM_PX, columns=RIM_PX)


def _lines(signal: Image, usable: NDArray[np.bool_]) -> Iterator[tuple[Line, bool]]:
    """Yield lines in the image without its stars (True), then in all of it (False).

    The stars go with whatever is as bright as they are: pieces of a bright trail too.
    """
    block_px = BLOCK_PX if min(signal.shape) > SMALL_FRAME_PX else SMALL_BLOCK_PX
    clipped = np.clip(signal, -MOST_PER_PIXEL, MOST_PER_PIXEL)
    for pixels, starless in ((usable & ~_round_objects(signal, usable), True), (usable, False)):
        for line in find_lines(clipped, pixels, block_px=block_px, limit=LIMIT, at_most=AT_MOST):
            yield line, starless


def _round_objects(signal: Image, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of stars and galaxies; what is long and thin may be a trail."""
    found = extract(signal, 2.5, err=1.0, mask=~usable, minarea=5, deblend_nthresh=1, clean=False)
    objects, segments = found.objects, found.segments
    # Moments would be those of the brightest star on a trail.
    length2 = (objects["xmax"] - objects["xmin"]) ** 2.0 + (
        objects["ymax"] - objects["ymin"]
    ) ** 2.0
    long = (length2 > LONG_PX**2) & (objects["npix"] < FILLED * length2)
    covered = np.concatenate(([False], ~long))[segments]
    if found.flooded is not None:
        covered |= found.flooded
    return grown(covered, rows=4, columns=4)


def _of_the_detector(shape: LineShape) -> bool:
    """Tell whether a line is a single row or column of the detector."""
    off_axis = abs(math.remainder(shape.angle_rad, math.pi / 2))
    return off_axis < math.radians(0.3) and shape.fwhm_px < COLUMN_PX


def _is_an_object(shape: LineShape) -> bool:
    """Tell whether a line lies well inside the frame: a galaxy's disc, or something that moves.

    Nothing that crosses the sky fast begins and ends within one exposure and one frame.
    """
    seen = shape.along_px[np.isfinite(shape.along)]
    touches = shape.start_px < seen[0] + EDGE_PX or shape.end_px > seen[-1] - EDGE_PX
    length_px = shape.end_px - shape.start_px
    short = length_px < (seen[-1] - seen[0]) / 2
    return (short and not touches) or length_px < SHORTEST_PX or shape.fwhm_px > WIDEST_PX


def _is_spike(shape: LineShape, stars: NDArray[np.float64]) -> bool:
    """Tell whether a line fades away from a saturated star that it passes.

    Parameters
    ----------
    stars : (n, 3)
        Place from the image's centre (x, y) and radius of saturated stars, pixels.
    """
    cosine, sine = math.cos(shape.angle_rad), math.sin(shape.angle_rad)
    x, y, radius = stars.T
    along, across = x * cosine + y * sine, y * cosine - x * sine - shape.offset_px
    passed = np.abs(across) < radius + NEAR_STAR_PX
    passed &= (along > shape.start_px - NEAR_STAR_PX) & (along < shape.end_px + NEAR_STAR_PX)
    used = np.isfinite(shape.along)
    used &= (shape.along_px > shape.start_px) & (shape.along_px < shape.end_px)
    for place, size in zip(along[passed], radius[passed], strict=True):
        distance = np.abs(shape.along_px - place)
        outside = used & (distance > 2 * size)
        if outside.sum() < 4:
            return True
        middle = np.median(distance[outside])
        far = np.median(shape.along[outside & (distance > middle)])
        near = np.median(shape.along[outside & (distance <= middle)])
        if far < FADED * near:
            return True
    return False


def _saturated_stars(frame: Frame) -> NDArray[np.float64]:
    """Return x, y from the image's centre and radius of the groups of saturated pixels."""
    groups, _ = label((frame.mask & np.uint16(Mask.SATURATED)) != 0)
    found = []
    for rows, columns in find_objects(groups):
        x, y = (columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2
        # A bled star is higher than wide; spikes grow with its width.
        radius = (columns.stop - columns.start) / 2
        if radius >= 1:
            found.append((x - (frame.shape[1] - 1) / 2, y - (frame.shape[0] - 1) / 2, radius))
    return np.array(found).reshape(-1, 3)


def _covered(shape: LineShape, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a line."""
    x = np.arange(size[1], dtype=np.float32) - np.float32((size[1] - 1) / 2)
    y = np.arange(size[0], dtype=np.float32)[:, None] - np.float32((size[0] - 1) / 2)
    cosine, sine = np.float32(math.cos(shape.angle_rad)), np.float32(math.sin(shape.angle_rad))
    across = y * cosine - x * sine - np.float32(shape.offset_px)
    along = x * cosine + y * sine
    inside = (along >= shape.start_px) & (along <= shape.end_px)
    return np.asarray(inside & (np.abs(across) <= shape.half_width_px))


def _same(one: Trail, other: Trail) -> bool:
    """Tell whether two trails are one: both ends of one lie on the other."""
    dx, dy = other.x2 - other.x1, other.y2 - other.y1
    length = math.hypot(dx, dy)
    apart = [
        abs((x - other.x1) * dy - (y - other.y1) * dx) / max(length, 1)
        for x, y in ((one.x1, one.y1), (one.x2, one.y2))
    ]
    return max(apart) < 2 * other.half_width_px


def _trail(shape: LineShape, score: float, size: tuple[int, int]) -> Trail:
    x1, y1 = _place(shape, shape.start_px, size)
    x2, y2 = _place(shape, shape.end_px, size)
    return Trail(
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        angle_deg=math.degrees(shape.angle_rad) % 180,
        fwhm_px=shape.fwhm_px,
        half_width_px=shape.half_width_px,
        peak_sigma=shape.peak,
        score=score,
    )


def _place(shape: LineShape, along: float, size: tuple[int, int]) -> tuple[float, float]:
    """Return x and y of a place along a line, within the image."""
    cosine, sine = math.cos(shape.angle_rad), math.sin(shape.angle_rad)
    x = (size[1] - 1) / 2 + along * cosine - shape.offset_px * sine
    y = (size[0] - 1) / 2 + along * sine + shape.offset_px * cosine
    return min(max(x, -0.5), size[1] - 0.5), min(max(y, -0.5), size[0] - 0.5)
