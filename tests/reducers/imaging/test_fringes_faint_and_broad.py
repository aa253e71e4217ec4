"""Faint fringes are found at their own scale, broad ones beside the background they bend."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.frame import Frame
from reducers.imaging.background import FRINGED_SIGMA, estimate_background
from reducers.imaging.fringe import (
    fit_amplitude,
    fringe_pattern,
    sky_structure_beside_sources,
    subtract_fringe,
)
from reducers.imaging.fringe_scale import find_scale, smoothed, smoothed_variance

SHAPE = (360, 400)
SKY_E, NOISE_E = 400.0, 20.0
Y, X = np.indices(SHAPE)
NARROW = np.sqrt(2) * np.sin(2 * np.pi * (X + 0.4 * Y) / 36.0 + 2 * np.sin(Y / 60))
BROAD = np.sqrt(2) * np.sin(2 * np.pi * (X + 0.3 * Y) / 300.0)
ALL = np.ones(SHAPE, np.float32)


def noise(seed, sigma):
    return np.random.default_rng(seed).normal(0, sigma, SHAPE).astype(np.float32)


def plain(data, sigma):
    return Frame(
        data=np.asarray(data, np.float32),
        variance=np.full(SHAPE, sigma**2, np.float32),
        mask=np.zeros(SHAPE, np.uint16),
        unit="electron",
    )


def skies(strength, count=5):
    """Return skies in units of their level, with fringes of so many parts of it."""
    sigma = NOISE_E / SKY_E
    return [plain(strength * NARROW + noise(k, sigma), sigma) for k in range(count)]


def test_fringes_an_eighth_of_the_noise_of_a_pixel_are_found_at_their_own_scale() -> None:
    pattern, measured, verdict = fringe_pattern(skies(0.006))
    assert verdict == ""
    assert 2 <= measured["kernel_px"] <= 6
    assert measured["amplitude"] == pytest.approx(0.006, rel=0.1)
    assert np.corrcoef(pattern.data.ravel(), NARROW.ravel())[0, 1] > 0.93


def test_the_error_of_a_pattern_is_true() -> None:
    pattern, measured, _ = fringe_pattern(skies(0.006))
    middle = (slice(20, -20), slice(20, -20))
    truth = smoothed(np.asarray(NARROW, np.float32), ALL, measured["kernel_px"])[middle]
    found = pattern.data[middle]
    off = found - truth * np.sum(found * truth) / np.sum(truth**2)
    assert np.std(off) == pytest.approx(np.sqrt(np.mean(pattern.variance[middle])), rel=0.1)


def test_noise_alone_is_no_pattern_at_any_scale() -> None:
    assert "nothing to subtract" in fringe_pattern(skies(0.0))[2]


def test_smoothing_carries_the_variance_past_pixels_left_out() -> None:
    weight = np.where(noise(1, 1.0) > 0.3, np.float32(0), np.float32(1))
    planes = [smoothed(noise(100 + k, 3.0) + 7, weight, 2.0)[::9, ::9] for k in range(12)]
    declared = smoothed_variance(9 * ALL, weight, 2.0)[::9, ::9]
    assert np.mean(planes) == pytest.approx(7.0, abs=0.03)
    assert np.mean(np.var(planes, axis=0, ddof=1)) == pytest.approx(np.mean(declared), rel=0.05)


def test_strong_narrow_fringes_are_smoothed_less_than_faint_ones() -> None:
    kernels = [
        find_scale(part * NARROW + noise(1, 1.0), part * NARROW + noise(2, 1.0), (ALL, ALL))
        for part in (0.15, 3.0)
    ]
    assert kernels[0].kernel_px > kernels[1].kernel_px


def test_the_background_hides_no_part_of_broad_fringes() -> None:
    amplitude = 30.0
    frame = plain(SKY_E + amplitude * BROAD + noise(7, NOISE_E), NOISE_E)
    sky = estimate_background(frame, source_sigma=FRINGED_SIGMA)
    fringe = plain(BROAD, 1e-3)
    cleaned, found, _ = subtract_fringe(frame, sky, fringe)
    assert fit_amplitude(frame, sky, fringe)[0] < 0.8 * amplitude
    assert found == pytest.approx(amplitude, rel=0.03)
    assert abs(np.mean((cleaned.data - SKY_E) * BROAD)) < 0.03 * amplitude


def test_subtracting_faint_fringes_makes_apertures_quieter() -> None:
    pattern, _, _ = fringe_pattern(skies(0.006))
    frame = plain(SKY_E * (1 + 0.006 * NARROW) + noise(9, NOISE_E), NOISE_E)
    sky = estimate_background(frame, source_sigma=FRINGED_SIGMA)
    cleaned, _, _ = subtract_fringe(frame, sky, pattern)
    before, after = (in_apertures(f.data - SKY_E) for f in (frame, cleaned))
    assert before > 1.2 * 11 * NOISE_E
    assert after < 1.1 * 11 * NOISE_E


def in_apertures(data, side=11):
    rows, columns = (n // side for n in SHAPE)
    cut = data[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.std(cut.sum(axis=(1, 3)))


def dithered(star_snr, count=4, width=1.1):
    """Return exposures of one field of faint stars under fringes, and where the stars stand."""
    places = np.mgrid[30:330:25, 30:370:25].reshape(2, -1).T
    places = places + np.random.default_rng(3).uniform(-4, 4, places.shape)
    total = star_snr * NOISE_E * np.sqrt(4 * np.pi) * width
    exposures = []
    for k, step in enumerate([(0, 0), (9, 5), (-7, 11), (12, -8)][:count]):
        light = SKY_E * (1 + 0.02 * NARROW)
        for y, x in places + step:
            near = np.s_[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9]
            away2 = (Y[near] - y) ** 2 + (X[near] - x) ** 2
            light[near] += total / (2 * np.pi * width**2) * np.exp(-away2 / (2 * width**2))
        exposures.append((plain(light + noise(50 + k, NOISE_E), NOISE_E), places + step))
    return exposures, total


@pytest.mark.parametrize(("star_snr", "most_lost"), [(5.0, 0.045), (8.0, 0.02)])
def test_stars_too_faint_for_one_exposure_hardly_lose_light_to_the_pattern(
    star_snr: float, most_lost: float
) -> None:
    exposures, total = dithered(star_snr)
    first, _, _ = fringe_pattern([sky_structure_beside_sources(e) for e, _ in exposures])
    again, measured, _ = fringe_pattern(
        [sky_structure_beside_sources(e, first) for e, _ in exposures]
    )
    lost = []
    for _, places in exposures:
        for y, x in np.rint(places).astype(int):
            near = np.s_[y - 3 : y + 4, x - 3 : x + 4]
            false = again.data[near] * measured["amplitude"] - 0.02 * NARROW[near]
            lost.append(false.sum() * SKY_E / total)
    assert np.mean(lost) < most_lost
