"""Cosmic rays on images: found on the sky, on stars' flanks and at the edges; stars are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from reducers.frame import Frame, Mask
from reducers.imaging.bleeding import MOST_GROUPS, mask_bleeding
from reducers.imaging.cosmic_rays import find_cosmic_rays
from tests.reducers.star_images import FULL_E, READ_NOISE_E, exposed, field, random_stars

SHAPE = (400, 420)


def hits(frame: Frame) -> np.ndarray:
    found = find_cosmic_rays(frame, READ_NOISE_E)
    assert np.array_equal(found.data, frame.data)
    return np.asarray((found.mask & Mask.COSMIC) != 0)


def tracks(rng: np.random.Generator, number: int) -> np.ndarray:
    """Return straight tracks with charge spread by a third of a pixel."""
    charge = np.zeros(SHAPE)
    for _ in range(number):
        length, angle = rng.exponential(6), rng.uniform(0, 2 * np.pi)
        start = rng.uniform(0, SHAPE[1]), rng.uniform(0, SHAPE[0])
        points = max(int(40 * length), 40)
        along = np.linspace(0, length, points)
        x = start[0] + along * np.cos(angle) + rng.normal(0, 0.32, points)
        y = start[1] + along * np.sin(angle) + rng.normal(0, 0.32, points)
        inside = (x > -0.5) & (x < SHAPE[1] - 0.5) & (y > -0.5) & (y < SHAPE[0] - 0.5)
        per_point = 900 * rng.lognormal(0, 0.8) * max(length, 1) / points
        np.add.at(charge, (y[inside].round().astype(int), x[inside].round().astype(int)), per_point)
    return charge


@pytest.fixture(scope="module")
def hit_field() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return charge of cosmic rays, expected light and what was found."""
    rng = np.random.default_rng(3)
    light = field(SHAPE, random_stars(60, SHAPE, rng), 3.7)
    charge = tracks(rng, 40)
    clean = exposed(light, rng)
    frame = clean.after("hit", data=clean.data + charge, variance=clean.variance + charge)
    return charge, light, hits(frame)


HitField = tuple[np.ndarray, np.ndarray, np.ndarray]


def test_pixels_hit_above_five_sigma_are_masked(hit_field: HitField) -> None:
    charge, light, found = hit_field
    bright = charge > 5 * np.sqrt(light + READ_NOISE_E**2)
    assert bright.sum() > 300
    assert found[bright].mean() > 0.97


def test_pixels_that_were_not_hit_are_kept(hit_field: HitField) -> None:
    charge, _, found = hit_field
    around = maximum_filter(charge, 3)
    assert found[around < 0.5].mean() < 2e-4


