"""Sources are found to the photon limit, where they are, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from reducers.frame import Mask
from reducers.imaging.detection import detect, measure_seeing
from tests.reducers.star_field import Field, draw, random_field

FWHM = 4.0
#: Electrons at which a star of 4 pixels on a sky of 500 has S/N 5 with the best weights.
PHOTON_LIMIT = 5 * np.sqrt(500 + 4.3**2) * 1.943 * FWHM


def grid_field(magnitudes_below_limit: tuple[float, float]) -> Field:
    rng = np.random.default_rng(7)
    x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.arange(25.0, 480, 35)]))
    x, y = x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))
    flux = PHOTON_LIMIT * 10 ** (-0.4 * rng.uniform(*magnitudes_below_limit, len(x)))
    flux[::12] = 40_000
    return draw((500, 500), x, y, flux, fwhm=FWHM)


def distances(field: Field, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """From every true star to the nearest place."""
    return cKDTree(np.column_stack([x, y])).query(np.column_stack([field.x, field.y]))[0]


@pytest.mark.parametrize(("fwhm", "q"), [(2.5, 1.0), (4.0, 0.9), (9.0, 1.0)])
def test_the_width_of_the_stars_is_measured_without_being_told(fwhm: float, q: float) -> None:
    field = random_field(60, (900, 900) if fwhm > 5 else (500, 500), fwhm=fwhm, q=q)
    found, _ = detect(field.frame, field.sky, field.rms)
    seeing = measure_seeing(field.frame, field.sky, field.rms, found)
    assert found.fwhm_px == pytest.approx(fwhm, rel=0.04)
    assert seeing.ellipticity == pytest.approx(1 - q, abs=0.015)
    if q < 1:  # drawn long along x
        assert abs(np.sin(seeing.position_angle_rad)) < 0.15


def test_stars_without_wings_are_measured_as_wide_as_they_are() -> None:
    rng = np.random.default_rng(3)
    x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.arange(50.0, 480, 80)]))
    x, y = x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))
    field = draw((500, 500), x, y, np.full(len(x), 2e5), fwhm=FWHM, beta=200.0)
    found, _ = detect(field.frame, field.sky, field.rms)
    assert found.fwhm_px == pytest.approx(FWHM, rel=0.025)


def test_seeing_follows_the_course_over_the_image() -> None:
    field = random_field(250, growth=0.10)
    found, _ = detect(field.frame, field.sky, field.rms)
    seeing = measure_seeing(field.frame, field.sky, field.rms, found)
    ratio = seeing.at(250.0, 490.0) / seeing.at(250.0, 250.0)
    assert ratio == pytest.approx(1 + 0.10 * (240 / 250) ** 2, abs=0.025)


def test_half_the_stars_of_the_photon_limit_are_found_within_a_tenth() -> None:
    field = grid_field((-0.25, -0.05))
    found, _ = detect(field.frame, field.sky, field.rms)
    faint = field.flux < 2 * PHOTON_LIMIT
    assert np.mean(distances(field, found.x, found.y)[faint] < 2.5) > 0.5


def test_a_bright_star_is_found_within_its_centroid_error() -> None:
    field = grid_field((-3.0, -1.0))
    found, _ = detect(field.frame, field.sky, field.rms)
    gap, star = cKDTree(np.column_stack([field.x, field.y])).query(
        np.column_stack([found.x, found.y])
    )
    real = gap < 2
    pulls = np.concatenate(
        [
            ((found.x - field.x[star]) / found.x_error)[real],
            ((found.y - field.y[star]) / found.y_error)[real],
        ]
    )
    assert real.sum() > 150
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert abs(np.mean(pulls)) < 0.2


def test_empty_sky_holds_no_source() -> None:
    nothing = np.empty(0)
    field = draw((900, 900), nothing, nothing, nothing, seed=4)
    found, segments = detect(field.frame, field.sky, field.rms)
    assert len(found) <= 1
    assert np.isnan(found.fwhm_px) or len(found) == 1
    assert segments.shape == (900, 900)


def test_noise_that_neighbours_share_raises_no_sources() -> None:
    """A resampled image has smooth noise: sigma per pixel understates that of a source."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(5)
    smooth = gaussian_filter(rng.normal(0, 22.0, (700, 700)), 0.8)
    field = draw((700, 700), np.empty(0), np.empty(0), np.empty(0))
    data = 500 + smooth
    frame = field.frame.after("resampled", data=data, variance=np.full(data.shape, smooth.var()))
    found, _ = detect(frame, field.sky, np.full(data.shape, smooth.std(), np.float32), fwhm_px=4.0)
    assert len(found) <= 1


def test_hits_that_escaped_the_mask_are_no_sources() -> None:
    field = random_field(80)
    rng = np.random.default_rng(6)
    hit_x, hit_y = rng.integers(20, 480, (2, 40))
    data = np.array(field.frame.data)
    data[hit_y, hit_x] += 1500
    data[hit_y, hit_x + 1] += 700
    frame = field.frame.after("hits", data=data)
    found, _ = detect(frame, field.sky, field.rms)
    far = distances(
        Field(frame, field.sky, field.rms, hit_x * 1.0, hit_y * 1.0, field.flux), field.x, field.y
    )
    reached = distances(
        Field(frame, field.sky, field.rms, hit_x * 1.0, hit_y * 1.0, field.flux), found.x, found.y
    )
    assert np.sum((reached < 2) & (far > 6)) <= 1
    assert found.fwhm_px == pytest.approx(FWHM, rel=0.02)


def test_masked_pixels_hide_no_star_and_make_none() -> None:
    field = random_field(80)
    mask = np.zeros(field.frame.shape, np.uint16)
    data = np.array(field.frame.data)
    mask[:, 100] = Mask.BAD
    data[:, 100] = 60_000
    mask[300:304, :] = Mask.TRAIL
    data[300:304, :] += 4000
    frame = field.frame.after("mask", data=data, mask=mask)
    found, _ = detect(frame, field.sky, field.rms)
    before, _ = detect(field.frame, field.sky, field.rms)
    assert np.mean(distances(field, found.x, found.y) < 3) > 0.93 * np.mean(
        distances(field, before.x, before.y) < 3
    )
    nearest = cKDTree(np.column_stack([field.x, field.y])).query(
        np.column_stack([found.x, found.y])
    )[0]
    assert np.mean(nearest > 4) <= 0.02


def test_a_bleeding_star_is_one_source_and_says_so() -> None:
    field = draw((300, 300), np.array([150.0, 60.0]), np.array([150.0, 80.0]), np.array([4e6, 3e4]))
    data, mask = np.array(field.frame.data), np.zeros((300, 300), np.uint16)
    data[110:190, 149:152] = 113_000
    mask[110:190, 149:152] = Mask.SATURATED
    mask[data > 100_000] = Mask.SATURATED
    frame = field.frame.after("saturated", data=np.minimum(data, 113_000), mask=mask)
    found, _ = detect(frame, field.sky, field.rms)
    saturated = (found.mask_bits & Mask.SATURATED) != 0
    assert saturated.sum() == 1
    assert np.hypot(found.x[saturated] - 150, found.y[saturated] - 150)[0] < 15


def test_segments_carry_the_number_of_their_source() -> None:
    field = random_field(60)
    found, segments = detect(field.frame, field.sky, field.rms)
    there = segments[np.rint(found.y).astype(int), np.rint(found.x).astype(int)]
    assert np.mean(there == 1 + np.arange(len(found))) > 0.95
    assert np.all(np.diff(found.flux) <= 0)
    assert segments.max() <= len(found)
