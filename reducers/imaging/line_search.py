"""Straight lines in noise: the sums of an image along all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ANGLES = 360
#: A block is worth no more than this many sigma: no single object makes a line.
MOST_PER_BLOCK = 3.0
#: Blocks that a line crosses at least.
FEWEST_BLOCKS = 30
#: Around a line that was found, angles and blocks that are its own.
OWN_ANGLES, OWN_BLOCKS = 8, 8


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line across an image.

    Attributes
    ----------
    angle_rad
        Of its direction, counter-clockwise from x.
    offset_px
        Distance from the centre of the image, positive to the left of the direction.
    score
        Sum along it in units of the scatter of such sums.
    """

    angle_rad: float
    offset_px: float
    score: float


def find_lines(
    signal: NDArray[np.float32],
    usable: NDArray[np.bool_],
    *,
    block_px: int,
    limit: float,
    at_most: int,
) -> Iterator[Line]:
    """Yield the lines along which an image is brighter than noise, the brightest first.

    Parameters
    ----------
    signal : (ny, nx)
        Signal to noise of the pixels, mean zero.
    usable : (ny, nx) bool
        Pixels that count.

    Notes
    -----
    A Radon transform of block sums, clipped so that what is bright in one place counts little.
    """
    blocks, weights, x, y = _blocks(signal, usable, block_px)
    reach = math.ceil(math.hypot(*signal.shape) / 2 / block_px) + 2
    scores = np.zeros((ANGLES, 2 * reach + 1))
    for number in range(ANGLES):
        angle = math.pi * number / ANGLES
        across = (y * math.cos(angle) - x * math.sin(angle)) / block_px
        bins = np.rint(across).astype(np.intp) + reach
        sums = np.bincount(bins, blocks, scores.shape[1]).astype(np.float64)
        counts = np.bincount(bins, weights, scores.shape[1]).astype(np.float64)
        scores[number] = _line_sums(sums, counts)
    used = scores[scores != 0]
    if used.size < scores.shape[1]:
        return
    middle = np.median(used)
    spread = max(1.4826 * float(np.median(np.abs(used - middle))), 1.0)
    scores = np.where(scores != 0, (scores - middle) / spread, 0)
    for _ in range(at_most):
        number, bin_ = divmod(int(np.argmax(scores)), scores.shape[1])
        score = float(scores[number, bin_])
        if score < limit:
            return
        yield Line(math.pi * number / ANGLES, float(bin_ - reach) * block_px, score)
        _blank(scores, number, bin_, reach)


def _blocks(
    signal: NDArray[np.float32], usable: NDArray[np.bool_], block_px: int
) -> tuple[NDArray[np.float64], ...]:
    """Return clipped block sums in units of their noise, their weights, and centres x, y (px)."""
    rows, columns = (size // block_px for size in signal.shape)
    cut = np.s_[: rows * block_px, : columns * block_px]
    into = (rows, block_px, columns, block_px)
    sums = np.where(usable, signal, 0)[cut].reshape(into).sum((1, 3), dtype=np.float64)
    counts = usable[cut].reshape(into).sum((1, 3), dtype=np.float64)
    used = counts > 0.2 * block_px**2
    ratio = sums[used] / np.sqrt(counts[used])
    ratio -= np.median(ratio) if ratio.size else 0
    noise = 1.4826 * np.median(np.abs(ratio)) if ratio.size else 1.0
    share = counts[used] / block_px**2
    value = np.clip(ratio / max(noise, 1e-6), -MOST_PER_BLOCK, MOST_PER_BLOCK) * np.sqrt(share)
    row, column = np.nonzero(used)
    x = (column + 0.5) * block_px - 0.5 - (signal.shape[1] - 1) / 2
    y = (row + 0.5) * block_px - 0.5 - (signal.shape[0] - 1) / 2
    return value, share, x, y


def _line_sums(sums: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the significance of each line, one or two blocks wide, whichever is greater."""
    single = np.where(weights > FEWEST_BLOCKS, sums / np.sqrt(np.maximum(weights, 1)), 0)
    double_sums, double_weights = sums[:-1] + sums[1:], weights[:-1] + weights[1:]
    double = double_sums / np.sqrt(np.maximum(double_weights, 1))
    double = np.where(double_weights > 2 * FEWEST_BLOCKS, double, 0)
    return np.asarray(np.maximum(single, np.append(double, 0)))


def _blank(scores: NDArray[np.float64], number: int, bin_: int, reach: int) -> None:
    """Set to zero what belongs to a line: beyond 180 degrees its offset changes sign."""
    for angle in range(number - OWN_ANGLES, number + OWN_ANGLES + 1):
        middle = bin_ if 0 <= angle < ANGLES else 2 * reach - bin_
        low, high = max(middle - OWN_BLOCKS, 0), middle + OWN_BLOCKS + 1
        scores[angle % ANGLES, low:high] = 0
