"""Sky, trace and extraction recover what was put in, with errors that are true."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.frame import Mask
from reducers.spectroscopy.extract import FlatNoise, extract, model_variance
from reducers.spectroscopy.shape import Profile
from reducers.spectroscopy.shape_fit import fit_profile
from reducers.spectroscopy.sky import dispersion_coordinate, fit_sky, spline_for
from reducers.spectroscopy.sources import find_sources, slit_profile
from reducers.spectroscopy.trace import Trace, trace_source

ROWS, COLUMNS, NOISE = 600, 120, 5.8


def tilted_wavelengths(tilt_px: float) -> np.ndarray:
    rows = np.arange(ROWS)[:, None]
    along = np.linspace(-0.5, 0.5, COLUMNS)[None, :]
    return 9000.0 - 6.5 * (rows + tilt_px * along)


def sky_spectrum(wavelengths: np.ndarray) -> np.ndarray:
    lines = sum(
        height * np.exp(-0.5 * ((wavelengths - centre) / 6.0) ** 2)
        for centre, height in ((5578.9, 400.0), (6302.0, 200.0), (7250.0, 900.0))
    )
    return np.asarray(30.0 + lines)


def straight(column: float, slope_px: float = 0.0, fwhm_px: float = 5.0) -> Trace:
    rows = np.arange(ROWS, dtype=float)
    columns = column + slope_px * (rows / ROWS - 0.5)
    return Trace(rows=rows, columns=columns, fwhm_px=fwhm_px, rms_px=0.0)


def star(trace: Trace, per_row: float, beta: float = 3.0) -> np.ndarray:
    shape = Profile(beta=beta, fwhm_px=trace.fwhm_px, slope=0.0).values(trace, COLUMNS)
    return np.asarray(per_row * shape)


def observed(light: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(light) + rng.normal(0, NOISE, light.shape)


@pytest.mark.parametrize("tilt_px", [0.0, 2.0, 6.0])
def test_tilted_sky_lines_leave_no_more_than_noise(tilt_px: float) -> None:
    wavelengths = tilted_wavelengths(tilt_px)
    truth = sky_spectrum(wavelengths)
    data = observed(truth, 1)
    variance = model_variance(truth, np.zeros_like(truth), NOISE**2)
    good = np.ones(data.shape, bool)
    spline = spline_for(dispersion_coordinate(wavelengths), good.any(axis=0))
    sky = fit_sky(data, good, spline, NOISE**2).sky
    lines = truth > 100
    chi2 = np.mean(((data - sky) ** 2 / variance)[lines])
    assert 0.9 < chi2 < 1.1


def test_a_masked_row_does_not_break_the_sky() -> None:
    wavelengths = tilted_wavelengths(0.0)
    truth = sky_spectrum(wavelengths)
    good = np.ones(truth.shape, bool)
    good[300:306] = False
    data = observed(truth, 2)
    spline = spline_for(dispersion_coordinate(wavelengths), good.any(axis=0))
    sky = fit_sky(data, good, spline, NOISE**2).sky
    assert np.isfinite(sky).all()


def test_two_objects_are_found_where_they_are() -> None:
    light = star(straight(30.0), 200.0) + star(straight(80.0), 60.0)
    noise = np.full(light.shape, 30.0 + NOISE**2)
    data = observed(light + 30.0, 3) - 30.0
    profile, error = slit_profile(data, noise, np.ones(data.shape, bool))
    found = find_sources(profile, error, seeing_px=5.0)
    assert [round(s.column) for s in found[:2]] == [30, 80]


def test_an_empty_slit_has_no_object() -> None:
    false = 0
    for seed in range(20):
        data = observed(np.full((ROWS, COLUMNS), 30.0), seed) - 30.0
        profile, error = slit_profile(
            data, np.full(data.shape, 30.0 + NOISE**2), np.ones(data.shape, bool)
        )
        false += len(find_sources(profile, error, seeing_px=5.0))
    assert false == 0


def test_the_trace_follows_a_sloping_object() -> None:
    truth = straight(60.0, slope_px=6.0)
    light = star(truth, 400.0)
    data = observed(light + 30.0, 4) - 30.0
    variance = model_variance(np.full(light.shape, 30.0), light, NOISE**2)
    good = np.ones(light.shape, bool)
    profile, error = slit_profile(data, variance, good)
    source = find_sources(profile, error, seeing_px=5.0)[0]
    trace = trace_source(data, variance, good, source)
    assert np.abs(trace.columns - truth.columns).max() < 0.2


def test_light_behind_a_weak_part_of_the_flat_is_noisier_than_its_own_root() -> None:
    response = np.repeat([[0.5, 1.0, 1.5]], 40_000, axis=0)
    rng = np.random.default_rng(3)
    light = 200.0
    seen = (rng.poisson(light * response) + rng.normal(0, NOISE, response.shape)) / response
    flat = FlatNoise(response=response, variance=np.zeros_like(response))
    nothing = np.zeros_like(response)
    told = model_variance(nothing + light, nothing, NOISE**2 / response**2, flat)
    assert told[0] == pytest.approx(seen.var(axis=0), rel=0.03)


@pytest.mark.parametrize("per_row", [30.0, 300.0, 30000.0])
def test_extracted_flux_is_unbiased_and_its_error_true(per_row: float) -> None:
    truth = straight(60.0)
    light = star(truth, per_row)
    sky = np.full(light.shape, 30.0)
    good = np.ones(light.shape, bool)
    pulls, fluxes = [], []
    for seed in range(4):
        data = observed(light + sky, 10 + seed) - sky
        floor = np.full(light.shape, NOISE**2)
        profile = fit_profile(data, sky + floor, good, truth)
        mask = np.zeros(light.shape, np.uint16)
        found = extract(data, sky, floor, mask, good, [truth], [profile])[0]
        pulls.append((found.flux - per_row) / np.sqrt(found.variance))
        fluxes.append(found.flux)
    every = np.concatenate(fluxes)
    error_of_mean = every.std() / np.sqrt(every.size)
    assert abs(every.mean() - per_row) < 3 * error_of_mean + 0.01 * per_row
    assert 0.9 < np.std(np.concatenate(pulls)) < 1.1


def test_blended_objects_share_the_light_rightly() -> None:
    near, far = straight(60.0), straight(67.0)
    light = star(near, 2000.0) + star(far, 500.0)
    sky = np.full(light.shape, 30.0)
    data = observed(light + sky, 20) - sky
    shape = Profile(beta=3.0, fwhm_px=5.0, slope=0.0)
    good = np.ones(light.shape, bool)
    floor = np.full(light.shape, NOISE**2)
    mask = np.zeros(light.shape, np.uint16)
    one, two = extract(data, sky, floor, mask, good, [near, far], [shape, shape])
    assert np.mean(one.flux) == pytest.approx(2000, rel=0.01)
    assert np.mean(two.flux) == pytest.approx(500, rel=0.02)


def test_an_unmasked_cosmic_ray_is_thrown_out_of_the_profile() -> None:
    truth = straight(60.0)
    light = star(truth, 300.0)
    sky = np.full(light.shape, 30.0)
    data = observed(light + sky, 30) - sky
    data[200, 61] += 5000.0
    shape = Profile(beta=3.0, fwhm_px=5.0, slope=0.0)
    good = np.ones(light.shape, bool)
    floor = np.full(light.shape, NOISE**2)
    mask = np.zeros(light.shape, np.uint16)
    found = extract(data, sky, floor, mask, good, [truth], [shape])[0]
    assert abs(found.flux[200] - 300) < 6 * np.sqrt(found.variance[200])
    assert found.mask[200] & Mask.COSMIC_IN_PROFILE


def test_a_row_without_good_pixels_has_no_flux() -> None:
    truth = straight(60.0)
    light = star(truth, 300.0)
    good = np.ones(light.shape, bool)
    good[100] = False
    mask = np.zeros(light.shape, np.uint16)
    mask[100] = Mask.SATURATED
    shape = Profile(beta=3.0, fwhm_px=5.0, slope=0.0)
    floor = np.full(light.shape, NOISE**2)
    sky = np.zeros(light.shape)
    found = extract(light, sky, floor, mask, good, [truth], [shape])[0]
    assert found.mask[100] & Mask.BAD
    assert found.mask[100] & Mask.SATURATED
