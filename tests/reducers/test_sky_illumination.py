"""The sky's own light along the slit is followed under the objects, and noise is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import legendre

from reducers.spectroscopy.sky import SkyFit, fit_sky, spline_for
from reducers.spectroscopy.sky_illumination import follow_illumination

ROWS, COLUMNS, SKY_E, FLOOR = 400, 240, 9000.0, 30.0
ALONG = np.linspace(-1, 1, COLUMNS)
#: What lamp and sky differ by beyond a parabola: two parts in a thousand.
UNEVEN = 0.002 * legendre.legval(ALONG, [0, 0, 0, 1.0, 0.5])


def fitted(
    uneven: np.ndarray, *, hidden: slice = slice(100, 130), seed: int = 0
) -> tuple[SkyFit, SkyFit, np.ndarray]:
    """Return the sky of a slit before and after, and the truth; `hidden` columns are unused."""
    rng = np.random.default_rng(seed)
    lines = 1 + 2 * np.exp(-0.5 * ((np.arange(ROWS) % 80 - 40) / 1.5) ** 2)
    truth = SKY_E * lines[:, None] * (1 + uneven)[None, :]
    data = rng.normal(truth, np.sqrt(truth + FLOOR))
    use = np.ones(truth.shape, bool)
    use[:, hidden] = False
    rows = np.broadcast_to(np.arange(ROWS, dtype=float)[:, None], truth.shape)
    before = fit_sky(data, use, spline_for(rows, use[0]), FLOOR)
    return before, follow_illumination(data, before, truth + FLOOR), truth


def left(fit: SkyFit, truth: np.ndarray) -> float:
    """Return the mean error of the sky where the object hides it, relative."""
    return float(((truth - fit.sky)[:, 100:130]).mean() / SKY_E)


def test_light_that_the_lamp_does_not_show_is_followed_under_the_object() -> None:
    off = [[left(fit, truth) for fit in (before, after)]
           for before, after, truth in (fitted(UNEVEN, seed=k) for k in range(4))]  # fmt: skip
    before, after = np.mean(off, axis=0)
    assert abs(before) > 4e-4
    assert abs(after) < 1.5e-4


@pytest.mark.parametrize("seed", range(4))
def test_an_even_slit_is_left_alone(seed: int) -> None:
    before, after, _ = fitted(np.zeros(COLUMNS), seed=seed)
    assert np.abs(after.sky / before.sky - 1).max() < 4e-4


def test_nothing_is_drawn_across_a_gap_that_holds_most_of_the_slit() -> None:
    before, after, _ = fitted(UNEVEN, hidden=slice(60, 200))
    assert np.abs(after.sky / before.sky - 1).max() < 0.004


def test_a_faint_object_that_nobody_knows_of_does_not_bend_the_sky() -> None:
    bump = 0.01 * np.exp(-0.5 * ((np.arange(COLUMNS) - 180) / 2.5) ** 2)
    before, after, truth = fitted(bump)
    empty = truth / (1 + bump)
    off = [np.abs((fit.sky / empty).mean(axis=0) - 1).max() for fit in (before, after)]
    assert off[1] < max(off[0], 5e-4)
