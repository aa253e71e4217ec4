"""Charge of saturated stars that ran along the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects, label

from reducers.detector.grow import grown
from reducers.frame import Frame, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A column is bled where it is brighter than the star is as far to the side, by so much.
TIMES_SIDE, SIGMA = 1.5, 5.0
#: Rows below that in which a bled column goes on.
GAP_PX = 3
#: Rows that are looked at first: most groups end within them.
FIRST_ROWS = 32
#: Groups that are followed at most, the largest first: more are hot pixels, which do not bleed.
MOST_GROUPS = 2000


def mask_bleeding(frame: Frame) -> Frame:
    """Mask the columns that saturated stars bled into, and what touches them.

    Parameters
    ----------
    frame : Frame
        Electrons or adu, sky included; saturated pixels are in its mask.

    Returns
    -------
    Frame
        With `Mask.SATURATED` along the columns as far as they are brighter than the star is at
        the same distance to the side (a star without bleeding is round), and `Mask.NEIGHBOUR`
        on every pixel that touches a saturated one.
    """
    saturated = (frame.mask & np.uint16(Mask.SATURATED)) != 0
    groups, _ = label(saturated, np.ones((3, 3), bool))
    bled = saturated.copy()
    sky = float(np.median(frame.data[::7, ::7]))
    boxes, sizes = find_objects(groups), np.bincount(groups.ravel())[1:]
    for index in np.argsort(-sizes, kind="stable")[:MOST_GROUPS]:
        box = boxes[index]
        _grow(bled, frame, groups[box] == index + 1, box, sky)
    mask = frame.mask.copy()
    mask[bled] |= np.uint16(Mask.SATURATED)
    mask[grown(bled, rows=1, columns=1) & ~bled] |= np.uint16(Mask.NEIGHBOUR)
    count = int(bled.sum() - saturated.sum())
    return frame.after(f"bleeding: {count} pixels along columns masked", mask=mask)


def _grow(
    bled: NDArray[np.bool_],
    frame: Frame,
    group: NDArray[np.bool_],
    box: tuple[slice, slice],
    sky: float,
) -> None:
    """Extend one saturated group along its columns and the ones beside it."""
    widths = group.sum(axis=1)
    row = box[0].start + round(float(np.flatnonzero(widths == widths.max()).mean()))
    column = box[1].start + round(
        float(np.average(np.arange(group.shape[1]), weights=group.sum(0)))
    )
    columns = range(max(box[1].start - 1, 0), min(box[1].stop + 1, frame.shape[1]))
    for x in columns:
        own = np.flatnonzero(group[:, min(max(x - box[1].start, 0), group.shape[1] - 1)])
        top = box[0].start + (own[-1] if own.size else 0)
        bottom = box[0].start + (own[0] if own.size else 0)
        upward = np.arange(top, frame.shape[0])
        downward = np.arange(bottom, -1, -1)
        for rows in (upward, downward):
            bled[rows[: _bled_rows(frame, rows, x, (row, column), sky)], x] = True


def _bled_rows(
    frame: Frame, rows: NDArray[np.intp], x: int, centre: tuple[int, int], sky: float
) -> int:
    """Return how many rows of a column are bled, from the first one on."""
    looked_at = FIRST_ROWS
    while True:
        run = _run(_brighter_than_the_side(frame, rows[:looked_at], x, centre, sky))
        if run + GAP_PX < looked_at or looked_at >= rows.size:
            return run
        looked_at *= 4


def _brighter_than_the_side(
    frame: Frame, rows: NDArray[np.intp], x: int, centre: tuple[int, int], sky: float
) -> NDArray[np.bool_]:
    """Tell where a column outshines the same star a quarter turn away, on its fainter side."""
    row, column = centre
    distance, aside = rows - row, x - column
    sides = []
    for turned_row, turned_column in (
        (row - aside, column + distance),
        (row + aside, column - distance),
    ):
        inside = (turned_column >= 0) & (turned_column < frame.shape[1])
        value = np.full(rows.size, np.inf)
        if 0 <= turned_row < frame.shape[0]:
            value[inside] = frame.data[turned_row, turned_column[inside]] - sky
        sides.append(value)
    side = np.minimum(*sides)
    noise = np.sqrt(np.maximum(frame.variance[rows, x], 0))
    return np.asarray(frame.data[rows, x] - sky > TIMES_SIDE * np.maximum(side, 0) + SIGMA * noise)


def _run(above: NDArray[np.bool_]) -> int:
    """Return how many elements come before a gap longer than `GAP_PX`."""
    where = np.flatnonzero(above)
    if not where.size or where[0] > GAP_PX:
        return 0
    breaks = np.flatnonzero(np.diff(where) > GAP_PX + 1)
    return int(where[breaks[0]] if breaks.size else where[-1]) + 1
