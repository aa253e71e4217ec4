"""Which pixels of repeated spectra agree with one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.spectroscopy.stack import Plane, Stack

#: Disagreement, in sigma of the difference, beyond which a pixel is left out: two exposures, more.
REJECT_SIGMA = (3.0, 4.0)


def agreeing(stack: Stack) -> NDArray[np.bool_]:
    """Return the pixels of every exposure that agree with the others."""
    kept = stack.good.copy()
    strong = np.zeros(kept.shape, bool)
    limit = REJECT_SIGMA[0] if len(kept) == 2 else REJECT_SIGMA[1]
    stands_out = _stands_out(stack)
    columns = np.arange(kept.shape[1])
    for _ in range(max(1, len(kept) // 2)):
        score = np.abs(_disagreement(stack, kept))
        if len(kept) == 2:
            # Two that differ do not say which is wrong: the one that leaves its own neighbours.
            score = score * (stands_out >= stands_out.max(axis=0))
        worst = score.argmax(axis=0)
        wrong = score[worst, columns] > limit
        if not wrong.any():
            break
        kept[worst[wrong], columns[wrong]] = False
        strong |= ~kept & (score > 2 * limit)
    return _without_flanks(stack, kept, strong, limit)


def _without_flanks(
    stack: Stack, kept: NDArray[np.bool_], strong: NDArray[np.bool_], limit: float
) -> NDArray[np.bool_]:
    """Leave out the neighbours of hits too: all beside a strong one, else those that lean its way.

    No pixel loses its last exposure by this.
    """
    beside = np.ones((1, 3), bool)
    leans = _disagreement(stack, kept) > limit / 2
    flank = ndimage.binary_dilation(strong, beside)
    flank |= ndimage.binary_dilation(stack.good & ~kept, beside) & leans
    left = kept & ~flank
    return np.where(left.any(axis=0), left, kept)


def _disagreement(stack: Stack, kept: NDArray[np.bool_]) -> Plane:
    """Return each exposure minus the mean of the others, in sigma of that difference."""
    weight = np.where(kept, 1 / np.maximum(_even(stack.variance, kept), 1e-300), 0.0)
    total, value = weight.sum(axis=0), (weight * stack.flux).sum(axis=0)
    rest = total - weight
    alone = rest <= 1e-12 * total
    mean = np.where(alone, stack.flux, (value - weight * stack.flux) / np.where(alone, 1, rest))
    noise = (weight**2 * stack.variance).sum(axis=0) - weight**2 * stack.variance
    spread = np.sqrt(stack.variance + np.where(alone, 1, noise / np.where(alone, 1, rest) ** 2))
    return np.where(kept & ~alone, (stack.flux - mean) / np.maximum(spread, 1e-300), 0.0)


def _even(variance: Plane, kept: NDArray[np.bool_]) -> Plane:
    """Return one variance per exposure, so that a pixel's own noise does not weigh it."""
    level = [
        float(np.median(v[k])) if k.any() else 1.0 for v, k in zip(variance, kept, strict=True)
    ]
    return np.broadcast_to(np.array(level)[:, None], variance.shape)


def _stands_out(stack: Stack) -> Plane:
    """Return how far every pixel lies from its neighbourhood in the lowest exposure, in sigma.

    Hits only add, so that the lowest exposure is the one without them, also where they crowd.
    """
    lowest = np.where(stack.good, stack.flux, np.inf).min(axis=0)
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)
    around = ndimage.median_filter(lowest, size=9, mode="nearest")
    noise = np.sqrt(np.where(stack.good, stack.variance, np.inf))
    return np.asarray(np.abs(stack.flux - around) / noise)
