"""Raw images become electrons whose errors are true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.errors import SetupMismatch
from reducers.frame import Frame, Mask
from reducers.imaging.background import estimate_background
from reducers.imaging.bad_columns import mask_bad_columns
from reducers.imaging.preparation import image_electrons
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.recipes import build_bias
from tests.reducers.imaging.small_camera import ALFOSC, RESPONSE, SETUP, expose, stars


@pytest.fixture(scope="module")
def given() -> ImageCalibrations:
    bias = build_bias([expose(0, seed) for seed in range(40, 47)], ALFOSC)
    return ImageCalibrations(
        bias=bias.value, facts={"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    )


def flat_like(frame: Frame, plane: np.ndarray, mask: np.ndarray | None = None) -> Frame:
    data = plane[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    empty = np.zeros(frame.shape, np.uint16)
    return replace(
        frame, data=data, variance=1e-6 + 0 * data, mask=empty if mask is None else mask, unit=""
    )


@pytest.mark.parametrize("sky_e", [3.0, 60.0, 2000.0])
def test_the_error_plane_of_an_empty_sky_is_its_scatter(given, sky_e) -> None:
    frame, facts = image_electrons(expose(sky_e, 3), given, ALFOSC)
    pull = (frame.data - sky_e) / np.sqrt(frame.variance)
    assert np.std(pull[frame.good]) == pytest.approx(1.0, abs=0.03)
    assert facts["read_noise_e"] == pytest.approx(24.0 * 0.18, rel=0.03)


def test_dividing_by_the_flat_takes_out_the_pixels_and_keeps_the_error_true(given) -> None:
    plain, _ = image_electrons(expose(8000 * RESPONSE, 4), given, ALFOSC)
    flat = flat_like(plain, RESPONSE)
    frame, _ = image_electrons(expose(8000 * RESPONSE, 4), replace(given, flat=flat), ALFOSC)
    assert np.std(plain.data / np.sqrt(plain.variance)) > 1.3
    pull = (frame.data - 8000) / np.sqrt(frame.variance)
    assert np.std(pull[frame.good]) == pytest.approx(1.0, abs=0.02)


def test_an_image_is_never_turned(given) -> None:
    behind = replace(SETUP, slit="Vert_0.5")
    frame, _ = image_electrons(expose(50, 5, setup=behind), given, ALFOSC)
    assert not frame.geometry.turned
    assert frame.shape == (262, 300)


def test_pixels_without_light_are_vignetted_and_unusable(given) -> None:
    field = np.where(np.arange(300) < 60, 0.0, 1.0) * np.ones((300, 1))
    plain, facts = image_electrons(expose(900 * field, 6), given, ALFOSC)
    assert facts["vignetted_fraction"] == pytest.approx(0.2, abs=0.03)
    assert not plain.good[100, 20]
    assert plain.good[100, 80]


def test_a_flat_of_another_window_is_refused(given) -> None:
    plain, _ = image_electrons(expose(50, 7), given, ALFOSC)
    other = replace(flat_like(plain, RESPONSE), geometry=replace(plain.geometry, x0=7))
    with pytest.raises(SetupMismatch, match="flat"):
        image_electrons(expose(50, 7), replace(given, flat=other), ALFOSC)


def test_full_pixels_are_marked_and_counted(given) -> None:
    light = 500.0 + stars([(150, 130)], 8e6)
    frame, facts = image_electrons(expose(light, 8, clip_adu=690_000), given, ALFOSC)
    assert frame.mask[130, 150] & np.uint16(Mask.SATURATED)
    assert facts["saturated_fraction"] > 1e-4


def test_the_sky_under_stars_is_that_beside_them(given) -> None:
    rng = np.random.default_rng(5)
    places = np.column_stack([rng.uniform(5, 295, 120), rng.uniform(5, 255, 120)])
    light = 400.0 + stars(places, 10 ** rng.uniform(2.5, 5.0, 120))
    frame, _ = image_electrons(expose(light, 9), given, ALFOSC)
    sky = estimate_background(frame)
    assert np.median(sky.level) == pytest.approx(400.0, abs=1.0)
    assert np.median(sky.rms) == pytest.approx(np.sqrt(400 + 4.32**2), rel=0.04)
    assert 0.05 < sky.sources.mean() < 0.6


def test_a_wholly_masked_image_still_has_a_sky(given) -> None:
    frame, _ = image_electrons(expose(50, 10), given, ALFOSC)
    dead = replace(frame, mask=np.full(frame.shape, Mask.BAD, np.uint16))
    assert np.all(np.isfinite(estimate_background(dead).rms))


def test_a_column_that_traps_charge_is_bad_and_nothing_else(given) -> None:
    places = [(60, 60), (200, 150), (120, 220)]
    light = 400.0 + stars(places, 2e5)
    light[100:, 180] += 60.0
    light[150:, 40] -= 40.0
    frame, _ = image_electrons(expose(light, 11), given, ALFOSC)
    masked = mask_bad_columns(frame, estimate_background(frame))
    new = (masked.mask != frame.mask) & (masked.mask & np.uint16(Mask.BAD) != 0)
    assert new[150:250, 180].all()
    assert new[200:250, 40].all()
    assert set(np.flatnonzero(new.any(axis=0))) == {40, 180}


def test_light_as_wide_as_a_trail_is_no_bad_column(given) -> None:
    light = 400.0 + 200.0 * np.exp(-0.5 * ((np.arange(300) - 150.0) / 2.0) ** 2)
    frame, _ = image_electrons(expose(light * np.ones((300, 1)), 12), given, ALFOSC)
    masked = mask_bad_columns(frame, estimate_background(frame))
    assert np.array_equal(masked.mask, frame.mask)
