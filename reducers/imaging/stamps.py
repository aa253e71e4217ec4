"""Small squares cut out of an image around many places at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from reducers.frame import Vector


Grid = NDArray[np.intp]
Stack = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stamps:
    """Where n squares of (2 half + 1) pixels lie on an image.

    Attributes
    ----------
    rows, columns : (n, size, size) int
        Pixels of the image, clipped to its edge where the square reaches beyond.
    inside : (n, size, size) bool
        False where the square reaches beyond the edge.
    x, y : (n,) int
        Central pixels.
    """

    rows: Grid
    columns: Grid
    inside: NDArray[np.bool_]
    x: Grid
    y: Grid

    def of(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return the (n, size, size) pixels of a plane."""
        return plane[self.rows, self.columns]

    def offsets(self, x: Vector, y: Vector) -> tuple[Stack, Stack]:
        """Return dx (n, 1, size) and dy (n, size, 1) of the pixels from the places x, y."""
        half = self.rows.shape[1] // 2
        step = np.arange(-half, half + 1, dtype=float)
        return (
            (step + (self.x - x)[:, None])[:, None, :],
            (step + (self.y - y)[:, None])[:, :, None],
        )


def stamps_around(x: Vector, y: Vector, half: int, shape: tuple[int, int]) -> Stamps:
    """Return the squares of half-width `half` around places x, y of an image of `shape`."""
    centre_x, centre_y = np.rint(x).astype(np.intp), np.rint(y).astype(np.intp)
    step = np.arange(-half, half + 1)
    columns = centre_x[:, None] + step
    rows = centre_y[:, None] + step
    inside = ((rows >= 0) & (rows < shape[0]))[:, :, None] & (
        (columns >= 0) & (columns < shape[1])
    )[:, None, :]
    size = 2 * half + 1
    full = (len(centre_x), size, size)
    return Stamps(
        rows=np.broadcast_to(np.clip(rows, 0, shape[0] - 1)[:, :, None], full),
        columns=np.broadcast_to(np.clip(columns, 0, shape[1] - 1)[:, None, :], full),
        inside=inside,
        x=centre_x,
        y=centre_y,
    )
