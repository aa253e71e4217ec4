"""What an upgrade changed is measured, and told only where it is more than its limit and error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from reducers.imaging.sky_map import SkyMap
from reducers.product_change import image_change, news_of, spectrum_change, unit_change
from reducers.spectrum import Spectrum

N = 500


def spectrum(**columns):
    wave = 4000.0 + 3.0 * np.arange(N)
    flux = 100.0 + np.cos(np.arange(N) / 20)
    plain = Spectrum(
        wavelength=wave,
        flux=flux,
        error=np.ones(N),
        sky=np.zeros(N),
        mask=np.zeros(N, np.uint16),
    )
    return replace(plain, **columns)


def sky_map(ra=30.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, 60.0], [50, 50]
    wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    return SkyMap(wcs=wcs)


def test_a_shifted_and_stretched_axis_is_told_in_angstrom_and_in_pixels():
    before = spectrum()
    moved = before.wavelength + 1.5 + 0.002 * (np.arange(N) - (N - 1) / 2)
    found = spectrum_change(before, spectrum(wavelength=moved))
    assert found["upgrade_shift_angstrom"] == pytest.approx(1.5)
    assert found["upgrade_shift_px"] == pytest.approx(0.5, rel=1e-3)
    assert found["upgrade_shift_rms_angstrom"] == pytest.approx(0.002 * N / 12**0.5, rel=0.01)
    assert news_of(found) == ["wavelengths moved by +1.50 A (rms about that 0.29 A)"]


def test_the_ratio_of_the_flux_leaves_bad_pixels_and_the_dark_out():
    before, flux = spectrum(), 1.2 * spectrum().flux
    flux[10:20] = 1e6
    bad = np.zeros(N, np.uint16)
    bad[10:20] = 1
    dark = before.flux.copy()
    dark[300:] = 1.0
    found = spectrum_change(spectrum(flux=dark), spectrum(flux=flux, mask=bad))
    assert found["upgrade_flux_ratio"] == pytest.approx(1.2)
    assert news_of(found) == ["flux is 1.200 of what it was (scatter 0.000)"]


def test_noise_about_the_same_flux_is_no_news():
    noise = np.random.default_rng(3).normal(0, 3.0, N)
    found = spectrum_change(spectrum(), spectrum(flux=spectrum().flux + noise))
    assert 0.02 < found["upgrade_flux_scatter"] < 0.04
    assert news_of(found) == []


def test_without_wavelengths_or_with_other_pixels_nothing_is_said_of_them():
    lost = spectrum(wavelength=np.full(N, np.nan))
    assert "upgrade_shift_angstrom" not in spectrum_change(lost, spectrum())
    half = {name: getattr(spectrum(), name)[:200] for name in ("flux", "error", "sky", "mask")}
    shorter = spectrum(wavelength=spectrum().wavelength[:200], **half)
    assert spectrum_change(spectrum(), shorter) == {}


def test_a_flux_calibration_that_was_won_is_news():
    assert unit_change(was_absolute=True, is_absolute=True) == {}
    won = unit_change(was_absolute=False, is_absolute=True)
    assert news_of(won) == ["flux is absolute now; it was counts"]


def test_an_image_that_moved_on_the_sky_is_told_in_arcseconds_of_the_great_circle():
    was = {"zero_point_mag": 25.0, "zero_point_error_mag": 0.05, "astrometry_rms_mas": 40.0}
    now = {"zero_point_mag": 25.08, "zero_point_error_mag": 0.02, "seeing_arcsec": 1.0}
    found = image_change(sky_map(), sky_map(30.0 + 2 / 3600), (100, 100), was, now)
    assert found["upgrade_place_arcsec"] == pytest.approx(1.0, rel=0.01)
    assert found["upgrade_zero_point_mag"] == pytest.approx(0.08)
    assert "upgrade_seeing_arcsec" not in found
    # 0.08 mag is less than twice the error of the zero point.
    assert news_of(found) == ["place on the sky moved by 1.00 arcsec"]
