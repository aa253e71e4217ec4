"""The sky model: as good as the noise at the cores of tilted lines, blind to all else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from reducers.spectroscopy.extract import Extraction
from reducers.spectroscopy.shape import Profile
from reducers.spectroscopy.sky import (
    dispersion_coordinate,
    fit_sky,
    free_columns,
    line_chi2,
    spline_for,
)
from reducers.spectroscopy.sky_error import with_sky_error
from reducers.spectroscopy.trace import Trace

READ_NOISE_E = 5.7
ROWS = 500


def slit(columns=500, *, tilt_px, fwhm_px=2.5, seed=1):
    """Return expected electrons, the coordinate of every pixel and where the line cores are."""
    rng = np.random.default_rng(seed)
    along = np.linspace(-1, 1, columns)
    coordinate = np.arange(ROWS)[:, None] - tilt_px / 2 * along[None, :]
    sky = np.full(coordinate.shape, 60.0)
    core = np.zeros(coordinate.shape, bool)
    sigma = fwhm_px / 2.3548 * np.sqrt(2)
    for centre in rng.uniform(12, ROWS - 12, 20):
        below, above = coordinate - centre - 0.5, coordinate - centre + 0.5
        peak = 3000 * 10 ** rng.uniform(-1, 0)
        sky += peak * (erf(above / sigma) - erf(below / sigma)) * fwhm_px * 0.532
        core |= np.abs(coordinate - centre) < fwhm_px / 2
    return sky * (1 + 0.03 * along**2), coordinate, core


def observed(sky, seed=2):
    rng = np.random.default_rng(seed)
    return rng.poisson(sky) + rng.normal(0, READ_NOISE_E, sky.shape)


@pytest.mark.parametrize("tilt_px", [0.0, 0.45, 2.0, 6.0])
def test_chi2_at_the_cores_of_tilted_lines_is_one(tilt_px) -> None:
    sky, coordinate, core = slit(tilt_px=tilt_px)
    data, use = observed(sky), np.ones(sky.shape, bool)
    free = np.ones(sky.shape[1], bool)
    fit = fit_sky(data, use, spline_for(coordinate, free), READ_NOISE_E**2)
    variance = sky + READ_NOISE_E**2
    assert np.mean(((data - fit.sky) ** 2 / variance)[core]) == pytest.approx(1, abs=0.05)
    # What the model itself gets wrong is far below the noise of a pixel.
    assert np.mean(((sky - fit.sky) ** 2 / variance)[core]) < 0.02
    in_lines, between = line_chi2(data, fit, coordinate, READ_NOISE_E**2)
    assert in_lines == pytest.approx(1, abs=0.05)
    assert between == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("tilt_px", [2.0, 6.0])
def test_without_noise_the_model_is_right_to_a_thousandth_of_a_line(tilt_px) -> None:
    sky, coordinate, _ = slit(tilt_px=tilt_px)
    free = np.ones(sky.shape[1], bool)
    fit = fit_sky(sky, np.ones(sky.shape, bool), spline_for(coordinate, free), 1.0)
    assert np.abs(fit.sky - sky).max() < 1e-3 * sky.max()


def test_few_columns_of_sky_do_not_make_the_model_noisy() -> None:
    sky, coordinate, core = slit(60, tilt_px=0.3)
    fit = fit_sky(
        observed(sky),
        np.ones(sky.shape, bool),
        spline_for(coordinate, np.ones(60, bool)),
        READ_NOISE_E**2,
    )
    assert np.mean(((sky - fit.sky) ** 2 / (sky + READ_NOISE_E**2))[~core]) < 0.06


def test_cosmic_rays_and_masked_pixels_leave_no_trace() -> None:
    sky, coordinate, _ = slit(tilt_px=2.0)
    data, use = observed(sky), np.ones(sky.shape, bool)
    rng = np.random.default_rng(3)
    hits = rng.uniform(size=sky.shape) < 1e-3
    data[hits] += rng.exponential(2000, int(hits.sum())) + 300
    use[:, 200:260], data[:, 200:260] = False, 1e6
    use[100] = False
    fit = fit_sky(data, use, spline_for(coordinate, use.any(axis=0)), READ_NOISE_E**2)
    pull = (fit.sky - sky) / np.sqrt(sky + READ_NOISE_E**2)
    assert not fit.kept[hits & use].any()
    assert np.abs(pull[use]).max() < 1.0
    # Under the masked object the model interpolates along the slit.
    assert np.std(pull[:, 200:260]) < 0.2


def test_an_image_without_any_sky_gives_a_finite_model() -> None:
    sky, coordinate, _ = slit(40, tilt_px=1.0)
    nothing = np.zeros(sky.shape, bool)
    fit = fit_sky(sky, nothing, spline_for(coordinate, nothing.any(axis=0)), READ_NOISE_E**2)
    assert np.isfinite(fit.sky).all()


def test_the_coordinate_is_the_row_of_the_middle_column() -> None:
    rows, columns = np.arange(200)[:, None], np.arange(41)[None, :]
    shifted = rows + 0.1 * (columns - 20)
    coordinate = dispersion_coordinate(9000 - 3.5 * shifted - 1e-4 * shifted**2)
    np.testing.assert_allclose(coordinate, shifted, atol=0.01)


def test_the_wings_of_a_bright_star_are_left_out_of_the_sky() -> None:
    distance = np.arange(400) - 110.0
    for peak in (30.0, 7000.0):
        star = peak * (1 + (distance / 5.0) ** 2) ** -1.7  # FWHM 7 px, wings as the cube
        free = free_columns(star, 6.0, [(110.0, 7.0)])
        assert star[free].max() < 0.1 * 6.0 * 1.5
        assert free.sum() > 200


def test_a_third_of_the_slit_is_left_to_the_sky_whatever_the_star() -> None:
    bright = 1e6 * np.exp(-0.5 * ((np.arange(90) - 45.0) / 4) ** 2)
    free = free_columns(bright, 6.0, [(45.0, 9.4)])
    assert 30 <= free.sum() < 60
    assert not free[35:56].any()


def test_a_wild_wavelength_solution_still_gives_a_sky() -> None:
    sky, coordinate, _ = slit(60, tilt_px=1.0)
    wavelengths = 9000 - 3.5 * coordinate
    wavelengths[:, 50:] = 1e9
    wavelengths[:5] = np.nan
    found = dispersion_coordinate(wavelengths)
    use = np.ones(sky.shape, bool)
    fit = fit_sky(observed(sky), use, spline_for(found, use[0]), READ_NOISE_E**2)
    assert fit.spline.intervals < 2 * 1.3 * (ROWS + 40)
    assert np.isfinite(fit.sky).all()


@pytest.mark.parametrize("tilt_px", [0.0, 0.45, 6.0])
def test_the_model_knows_its_own_error_under_an_object(tilt_px) -> None:
    pulls = []
    for seed in range(3):
        sky, coordinate, _ = slit(300, tilt_px=tilt_px, seed=seed)
        use = np.ones(sky.shape, bool)
        use[:, 130:171] = False
        fit = fit_sky(
            observed(sky, seed), use, spline_for(coordinate, use.any(axis=0)), READ_NOISE_E**2
        )
        expected = fit.variance_along(np.full(ROWS, 150.0))
        pulls.append((fit.sky - sky)[:, 150] / np.sqrt(expected))
    assert np.std(pulls) == pytest.approx(1, abs=0.12)


def test_the_error_of_the_sky_counts_with_the_width_of_the_object() -> None:
    sky, coordinate, _ = slit(120, tilt_px=0.0)
    free = np.ones(120, bool)
    free[45:76] = False
    profile = Profile(beta=3.0, fwhm_px=6.0, slope=0.0)
    rows = np.arange(ROWS, dtype=float)
    trace = Trace(rows=rows, columns=np.full(ROWS, 60.0), fwhm_px=6.0, rms_px=0.0)
    shape = profile.values(trace, 120)
    weight = shape / (shape**2).sum(axis=1, keepdims=True)
    plain, full, wrong = [], [], []
    for seed in range(6):
        data = observed(sky, seed)
        use = np.broadcast_to(free, sky.shape)
        fit = fit_sky(data, use, spline_for(coordinate, free), READ_NOISE_E**2)
        formal = (weight**2 * (sky + READ_NOISE_E**2)).sum(axis=1)
        nothing, mask = np.zeros(ROWS), np.zeros(ROWS, np.uint16)
        found = Extraction(
            flux=((data - fit.sky) * weight).sum(axis=1), variance=formal, box_flux=nothing,
            box_variance=formal, sky=nothing, mask=mask,
        )  # fmt: skip
        told = with_sky_error(found, trace, profile, fit)
        plain.append(found.flux / np.sqrt(found.variance))
        full.append(told.flux / np.sqrt(told.variance))
        wrong.append(told.variance / found.variance)
    assert np.std(plain) > 1.05
    assert np.std(full) == pytest.approx(1, abs=0.05)
    assert np.median(wrong) > 1.1
