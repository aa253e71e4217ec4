"""Find pixels that cannot be corrected: hot and unstable ones on biases, dead ones on flats."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtri

from reducers.frame import Frame, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Image

#: A pixel is hot above this many read noises over its surroundings in the master bias.
HOT_SIGMA = 5.0
#: Chance at which an honest pixel is called unstable, and the least excess of its variance.
UNSTABLE_CHANCE, UNSTABLE_FACTOR = 1e-8, 4.0
#: A column is unstable when its variance exceeds the others' by this fraction (real ones: 0.1).
COLUMN_EXCESS = 0.5
#: Responses outside these cannot be divided out: too little light, or no pixel of its own.
LEAST_RESPONSE, MOST_RESPONSE = 0.6, 1.4
#: A map that condemns more than this is itself wrong.
LARGEST_FRACTION = 0.02


def hot_pixels(master: Frame, read_noise: float) -> NDArray[np.bool_]:
    """Return where a master bias stands out of its row and column.

    The start-up of the readout raises whole columns and rows: it is subtracted, not masked.
    """
    data = master.data - np.median(master.data, axis=0)
    data = data - np.median(data, axis=1, keepdims=True)
    return np.asarray(np.abs(data) > HOT_SIGMA * read_noise)


def unstable_pixels(frames: Sequence[Frame], read_noise: float) -> NDArray[np.bool_]:
    """Return pixels and columns of biases that scatter far more than the read noise.

    Cosmic rays strike a pixel once; what is left after the largest deviation has gone is the
    pixel's own. With fewer than five frames nothing is called unstable.
    """
    count = len(frames)
    if count < 5:
        return np.zeros(frames[0].shape, bool)
    middle = functools.reduce(np.add, (frame.data for frame in frames)) / np.float32(count)
    squares, largest = np.zeros_like(middle), np.zeros_like(middle)
    for frame in frames:
        deviation = frame.data - middle
        deviation -= np.median(deviation, axis=1, keepdims=True)
        deviation **= 2
        squares += deviation
        np.maximum(largest, deviation, out=largest)
    # Letting one value off moves the mean as well: 1 - 1/n of it remains in the others.
    rest = squares - largest * count / (count - 1)
    limit = max(float(chdtri(count - 2, UNSTABLE_CHANCE)), UNSTABLE_FACTOR * (count - 2))
    return np.asarray((rest > limit * read_noise**2) | _unstable_columns(rest))


def _unstable_columns(squares: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the columns (nx,) whose mean scatter stands out, single wild pixels aside."""
    means = np.minimum(squares, 20 * np.median(squares)).mean(axis=0)
    ratio = means / max(float(np.median(means)), 1e-6)
    width = 1.4826 * float(np.median(np.abs(ratio - 1)))
    return np.asarray(ratio > 1 + max(COLUMN_EXCESS, 8 * width))


def unusable_response(response: Image, lit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where lit pixels respond too differently from their neighbours to be corrected."""
    return np.asarray(lit & ((response < LEAST_RESPONSE) | (response > MOST_RESPONSE)))


def with_bad_pixels(
    master: Frame, bad: NDArray[np.bool_], what: str
) -> tuple[Frame, dict[str, float]]:
    """Mark pixels as BAD in a master; a map that condemns too much is refused in words.

    Returns
    -------
    Frame, dict
        The master, and 'bad_pixels', 'bad_fraction' and 'bad_map_refused'.
    """
    number, fraction = int(bad.sum()), float(bad.mean())
    refused = fraction > LARGEST_FRACTION
    measured = {
        "bad_pixels": float(number),
        "bad_fraction": fraction,
        "bad_map_refused": float(refused),
    }
    if refused:
        words = (
            f"bad pixels: {100 * fraction:.1f} % look {what}, more than "
            f"{100 * LARGEST_FRACTION:.0f} % can be: the map is not used"
        )
        return master.after(words), measured
    mask = master.mask.copy()
    mask[bad] |= np.uint16(Mask.BAD)
    return master.after(f"bad pixels: {number} {what}", mask=mask), measured
