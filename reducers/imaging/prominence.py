"""Tell a source beside a brighter one from a ripple of the noise on its wing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from reducers.frame import Image
from reducers.imaging.moffat import moffat
from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from reducers.frame import Vector

#: A source must stand so many sigma above the pass that leads to a brighter neighbour.
LEAST_PROMINENCE = 4.0
#: Brighter neighbours are looked for within so many FWHM, so many of them.
REACH_FWHM = 8.0
NEIGHBOURS = 6
#: Wings are looked for further out, and may be this much brighter than the model says.
WING_FWHM = 25.0
WING_EXCESS = 1.3
#: Places along the way to a neighbour.
STEPS = 14


@dataclass(frozen=True, slots=True)
class Smoothed:
    """The filtered image where it is asked for, and the noise there.

    Attributes
    ----------
    light, noise : (ny, nx) float32
        Electrons above the sky; sigma of the sky per pixel.
    kernel : (k, k) float32
        The filter, of sum one.
    factor : float
        Noise of the filtered image over that of independent pixels.
    """

    light: Image
    noise: Image
    kernel: NDArray[np.float32]
    factor: float

    def at(self, x: Vector, y: Vector) -> Vector:
        """Return the filtered image at the pixels nearest to places (n,)."""
        half = len(self.kernel) // 2
        values = np.empty(len(x))
        for part in np.array_split(np.arange(len(x)), max(len(x) // 20_000, 1)):
            stamps = stamps_around(x[part], y[part], half, (len(self.light), len(self.light.T)))
            values[part] = np.einsum(
                "nij,ij->n", np.where(stamps.inside, stamps.of(self.light), 0), self.kernel
            )
        return values

    def sigma(self, x: Vector, y: Vector, level: Vector) -> Vector:
        """Return the noise of the filtered image where the light has a level."""
        rows = np.clip(np.rint(y).astype(int), 0, self.light.shape[0] - 1)
        columns = np.clip(np.rint(x).astype(int), 0, self.light.shape[1] - 1)
        unit = self.factor * float(np.sqrt(np.sum(self.kernel**2)))
        photons = np.maximum(level, 0)
        return np.asarray(unit * np.sqrt(self.noise[rows, columns].astype(float) ** 2 + photons))


def stands_out(
    smoothed: Smoothed, x: Vector, y: Vector, fwhm_px: float, beta: float, threshold: float
) -> NDArray[np.bool_]:
    """Tell which peaks are sources of their own.

    Two tests for a peak near brighter ones: the filtered image must fall by `LEAST_PROMINENCE`
    sigma somewhere on the way to each of them, and what rises above their wings must pass the
    threshold by itself. A galaxy's ripples fail the first, those of a star's wing the second.

    Parameters
    ----------
    x, y : (n,) float
        Peaks.
    fwhm_px, beta : float
        Profile of a star.
    threshold : float
        Sigma of the detection.
    """
    if len(x) < 2:
        return np.ones(len(x), bool)
    level = smoothed.at(x, y)
    return _above_passes(smoothed, x, y, level, fwhm_px) & _above_wings(
        smoothed, x, y, level, fwhm_px, beta, threshold
    )


def _above_passes(
    smoothed: Smoothed, x: Vector, y: Vector, level: Vector, fwhm_px: float
) -> NDArray[np.bool_]:
    """Tell which peaks stand above the pass to every brighter one nearby."""
    places = np.column_stack([x, y])
    count = min(NEIGHBOURS + 1, len(x))
    gap, other = cKDTree(places).query(places, k=count, distance_upper_bound=REACH_FWHM * fwhm_px)
    first = np.repeat(np.arange(len(x)), count - 1)
    second, near = other[:, 1:].ravel(), np.isfinite(gap[:, 1:].ravel())
    first, second = first[near], second[near]
    brighter = level[second] > level[first]
    first, second = first[brighter], second[brighter]
    if not len(first):
        return np.ones(len(x), bool)
    way = np.linspace(0, 1, STEPS + 1)[1:]
    on_x = x[first, None] + way * (x[second] - x[first])[:, None]
    on_y = y[first, None] + way * (y[second] - y[first])[:, None]
    lowest = smoothed.at(on_x.ravel(), on_y.ravel()).reshape(on_x.shape).min(axis=1)
    sigma = smoothed.sigma(x[first], y[first], level[first])
    failed = level[first] - lowest < LEAST_PROMINENCE * sigma
    kept = np.ones(len(x), bool)
    kept[first[failed]] = False
    return kept


def _above_wings(
    smoothed: Smoothed,
    x: Vector,
    y: Vector,
    level: Vector,
    fwhm_px: float,
    beta: float,
    threshold: float,
) -> NDArray[np.bool_]:
    """Tell which peaks pass the threshold without the wings of brighter stars."""
    reach = WING_FWHM * fwhm_px
    profile = _filtered_profile(smoothed.kernel, fwhm_px, beta, reach)
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(reach, output_type="ndarray")
    if not len(pairs):
        return np.ones(len(x), bool)
    faint = np.where(level[pairs[:, 0]] < level[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    bright = pairs.sum(axis=1) - faint
    # The wing of a star that is not ten times brighter is no matter.
    matters = level[bright] > 3 * level[faint]
    faint, bright = faint[matters], bright[matters]
    distance = np.hypot(x[faint] - x[bright], y[faint] - y[bright])
    light = level[bright] * np.interp(distance, np.arange(len(profile)), profile)
    wings = np.asarray(np.bincount(faint, light, len(x)), float)
    sigma = smoothed.sigma(x, y, wings)
    return np.asarray((level - WING_EXCESS * wings > threshold * sigma) | (wings == 0))


def _filtered_profile(
    kernel: NDArray[np.float32], fwhm_px: float, beta: float, reach: float
) -> Vector:
    """Return the filtered profile of a star at 0, 1, 2 ... pixels, 1 at its centre."""
    length = int(np.ceil(reach)) + 1
    half = len(kernel) // 2
    step = np.arange(-half, length + half, dtype=float)
    strip = moffat(step[None, :], np.arange(-half, half + 1.0)[:, None], fwhm_px, beta)
    filtered = ndimage.convolve(strip, np.asarray(kernel, float), mode="nearest")[half]
    profile = filtered[half : half + length]
    return np.asarray(profile / profile[0])
