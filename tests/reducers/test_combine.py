"""Repeated spectra become one: its errors are true, clouds are scaled away, hits leave no trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.errors import NotEnoughFrames
from reducers.frame import Mask
from reducers.spectroscopy.combine import Contribution, combine_spectra
from reducers.spectroscopy.resample import pixel_edges, resample
from reducers.spectrum import Spectrum

PIXELS = 700
FLUX = "erg / (s cm2 Angstrom)"


def light(wavelength):
    continuum = 1 + 0.4 * np.sin(wavelength / 300)
    return continuum + 0.8 * np.exp(-0.5 * ((wavelength - 6563) / 15) ** 2)


def exposure(seed, *, snr=8.0, factor=1.0, unit=FLUX):
    """Return one noisy spectrum on its own, slightly shifted and stretched pixels."""
    rng = np.random.default_rng(seed)
    wavelength = np.linspace(4000, 9000, PIXELS) * (1 + 2e-4 * rng.uniform(-1, 1))
    wavelength = wavelength + rng.uniform(-3, 3)
    sky = 0.5 + 3 * np.exp(-0.5 * ((wavelength - 5578) / 9) ** 2)
    flux = factor * light(wavelength)
    variance = (flux + sky) / snr**2 / 1.5
    return Spectrum(
        wavelength=wavelength,
        flux=rng.normal(flux, np.sqrt(variance)),
        error=np.sqrt(variance),
        sky=sky,
        mask=np.zeros(PIXELS, np.uint16),
        unit=unit,
    )


def combined(spectra, exposure_s=300.0):
    members = [
        Contribution(name=f"AL{n}", spectrum=each, exposure_s=exposure_s)
        for n, each in enumerate(spectra)
    ]
    return combine_spectra(members)


def pulls(result):
    spectrum = result.spectrum
    return ((spectrum.flux - light(spectrum.wavelength)) / spectrum.error)[spectrum.good]


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("snr", [1.0, 8.0, 40.0])
def test_the_errors_of_a_combination_are_true(count, snr) -> None:
    found = [
        pulls(combined([exposure(100 * run + n, snr=snr) for n in range(count)]))
        for run in range(8)
    ]
    everything = np.concatenate(found)
    assert np.std(everything) == pytest.approx(1, abs=0.05)
    assert abs(np.mean(everything)) < 0.05


def test_signal_to_noise_grows_with_the_root_of_the_number() -> None:
    def scatter(count):
        found = [combined([exposure(50 * run + n) for n in range(count)]) for run in range(6)]
        # Binned, so that what neighbours share by resampling does not pass for less noise.
        off = [f.spectrum.flux - light(f.spectrum.wavelength) for f in found]
        return np.std([e[20 : 20 + 660].reshape(-1, 12).mean(axis=1) for e in off])

    assert scatter(2) / scatter(8) == pytest.approx(2, rel=0.15)


def test_the_noise_factor_tells_what_binning_will_find() -> None:
    found = [combined([exposure(30 * run + n) for n in range(3)]) for run in range(12)]
    binned = [
        ((f.spectrum.flux - light(f.spectrum.wavelength))[20:680].reshape(-1, 20).mean(axis=1))
        / np.sqrt((f.spectrum.error[20:680].reshape(-1, 20) ** 2).sum(axis=1))
        * 20
        for f in found
    ]
    assert np.std(binned) == pytest.approx(np.mean([f.noise_factor for f in found]), rel=0.1)


@pytest.mark.parametrize("snr", [2.0, 20.0])
def test_a_cloud_is_found_scaled_away_and_named(snr) -> None:
    result = combined(
        [exposure(1, snr=snr), exposure(2, snr=snr), exposure(3, snr=snr, factor=0.4)]
    )
    cloudy = result.shares[2]
    assert cloudy.factor == pytest.approx(0.4, abs=max(4 * cloudy.factor_error, 0.005))
    assert f"{100 * cloudy.factor:.0f} %" in cloudy.remark
    assert cloudy.cloud_mag == pytest.approx(-2.5 * np.log10(cloudy.factor))
    assert cloudy.weight < 0.6 * min(each.weight for each in result.shares[:2])
    assert np.std(pulls(result)) == pytest.approx(1, abs=0.08)
    good = result.spectrum.good
    ratio = result.spectrum.flux[good].sum() / light(result.spectrum.wavelength[good]).sum()
    assert ratio == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_cosmic_ray_in_one_exposure_leaves_no_trace(count) -> None:
    traces, found = [], 0
    for run in range(10):
        clean = [exposure(100 * run + n) for n in range(count)]
        flux = clean[0].flux.copy()
        where = 60 + 120 * np.arange(5)
        flux[where] += 60 * clean[0].error[where]
        flux[where + 1] += 15 * clean[0].error[where]
        result = combined([replace(clean[0], flux=flux), *clean[1:]])
        found += result.shares[0].rejected
        spectrum = result.spectrum
        hit = clean[0].wavelength[where]
        near = np.abs(spectrum.wavelength[:, None] - hit[None, :]).min(axis=1) < 25
        off = (spectrum.flux - light(spectrum.wavelength)) / spectrum.error
        traces.append(off[near])
    trace = np.concatenate(traces)
    # Nothing but noise, of the size that the errors say, although an exposure is missing there.
    assert np.std(trace) == pytest.approx(1, abs=0.12)
    assert abs(np.mean(trace)) < 0.15
    assert np.abs(trace).max() < 4.5
    assert found >= 100


def test_without_cosmic_rays_hardly_anything_is_left_out() -> None:
    for count, share in ((2, 0.006), (3, 0.001), (5, 0.001)):
        result = combined([exposure(n) for n in range(count)])
        assert sum(each.rejected for each in result.shares) <= share * count * PIXELS


def test_the_order_of_the_members_changes_nothing() -> None:
    members = [
        Contribution(name=f"AL{n}", spectrum=exposure(n, factor=1 - 0.1 * n), exposure_s=300.0)
        for n in range(4)
    ]
    forward, backward = combine_spectra(members), combine_spectra(members[::-1])
    np.testing.assert_array_equal(forward.spectrum.flux, backward.spectrum.flux)
    assert forward.shares == backward.shares


def test_masked_pixels_are_filled_by_the_other_exposures() -> None:
    first, second = exposure(1), exposure(2)
    bad = first.mask.copy()
    bad[200:220] = int(Mask.COSMIC)
    bad[400:420] = int(Mask.TELLURIC)
    both = second.mask.copy()
    both[210:215] = int(Mask.SATURATED)
    result = combined([replace(first, mask=bad), replace(second, mask=both)])
    spectrum = result.spectrum

    def near(pixel):
        return int(np.argmin(np.abs(spectrum.wavelength - first.wavelength[pixel])))

    assert result.exposures[near(204)] == 1
    assert spectrum.good[near(204)]
    assert not spectrum.good[near(212)]
    assert spectrum.mask[near(212)] & int(Mask.SATURATED)
    assert np.isnan(spectrum.flux[near(212)])
    assert spectrum.mask[near(410)] & int(Mask.TELLURIC)


def test_counts_of_different_exposure_times_are_compared_as_rates() -> None:
    long = exposure(1, unit="electron")
    short = exposure(2, factor=1 / 3, unit="electron")
    result = combine_spectra(
        [
            Contribution(name="a", spectrum=long, exposure_s=900.0),
            Contribution(name="b", spectrum=short, exposure_s=300.0),
        ]
    )
    assert result.exposure_s == 1200
    assert result.shares[1].factor == pytest.approx(1, abs=0.03)
    assert result.shares[1].remark == ""
    assert np.nanmedian(result.spectrum.flux / light(result.spectrum.wavelength)) == pytest.approx(
        1, abs=0.03
    )


def test_resampling_conserves_flux() -> None:
    spectrum = exposure(1, snr=1e4)
    grid = np.linspace(4100, 8900, 333)
    there = resample(spectrum, grid)
    edges = pixel_edges(grid)
    inside = (spectrum.wavelength > edges[0]) & (spectrum.wavelength < edges[-1])
    widths = np.diff(pixel_edges(spectrum.wavelength))
    total = (spectrum.flux * widths)[inside].sum()
    assert (there.flux * np.diff(edges)).sum() == pytest.approx(total, rel=3e-3)


def test_one_spectrum_is_no_combination() -> None:
    with pytest.raises(NotEnoughFrames):
        combined([exposure(1)])


def test_flux_and_counts_are_never_mixed() -> None:
    with pytest.raises(ValueError, match="cannot be combined"):
        combined([exposure(1), exposure(2, unit="electron")])


def test_equal_exposures_weigh_the_same_whatever_the_phase_of_their_pixels() -> None:
    first = exposure(1)
    half = np.diff(first.wavelength).mean() / 2
    again = exposure(2)
    shifted = replace(again, wavelength=first.wavelength + half, error=first.error)
    weights = [each.weight for each in combined([first, shifted]).shares]
    assert weights[0] == pytest.approx(weights[1], rel=0.02)
