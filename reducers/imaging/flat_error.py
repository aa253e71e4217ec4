"""What the flat does wrong to the light of a star, as far as nobody corrected it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reducers.frame import Vector
    from reducers.imaging.plane import Plane

#: What pixels and dust leave in the sum over a star.
SMALL_SCALE = 0.001
#: Change from the middle to the edge of the field: a twilight sky is brighter on one side and
#: light is scattered onto the chip (Chromey & Hasselbacher 1996, PASP 108, 944). A usual value,
#: unverified for any telescope.
TO_THE_EDGE = 0.004
#: Unbinned detector pixels from the middle to the edge of a whole field.
EDGE_PX = 1000.0


def flat_error(plane: Plane, x: Any, y: Any) -> Vector:
    """Return by which fraction the flux at a place may be off against that of the whole image."""
    return np.asarray(np.hypot(SMALL_SCALE, smooth_flat_error(plane, x, y)))


def smooth_flat_error(plane: Plane, x: Any, y: Any) -> Vector:
    """Return the part of it that varies smoothly over the field, which stars can correct.

    Twilight flats err smoothly: stars side by side are compared better than those at two edges,
    and a small window better than a whole field.
    """
    rows, columns = plane.shape
    away = np.hypot(np.asarray(x) - (columns - 1) / 2, np.asarray(y) - (rows - 1) / 2)
    return np.asarray(TO_THE_EDGE * away * plane.binning / EDGE_PX)
