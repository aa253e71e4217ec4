"""One image through the recipe: whatever is missing is a flag, never a failure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.imaging.assess import measure_calibrations
from reducers.imaging.quick_look import quick_look
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import STAGES, ImageCalibrations, ImageSettings
from reducers.imaging.references import ReferenceCatalogue, References
from reducers.quality import judge, load_limits
from tests.reducers.imaging.small_camera import ALFOSC, SETUP, expose, stars

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


def ring(places, electrons, radius_px):
    """Return stars seen far out of focus: rings."""
    y, x = np.indices((300, 300))
    image = np.zeros((300, 300))
    for at_x, at_y in places:
        r = np.hypot(x - at_x, y - at_y)
        image += electrons * np.exp(-0.5 * ((r - radius_px) / 2.0) ** 2) / (30 * radius_px)
    return image


@pytest.mark.parametrize("radius_px", [7.0, 12.0])
def test_stars_that_are_rings_are_out_of_focus(radius_px) -> None:
    places = [(60, 60), (200, 70), (120, 180), (230, 200), (50, 220)]
    product = reduce_image(expose(300 + ring(places, 3e5, radius_px), 21), NOTHING, ALFOSC)
    assert product.measurements["donut_fraction"] > 0.5
    assert "FOCUS" in names(product)
    assert product.quality >= 4


def test_sharp_stars_are_in_focus() -> None:
    product = reduce_image(expose(FIELD, 22), NOTHING, ALFOSC)
    assert product.measurements["donut_fraction"] == 0.0
    assert not names(product) & {"FOCUS", "SEEING", "TRAILED", "NO_STARS", "FEW_STARS"}


def test_stars_drawn_out_together_are_trailed() -> None:
    drift = sum(stars(PLACES + np.array([k * 0.7, k * 0.5]), 10**4.5 / 12) for k in range(12))
    product = reduce_image(expose(300 + drift, 23), NOTHING, ALFOSC)
    assert "TRAILED" in names(product)
    assert product.measurements["ellipticity"] > 0.2


def test_an_empty_sky_has_no_stars_and_is_no_failure() -> None:
    product = reduce_image(expose(300.0, 24), NOTHING, ALFOSC)
    assert "NO_STARS" in names(product)
    assert product.quality == 4


def test_one_star_is_few_stars() -> None:
    product = reduce_image(expose(300.0 + stars([(150, 120)], 1e5), 25), NOTHING, ALFOSC)
    assert product.measurements["stars"] == 1
    assert "FEW_STARS" in names(product)
    assert "NO_STARS" not in names(product)


def test_a_sky_near_saturation_is_too_bright() -> None:
    product = reduce_image(expose(60_000.0, 26), NOTHING, ALFOSC)
    assert "BRIGHT_SKY" in names(product)


def test_a_wholly_saturated_frame_breaks_nothing() -> None:
    product = reduce_image(expose(2e5, 27, clip_adu=690_000), NOTHING, ALFOSC)
    assert {"SATURATED", "NO_STARS"} <= names(product)
    assert product.quality >= 4


def test_every_step_can_be_left_out_and_the_product_says_so() -> None:
    light = FIELD.copy()
    light[100:104, 100] += 8e3
    exposure = expose(light, 41)
    with_all = reduce_image(exposure, NOTHING, ALFOSC)
    without = reduce_image(
        exposure, NOTHING, ALFOSC, ImageSettings(find_cosmics=False, find_trails=False)
    )
    assert with_all.measurements["cosmic_fraction"] > 0
    assert without.measurements["cosmic_fraction"] == 0
    assert "HUMAN" in names(without)
    assert "HUMAN" not in names(with_all)


def test_a_flat_that_is_not_to_be_divided_is_not() -> None:
    plain = reduce_image(expose(FIELD, 42), NOTHING, ALFOSC, ImageSettings(stop_after="detector"))
    response = np.where(np.arange(plain.image.shape[1]) < 150, 0.8, 1.2) * np.ones((262, 1))
    flat = replace(plain.image, data=response, variance=0 * response, mask=0 * plain.image.mask)
    given = ImageCalibrations(flat=replace(flat, unit=""))
    how = ImageSettings(divide_flat=False, stop_after="detector")
    kept = reduce_image(expose(FIELD, 42), given, ALFOSC, how)
    divided = reduce_image(expose(FIELD, 42), given, ALFOSC, ImageSettings(stop_after="detector"))
    assert np.array_equal(kept.image.data, plain.image.data)
    assert np.median(divided.image.data[:, 20:140]) == pytest.approx(
        np.median(plain.image.data[:, 20:140]) / 0.8, rel=0.02
    )


def test_catalogues_that_are_not_to_be_used_are_not() -> None:
    star = np.zeros(1)
    known = ReferenceCatalogue(
        name="gaia", epoch_year=2026.0, ra_deg=star + 150, dec_deg=star + 30,
        position_error_mas=star + 1, motion_known=star > -1, motion_mas=star, star=star + 1,
        magnitudes={"G": star + 15}, magnitude_errors={"G": star + 0.01},
    )  # fmt: skip
    references = References(astrometric=known)
    used = reduce_image(expose(FIELD, 43), NOTHING, ALFOSC, references=references)
    how = ImageSettings(use_catalogues=False)
    unused = reduce_image(expose(FIELD, 43), NOTHING, ALFOSC, how, references)
    assert "ASTROM_FAIL" in names(used)
    assert {"WCS_UNCHECKED", "HUMAN"} <= names(unused)
    assert "ASTROM_FAIL" not in names(unused)


@pytest.mark.parametrize(("exposure_s", "binning", "told"), [(1800, 1, False), (3600, 4, True)])
def test_a_dark_is_missed_only_where_it_matters(exposure_s, binning, told) -> None:
    setup = replace(SETUP, x_binning=binning, y_binning=binning)
    identity = replace(expose(50.0, 44).identity, exposure_s=exposure_s, setup=setup)
    measured = measure_calibrations(NOTHING, identity, ALFOSC)
    flags, _ = judge(measured, load_limits("images"))
    assert ("NO_DARK" in {flag.name for flag in flags}) == told


def test_no_magnitudes_without_a_place_on_the_sky() -> None:
    product = reduce_image(expose(FIELD, 45), NOTHING, ALFOSC)
    assert product.zero_point is not None
    assert not product.zero_point.known
    assert product.zero_point.why
    assert "NO_ZP" in names(product)


def test_sources_are_measured_though_their_shape_is_none_of_a_star() -> None:
    drift = sum(stars(PLACES + np.array([k * 1.5, k * 1.0]), 10**4.5 / 20) for k in range(20))
    product = reduce_image(expose(300 + drift, 46), NOTHING, ALFOSC)
    assert product.photometry is not None
    assert "TRAILED" in names(product)
