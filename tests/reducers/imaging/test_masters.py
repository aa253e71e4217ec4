"""Sky flats, darks and fringe patterns: what they are made of, and when they are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.errors import NotEnoughFrames, SetupMismatch
from reducers.frame import Mask
from reducers.imaging.background import FRINGED_SIGMA, estimate_background
from reducers.imaging.fringe import fit_amplitude
from reducers.imaging.masters import build_dark, build_fringe, build_sky_flat
from reducers.imaging.preparation import image_electrons
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.instrument import shows_fringes
from reducers.recipes import build_bias
from tests.reducers.imaging.small_camera import ALFOSC, RESPONSE, SETUP, SHAPE, expose, stars

LIT = (slice(0, 262), slice(None))
Y, X = np.indices(SHAPE)
LIGHT = RESPONSE * (1 - 0.06 * np.hypot(X - 150, Y - 130) ** 2 / 200**2)
FRINGES = np.sqrt(2) * np.sin(2 * np.pi * (X + 0.4 * Y) / 23.0 + 3 * np.sin(Y / 40))


@pytest.fixture(scope="module")
def given() -> ImageCalibrations:
    bias = build_bias([expose(0, seed) for seed in range(40, 45)], ALFOSC)
    return ImageCalibrations(
        bias=bias.value, facts={"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    )


def twilight(levels=(60e3, 45e3, 33e3, 24e3), field=LIGHT, dither=40, n_stars=15):
    rng = np.random.default_rng(3)
    places = rng.uniform(-100, 400, (n_stars, 2))
    flux = 10 ** rng.uniform(3.5, 6.0, n_stars)
    return [
        expose(level * field + stars(places + dither * k, flux), 60 + k)
        for k, level in enumerate(levels)
    ]


def test_a_sky_flat_is_the_light_of_the_field_to_its_noise(given) -> None:
    built = build_sky_flat(twilight(), given, ALFOSC)
    assert built.verdict == ""
    flat = built.value
    truth = LIGHT[LIT] / np.median(LIGHT[LIT])
    off = (flat.data / truth)[flat.good] - 1
    assert np.abs(np.median(off)) < 5e-4
    assert np.std(off) == pytest.approx(built.measurements["flat_noise"], rel=0.15)
    assert built.measurements["stars_left"] <= 2


def test_levels_of_the_twilight_may_fall_and_the_gain_is_still_true(given) -> None:
    built = build_sky_flat(twilight(), given, ALFOSC)
    assert built.measurements["gain_e_per_adu"] == pytest.approx(0.18, rel=0.02)


def test_the_error_of_a_flat_is_true(given) -> None:
    flat = build_sky_flat(twilight(n_stars=0), given, ALFOSC).value
    truth = LIGHT[LIT] / np.median(LIGHT[LIT])
    pull = ((flat.data - truth * np.median(flat.data / truth)) / np.sqrt(flat.variance))[flat.good]
    assert np.std(pull) == pytest.approx(1.0, abs=0.04)


def test_stars_that_do_not_move_refuse_a_flat(given) -> None:
    built = build_sky_flat(twilight(dither=0, n_stars=90), given, ALFOSC)
    assert "move the telescope" in built.verdict


def test_flats_too_faint_or_too_bright_are_left_out_by_name(given) -> None:
    built = build_sky_flat(twilight((60e3, 50e3, 40e3, 900.0, 125e3)), given, ALFOSC)
    assert built.verdict == ""
    assert built.measurements["left_out"] == 2
    said = " ".join(built.value.history)
    assert "ALab000063: the sky gave only" in said
    assert "ALab000064" in said
    assert "saturated" in said


def test_two_good_flats_are_not_enough(given) -> None:
    built = build_sky_flat(twilight((60e3, 50e3, 900.0)), given, ALFOSC)
    assert built.verdict.startswith("2 of 3 flats are fit, 3 are needed")


def test_a_flat_lit_otherwise_than_the_rest_is_left_out(given) -> None:
    members = twilight((60e3, 50e3, 45e3, 40e3))
    members[2] = expose(45e3 * LIGHT * (1 + 0.1 * (X - 150) / 150), 62)
    built = build_sky_flat(members, given, ALFOSC)
    assert built.measurements["left_out"] == 1
    assert built.measurements["unevenness"] > 0.05


def test_flats_of_mixed_binning_are_refused_by_name(given) -> None:
    binned = replace(SETUP, x_binning=2, y_binning=2)
    with pytest.raises(SetupMismatch):
        build_sky_flat([*twilight()[:3], expose(4e4, 9, setup=binned)], given, ALFOSC)


def test_where_no_light_falls_there_is_no_flat(given) -> None:
    field = LIGHT * np.clip((X - 20) / 15.0, 0, 1)
    flat = build_sky_flat(twilight(field=field, n_stars=0), given, ALFOSC).value
    assert np.all(flat.mask[50:200, :20] & np.uint16(Mask.NO_FLAT))
    assert np.all(flat.mask[50:200, :25] & np.uint16(Mask.VIGNETTED))
    assert not np.any(flat.mask[50:200, 32:60] & np.uint16(Mask.VIGNETTED))
    image, _ = image_electrons(expose(500 * field, 5), replace(given, flat=flat), ALFOSC)
    assert not image.good[100, 10]
    assert np.median(image.data[50:200, 30:36]) == pytest.approx(500, rel=0.03)


def test_parts_of_the_field_without_light_condemn_no_flat(given) -> None:
    field = LIGHT * np.clip((X - 130) / 15.0, 0, 1)
    built = build_sky_flat(twilight(field=field, n_stars=0), given, ALFOSC)
    assert built.measurements["left_out"] == 0
    assert built.measurements["unevenness"] < 0.01


def test_dead_and_hot_pixels_of_a_flat_are_bad(given) -> None:
    field = LIGHT.copy()
    field[100:103, 50:52] = 0.2
    field[60:240, 200] *= 0.4
    flat = build_sky_flat(twilight(field=field), given, ALFOSC).value
    bad = flat.mask & np.uint16(Mask.BAD) != 0
    assert bad[101, 51]
    assert bad[60:240, 200].mean() > 0.95
    assert bad.sum() < 400


def test_a_dark_is_electrons_per_second_and_its_warm_pixels_are_bad(given) -> None:
    warm = np.full(SHAPE, 0.01)
    warm[70, 80] = 3.0
    frames = [expose(warm * 600, 70 + k, exposure_s=600.0) for k in range(4)]
    built = build_dark(frames, given, ALFOSC)
    assert built.verdict == ""
    assert built.measurements["dark_e_per_hour"] == pytest.approx(36, rel=0.2)
    assert built.value.mask[70, 80] & np.uint16(Mask.BAD)
    image, _ = image_electrons(
        expose(50 + warm * 600, 90, exposure_s=600.0), replace(given, dark=built.value), ALFOSC
    )
    assert np.mean(image.data[image.good]) == pytest.approx(50.0, abs=0.5)


def test_darks_that_saw_light_are_refused(given) -> None:
    frames = [expose(4.0 * 60, 70 + k, exposure_s=60.0) for k in range(3)]
    assert "light" in build_dark(frames, given, ALFOSC).verdict


def exposed(seed, sky=3000.0, strength=0.02, dither=30.0, n_stars=25):
    rng = np.random.default_rng(11)
    places = rng.uniform(-80, 380, (n_stars, 2)) + dither * np.array([seed % 3, seed // 3])
    light = sky * (1 + strength * FRINGES) + stars(places, 10 ** rng.uniform(3.5, 5.3, n_stars))
    return expose(light, 10 + seed, ra_deg=150 + dither * seed * 0.2138 / 3600)


@pytest.fixture(scope="module")
def pattern(given):
    skies = (3000.0, 2500.0, 3600.0, 2200.0, 2800.0, 3100.0)
    frames = [exposed(k, sky) for k, sky in enumerate(skies)]
    return build_fringe(frames, given, ALFOSC)


def test_the_fringes_of_a_night_are_found_in_its_own_exposures(pattern) -> None:
    assert pattern.verdict == ""
    assert pattern.measurements["amplitude"] == pytest.approx(0.02, rel=0.1)
    good = pattern.value.good
    assert np.corrcoef(pattern.value.data[good], FRINGES[LIT][good])[0, 1] > 0.95
    assert abs(pattern.value.data[good].mean()) < 0.02


def test_fringes_are_subtracted_as_strong_as_they_are(given, pattern) -> None:
    product = reduce_image(exposed(8, sky=4000.0), replace(given, fringe=pattern.value), ALFOSC)
    assert product.measurements["fringe_amplitude_e"] == pytest.approx(80.0, rel=0.06)
    left = product.image.data - product.background
    quiet = np.abs(left) < 5 * product.background_rms
    before, _ = image_electrons(exposed(8, sky=4000.0), given, ALFOSC)
    was = np.cov(FRINGES[LIT][quiet], (before.data - product.background)[quiet])[0, 1]
    still = np.cov(FRINGES[LIT][quiet], left[quiet])[0, 1]
    assert abs(still) < 0.06 * was
    assert product.measurements["fringe_residue"] < 0.1


def test_the_amplitude_of_no_fringes_is_zero_within_its_error(given, pattern) -> None:
    frame, _ = image_electrons(exposed(9, strength=0.0), given, ALFOSC)
    sky = estimate_background(frame, source_sigma=FRINGED_SIGMA)
    amplitude, error = fit_amplitude(frame, sky, pattern.value)
    assert abs(amplitude) < 4 * error
    assert error < 1.0


def test_three_exposures_give_no_pattern(given) -> None:
    with pytest.raises(NotEnoughFrames, match="4 are needed"):
        build_fringe([exposed(k) for k in range(3)], given, ALFOSC)


def test_a_telescope_that_does_not_move_gives_no_pattern(given) -> None:
    built = build_fringe([exposed(k, dither=0.0) for k in range(4)], given, ALFOSC)
    assert "move" in built.verdict


def test_a_sky_without_fringes_gives_no_pattern(given) -> None:
    built = build_fringe([exposed(k, strength=0.0) for k in range(4)], given, ALFOSC)
    assert "nothing to subtract" in built.verdict


def test_only_red_filters_are_known_to_show_fringes() -> None:
    assert shows_fringes("z_SDSS", ALFOSC)
    assert shows_fringes("i", ALFOSC)
    assert not shows_fringes("r_SDSS", ALFOSC)
    assert not shows_fringes("", ALFOSC)
