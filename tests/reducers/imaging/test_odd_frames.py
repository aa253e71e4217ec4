"""Frames that no observer meant to take end in flags, never in a crash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.imaging.quick_look import quick_look
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageCalibrations
from tests.reducers.imaging.small_camera import ALFOSC, SETUP, expose, stars

NOTHING = ImageCalibrations()
RNG = np.random.default_rng(4)
CHECKERS = 500.0 * (np.indices((300, 300)).sum(axis=0) % 2)
STEEP = np.linspace(0, 60_000, 300) * np.ones((300, 1))
HOT = np.where(RNG.random((300, 300)) > 0.9, 5e4, 100.0)
LINES = 300.0 + 4000.0 * (np.arange(300) % 7 == 0)
LONG_TRAILS = 200.0 + sum(
    stars([(60 + k, 60 + k), (150 + k, 120 + k), (90 + k, 200 - k)], 4e3) for k in range(40)
)
ODD = {
    "no light": 0.0,
    "checkers": CHECKERS,
    "steep": STEEP,
    "hot": HOT,
    "lines": LINES,
    "long trails": LONG_TRAILS,
    "one pixel": np.where(np.indices((300, 300)).sum(axis=0) == 200, 1e5, 0.0),
    "half dark": np.where(np.arange(300) < 150, 0.0, 3e4) * np.ones((300, 1)),
}


@pytest.mark.parametrize("light", ODD.values(), ids=ODD)
def test_odd_light_is_reduced_to_flags(light) -> None:
    exposure = expose(light, 31)
    product = reduce_image(exposure, NOTHING, ALFOSC)
    assert product.flags
    assert np.isfinite(product.background).all()
    assert quick_look(exposure, NOTHING, ALFOSC).image.shape == product.image.shape


@pytest.mark.parametrize(
    "window", [(901, 960, 2003, 2102), (901, 1200, 2050, 2102), (901, 931, 1803, 2102)]
)
def test_tiny_windows_are_reduced(window) -> None:
    setup = replace(SETUP, window=window)
    rows, columns = window[3] - window[2] + 1, window[1] - window[0] + 1
    exposure = expose(400.0, 32, setup=setup)
    product = reduce_image(exposure, NOTHING, ALFOSC)
    assert product.image.shape[1] == columns
    assert 0 < product.image.shape[0] <= rows


@pytest.mark.parametrize("counts", [np.nan, 0.0, 65535.0, 1e30])
def test_counts_that_mean_nothing_are_refused_or_flagged(counts) -> None:
    exposure = expose(400.0, 33)
    raw = replace(exposure.raw, data=np.full(exposure.raw.data.shape, counts, np.float32))
    product = reduce_image(replace(exposure, raw=raw), NOTHING, ALFOSC)
    assert {"TRUNCATED", "SATURATED", "NO_STARS"} & {flag.name for flag in product.flags}
    assert product.quality >= 4


def test_an_exposure_of_no_time_and_no_place_is_reduced() -> None:
    exposure = expose(50.0, 34, exposure_s=0.0, ra_deg=None, dec_deg=None, observed_at=None)
    product = reduce_image(exposure, NOTHING, ALFOSC)
    assert product.astrometry is None
    assert product.depth is None
