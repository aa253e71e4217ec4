"""Magnitudes of a simulated sky are true, and so are their errors and limits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.acceptance.sky_truth import (
    calibrated,
    five_sigma_mag,
    flux_errors,
    lit,
    lonely,
    pairs,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
#: Allowed error of the zero point, mag.
LIMITS = {"r_SDSS": 0.010, "V": 0.020}


@pytest.fixture(scope="module")
def image(camera):
    shot = camera.image()
    return shot, camera.reduce(shot)


def check_magnitudes(shot, result, limit: float, least_snr: float = 40.0) -> None:
    """Hold the magnitudes of all stars together against a limit and their own error."""
    assert result.zero_point.known, result.zero_point.why
    off, colour = calibrated(shot, result, least_snr)
    assert len(off) > 8
    assert abs(np.median(off)) < limit
    noise = 1.4826 * np.median(np.abs(off - np.median(off))) / np.sqrt(len(off))
    stated = np.hypot(result.zero_point.error, result.zero_point.systematic)
    assert abs(np.median(off)) < 3 * np.hypot(stated, 1.25 * noise)
    if len(off) > 30:
        assert abs(np.polyfit(colour, off, 1)[0]) < 0.03


def test_magnitudes_of_the_field_are_true(image) -> None:
    check_magnitudes(*image, LIMITS["r_SDSS"])


def test_a_filter_of_another_system_is_calibrated_on_its_own(camera) -> None:
    shot = camera.image("V")
    result = camera.reduce(shot, "V", calibrations=camera.calibrations("V"))
    check_magnitudes(shot, result, LIMITS["V"])
    assert (result.zero_point.band, result.zero_point.system) == ("V", "Vega")


def test_fluxes_scatter_as_their_errors_say_at_every_magnitude(image) -> None:
    magnitude, off, photons, pull = flux_errors(*image)
    # The response of the flat adds some mmag to what photons allow.
    over = off / np.hypot(photons, 5.0)
    for low, high, most in ((16, 19, 1.6), (19, 21, 1.4), (21, 22.5, 1.5)):
        inside = (magnitude >= low) & (magnitude < high)
        assert inside.sum() >= 8
        middle = np.median(over[inside])
        scatter = 1.4826 * np.median(np.abs(over[inside] - middle))
        assert scatter < most
        assert abs(middle) < 3.5 * scatter / np.sqrt(inside.sum()) + 0.3
        width = 1.4826 * np.median(np.abs(pull[inside] - np.median(pull[inside])))
        # A dozen bright stars tell the scatter beyond photons to a factor of two.
        assert (0.3 if high < 20 else 0.6) < width < 1.5


def test_stars_are_found_down_to_what_photons_allow(image) -> None:
    shot, result = image
    truth, limit = shot.truth, five_sigma_mag(shot)
    stars = np.flatnonzero(lit(truth.x, truth.y) & inside_window(shot))
    stars = stars[lonely(shot, stars)]
    found = np.isin(stars, pairs(shot, result)[1])
    above = truth.magnitude[stars] - limit
    assert found[above < -0.6].mean() > 0.95
    assert found[np.abs(above + 0.15) < 0.25].mean() > 0.5


def inside_window(shot):
    x1, x2, y1, y2 = shot.planned.window
    truth = shot.truth
    margin = 8
    inside = (truth.x > x1 + margin) & (truth.x < x2 - margin)
    return inside & (truth.y > y1 + margin) & (truth.y < y2 - margin)


def test_cloud_takes_light_but_not_the_truth_of_magnitudes(camera, image) -> None:
    shot = camera.image(transparency=0.3)
    result = camera.reduce(shot)
    check_magnitudes(shot, result, 0.02)
    # Both images have zero points of their own air, cloud and all.
    off = [
        done.zero_point.magnitude - (taken.truth.zero_point - taken.truth.extinction)
        for taken, done in ((shot, result), image)
    ]
    assert off[0] == pytest.approx(off[1], abs=0.02)
    clear = image[1].zero_point.transparency
    assert result.zero_point.transparency == pytest.approx(0.3 * clear, rel=0.08)


def test_without_a_catalogue_magnitudes_stay_instrumental_and_it_is_said(camera) -> None:
    shot = camera.image()
    result = camera.reduce(shot, references=camera.references(shot.planned, surveys=("gaia",)))
    names = {flag.name for flag in result.flags}
    assert result.astrometry.solved
    if not result.zero_point.known:
        assert result.zero_point.why
        assert {"CAT_MISSING", "NO_ZP"} <= names
    assert np.isfinite(result.photometry.flux).any()
