"""Positions of a simulated sky come out where they are, whatever the header says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.imaging.reduced_image import ImageSettings
from tests.acceptance.sky_camera import FULL, SCENE, SKY, SkyCamera

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
TO_THE_PLACE = ImageSettings(stop_after="astrometry")


def errors_mas(result, shot) -> np.ndarray:
    """Return how far the solution is from the truth on a grid of lit pixels, per axis (2, n)."""
    frame, place = result.image, shot.truth.place
    rows, columns = np.meshgrid(*(np.linspace(0, size - 1, 15) for size in frame.shape))
    x, y = frame.geometry.on_detector(rows.ravel(), columns.ravel())
    lit = np.hypot(x - 1060, y - 1035) < 920
    true_ra, true_dec = place.sky(x[lit], y[lit])
    ra, dec = result.astrometry.sky_map.sky(columns.ravel()[lit], rows.ravel()[lit])
    east = ((ra - true_ra + 180) % 360 - 180) * np.cos(np.radians(true_dec))
    return np.array([east, dec - true_dec]) * 3.6e6


PLACES = {
    "as usual": {},
    "header off by 85 arcsec and a degree": {
        "scene": replace(SCENE, pointing_error_arcsec=(60.0, -60.0), rotation_error_deg=-1.0)
    },
    "field turned": {"scene": replace(SCENE, field_angle_deg=-128.0)},
    "near the pole": {"dec_deg": 85.0},
    "across the origin of right ascension": {"ra_deg": 0.001},
    "moonlight and cloud": {"sky_brightness": 4.0, "transparency": 0.5},
}


EVERYDAY = ("as usual", "header off by 85 arcsec and a degree", "field turned")


@pytest.mark.parametrize(
    "what",
    [pytest.param(w, marks=() if w in EVERYDAY else pytest.mark.slow) for w in sorted(PLACES)],
)
def test_the_field_is_placed_within_ten_mas(camera, what: str) -> None:
    shot = camera.image(**PLACES[what])
    result = camera.reduce(shot, settings=TO_THE_PLACE)
    assert result.astrometry.solved, result.astrometry.why
    error = errors_mas(result, shot)
    assert np.abs(error.mean(axis=1)).max() < 10
    assert np.sqrt(np.mean(error**2)) < 10
    # What the solution says of itself covers what it is wrong by.
    assert np.sqrt(np.mean(error**2)) < 3 * result.astrometry.systematic_mas


def test_the_air_moves_stars_and_the_solution_says_how_far(camera) -> None:
    shot = camera.image(scene=replace(SCENE, turbulence_mas=20.0))
    result = camera.reduce(shot, settings=TO_THE_PLACE)
    assert result.astrometry.solved
    rms = np.hypot(result.astrometry.ra_rms_mas, result.astrometry.dec_rms_mas) / np.sqrt(2)
    assert 10 < rms < 60


def test_centroids_scatter_as_their_errors_say(camera) -> None:
    pulls = []
    for _ in range(3):
        shot = camera.image()
        result = camera.reduce(shot, settings=TO_THE_PLACE)
        found, frame = result.detections, result.image
        x, y = frame.geometry.on_detector(found.y, found.x)
        near = np.hypot(x[:, None] - shot.truth.x, y[:, None] - shot.truth.y)
        star, distance = near.argmin(axis=1), near.min(axis=1)
        lonely = np.sort(np.hypot(x[:, None] - x, y[:, None] - y), axis=1)[:, 1] > 25
        bright = found.flux > 30 * found.flux_error
        chosen = lonely & (distance < 2) & (found.mask_bits == 0) & bright
        assert chosen.sum() > 20
        dx = (x - shot.truth.x[star])[chosen] / np.hypot(found.x_error, 0.01)[chosen]
        dy = (y - shot.truth.y[star])[chosen] / np.hypot(found.y_error, 0.01)[chosen]
        pulls.append((dx, dy))
    for pull in np.concatenate(pulls, axis=1):
        assert np.median(np.abs(pull)) * 1.4826 == pytest.approx(1.0, abs=0.45)


def test_a_place_far_from_the_header_is_refused_in_words_not_invented(camera) -> None:
    shot = camera.image(scene=replace(SCENE, pointing_error_arcsec=(2400.0, 0.0)))
    result = camera.reduce(shot, settings=TO_THE_PLACE)
    assert not result.astrometry.solved
    assert result.astrometry.why
    assert "ASTROM_FAIL" in {flag.name for flag in result.flags}
    assert result.quality == 5


def test_another_sky_than_the_catalogue_gives_no_solution(camera) -> None:
    shot = camera.image(scene=replace(SCENE, sky=replace(SKY, seed=2)))
    references = camera.references(camera.plan())
    result = camera.reduce(shot, references=references, settings=TO_THE_PLACE)
    assert not result.astrometry.solved


@pytest.mark.slow
def test_binned_images_are_placed_as_well(tmp_path) -> None:
    camera = SkyCamera(tmp_path, window=(401, 1700, 401, 1700), binning=2)
    shot = camera.image()
    result = camera.reduce(shot, settings=TO_THE_PLACE)
    assert result.astrometry.solved
    assert np.sqrt(np.mean(errors_mas(result, shot) ** 2)) < 10


@pytest.mark.slow
def test_twenty_pointings_of_full_frames_are_all_placed(tmp_path) -> None:
    camera = SkyCamera(tmp_path, window=FULL)
    rng = np.random.default_rng(4)
    rms = []
    for _ in range(20):
        error = tuple(rng.uniform(-63, 63, 2))
        scene = replace(
            SCENE,
            sky=replace(SKY, stars_per_deg2=float(rng.choice([18_000, 92_000, 490_000]))),
            pointing_error_arcsec=error,
            rotation_error_deg=float(rng.uniform(-1, 1)),
        )
        place = {"ra_deg": rng.uniform(0, 360), "dec_deg": rng.uniform(-20, 85)}
        shot = camera.image(scene=scene, seeing_arcsec=rng.uniform(0.7, 1.8), **place)
        result = camera.reduce(shot, settings=TO_THE_PLACE)
        assert result.astrometry.solved, (result.astrometry.why, place, scene)
        rms.append(float(np.sqrt(np.mean(errors_mas(result, shot) ** 2))))
    assert np.median(rms) < 10
    assert max(rms) < 30
