"""How much light of one target several exposures caught: clouds and slit losses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.spectroscopy.stack import SLOW_PX, slow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.spectroscopy.stack import Plane, Stack

#: Exposures whose factors lie within so much of the largest set the scale.
SAME_SCALE = 0.05


def grey_factors(stack: Stack) -> tuple[Vector, Vector]:
    """Return the flux of every exposure in units of the best ones', and the errors.

    Ratios of sums over the whole spectrum are used, weighted with the smoothed mean: a ratio of
    pixels, or a fit to a noisy mean, would be biased where the target is faint.
    """
    common = stack.good.all(axis=0)
    factors = np.ones(len(stack.flux))
    errors = np.full(len(stack.flux), math.inf)
    if common.sum() < 20:
        return factors, errors
    flux, variance = stack.flux[:, common], stack.variance[:, common]
    for _ in range(4):
        shifted, spread = flux / factors[:, None], variance / factors[:, None] ** 2
        calm = _calm(shifted, spread)
        mean = np.median(shifted, axis=0) if len(flux) > 2 else shifted.mean(axis=0)
        guide = np.clip(slow(mean, 4 * SLOW_PX), 0, None) / spread.mean(axis=0) * calm
        sums = (guide * flux).sum(axis=1)
        total = float((guide * shifted).sum(axis=1).mean())
        if total <= 0 or sums.min() <= 0.02 * sums.max():
            return np.ones(len(flux)), errors
        factors = sums / total
        errors = np.sqrt((guide**2 * variance).sum(axis=1)) / total
    top = factors > factors.max() * (1 - SAME_SCALE) - 2 * errors
    scale = float(np.average(factors[top], weights=errors[top] ** -2))
    # The scale itself is no better known than the exposures that set it.
    scale_error = float((errors[top] ** -2).sum() ** -0.5) / scale
    others = 1.0 if top.sum() == 1 else np.where(top, 0.0, 1.0)
    errors = np.hypot(errors / scale, factors / scale * scale_error * others)
    return factors / scale, errors


def _calm(flux: Plane, variance: Plane) -> NDArray[np.bool_]:
    """Return the pixels where no exposure stands out from the median of all."""
    off = np.abs(flux - np.median(flux, axis=0)) / np.sqrt(variance)
    limit = np.maximum(5.0, 5 * 1.4826 * np.median(off, axis=1, keepdims=True))
    return np.asarray((off < limit).all(axis=0))


def colours_of(stack: Stack, factors: Vector) -> Vector:
    """Return, per exposure, its factor in the blue half over that in the red half."""
    common = np.nonzero(stack.good.all(axis=0))[0]
    if common.size < 40:
        return np.ones(factors.size)
    halves = np.array_split(common, 2)
    blue, red = (
        np.array([np.median(slow(row[half], 25)) for row in stack.flux]) / factors
        for half in halves
    )
    if min(blue.min(), red.min()) <= 0:
        return np.ones(factors.size)
    return np.asarray((blue / np.median(blue)) / (red / np.median(red)))