@pytest.mark.parametrize("fwhm_px", [1.4, 2.0, 3.7])
def test_cores_of_stars_are_never_taken_for_cosmic_rays(fwhm_px: float) -> None:
    rng = np.random.default_rng(8)
    stars = random_stars(80, SHAPE, rng, brightest_e=1e5)
    found = hits(exposed(field(SHAPE, stars, fwhm_px), rng))
    noise = np.sqrt(stars[:, 2] + np.pi * fwhm_px**2 * 420)
    cores = [
        found[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any()
        for x, y, flux in stars[stars[:, 2] > 30 * noise]
    ]
    assert len(cores) > 25
    assert not any(cores)


def test_a_diagonal_track_is_no_star() -> None:
    rng = np.random.default_rng(4)
    clean = exposed(np.full(SHAPE, 400.0), rng)
    data = clean.data.copy()
    for step in range(12):
        data[100 + step, 200 + step] += 800
        data[100 + step, 201 + step] += 250
        data[101 + step, 200 + step] += 250
    found = hits(clean.after("track", data=data))
    assert all(found[100 + step, 200 + step] for step in range(12))


def test_tracks_along_the_edges_are_masked() -> None:
    rng = np.random.default_rng(5)
    clean = exposed(np.full(SHAPE, 400.0), rng)
    data = clean.data.copy()
    data[0, 50:60] += 900
    data[200:210, -1] += 900
    data[-1, 0] += 900
    data[0, 100] += 900
    data[0, [99, 101]] += 500  # as wide as a star along the edge
    found = hits(clean.after("tracks", data=data))
    assert found[0, 50:60].all()
    assert found[200:210, -1].all()
    assert found[-1, 0]
    assert found[0, 99:102].all()


def test_a_faint_track_is_followed_from_its_bright_end() -> None:
    rng = np.random.default_rng(11)
    clean = exposed(np.full(SHAPE, 400.0), rng)
    data = clean.data.copy()
    data[100:112, 200] += 6 * 20.4
    data[98:100, 200] += 400
    found = hits(clean.after("track", data=data))
    assert found[98:112, 200].mean() > 0.85


def test_saturated_pixels_are_not_called_cosmic_rays() -> None:
    rng = np.random.default_rng(6)
    frame = exposed(field(SHAPE, np.array([[200.0, 200.0, 2e7]]), 3.7), rng)
    saturated = (frame.mask & Mask.SATURATED) != 0
    assert saturated.sum() > 30
    assert not hits(frame)[190:211, 190:211].any()


def test_a_frame_without_a_usable_pixel_is_given_back() -> None:
    blank = exposed(np.full((50, 60), 100.0), np.random.default_rng(1))
    masked = blank.after("bad", mask=np.full(blank.shape, np.uint16(Mask.BAD)))
    assert not hits(masked).any()


def bled_star(bleed_px: int) -> Frame:
    rng = np.random.default_rng(7)
    frame = exposed(field(SHAPE, np.array([[200.0, 150.0, 1e7]]), 3.7), rng)
    data, mask = frame.data.copy(), frame.mask.copy()
    data[150 - bleed_px : 151 + bleed_px, 199:202] = FULL_E
    mask[data >= FULL_E] |= np.uint16(Mask.SATURATED)
    # The last of the charge fills the end of the column to less than the full well.
    data[151 + bleed_px : 161 + bleed_px, 200] += 20_000
    return frame.after("bled", data=data, mask=mask)


def test_the_end_of_a_bled_column_is_masked_too() -> None:
    masked = mask_bleeding(bled_star(40)).mask
    assert ((masked[110:201, 200] & Mask.SATURATED) != 0).all()
    assert not (masked[203:, 200] & Mask.SATURATED).any()
    assert ((masked[110:191, 198] & (Mask.NEIGHBOUR | Mask.SATURATED)) != 0).all()


def test_a_saturated_star_that_did_not_bleed_does_not_grow() -> None:
    rng = np.random.default_rng(9)
    frame = exposed(field(SHAPE, np.array([[200.0, 150.0, 6e6]]), 3.7), rng)
    before = (frame.mask & Mask.SATURATED) != 0
    after = (mask_bleeding(frame).mask & Mask.SATURATED) != 0
    assert before.sum() > 20
    assert after.sum() <= before.sum() + 4


def test_a_bled_star_is_followed_among_thousands_of_saturated_pixels() -> None:
    frame = bled_star(40)
    hot = np.random.default_rng(10).random(SHAPE) < 0.03
    hot[60:250, 150:250] = False
    masked = mask_bleeding(replace(frame, mask=frame.mask | np.where(hot, Mask.SATURATED, 0))).mask
    assert np.count_nonzero(hot) > 2 * MOST_GROUPS
    assert ((masked[110:201, 200] & Mask.SATURATED) != 0).all()
    assert not (masked[203:250, 200] & Mask.SATURATED).any()


def test_a_detector_full_of_hot_pixels_is_masked_where_it_is_steep() -> None:
    # Sorting them would take minutes and gigabytes.
    rng = np.random.default_rng(4)
    hot = rng.random(SHAPE) < 0.2
    frame = exposed(np.full(SHAPE, 200.0) + np.where(hot, rng.exponential(3000, SHAPE), 0), rng)
    found = find_cosmic_rays(frame, READ_NOISE_E)
    marked = (found.mask & Mask.COSMIC) != 0
    assert marked[hot & (frame.data > 4000)].mean() > 0.8
    assert marked[~hot].mean() < 0.01
    assert found.history[-1].endswith("all masked")
