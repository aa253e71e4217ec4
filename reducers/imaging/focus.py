"""Whether stars are rings, far out of focus, or lines, drawn out by a telescope that moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects

from reducers.imaging.sources import NO_STAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Image, Vector
    from reducers.imaging.sources import Detections

#: Stars that are looked at, and the least signal-to-noise of each.
MOST_STARS, LEAST_SNR = 40, 30.0
#: Fewest stars that tell, and the largest radius that is looked at (pixels).
FEWEST_STARS, LARGEST_PX = 3, 40
#: A ring outshines the middle by this factor, and by so many sigma.
RING_FACTOR, RING_SIGMA = 1.15, 3.0


@dataclass(frozen=True, slots=True)
class Star:
    """One star: middle of its segment (x, y), reach of it (pixels), second moments of its light."""

    place: tuple[float, float]
    reach_px: float
    moments: tuple[float, float, float]


def clear_stars(
    light: Image, detections: Detections, segmentation: NDArray[np.int32]
) -> list[Star]:
    """Return the brightest stars that nothing masks or blends.

    The middle of a star is that of its segment: a windowed centroid may settle on a ring.

    Parameters
    ----------
    light : (ny, nx) electrons
        Sky-subtracted image.
    """
    sure = ((detections.mask_bits & NO_STAR) == 0) & ~detections.deblended
    sure &= detections.flux > LEAST_SNR * detections.flux_error
    chosen = np.flatnonzero(sure)[:MOST_STARS]
    boxes = find_objects(segmentation, int(chosen.max(initial=0)) + 1)
    stars = []
    for i in chosen:
        box = boxes[i]
        if box is None or _cut(box, light.shape):
            continue
        rows, columns = np.nonzero(segmentation[box] == i + 1)
        x0, y0 = float(columns.mean()), float(rows.mean())
        weight = np.clip(light[box][rows, columns], 0, None).astype(np.float64)
        total = max(float(weight.sum()), 1e-9)
        dx, dy = columns - weight @ columns / total, rows - weight @ rows / total
        moments = (weight @ dx**2 / total, weight @ dy**2 / total, weight @ (dx * dy) / total)
        reach = max(float(np.ptp(rows)), float(np.ptp(columns))) / 2 + 1
        stars.append(Star((box[1].start + x0, box[0].start + y0), reach, moments))
    return stars


def _cut(box: tuple[slice, slice], shape: tuple[int, int]) -> bool:
    """Tell whether a segment touches the edge of the image."""
    return any(part.start == 0 or part.stop == size for part, size in zip(box, shape, strict=True))


def assumed_fwhm_px(detections: Detections) -> float:
    """Return a width for sources of which none is fit to be measured: that of their moments."""
    sigma = np.sqrt(detections.semimajor_px * detections.semiminor_px)
    return float(np.clip(2.3548 * np.median(sigma), 2.0, 20.0)) if sigma.size else 4.0


def common_ellipticity(stars: Sequence[Star]) -> float:
    """Return 1 - b/a of the mean star; NaN with fewer than three.

    Noise makes every star a little oblong, but along no direction in particular.
    """
    if len(stars) < FEWEST_STARS:
        return float("nan")
    xx, yy, xy = np.median([star.moments for star in stars], axis=0)
    half, apart = (xx + yy) / 2, float(np.hypot((xx - yy) / 2, xy))
    return float(1 - np.sqrt(max(half - apart, 0.0) / max(half + apart, 1e-9)))


def donut_fraction(light: Image, noise: float, stars: Sequence[Star]) -> float:
    """Return which part of the stars are darker in the middle than around it; NaN with too few.

    Parameters
    ----------
    noise : electrons
        Scatter of a sky pixel.
    """
    if len(stars) < FEWEST_STARS:
        return float("nan")
    return float(np.mean([is_ring(light, noise, star.place, star.reach_px) for star in stars]))


def is_ring(light: Image, noise: float, place: tuple[float, float], radius_px: float) -> bool:
    """Tell whether the mean profile of a star rises from its middle outwards."""
    profile, pixels = radial_profile(light, place, min(radius_px, LARGEST_PX))
    if profile.size < 4:
        return False
    middle, weight = float(np.average(profile[:2], weights=pixels[:2])), float(pixels[:2].sum())
    outer = int(np.argmax(profile[2:])) + 2
    error = noise * np.sqrt(1 / weight + 1 / pixels[outer])
    brighter = profile[outer] - middle > RING_SIGMA * error
    return bool(brighter and profile[outer] > RING_FACTOR * max(middle, 0.0))


def radial_profile(
    light: Image, place: tuple[float, float], radius_px: float
) -> tuple[Vector, Vector]:
    """Return mean light and number of pixels in rings one pixel wide around a place."""
    reach = int(np.ceil(radius_px))
    x, y = round(place[0]), round(place[1])
    rows = slice(max(y - reach, 0), y + reach + 1)
    columns = slice(max(x - reach, 0), x + reach + 1)
    stamp = light[rows, columns]
    if stamp.size == 0:
        return np.empty(0), np.empty(0)
    dy, dx = np.indices(stamp.shape, dtype=np.float64)
    distance = np.hypot(dx + columns.start - place[0], dy + rows.start - place[1])
    ring = np.minimum(distance, reach + 1).astype(int).ravel()
    pixels = np.bincount(ring, minlength=reach + 2)[: reach + 1].astype(float)
    total = np.bincount(ring, weights=stamp.ravel(), minlength=reach + 2)[: reach + 1]
    return total / np.maximum(pixels, 1), np.maximum(pixels, 1)
