"""The running median is scipy's own, only faster."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import median_filter

from reducers.spectroscopy.running_median import running_median


@pytest.mark.parametrize(("length", "axis"), [(31, 0), (7, 1), (15, 1), (51, 0)])
def test_it_is_the_median_in_a_window_one_pixel_across(length: int, axis: int) -> None:
    image = np.random.default_rng(3).normal(size=(43, 60)).astype(np.float32)
    window = (length, 1) if axis == 0 else (1, length)
    assert np.array_equal(
        running_median(image, length, axis=axis), median_filter(image, size=window)
    )


def test_a_pixel_without_a_value_does_not_reach_past_its_window() -> None:
    image = np.ones((20, 30))
    image[10, 10] = np.nan
    found = running_median(image, 3, axis=1)
    assert np.array_equal(found, np.ones((20, 30)))
