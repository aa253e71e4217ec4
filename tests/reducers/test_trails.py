"""Trails: faint ones are found, and what only looks like one is left."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from reducers.frame import Frame, Mask
from reducers.imaging.line_search import find_lines
from reducers.imaging.trails import Trail, find_trails
from tests.reducers.star_images import (
    FULL_E,
    READ_NOISE_E,
    SKY_E,
    exposed,
    field,
    random_stars,
)

SHAPE = (600, 640)
NOISE_E = math.sqrt(SKY_E + READ_NOISE_E**2)


def distances(x: float, y: float, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance along and across a line of every pixel."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    angle = math.radians(angle_deg)
    along = (columns - x) * math.cos(angle) + (rows - y) * math.sin(angle)
    return along, (rows - y) * math.cos(angle) - (columns - x) * math.sin(angle)


def streak(x: float, y: float, angle_deg: float, sigma: float, fwhm_px: float = 4) -> np.ndarray:
    """Return the electrons of a trail through (x, y) with a Gaussian profile."""
    _, across = distances(x, y, angle_deg)
    return sigma * NOISE_E * np.exp(-4 * math.log(2) * (across / fwhm_px) ** 2)


def found(frame: Frame) -> tuple[Frame, tuple[Trail, ...]]:
    flat = np.full(frame.shape, SKY_E, np.float32)
    return find_trails(frame, flat, np.full(frame.shape, NOISE_E, np.float32))


@pytest.fixture(scope="module")
def stars() -> np.ndarray:
    rng = np.random.default_rng(2)
    return field(SHAPE, random_stars(60, SHAPE, rng, brightest_e=2e5), 3.7)


@pytest.mark.parametrize("angle_deg", [12.0, 90.0, 141.0])
def test_a_trail_of_seven_tenths_of_the_noise_is_found_among_stars(
    stars: np.ndarray, angle_deg: float
) -> None:
    rng = np.random.default_rng(round(angle_deg))
    frame, trails = found(exposed(stars + streak(300, 330, angle_deg, 0.7), rng))
    assert len(trails) == 1
    turned = abs(math.remainder(trails[0].angle_deg - angle_deg, 180))
    assert turned < 0.4
    _, across = distances(300, 330, angle_deg)
    masked = (frame.mask & Mask.TRAIL) != 0
    assert masked[np.abs(across) < 1.5].mean() > 0.85
    assert not masked[np.abs(across) > 20].any()


def test_a_bright_trail_is_measured(stars: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    _, (trail,) = found(exposed(stars + streak(300, 330, 35, 5.0), rng))
    assert trail.angle_deg == pytest.approx(35, abs=0.1)
    assert trail.fwhm_px == pytest.approx(4, abs=1.0)
    assert trail.peak_sigma == pytest.approx(5, rel=0.2)
    assert min(trail.x1, trail.x2) < 60


def test_a_trail_that_begins_inside_the_frame_ends_there(stars: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    along, _ = distances(300, 330, 35)
    frame, (trail,) = found(exposed(stars + streak(300, 330, 35, 3.0) * (along > 0), rng))
    assert trail.x1 == pytest.approx(300, abs=40)
    assert not ((frame.mask & Mask.TRAIL) != 0)[along < -60].any()


def test_stars_alone_have_no_trail(stars: np.ndarray) -> None:
    for seed in range(2):
        frame, trails = found(exposed(stars, np.random.default_rng(seed)))
        assert trails == ()
        assert not (frame.mask & Mask.TRAIL).any()


def test_two_bright_stars_in_a_corner_of_the_field_are_no_trail() -> None:
    rng = np.random.default_rng(8)
    pair = np.array([[30.0, 524.0, 1.5e6], [65.0, 552.0, 4e5]])
    frame = exposed(field(SHAPE, pair, 3.7), rng)
    columns, rows = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
    unlit = rows - columns > 530
    frame = replace(frame, mask=frame.mask | (unlit * np.uint16(Mask.VIGNETTED | Mask.EDGE)))
    assert found(frame)[1] == ()


def test_noise_stays_far_below_the_limit() -> None:
    rng = np.random.default_rng(5)
    every = np.ones((400, 400), bool)
    for _ in range(5):
        noise = rng.standard_normal((400, 400)).astype(np.float32)
        assert not list(find_lines(noise, every, block_px=4, limit=6.5, at_most=1))


def test_the_spikes_of_a_saturated_star_are_no_trails() -> None:
    rng = np.random.default_rng(6)
    light = field(SHAPE, np.array([[320.0, 310.0, 2e7]]), 3.7)
    for angle_deg in (45.0, 135.0):
        along, across = distances(320, 310, angle_deg)
        spike = 3e5 / np.maximum(np.abs(along), 3) ** 1.5 * np.exp(-((across / 2.0) ** 2))
        light += spike
    frame = exposed(light, rng)
    assert ((frame.mask & Mask.SATURATED) != 0).sum() > 30
    assert found(frame)[1] == ()


def test_a_trail_across_a_saturated_star_is_a_trail() -> None:
    rng = np.random.default_rng(7)
    light = field(SHAPE, np.array([[320.0, 310.0, 2e7]]), 3.7) + streak(320, 310, 30, 1.0)
    assert len(found(exposed(light, rng))[1]) == 1


def test_a_bled_column_is_no_trail() -> None:
    rng = np.random.default_rng(8)
    frame = exposed(np.full(SHAPE, SKY_E), rng)
    data, mask = frame.data.copy(), frame.mask.copy()
    data[:, 400:403] = FULL_E
    mask[:, 400:403] |= np.uint16(Mask.SATURATED)
    data[:, 500] += 0.8 * NOISE_E  # a column that nobody knew to be warm
    assert found(frame.after("bled", data=data, mask=mask))[1] == ()


def test_a_galaxy_seen_edge_on_is_no_trail() -> None:
    rng = np.random.default_rng(9)
    along, across = distances(320, 310, 25)
    disc = 12 * NOISE_E * np.exp(-((along / 120) ** 2) - (across / 5) ** 2)
    assert found(exposed(SKY_E + disc, rng))[1] == ()


def test_a_frame_without_a_usable_pixel_has_no_trail() -> None:
    blank = exposed(np.full((100, 100), SKY_E), np.random.default_rng(1))
    masked = blank.after("bad", mask=np.full(blank.shape, np.uint16(Mask.BAD)))
    flat = np.full(blank.shape, SKY_E, np.float32)
    assert find_trails(masked, flat, flat * 0)[1] == ()
