"""What apertures and the point spread do not agree on beyond their errors."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.imaging.growth import _excess_scatter


@pytest.mark.parametrize("true", [0.0, 0.005, 0.02])
def test_the_scatter_beyond_the_errors_is_told_by_those_who_can_know(true: float) -> None:
    rng = np.random.default_rng(3)
    errors = rng.uniform(0.001, 0.03, 60)
    found = [_excess_scatter(rng.normal(0, np.hypot(errors, true)), errors) for _ in range(100)]
    assert np.median(found) == pytest.approx(true, abs=0.001)


def test_faint_stars_whose_errors_are_too_small_do_not_make_bright_ones_uncertain() -> None:
    rng = np.random.default_rng(4)
    errors = np.append(np.full(10, 0.001), np.full(50, 0.02))
    values = rng.normal(0, np.append(np.full(10, 0.003), np.full(50, 0.03)))
    assert _excess_scatter(values, errors) < 0.006
