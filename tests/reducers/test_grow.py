"""Masks grow by boxes."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from reducers.detector.grow import grown


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 1), (3, 0), (4, 4), (2, 7), (9, 1)])
def test_growing_is_a_dilation_with_a_box(rows, columns) -> None:
    marked = np.random.default_rng(rows).random((40, 31)) > 0.99
    box = np.ones((2 * rows + 1, 2 * columns + 1), bool)
    assert np.array_equal(grown(marked, rows=rows, columns=columns), binary_dilation(marked, box))


def test_growing_beyond_the_edge_marks_everything() -> None:
    marked = np.zeros((5, 4), bool)
    marked[2, 2] = True
    assert grown(marked, rows=20, columns=20).all()
