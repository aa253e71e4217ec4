"""A spectrum is brought to the magnitude that an image gives its target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.frame import Mask
from reducers.profiles import load_instrument
from reducers.reduced import HOST, ExtractedObject, TargetMagnitude
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectroscopy.flux_tie import (
    VEGA_COLOUR,
    Band,
    box_band,
    measure_tie,
    natural_ab,
    synthetic_ab,
    tie_flux,
    tie_of,
)
from reducers.spectroscopy.trace import Trace
from reducers.spectrum import Spectrum

ALFOSC = load_instrument("alfosc")
GRID = np.arange(3600.0, 9300.0, 3.3)
LIGHT_A_S = 2.99792458e18


def flat_source(ab_magnitude: float, *, slope: float = 0.0, share: float = 1.0) -> Spectrum:
    """Return constant flux per Hz, times (wavelength / 5300 A) ** slope, at S/N 50."""
    flux = share * 10 ** (-0.4 * (ab_magnitude + 48.6)) * LIGHT_A_S / GRID**2
    flux = flux * (GRID / 5300.0) ** slope
    return Spectrum(
        wavelength=GRID, flux=flux, error=flux / 50, sky=flux,
        mask=np.zeros(GRID.size, np.uint16), unit=FLUX_UNIT,
    )  # fmt: skip


def on_slit(spectrum: Spectrum, name: str = "OBJ1") -> ExtractedObject:
    rows = np.arange(GRID.size, dtype=float)
    return ExtractedObject(
        name=name, spectrum=spectrum, counts=spectrum, boxcar=spectrum,
        trace=Trace(rows=rows, columns=rows * 0 + 50, fwhm_px=5.0, rms_px=0.1),
        fwhm_px=5.0, snr=50.0, transmission=np.ones(GRID.size),
        scale_error=np.full(GRID.size, 0.02),
    )  # fmt: skip


def seen(magnitude: float = 17.3, **more: object) -> TargetMagnitude:
    usual = {
        "stem": "image", "filter_name": "r_SDSS", "error": 0.02, "band": "r", "system": "AB",
    }  # fmt: skip
    return TargetMagnitude(magnitude=magnitude, **(usual | more))


def test_a_spectrum_of_constant_flux_per_hertz_has_its_magnitude_in_every_filter() -> None:
    for name in ("V", "R", "g_SDSS", "r_SDSS", "i_SDSS"):
        band = box_band(name, ALFOSC)
        magnitude, error, covered = synthetic_ab(flat_source(17.3), band)
        assert magnitude == pytest.approx(17.3, abs=2e-3)
        assert error == pytest.approx(1.0857 / 50 / np.sqrt(band_pixels(band)), rel=0.1)
        assert covered == pytest.approx(1, abs=0.01)


def band_pixels(band) -> float:
    return float(np.trapezoid(band.transmission, band.wavelength)) / 3.3


def test_a_slit_loss_of_thirty_per_cent_is_made_good() -> None:
    objects = (on_slit(flat_source(17.3, share=0.7)),)
    tie = tie_of(objects, (seen(),), ALFOSC)
    (tied,), told = tie_flux(objects, (seen(),), ALFOSC)
    assert told["tie_factor"] == tie.factor
    assert tie.factor == pytest.approx(1 / 0.7, rel=0.01)
    assert np.allclose(tied.spectrum.flux, flat_source(17.3).flux, rtol=0.01)
    assert np.allclose(tied.spectrum.flux / tied.spectrum.error, 50)
    assert np.allclose(tied.scale_error, np.hypot(0.02, tie.error / tie.factor))
    assert "r_SDSS magnitude of image image" in tied.spectrum.history[-1]


def test_the_error_of_the_factor_holds_image_noise_and_filter() -> None:
    tie = tie_of((on_slit(flat_source(17.3)),), (seen(error=0.05),), ALFOSC)
    assert tie.error == pytest.approx(np.hypot(0.05, 0.03) / 1.0857, rel=0.02)


def test_the_colour_of_the_target_does_not_matter() -> None:
    own = box_band("r_SDSS", ALFOSC)
    standard = Band(wavelength=own.wavelength - 150, transmission=own.transmission)
    slopes = np.linspace(-1.5, 3.0, 7)
    stars = [flat_source(17.0, slope=slope) for slope in slopes]
    colour = np.array([ab(star, box_band("g_SDSS", ALFOSC)) - ab(star, own) for star in stars])
    above = np.array([ab(star, standard) - ab(star, own) for star in stars])
    # As an image finds it: zero point for g - r = 0.6, and colour term; counts are in `own`.
    term, zero = np.polyfit(colour - 0.6, above, 1)
    assert term > 0.03
    for slope in (-1.0, 0.0, 2.5):
        target = flat_source(17.3, slope=slope)
        image = seen(zero + ab(target, own), colour_term=term)
        tie = tie_of((on_slit(target),), (image,), ALFOSC)
        assert tie.factor == pytest.approx(1.0, abs=0.003)


def ab(spectrum: Spectrum, band: Band) -> float:
    return synthetic_ab(spectrum, band)[0]


def test_vega_magnitudes_are_turned_to_ab() -> None:
    assert natural_ab(seen(15.0, band="R", system="Vega")) == pytest.approx(15.21)
    turned = natural_ab(seen(15.0, band="R", system="Vega", colour_term=0.1))
    assert turned == pytest.approx(15.21 + 0.1 * (VEGA_COLOUR - 0.6))
    assert np.isnan(natural_ab(seen(band="x", system="Vega")))


def test_a_filter_beyond_the_good_pixels_ties_nothing() -> None:
    spectrum = flat_source(17.3)
    for bit in (Mask.BAD, Mask.SECOND_ORDER):
        mask = np.where(GRID > 6700, np.uint16(bit), np.uint16(0))
        objects = (on_slit(replace(spectrum, mask=mask)),)
        assert tie_of(objects, (seen(),), ALFOSC) is None
        # The next image was taken through a filter that is covered.
        assert tie_of(objects, (seen(), seen(filter_name="g_SDSS")), ALFOSC).factor > 0


@pytest.mark.parametrize(
    "unfit", [{"error": 0.2}, {"filter_name": "z_SDSS"}, {"system": "Vega", "band": "?"}]
)
def test_a_magnitude_that_says_too_little_ties_nothing(unfit: dict[str, object]) -> None:
    assert tie_of((on_slit(flat_source(17.3)),), (seen(**unfit),), ALFOSC) is None


def test_counts_noise_and_targets_on_a_host_are_not_tied() -> None:
    spectrum = flat_source(17.3)
    noise = replace(spectrum, error=20 * spectrum.flux)
    counts = replace(spectrum, unit="electron")
    for objects in ((noise,), (counts,), (spectrum, spectrum)):
        named = tuple(
            on_slit(each, name) for each, name in zip(objects, ("OBJ1", HOST), strict=False)
        )
        assert tie_of(named, (seen(),), ALFOSC) is None


def test_a_factor_beyond_belief_is_told_and_not_applied() -> None:
    objects = (on_slit(flat_source(17.3, share=0.05)),)
    same, told = tie_flux(objects, (seen(),), ALFOSC)
    assert same == objects
    assert told["tie_factor"] == pytest.approx(20, rel=0.01)
    assert (told["flux_tied"], told["tie_refused"]) == (0.0, 1.0)


def test_what_was_done_is_measured() -> None:
    tie = tie_of((on_slit(flat_source(17.3)),), (seen(apart_h=0.5, off_arcsec=0.3),), ALFOSC)
    told = measure_tie(tie, (seen(),), ALFOSC)
    assert (told["flux_tied"], told["tie_filter"], told["tie_apart_h"]) == (1.0, 110.0, 0.5)
    assert measure_tie(None, (), ALFOSC) == {}
    assert measure_tie(None, (seen(),), ALFOSC) == {"flux_tied": 0.0}
