"""One image through the recipe: whatever is missing is a flag, never a failure."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.imaging.quick_look import quick_look
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import STAGES, ImageCalibrations, ImageSettings
from tests.reducers.imaging.small_camera import ALFOSC, expose, stars

NOTHING = ImageCalibrations()
RNG = np.random.default_rng(2)
PLACES = np.column_stack([RNG.uniform(12, 288, 40), RNG.uniform(12, 250, 40)])
FIELD = 300.0 + stars(PLACES, 10 ** RNG.uniform(3.5, 5.2, 40))


def names(product) -> set[str]:
    return {flag.name for flag in product.flags}


def test_an_image_without_any_master_is_reduced_and_says_so() -> None:
    product = reduce_image(expose(FIELD, 3), NOTHING, ALFOSC)
    assert {"NO_BIAS", "NO_FLAT"} <= names(product)
    assert product.quality == 2
    assert product.measurements["sky_e"] == pytest.approx(300.0, abs=2.0)


def test_the_noise_of_the_sky_is_what_the_errors_say() -> None:
    product = reduce_image(expose(FIELD, 4), NOTHING, ALFOSC)
    assert product.measurements["noise_ratio"] == pytest.approx(1.0, abs=0.05)


def test_nothing_is_cleaned_or_subtracted_on_the_image_itself() -> None:
    product = reduce_image(expose(FIELD, 5), NOTHING, ALFOSC)
    assert np.median(product.image.data) == pytest.approx(300, abs=5)
    assert product.image.unit == "electron"


def test_a_sky_that_is_not_to_be_subtracted_keeps_its_structure() -> None:
    slope = FIELD + np.linspace(-60, 60, 300)
    kept = reduce_image(expose(slope, 6), NOTHING, ALFOSC, ImageSettings(subtract_sky=False))
    followed = reduce_image(expose(slope, 6), NOTHING, ALFOSC)
    assert np.ptp(kept.background) == 0
    assert np.ptp(followed.background) > 60
    assert "HUMAN" in names(kept)


@pytest.mark.parametrize("stage", STAGES)
def test_the_recipe_stops_after_every_stage(stage) -> None:
    product = reduce_image(expose(FIELD, 7), NOTHING, ALFOSC, ImageSettings(stop_after=stage))
    assert "HUMAN" in names(product)
    assert (product.background.max() > 0) == (stage not in ("detector", "cosmics"))


def test_rows_that_were_not_read_out_break_the_image() -> None:
    exposure = expose(FIELD, 8)
    cut = exposure.raw.data.copy()
    cut[200:] = 0
    raw = type(exposure.raw)(header=exposure.raw.header, data=cut)
    product = reduce_image(
        type(exposure)(raw=raw, identity=exposure.identity, stem="x"), NOTHING, ALFOSC
    )
    assert "TRUNCATED" in names(product)
    assert product.quality >= 4


def test_a_quick_look_knows_sky_and_place() -> None:
    look = quick_look(expose(FIELD, 9), NOTHING, ALFOSC)
    assert look.measurements["sky_e"] == pytest.approx(300.0, abs=2.0)
    assert look.astrometry is not None
    assert not look.astrometry.solved
    assert look.astrometry.sky_map.pixel_scale_arcsec == pytest.approx(0.2138, rel=0.01)
    assert look.measurements["stars"] > 20
    assert look.measurements["seeing_arcsec"] == pytest.approx(4.0 * 0.2138, rel=0.1)
