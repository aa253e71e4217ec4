"""Fringes of the night sky are taken off, and nothing else with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.imaging.masters import build_fringe
from reducers.imaging.reduced_image import ImageSettings
from reducers.simulate.frames import window_of
from reducers.simulate.illumination import fringes
from tests.acceptance.sky_camera import ALFOSC, PLACE, SCENE

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
BAND = "z_SDSS"


@pytest.fixture(scope="module")
def dithers(camera):
    places = [(PLACE[0] + 0.005 * n, PLACE[1] + 0.004 * (n % 3)) for n in range(6)]
    return [camera.image(BAND, ra_deg=ra, dec_deg=dec, exposure_s=300.0, sky_brightness=1 + 0.1 * n)
            for n, (ra, dec) in enumerate(places)]  # fmt: skip


def strength(result, shot) -> float:
    """Return the amplitude of the true pattern that is on an image, electrons rms."""
    pattern = fringes(window_of(shot.planned), shot.planned.filter)
    sky = np.median(result.background)
    left = result.image.data - result.background
    quiet = np.abs(left) < 3 * np.sqrt(sky + 33)
    pattern = pattern - pattern[quiet].mean()
    return float(np.sum(left[quiet] * pattern[quiet]) / np.sum(pattern[quiet] ** 2))


def test_a_pattern_of_the_night_takes_the_fringes_off(camera, dithers) -> None:
    given = camera.calibrations(BAND)
    built = build_fringe([shot.exposure for shot in dithers], given, ALFOSC)
    assert built.verdict == ""
    shot = camera.image(BAND, exposure_s=300.0, ra_deg=PLACE[0] - 0.01, dec_deg=PLACE[1] - 0.01)
    how = ImageSettings(stop_after="sky")
    before = camera.reduce(shot, BAND, calibrations=given, settings=how)
    after = camera.reduce(shot, BAND, calibrations=replace(given, fringe=built.value), settings=how)
    # The background of an image with fringes follows a part of them.
    assert strength(before, shot) > 6
    assert abs(strength(after, shot)) < 0.12 * strength(before, shot)
    assert "FRINGES" in {flag.name for flag in before.flags}
    assert not {"FRINGES", "FRINGE_RESIDUE"} & {flag.name for flag in after.flags}


def test_a_telescope_that_stays_gives_no_pattern_and_says_why(camera) -> None:
    shots = [camera.image(BAND, scene=SCENE) for _ in range(4)]
    built = build_fringe([s.exposure for s in shots], camera.calibrations(BAND), ALFOSC)
    assert "move it" in built.verdict


def test_faint_fringes_of_short_exposures_come_off_and_apertures_get_quieter(camera) -> None:
    band, given = "i_SDSS", camera.calibrations("i_SDSS")
    places = [(PLACE[0] + 0.005 * n, PLACE[1] + 0.004 * (n % 3)) for n in range(5)]
    shots = [camera.image(band, ra_deg=ra, dec_deg=dec, exposure_s=60.0) for ra, dec in places]
    built = build_fringe([shot.exposure for shot in shots], given, ALFOSC)
    assert built.verdict == ""
    shot = camera.image(band, exposure_s=60.0, ra_deg=PLACE[0] - 0.01, dec_deg=PLACE[1] - 0.01)
    how = ImageSettings(stop_after="sky")
    before = camera.reduce(shot, band, calibrations=given, settings=how)
    after = camera.reduce(shot, band, calibrations=replace(given, fringe=built.value), settings=how)
    assert abs(strength(after, shot)) < 0.3 * strength(before, shot)
    assert in_apertures(after) < 0.9 * in_apertures(before)


def in_apertures(result, side=11) -> float:
    """Return the scatter of the light in squares of empty sky, electrons."""
    left = result.image.data - result.background
    rows, columns = (n // side for n in left.shape)
    cut = left[: rows * side, : columns * side].reshape(rows, side, columns, side)
    sums = cut.sum(axis=(1, 3))
    return float(1.4826 * np.median(np.abs(sums - np.median(sums))))
