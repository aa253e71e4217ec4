"""Products come back as they were written, and other tools open them unchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from reducers.errors import NotRaw, UnreadableFile
from reducers.fits import check_structure
from reducers.frame import Frame, Geometry, Mask
from reducers.products import (
    Provenance,
    master_hdus,
    printable,
    read_master_frame,
    read_response,
    read_wavelengths,
)
from reducers.profiles import load_instrument
from reducers.reduced import Built, ExtractedObject
from reducers.slit_products import iraf_hdus
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectroscopy.nominal import nominal_solution
from reducers.spectroscopy.response import Response
from reducers.spectroscopy.trace import Trace
from reducers.spectrum import Spectrum
from reducers.spectrum_products import spectrum_hdus

if TYPE_CHECKING:
    from pathlib import Path

INPUTS = (Provenance(file="ALDc210004.fits", sha256="a" * 64, role="BIAS"),)


def noisy_frame() -> Frame:
    rng = np.random.default_rng(1)
    mask = np.zeros((40, 30), np.uint16)
    mask[3, 4] = Mask.SATURATED | Mask.COSMIC
    return Frame(
        data=rng.normal(0, 3, (40, 30)).astype(np.float32),
        variance=np.full((40, 30), 9.0, np.float32),
        mask=mask,
        geometry=Geometry(x0=850, y0=0, x_binning=1, y_binning=2),
    )


def one_object() -> ExtractedObject:
    wavelength = np.linspace(3500, 9500, 900)
    flux = 1e-16 * (1 + 0.1 * np.sin(wavelength / 300))
    mask = np.zeros(900, np.uint16)
    mask[10] = Mask.BAD
    spectrum = Spectrum(
        wavelength=wavelength,
        flux=flux,
        error=0.05 * flux,
        sky=flux,
        mask=mask,
        unit=FLUX_UNIT,
    )
    rows = np.arange(900.0)
    trace = Trace(rows=rows, columns=np.full(900, 105.5), fwhm_px=4.0, rms_px=0.05)
    return ExtractedObject(
        name="OBJ1",
        spectrum=spectrum,
        counts=spectrum,
        boxcar=spectrum,
        trace=trace,
        fwhm_px=4.0,
        snr=20.0,
    )


def write(hdus: fits.HDUList, path: Path) -> Path:
    hdus.writeto(path, checksum=True)
    return path


def test_a_master_frame_comes_back_with_its_errors_and_reasons(tmp_path: Path) -> None:
    frame = noisy_frame()
    built = Built(role="BIAS", value=frame, measurements={"read_noise_adu": 32.6})
    again = read_master_frame(write(master_hdus(built, INPUTS), tmp_path / "bias.fits"))
    assert np.array_equal(again.data, frame.data)
    assert np.allclose(again.variance, frame.variance)
    assert np.array_equal(again.mask, frame.mask)
    assert again.geometry == frame.geometry


def test_a_wavelength_solution_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    grism = load_instrument("alfosc").grisms["Grism_#4"]
    solution = nominal_solution(grism, 3.7)
    lines = {
        "line_wavelength": np.array([5402.06, 6144.76]),
        "line_row": np.array([1165.2, 954.7]),
        "line_residual_angstrom": np.array([0.1, -0.1]),
        "line_used": np.array([True, False]),
        "line_ion": ("NeI", "NeI"),
    }
    solution = replace(solution, n_lines=1, rms_px=0.05, rms_angstrom=0.2, **lines)
    built = Built(role="ARC", value=solution, measurements={"lines": 1.0})
    again = read_wavelengths(write(master_hdus(built, INPUTS), tmp_path / "arc.fits"))
    rows = np.linspace(150, 1600, 50)
    assert np.array_equal(again.wavelength(rows, 1000.0), solution.wavelength(rows, 1000.0))
    assert again.line_ion == solution.line_ion
    assert again.grism == solution.grism
    assert isinstance(again.rms_px, float)


def test_a_response_comes_back(tmp_path: Path) -> None:
    grid = np.linspace(3500, 9000, 100)
    response = Response(
        wavelength=grid,
        ab_zero_point=15 + 0 * grid,
        error=0.01 + 0 * grid,
        standard="HD 84937",
        rms_mag=0.02,
        airmass=1.2,
        slit="Slit_1.0",
        grism="Grism_#4",
        points_wavelength=grid[::10],
        points_zero_point=grid[::10] * 0 + 15,
    )
    built = Built(role="RESPONSE", value=response, measurements={"rms_mag": 0.02})
    again = read_response(write(master_hdus(built, INPUTS), tmp_path / "response.fits"))
    assert again.standard == "HD 84937"
    assert np.array_equal(again.ab_zero_point, response.ab_zero_point)


def test_every_product_names_its_inputs_and_is_never_taken_as_raw(tmp_path: Path) -> None:
    built = Built(role="BIAS", value=noisy_frame(), measurements={})
    path = write(master_hdus(built, INPUTS), tmp_path / "ALDc999999.fits")
    with fits.open(path, checksum=True) as hdus:
        row = hdus["PROVENANCE"].data[0]
        assert (row["FILE"], row["SHA256"], row["ROLE"]) == ("ALDc210004.fits", "a" * 64, "BIAS")
        assert hdus[0].verify_checksum() == 1
    with pytest.raises(NotRaw):
        check_structure(path)


def test_a_foreign_file_is_not_read_as_a_master(tmp_path: Path) -> None:
    path = tmp_path / "other.fits"
    fits.PrimaryHDU(np.zeros((3, 3), np.float32)).writeto(path)
    with pytest.raises(UnreadableFile, match=r"other\.fits"):
        read_master_frame(path)


def test_ccddata_reads_image_uncertainty_and_mask(tmp_path: Path) -> None:
    frame = noisy_frame().after("gain", unit="electron")
    built = Built(role="BIAS", value=frame, measurements={})
    image = CCDData.read(write(master_hdus(built, INPUTS), tmp_path / "image.fits"))
    assert isinstance(image.uncertainty, StdDevUncertainty)
    assert np.allclose(image.uncertainty.array, 3.0)
    assert image.mask[3, 4]
    assert image.mask.sum() == 1


def test_specutils_reads_a_spectrum_with_its_uncertainty(tmp_path: Path) -> None:
    specutils = pytest.importorskip("specutils", reason="specutils is not installed")
    path = write(spectrum_hdus(one_object(), fits.Header(), INPUTS), tmp_path / "s_1d.fits")
    spectrum = specutils.Spectrum.read(path)
    assert spectrum.spectral_axis.unit == "Angstrom"
    assert np.allclose(spectrum.uncertainty.array, one_object().spectrum.error)


def test_the_table_has_the_columns_that_pynot_reads(tmp_path: Path) -> None:
    path = write(spectrum_hdus(one_object(), fits.Header(), INPUTS), tmp_path / "s_1d.fits")
    with fits.open(path) as hdus:
        assert hdus[1].columns.names[:5] == ["WAVE", "FLUX", "ERR", "MASK", "SKY"]
        assert hdus[1].data["MASK"][10] == 1


def test_the_linear_copy_keeps_the_flux_at_its_wavelength() -> None:
    target = one_object()
    image = iraf_hdus(target.spectrum, fits.Header())[0]
    header = image.header
    pixels = np.arange(image.data.size)
    grid = header["CRVAL1"] + header["CDELT1"] * (pixels + 1 - header["CRPIX1"])
    expected = np.interp(grid, target.spectrum.wavelength, target.spectrum.flux)
    assert np.allclose(image.data, expected, rtol=1e-5)


def test_the_linear_copy_has_the_images_that_pynot_asks_for() -> None:
    target = one_object()
    names = [hdu.name for hdu in iraf_hdus(target.spectrum, fits.Header())]
    assert names == ["FLUX", "ERR", "MASK"]


@pytest.mark.parametrize("text", ["ngc\n42", "\x00", "étoile", "x" * 500, "normal"])
def test_any_object_name_fits_a_card(text: str) -> None:
    card = printable(text)
    assert len(card) <= 60
    assert card.isascii()
    assert card.isprintable()
