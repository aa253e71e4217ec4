"""PyNOT, where it is installed, opens our products unchanged (it is never a dependency)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from reducers.frame import Frame, Geometry, Mask
from reducers.products import Provenance, image_hdus
from reducers.reduced import ExtractedObject
from reducers.slit_products import iraf_hdus
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectroscopy.trace import Trace
from reducers.spectrum import Spectrum
from reducers.spectrum_products import objects_hdus, spectrum_hdus

if TYPE_CHECKING:
    from pathlib import Path

pynot = pytest.importorskip(
    "pynot.fitsio", reason="PyNOT-redux is not in this environment", exc_type=ImportError
)

INPUTS = (Provenance(file="ALDc200205.fits", sha256="a" * 64, role="RAW"),)


def an_object(name: str, level: float) -> ExtractedObject:
    wavelength = np.linspace(3500, 9500, 900) ** 1.001
    mask = np.zeros(900, np.uint16)
    mask[10] = Mask.BAD
    spectrum = Spectrum(
        wavelength=wavelength,
        flux=level * (1 + 0.1 * np.sin(wavelength / 300)),
        error=np.full(900, 0.05 * level),
        sky=np.full(900, level),
        mask=mask,
        unit=FLUX_UNIT,
    )
    rows = np.arange(900.0)
    trace = Trace(rows=rows, columns=np.full(900, 105.5), fwhm_px=4.0, rms_px=0.05)
    return ExtractedObject(
        name=name, spectrum=spectrum, counts=spectrum, boxcar=spectrum, trace=trace,
        fwhm_px=4.0, snr=20.0,
    )  # fmt: skip


def test_pynot_reads_the_spectrum_with_its_error_and_its_bad_pixels(tmp_path: Path) -> None:
    star = an_object("OBJ1", 1e-16)
    spectrum_hdus(star, fits.Header(), INPUTS).writeto(tmp_path / "s.fits")
    wavelength, flux, error, mask, _, _ = pynot.load_fits_spectrum(tmp_path / "s.fits")
    np.testing.assert_array_equal(wavelength, star.spectrum.wavelength)
    np.testing.assert_array_equal(flux, star.spectrum.flux)
    np.testing.assert_array_equal(error, star.spectrum.error)
    assert list(np.flatnonzero(mask)) == [10]


def test_pynot_reads_every_object_of_the_slit_by_its_name(tmp_path: Path) -> None:
    both = [an_object("OBJ1", 1e-16), an_object("OBJ2", 3e-16)]
    objects_hdus(both, fits.Header(), INPUTS).writeto(tmp_path / "o.fits")
    for item in both:
        _, flux, *_ = pynot.load_fits_spectrum(tmp_path / "o.fits", ext=item.name)
        np.testing.assert_array_equal(flux, item.spectrum.flux)


def test_pynot_reads_the_linear_image_with_its_error_and_its_bad_pixels(tmp_path: Path) -> None:
    star = an_object("OBJ1", 1e-16)
    iraf_hdus(star.spectrum, fits.Header()).writeto(tmp_path / "i.fits")
    wavelength, flux, error, mask, _, _ = pynot.load_fits_spectrum(tmp_path / "i.fits")
    truth = np.interp(wavelength, star.spectrum.wavelength, star.spectrum.flux)
    inside = mask == 0
    np.testing.assert_allclose(flux[inside], truth[inside], rtol=1e-3)
    np.testing.assert_allclose(error[inside], 0.05e-16, rtol=0.01)
    assert 0 < mask.sum() <= 3
    assert np.abs(wavelength[mask > 0] - star.spectrum.wavelength[10]).max() < 7


def test_pynot_reads_the_image_with_its_error_and_its_bad_pixels(tmp_path: Path) -> None:
    mask = np.zeros((40, 30), np.uint16)
    mask[3, 4] = Mask.SATURATED
    frame = Frame(
        data=np.full((40, 30), 7.0, np.float32),
        variance=np.full((40, 30), 9.0, np.float32),
        mask=mask,
        geometry=Geometry(x0=850, y0=0, x_binning=1, y_binning=2),
    )
    image_hdus(frame, fits.Header()).writeto(tmp_path / "f.fits")
    data, error, bad, _ = pynot.load_fits_image(tmp_path / "f.fits")
    assert (data == 7).all()
    assert (error == 3).all()
    assert np.argwhere(bad).tolist() == [[3, 4]]
