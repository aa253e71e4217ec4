"""Quick arithmetic on whole planes gives what the slow one gives."""

from __future__ import annotations

import numpy as np
import pytest
from astroscrappy.utils import sepmedfilt5, sepmedfilt7
from scipy.ndimage import uniform_filter

from reducers.imaging.box_mean import mean_of_nine
from reducers.imaging.separable_median import BLOCK_ROWS, median_of_five, median_of_seven


@pytest.mark.parametrize("rows", [4, 6, 7, BLOCK_ROWS + 6, 2 * BLOCK_ROWS + 7])
def test_medians_by_a_sorting_network_are_those_of_l_a_cosmic(rows: int) -> None:
    rng = np.random.default_rng(rows)
    plane = rng.normal(100, 5, (rows, 61)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.1] = 1e5
    plane[rng.random(plane.shape) < 0.2] = 97
    assert np.array_equal(median_of_five(plane), sepmedfilt5(plane))
    assert np.array_equal(median_of_seven(plane), sepmedfilt7(plane))


def test_the_mean_of_nine_goes_on_beyond_the_edge_as_at_it() -> None:
    plane = np.random.default_rng(1).normal(1000, 30, (17, 23)).astype(np.float32)
    expected = uniform_filter(plane.astype(float), 3, mode="nearest")
    assert mean_of_nine(plane) == pytest.approx(expected, rel=1e-6)


def test_a_pixel_without_a_value_spoils_only_the_means_beside_it() -> None:
    plane = np.ones((9, 9), np.float32)
    plane[4, 4] = np.nan
    assert np.count_nonzero(np.isnan(mean_of_nine(plane))) == 9
