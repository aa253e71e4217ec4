"""A standard of known flux gives back the response that made its counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.errors import PoorResponse
from reducers.frame import Mask
from reducers.profiles import load_instrument
from reducers.spectroscopy.flux import (
    AB_ZERO,
    SPEED_OF_LIGHT_A_S,
    calibrate_flux,
    calibration_error,
    mark_telluric,
)
from reducers.spectroscopy.lines import air_to_vacuum
from reducers.spectroscopy.reference import reference_wavelengths
from reducers.spectroscopy.response import Response, extinction_at, fit_response
from reducers.spectroscopy.telluric import transmission_for, with_telluric
from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

ALFOSC = load_instrument("alfosc")
STAR = next(s for s in ALFOSC.standards if s.name == "HD 84937")
EXPOSURE_S, AIRMASS = 18.0, 1.3
WAVELENGTH = np.arange(3400.0, 9400.0, 6.5)


def zero_point(wavelength: np.ndarray) -> np.ndarray:
    return np.asarray(15.4 - ((wavelength - 5200) / 2600) ** 2)


def steep_zero_point(wavelength: np.ndarray) -> np.ndarray:
    """Behind a blocking filter that cuts within 130 A, as WG345 does."""
    return np.asarray(zero_point(wavelength) - 4 * np.exp(-(wavelength - 3420) / 130))


def air(wavelength: np.ndarray, airmass: float, water: float = 1.0) -> np.ndarray:
    """Transmission of an atmosphere with the bands where they are."""
    depth = np.zeros(wavelength.size)
    for centre, sigma, opacity, gas in (
        *((6880, 12, 0.25, "O2"), (7608, 10, 0.9, "O2"), (7640, 22, 0.6, "O2")),
        *((7185, 28, 0.12, "H2O"), (8200, 50, 0.15, "H2O")),
    ):
        deep = opacity * (water if gas == "H2O" else 1.0)
        depth += deep * np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)
    return np.exp(-depth * airmass**0.55)


def counts_of(
    magnitude: np.ndarray,
    scale: float = 1.0,
    *,
    zero: Callable[[np.ndarray], np.ndarray] = zero_point,
    transmission: np.ndarray | float = 1.0,
    seed: int = 1,
) -> Spectrum:
    outside = 10 ** (0.4 * (zero(WAVELENGTH) - magnitude))
    rate = outside * 10 ** (-0.4 * extinction_at(ALFOSC, WAVELENGTH) * AIRMASS) * transmission
    flux = scale * rate * EXPOSURE_S * np.gradient(WAVELENGTH)
    noisy = flux + np.random.default_rng(seed).normal(0, np.sqrt(flux + 100))
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


def fit(counts: Spectrum) -> Response:
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


def test_a_cut_off_filter_is_followed_within_two_per_cent_of_the_truth() -> None:
    response = fit(counts_of(star_magnitude(), zero=steep_zero_point))
    off = response.ab_zero_point - steep_zero_point(response.wavelength)
    lit = response.wavelength > 3550
    assert np.abs(10 ** (0.4 * off[lit]) - 1).max() < 0.02
    assert np.abs(10 ** (0.4 * off) - 1).max() < 0.15
    assert response.wavelength[0] < 3700


def test_the_error_of_the_response_holds_the_truth() -> None:
    pulls = []
    for seed in range(6):
        response = fit(counts_of(star_magnitude(), zero=steep_zero_point, seed=seed))
        off = response.ab_zero_point - steep_zero_point(response.wavelength)
        pulls.append(off[::40] / response.error[::40])
    assert 0.2 < np.std(pulls) < 1.2
    assert np.abs(pulls).max() < 4


def test_bands_between_the_water_carry_the_response_past_a_gap_in_the_table() -> None:
    response = fit(counts_of(star_magnitude()))
    assert response.wavelength[-1] > 9200
    assert response.wavelength[-1] < STAR.wavelength_angstrom[-1]
    off = response.zero_point_at(np.array([9100.0])) - zero_point(np.array([9100.0]))
    assert abs(off[0]) < 0.02


def test_a_star_that_lit_a_third_of_the_range_gives_no_response() -> None:
    counts = counts_of(star_magnitude())
    dark = np.where((WAVELENGTH > 5000) & (WAVELENGTH < 6500), counts.flux, 0.0)
    with pytest.raises(PoorResponse, match=r"light only from|usable reference"):
        fit(replace(counts, flux=dark))


def test_a_star_that_lit_half_of_the_range_says_so() -> None:
    counts = counts_of(star_magnitude())
    half = fit(replace(counts, flux=np.where(WAVELENGTH < 6500, counts.flux, 0.0)))
    assert 0.4 < half.coverage < 0.6
    assert fit(counts).coverage > 0.9


def test_each_reference_table_keeps_its_own_medium() -> None:
    calspec = next(s for s in ALFOSC.standards if s.name == "GD 71")
    assert reference_wavelengths(calspec) == pytest.approx(calspec.wavelength_angstrom)
    shift = reference_wavelengths(STAR) - np.array(STAR.wavelength_angstrom)
    assert shift[0] == pytest.approx(0.92, abs=0.02)
    assert 2.2 < shift[np.argmin(np.abs(np.array(STAR.wavelength_angstrom) - 8000))] < 2.3


def test_the_error_of_the_response_is_kept_apart_from_the_noise() -> None:
    response = fit(counts_of(star_magnitude()))
    counts = counts_of(np.full(WAVELENGTH.size, 17.0))
    flux = calibrate_flux(counts, response, ALFOSC, exposure_s=EXPOSURE_S, airmass=AIRMASS)
    noise = np.median((flux.error / flux.flux)[flux.good]) / np.median(
        (counts.error / counts.flux)[counts.good]
    )
    assert noise == pytest.approx(1, abs=0.05)
    scale = calibration_error(response, WAVELENGTH)
    inside = (WAVELENGTH > 4000) & (WAVELENGTH < 8000)
    assert (scale[inside] > 0.001).all()
    assert (scale[inside] < 0.05).all()
    assert np.isnan(scale[response.wavelength[-1] < WAVELENGTH]).all()


@pytest.mark.parametrize(("airmass", "water"), [(1.1, 1.0), (1.8, 1.6)])
def test_telluric_bands_of_a_bright_target_are_corrected_to_three_per_cent(
    airmass: float, water: float
) -> None:
    star = counts_of(star_magnitude(), transmission=air(WAVELENGTH, AIRMASS))
    response = with_telluric(fit(star), star, STAR, ALFOSC, EXPOSURE_S)
    clear = counts_of(np.full(WAVELENGTH.size, 10.0))
    seen = air(WAVELENGTH - 2.0, airmass, water)
    target = replace(clear, flux=clear.flux * seen)
    found = transmission_for(target, response, airmass, 1.0)
    for low, high in ((6868, 6950), (7160, 7340), (7590, 7705), (8130, 8350)):
        band = (low < WAVELENGTH) & (high > WAVELENGTH)
        left = found[band] / seen[band] - 1
        assert np.sqrt(np.mean(left**2)) < 0.03


def test_old_water_is_not_taken_from_another_night_for_a_faint_target() -> None:
    star = counts_of(star_magnitude(), transmission=air(WAVELENGTH, AIRMASS))
    response = with_telluric(fit(star), star, STAR, ALFOSC, EXPOSURE_S)
    faint = counts_of(np.full(WAVELENGTH.size, 20.0))
    fresh, old = (transmission_for(faint, response, AIRMASS, age) for age in (1.0, 30.0))
    water, oxygen = np.argmin(np.abs(WAVELENGTH - 8200)), np.argmin(np.abs(WAVELENGTH - 7608))
    assert fresh[water] < 0.95
    assert old[water] == 1.0
    assert old[oxygen] == fresh[oxygen] < 0.6


def test_no_telluric_correction_across_a_wide_gap_in_airmass() -> None:
    star = counts_of(star_magnitude(), transmission=air(WAVELENGTH, AIRMASS))
    response = with_telluric(fit(star), star, STAR, ALFOSC, EXPOSURE_S)
    assert (transmission_for(star, response, 2.5, 0.5) == 1).all()
