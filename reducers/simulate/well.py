"""Full wells: charge that a pixel cannot hold runs along its column."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Electrons that one detector pixel holds.
WELL_E = 124_000.0


def bleed(electrons: Any) -> Any:
    """Let charge above the well run up and down its column, in place; return where wells are full.

    Parameters
    ----------
    electrons : (ny, nx) float
        Unbinned pixels.

    Returns
    -------
    full : (ny, nx) bool
    """
    full = np.zeros(electrons.shape, dtype=bool)
    over = electrons > WELL_E
    for column in np.flatnonzero(over.any(axis=0)):
        rows = np.flatnonzero(over[:, column])
        breaks = np.flatnonzero(np.diff(rows) > 1) + 1
        for run in np.split(rows, breaks):
            surplus = float((electrons[run, column] - WELL_E).sum())
            electrons[run, column] = WELL_E
            full[run, column] = True
            _fill(electrons[:, column], full[:, column], run[-1] + 1, 1, surplus / 2)
            _fill(electrons[:, column], full[:, column], run[0] - 1, -1, surplus / 2)
    return full


def _fill(column: Any, full: Any, row: int, step: int, charge: float) -> None:
    while charge > 0 and 0 <= row < len(column):
        taken = min(charge, WELL_E - column[row])
        if taken > 0:
            column[row] += taken
            charge -= taken
        full[row] |= column[row] >= 0.999 * WELL_E
        row += step
