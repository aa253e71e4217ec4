"""Sources of two images of one field, paired by a shift of the telescope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from reducers.imaging.source_flags import SourceFlag

if TYPE_CHECKING:
    from reducers.imaging.photometry import Photometry

#: What spoils a comparison.
SPOILT = (
    SourceFlag.MASKED
    | SourceFlag.SATURATED
    | SourceFlag.EDGE
    | SourceFlag.TRAIL
    | SourceFlag.MOVED
    | SourceFlag.SHARP
)


def paired(first: Photometry, second: Photometry) -> tuple[np.ndarray, np.ndarray]:
    """Indices of clean sources that both images have."""
    bright = [np.argsort(-each.flux)[:60] for each in (first, second)]
    dx = (second.x[bright[1], None] - first.x[None, bright[0]]).ravel()
    dy = (second.y[bright[1], None] - first.y[None, bright[0]]).ravel()
    steps = np.column_stack([dx, dy])
    votes = cKDTree(steps).query_ball_point(steps, 1.5, return_length=True)
    near = np.hypot(*(steps - steps[np.argmax(votes)]).T) < 1.5
    shift = np.median(steps[near], axis=0)
    places = np.column_stack([second.x, second.y]) - shift
    gap, other = cKDTree(places).query(np.column_stack([first.x, first.y]))
    kept = gap < 1.5
    one, two = np.flatnonzero(kept), other[kept]
    clean = ((first.flags[one] | second.flags[two]) & int(SPOILT)) == 0
    return one[clean], two[clean]
