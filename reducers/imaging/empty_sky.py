"""What apertures measure where nothing is: the true noise of photometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sep
from numpy.typing import NDArray
from scipy import ndimage

from reducers.frame import Vector
from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from reducers.imaging.plane import Plane
    from reducers.imaging.point_spread import PointSpread

#: Apertures laid on the sky at most, and how many are needed to believe them.
MOST_APERTURES = 1500
LEAST_APERTURES = 40
#: The search for room works on blocks of so many pixels.
BLOCK_PX = 4


@dataclass(frozen=True, slots=True)
class EmptyApertures:
    """The noise of empty apertures against what independent pixels would give.

    Attributes
    ----------
    radii_px : (k,) float64
    scatter : (k,) float64
        Robust standard deviation of the sums, electrons; NaN where there was no room.
    factor : (k,) float64
        Scatter over that of independent pixels; 1 where it could not be measured.
    mean : (k,) float64
        Median of the sums, electrons: light that the sky model left.
    count : (k,) int64
        Apertures used.
    """

    radii_px: Vector
    scatter: Vector
    factor: Vector
    mean: Vector
    count: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Room:
    """How far the next source or bad pixel is, in blocks of `BLOCK_PX`."""

    distance_px: NDArray[np.float64]

    def places(self, radius_px: float, *, seed: int = 1) -> tuple[Vector, Vector]:
        """Return places around which nothing is within the radius.

        They are drawn at random, the same ones for the same image.
        """
        rows, columns = np.nonzero(self.distance_px > radius_px)
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(rows))[:MOST_APERTURES]
        shift = rng.uniform(-0.5, 0.5, (2, len(chosen))) + (BLOCK_PX - 1) / 2
        return columns[chosen] * BLOCK_PX + shift[0], rows[chosen] * BLOCK_PX + shift[1]


def room_on(free: NDArray[np.bool_]) -> Room:
    """Return the room on an image of which some pixels (ny, nx) are free."""
    ny, nx = (length // BLOCK_PX for length in free.shape)
    blocks = free[: ny * BLOCK_PX, : nx * BLOCK_PX].reshape(ny, BLOCK_PX, nx, BLOCK_PX)
    empty = np.pad(blocks.all(axis=(1, 3)), 1)
    distance = ndimage.distance_transform_edt(empty)[1:-1, 1:-1]
    # From the middle of a block to the next occupied one; the place is half a pixel off.
    return Room((distance - 0.5) * BLOCK_PX - 0.7)


def measure_empty_apertures(
    plane: Plane, light: NDArray[np.float32], occupied: NDArray[np.bool_], radii_px: Vector
) -> EmptyApertures:
    """Lay apertures on empty sky and return how their sums scatter.

    Correlated noise, faint sources and errors of the sky model are in them, which the variance
    of single pixels does not know (e.g. Labbe et al. 2003, AJ 125, 1107, section 3.2).

    Parameters
    ----------
    light : (ny, nx) float32
        Sky-subtracted image, with or without its stars.
    occupied : (ny, nx) bool
        Pixels of sources.
    """
    room = room_on(plane.good & ~occupied)
    sky = finite_sky(plane)
    results = []
    for radius in radii_px:
        x, y = room.places(float(radius))
        if len(x) < LEAST_APERTURES:
            results.append((np.nan, 1.0, np.nan, len(x)))
            continue
        sums, _, _ = sep.sum_circle(light, x, y, radius, subpix=5)
        expected, _, _ = sep.sum_circle(sky, x, y, radius, subpix=5)
        scatter, middle = spread_of(sums)
        factor = scatter / float(np.sqrt(np.median(expected)))
        results.append((scatter, believed(factor, len(x)), middle, len(x)))
    table = np.array(results, float).reshape(-1, 4)
    return EmptyApertures(
        np.asarray(radii_px, float), table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(int)
    )


def psf_noise_factor(plane: Plane, psf: PointSpread, light: NDArray[np.float32]) -> float:
    """Return the scatter of forced point-spread fluxes on empty sky over the expected one.

    Parameters
    ----------
    light : (ny, nx) float32
        The image without its stars; the faint rest of the stars counts as noise.
    """
    pull = _pulls_of_nothing(plane, psf, light)
    return believed(spread_of(pull)[0], len(pull)) if len(pull) >= LEAST_APERTURES else 1.0


def psf_noise_below(plane: Plane, psf: PointSpread, light: NDArray[np.float32]) -> float:
    """Return the same of the fluxes below the median: stars not yet found lift only the others."""
    pull = _pulls_of_nothing(plane, psf, light)
    if len(pull) < LEAST_APERTURES:
        return 1.0
    low, middle = np.percentile(pull, [15.87, 50])
    return believed(float(middle - low), len(pull))


def _pulls_of_nothing(plane: Plane, psf: PointSpread, light: NDArray[np.float32]) -> Vector:
    """Return forced fluxes over their expected errors, where no pixel is masked."""
    half = int(np.ceil(1.6 * psf.fwhm_px))
    x, y = room_on(plane.good).places(float(half))
    if not len(x):
        return np.empty(0)
    stamps = stamps_around(x, y, half, plane.shape)
    value = psf.values(stamps, x, y)
    weight = value / stamps.of(plane.sky_variance)
    power = np.sum(weight * value, axis=(1, 2))
    return np.asarray(np.sum(weight * stamps.of(light), axis=(1, 2)) / np.sqrt(power))


def finite_sky(plane: Plane) -> NDArray[np.float32]:
    """Return the sky's variance with its median where it is not known."""
    known = np.isfinite(plane.sky_variance)
    if known.all():
        return plane.sky_variance
    typical = np.median(plane.sky_variance[::9, ::9][known[::9, ::9]]) if known.any() else 1.0
    return np.where(known, plane.sky_variance, typical).astype(np.float32)


def spread_of(values: Vector) -> tuple[float, float]:
    """Return a standard deviation that outliers do not lift, and the median."""
    low, middle, high = np.percentile(values, [15.87, 50, 84.13])
    return float(high - low) / 2, float(middle)


def believed(factor: float, count: int) -> float:
    """Return a measured factor of the noise, or 1 where it does not differ significantly."""
    return 1.0 if abs(factor - 1) < 2 / np.sqrt(count) else float(np.clip(factor, 0.5, 10))
