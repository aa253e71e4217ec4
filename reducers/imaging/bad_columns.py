"""Columns that respond to faint light otherwise than to the bright light of a flat: traps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter

from reducers.frame import Frame, Mask
from reducers.imaging.background import NO_SKY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.imaging.background import Background

#: Rows whose mean is looked at, and the fewest of them that must be usable.
BLOCK_ROWS, FEWEST_ROWS = 64, 20
#: A column is bad where it stands this many sigma of a pixel off its neighbours, and this many
#: sigma of the mean, in two blocks of rows that follow each other.
OFF_SIGMA, SURE_SIGMA = 0.5, 5.0
#: Columns with which one is compared; what is wider than a few of them is on the sky.
NEIGHBOURS = 11
#: Pixels beyond this many sigma do not move a mean.
CLIP_SIGMA = 2.0


def mask_bad_columns(frame: Frame, background: Background) -> Frame:
    """Mark pieces of columns whose empty sky stands off that of their neighbours as BAD.

    A trap takes its share of a flat's light but less, or more, of the sky's: dividing by the flat
    then draws a line, which no flat and no bias shows.
    """
    off, error = column_offsets(frame, background)
    apart = np.abs(off) > np.maximum(OFF_SIGMA, SURE_SIGMA * error)
    twice = np.zeros_like(apart)
    twice[1:] |= apart[1:] & apart[:-1]
    twice[:-1] |= apart[:-1] & apart[1:]
    if not twice.any():
        return frame
    bad = np.repeat(twice, BLOCK_ROWS, axis=0)[: frame.shape[0]]
    mask = frame.mask.copy()
    mask[bad] |= np.uint16(Mask.BAD)
    number = int(twice.any(axis=0).sum())
    return frame.after(f"bad columns: pieces of {number} masked", mask=mask)


def column_offsets(
    frame: Frame, background: Background
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how far every piece of a column stands off its neighbours, and the error of that.

    Returns
    -------
    offset, error : (blocks, nx)
        In sigma of a pixel; 0 where too little of a piece is usable.
    """
    # A bright column looks like a source: stars stay in, and are kept small by the clipping.
    usable = (frame.mask & NO_SKY) == 0
    pull = (frame.data - background.level) / np.sqrt(frame.variance)
    pull = np.where(usable, np.clip(pull, -CLIP_SIGMA, CLIP_SIGMA), np.float32(0))
    starts = np.arange(0, frame.shape[0], BLOCK_ROWS)
    number = np.add.reduceat(usable, starts, axis=0, dtype=np.float32)
    mean = np.add.reduceat(pull, starts, axis=0) / np.maximum(number, 1)
    known = number >= FEWEST_ROWS
    mean = np.where(known, mean, np.float32(0))
    around = median_filter(mean, (1, NEIGHBOURS), mode="nearest")
    error = 1 / np.sqrt(np.maximum(number, 1))
    return np.where(known, mean - around, np.float32(0)), np.asarray(error, np.float32)
