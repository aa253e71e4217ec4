"""Flexure: a known shift of the sky is found; nothing is invented where there is no sky."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reducers.frame import Geometry
from reducers.spectroscopy.flexure import measure_flexure
from reducers.spectroscopy.lines import SKY_LINES
from tests.reducers.grism_4 import SOLUTION

PLACE = Geometry(x0=850, y0=0, x_binning=1, y_binning=2)
SHAPE = (1030, 400)


def sky(shift: float, *, strength: float = 1.0, seed: int = 0) -> Any:
    """Return a sky image whose lines lie `shift` px above where the arc puts them."""
    y = PLACE.detector_y(np.arange(SHAPE[0]))[:, None]
    x = PLACE.detector_x(np.arange(SHAPE[1]))
    image = np.full(SHAPE, 30.0)
    for line, height in zip(SKY_LINES, (320.0, 150.0, 50.0), strict=True):
        row = SOLUTION.row(line.wavelength_angstrom, x)[None, :] + shift
        inside = [np.abs(y + part - row) < 2.3 for part in np.linspace(-0.975, 0.975, 40)]
        image += strength * height * np.mean(inside, axis=0)
    return np.random.default_rng(seed).normal(image, np.sqrt(image + 25.0))


@pytest.mark.parametrize("shift", [-6.0, -2.1, -0.4, 0.3, 1.7, 5.5])
def test_known_shift_is_recovered_within_a_tenth_of_a_pixel(shift: float) -> None:
    found = measure_flexure(sky(shift), SOLUTION, PLACE, SHAPE)
    assert found.applied
    assert found.shift_px == pytest.approx(shift, abs=0.1)
    assert found.oxygen_5577_angstrom == pytest.approx(5578.89, abs=0.4)


def test_no_shift_is_not_applied() -> None:
    found = measure_flexure(sky(0.0), SOLUTION, PLACE, SHAPE)
    assert not found.applied
    assert abs(found.shift_px) < 0.1


def test_shifted_solution_has_no_flexure_left() -> None:
    image = sky(2.0)
    found = measure_flexure(image, SOLUTION, PLACE, SHAPE)
    again = measure_flexure(image, SOLUTION.shifted(found.shift_px), PLACE, SHAPE)
    assert abs(again.shift_px) < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_a_sky_without_lines_says_nothing(seed: int) -> None:
    found = measure_flexure(sky(0.0, strength=0.0, seed=seed), SOLUTION, PLACE, SHAPE)
    assert found.n_lines == 0
    assert not found.applied
    assert np.isnan(found.shift_px)


def test_a_shift_too_large_for_flexure_is_not_applied() -> None:
    assert not measure_flexure(sky(14.0), SOLUTION, PLACE, SHAPE).applied


@pytest.mark.parametrize("shift", [14.0, -25.0])
def test_lines_that_agree_on_a_large_shift_tell_it(shift: float) -> None:
    found = measure_flexure(sky(shift), SOLUTION, PLACE, SHAPE)
    assert found.shift_px == pytest.approx(shift, abs=0.1)
    assert found.n_lines == 3
    assert not found.applied


def test_a_sky_on_a_foreign_scale_contradicts_it() -> None:
    # Red and blue exchanged, as behind another grism: lines, but none where any should be.
    found = measure_flexure(sky(0.0)[::-1], SOLUTION, PLACE, SHAPE)
    assert found.strays > 0
    assert found.n_lines == 0
    assert not found.applied


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_sky_that_is_right_or_dark_contradicts_nothing(strength: float, seed: int) -> None:
    image = sky(0.7, strength=strength, seed=seed)
    assert measure_flexure(image, SOLUTION, PLACE, SHAPE).strays == 0


def test_the_sky_behind_a_slit_of_ten_arcseconds_contradicts_nothing() -> None:
    y = PLACE.detector_y(np.arange(SHAPE[0]))[:, None]
    image = np.full(SHAPE, 300.0)
    for line in SKY_LINES:
        row = SOLUTION.row(line.wavelength_angstrom, np.array(950.0)) + 7.0
        image += np.where(np.abs(y - row) < 23.5, 900.0, 0.0)
    image = np.random.default_rng(3).normal(image, np.sqrt(image))
    assert measure_flexure(image, SOLUTION, PLACE, SHAPE).strays == 0


def test_bright_moonlight_without_its_green_line_contradicts_nothing() -> None:
    rows = np.arange(SHAPE[0])[:, None]
    solar = 3000.0 * (1 - 0.3 * np.exp(-0.5 * (((rows % 37) - 18) / 2.0) ** 2))
    image = np.broadcast_to(solar, SHAPE) + np.random.default_rng(2).normal(0, 55.0, SHAPE)
    assert measure_flexure(image, SOLUTION, PLACE, SHAPE).strays == 0


def test_missing_pixels_do_not_stop_the_measurement() -> None:
    image = sky(1.0)
    image[400:500, 100:200] = np.nan
    assert measure_flexure(image, SOLUTION, PLACE, SHAPE).shift_px == pytest.approx(1.0, abs=0.1)
