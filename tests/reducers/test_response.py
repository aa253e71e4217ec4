"""A standard of known flux gives back the response that made its counts."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.errors import PoorResponse
from reducers.frame import Mask
from reducers.profiles import load_instrument
from reducers.spectroscopy.lines import air_to_vacuum
from reducers.spectroscopy.response import (
    AB_ZERO,
    SPEED_OF_LIGHT_A_S,
    calibrate_flux,
    extinction_at,
    fit_response,
    mark_telluric,
)
from reducers.spectrum import Spectrum

ALFOSC = load_instrument("alfosc")
STAR = next(s for s in ALFOSC.standards if s.name == "HD 84937")
EXPOSURE_S, AIRMASS = 18.0, 1.3
WAVELENGTH = np.arange(3400.0, 9400.0, 6.5)


def zero_point(wavelength: np.ndarray) -> np.ndarray:
    return np.asarray(15.4 - ((wavelength - 5200) / 2600) ** 2)


def counts_of(magnitude: np.ndarray, scale: float = 1.0) -> Spectrum:
    outside = 10 ** (0.4 * (zero_point(WAVELENGTH) - magnitude))
    rate = outside * 10 ** (-0.4 * extinction_at(ALFOSC, WAVELENGTH) * AIRMASS)
    flux = scale * rate * EXPOSURE_S * np.gradient(WAVELENGTH)
    noisy = flux + np.random.default_rng(1).normal(0, np.sqrt(flux + 100))
    return Spectrum(
        wavelength=WAVELENGTH,
        flux=noisy,
        error=np.sqrt(flux + 100),
        sky=np.zeros_like(flux),
        mask=np.zeros(flux.size, np.uint16),
    )


def star_magnitude() -> np.ndarray:
    known = air_to_vacuum(np.array(STAR.wavelength_angstrom))
    return np.interp(WAVELENGTH, known, STAR.ab_magnitude)


def fit(counts: Spectrum):
    return fit_response(
        counts,
        STAR,
        ALFOSC,
        exposure_s=EXPOSURE_S,
        airmass=AIRMASS,
        slit="Slit_1.0",
        grism="Grism_#4",
    )


def test_the_response_is_the_one_that_made_the_counts() -> None:
    response = fit(counts_of(star_magnitude()))
    inside = (response.wavelength > 3700) & (response.wavelength < 8500)
    difference = response.ab_zero_point - zero_point(response.wavelength)
    assert np.abs(difference[inside]).max() < 0.03
    assert response.rms_mag < 0.03


def test_a_star_calibrated_with_the_response_has_its_flux() -> None:
    response = fit(counts_of(star_magnitude()))
    flat_source = np.full(WAVELENGTH.size, 17.0)
    flux = calibrate_flux(
        counts_of(flat_source), response, ALFOSC, exposure_s=EXPOSURE_S, airmass=AIRMASS
    )
    expected = 10 ** (-0.4 * (17.0 + AB_ZERO)) * SPEED_OF_LIGHT_A_S / WAVELENGTH**2
    inside = (WAVELENGTH > 4000) & (WAVELENGTH < 8000) & flux.good
    assert np.median(flux.flux[inside] / expected[inside]) == pytest.approx(1, abs=0.02)
    pulls = (flux.flux - expected)[inside] / flux.error[inside]
    assert 0.9 < pulls.std() < 1.2


def test_beyond_the_standards_table_no_flux_is_claimed() -> None:
    response = fit(counts_of(star_magnitude()))
    flux = calibrate_flux(
        counts_of(star_magnitude()), response, ALFOSC, exposure_s=EXPOSURE_S, airmass=AIRMASS
    )
    beyond = response.wavelength.max() < WAVELENGTH
    assert beyond.any()
    assert np.isnan(flux.flux[beyond]).all()
    assert ((flux.mask[beyond] & Mask.NO_FLUX_CALIBRATION) != 0).all()
    assert not flux.good[beyond].any()


def test_a_star_that_was_not_there_gives_no_response() -> None:
    with pytest.raises(PoorResponse, match="usable reference points"):
        fit(counts_of(star_magnitude(), scale=1e-6))


def test_telluric_bands_are_marked() -> None:
    marked = mark_telluric(counts_of(star_magnitude()))
    at = int(np.argmin(np.abs(WAVELENGTH - 7630)))
    beside = int(np.argmin(np.abs(WAVELENGTH - 7500)))
    assert marked.mask[at] & Mask.TELLURIC
    assert not marked.mask[beside] & Mask.TELLURIC
