"""Every file of a reduced spectrum: what is in it, who can read it, and that it keeps the flux."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from reducers.fits import RawExposure
from reducers.frame import UNUSABLE, Frame, Mask
from reducers.identity import FrameKind, Identity, Setup
from reducers.products import Provenance
from reducers.quality import load_limits
from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum, SpectrumSettings
from reducers.reduction_log import WIDTH
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectroscopy.rectify import linear_flux, linear_grid, overlap_of, rectify
from reducers.spectroscopy.trace import Trace
from reducers.spectrum import Spectrum
from reducers.spectrum_products import spectrum_products

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLUMNS, LINE_ANGSTROM = 400, 60, 5578.89
LONG = "Très long name, with 'quotes' and * of a target " * 3


def tilted_wavelengths() -> np.ndarray:
    """Return wavelengths that fall along the rows, bent by 4 px along the slit."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    row = y + 4 * (x / COLUMNS) ** 2
    return 6600.0 - 5.0 * row - 1e-3 * row**2


def slit_frame() -> tuple[Frame, np.ndarray, np.ndarray]:
    wavelengths = tilted_wavelengths()
    sky = 50 + 5000 * np.exp(-0.5 * ((wavelengths - LINE_ANGSTROM) / 8) ** 2)
    column = np.arange(COLUMNS)
    star = 200 * np.exp(-0.5 * ((column - 30) / 2) ** 2)[None, :] * np.ones((ROWS, 1))
    mask = np.zeros((ROWS, COLUMNS), np.uint16)
    mask[100, 20] = Mask.COSMIC
    frame = Frame(
        data=sky + star, variance=sky + star + 25, mask=mask, unit="electron",
        history=("flat: divided",),
    )  # fmt: skip
    return frame, sky, wavelengths


def extracted(name: str, column: float) -> ExtractedObject:
    wavelength = tilted_wavelengths()[::-1, 30]
    flux = np.full(ROWS, 2e-16)
    flux[:20] = np.nan
    mask = np.zeros(ROWS, np.uint16)
    mask[50] = Mask.COSMIC
    spectrum = Spectrum(
        wavelength=wavelength, flux=flux, error=0.1 * flux, sky=flux, mask=mask, unit=FLUX_UNIT,
        history=("flat: divided", "extraction: optimal (Horne 1986)"),
    )  # fmt: skip
    trace = Trace(
        rows=np.arange(float(ROWS)), columns=np.full(ROWS, column), fwhm_px=4.0, rms_px=0.05
    )
    return ExtractedObject(
        name=name, spectrum=spectrum, counts=spectrum, boxcar=spectrum, trace=trace, fwhm_px=4.0,
        snr=20.0,
    )  # fmt: skip


def made(name: str = "AT2026abc", objects: int = 2) -> dict[str, fits.HDUList | str]:
    frame, sky, wavelengths = slit_frame()
    flags = tuple(
        # All flags at once, as the worst product would carry them.
        _flag(rule.name, rule.bit, rule.sentence, rule.advice)
        for rule in load_limits().rules
    )
    reduced = ReducedSpectrum(
        objects=tuple(extracted(f"OBJ{k + 1}", 30.0 + k) for k in range(objects)),
        image=frame, sky=sky, wavelengths=wavelengths, slit_profile=np.zeros(COLUMNS),
        measurements={"arc_rms_px": 0.061, "sky_chi2": float("nan")}, flags=flags, quality=4,
        solution=None, response=None,
    )  # fmt: skip
    setup = Setup(
        x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200",
        grism="Grism_#4", slit="Slit_1.0", filter=name,
    )  # fmt: skip
    identity = Identity(
        instrument="ALFOSC", kind=FrameKind.SPEC_OBJECT, setup=setup, target=name,
        observed_at=datetime(2026, 11, 20, 3, 14, 22, 500, tzinfo=UTC), exposure_s=1800.0,
        airmass=1.31, reasons=("IMAGETYP is OBJECT and a grism is in the beam",),
        missing=("SHSTAT", "AIRMASS"),
    )  # fmt: skip
    raw = RawExposure(data=np.zeros((2, 2), np.float32), header={}, wrapped_pixels=0)
    inputs = (
        Provenance(file=f"{name}.fits", sha256="a" * 64, role="RAW"),
        Provenance(file=f"master_arc_{name}.fits", sha256="b" * 64, role="ARC",
                   reason="on the object, slit unmoved", age_h=0.61),
    )  # fmt: skip
    return spectrum_products(
        reduced,
        Exposure(raw=raw, identity=identity, stem="ALDk200031"),
        inputs,
        telescope="NOT",
        settings=SpectrumSettings(centroid_px=512.0),
        missing={"FLAT": "no flat of this slit within 30 days"},
    )


def _flag(name: str, bit: int, sentence: str, advice: str):
    from reducers.quality import Flag

    return Flag(
        name=name, bit=bit, quality=2, value=1.0, threshold=0.5, sentence=sentence, advice=advice
    )


def test_every_object_has_its_spectrum_its_text_and_its_log() -> None:
    files = made(objects=3)
    for which in ("", ":OBJ2", ":OBJ3"):
        assert {f"spectrum{which}", f"ascii{which}", f"log{which}"} <= files.keys()
    objects = files["objects"]
    assert isinstance(objects, fits.HDUList)
    assert [hdu.name for hdu in objects] == ["PRIMARY", "OBJ1", "OBJ2", "OBJ3", "PROVENANCE"]


@pytest.mark.parametrize("name", ["SN", LONG, "目標 ☃\x00\n", "'" * 70, "x" * 400])
def test_writing_a_product_warns_of_nothing(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, content in enumerate(made(name).values()):
            if isinstance(content, fits.HDUList):
                path = tmp_path / f"{number}.fits"
                content.writeto(path, checksum=True, output_verify="exception")
                with fits.open(path, checksum=True) as hdus:
                    assert len(hdus[0].header["QREASON"].split()) == len(load_limits().rules)


def test_a_header_says_the_settings_of_a_person_and_the_reasons() -> None:
    primary = made()["spectrum"][0].header
    assert (primary["NCHOSEN"], primary["CHOSEN1"]) == (1, "centroid_px = 512.0")
    assert (primary["TELESCOP"], primary["WAVETYPE"], primary["QUALITY"]) == ("NOT", "vacuum", 4)
    assert primary["PROV2"] == "master_arc_AT2026abc.fits"


def test_the_header_of_another_object_is_its_own() -> None:
    files = made()
    assert files["spectrum"][0].header["OBJCOL"] == 30.0
    assert files["spectrum:OBJ2"][0].header["OBJCOL"] == 31.0
    assert files["spectrum:OBJ2"][0].header["OBJNAME"] == "OBJ2"


@pytest.mark.parametrize("role", ["image2d", "rectified"])
def test_ccddata_reads_both_slit_images_with_uncertainty_and_mask(
    role: str, tmp_path: Path
) -> None:
    made()[role].writeto(tmp_path / "2d.fits", checksum=True)
    image = CCDData.read(tmp_path / "2d.fits")
    assert image.unit == "electron"
    assert image.uncertainty.array.shape == image.data.shape == image.mask.shape
    assert image.mask.sum() >= 1


@pytest.mark.parametrize("role", ["image2d", "rectified"])
def test_the_history_of_an_image_tells_what_was_done_to_the_image(role: str) -> None:
    history = " ".join(made()[role][0].header["HISTORY"])
    assert "sky: subtracted" in history
    assert "extraction" not in history


def test_rectifying_conserves_the_electrons_of_every_column() -> None:
    frame, sky, wavelengths = slit_frame()
    wide = linear_grid(np.arange(wavelengths.min() - 30, wavelengths.max() + 30, 4.0))
    inner = linear_grid(np.arange(5000.0, 6000.0, 11.0))
    assert not np.isfinite(rectify(frame, sky, wavelengths, wide).data).all()
    made = rectify(frame, sky, wavelengths, inner)
    for column in (0, 30, COLUMNS - 1):
        over = overlap_of(wavelengths[::-1, column], inner)
        seen = (frame.data - sky)[::-1, column]
        covered = over.first[0] + 1, over.last[-1]
        between = seen[slice(*covered)].sum()
        ends = over.first_part[0] * seen[over.first[0]] + over.last_part[-1] * seen[over.last[-1]]
        assert made.data[column].sum() == pytest.approx(between + ends, rel=1e-5)


def test_a_bent_sky_line_is_straight_and_at_its_wavelength_when_rectified() -> None:
    hdus = made()["rectified"]
    wcs = WCS(hdus[0].header)
    bins = np.arange(hdus["SKY"].data.shape[1])
    near = np.abs(wcs.wcs_pix2world(bins, 0 * bins, 0)[0] * 1e10 - LINE_ANGSTROM) < 60
    line = hdus["SKY"].data[:, near].astype(float)
    line -= line.min(axis=1, keepdims=True)
    place = (line * bins[near]).sum(axis=1) / line.sum(axis=1)
    found = wcs.wcs_pix2world(place, np.arange(COLUMNS), 0)[0] * 1e10  # m
    raw = tilted_wavelengths()
    assert np.ptp(raw[200]) > 15  # Angstrom: it was bent
    assert np.abs(found - LINE_ANGSTROM).max() < 0.6


def test_the_error_of_a_rectified_pixel_is_its_scatter() -> None:
    frame, sky, wavelengths = slit_frame()
    grid = linear_grid(np.arange(5000.0, 6000.0, 5.7))
    rng = np.random.default_rng(4)
    noise = np.sqrt(frame.variance)
    many = [
        rectify(
            replace(frame, data=frame.data + rng.normal(0, 1, noise.shape) * noise),
            sky, wavelengths, grid,
        ).data
        for _ in range(60)
    ]  # fmt: skip
    expected = rectify(frame, sky, wavelengths, grid)
    ratio = np.std(many, axis=0) / expected.error
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)


def test_a_masked_pixel_masks_the_bins_that_touch_it() -> None:
    frame, sky, wavelengths = slit_frame()
    made = rectify(frame, sky, wavelengths, linear_grid(np.arange(5000.0, 6500.0, 5.0)))
    touched = made.grid.centres[(made.mask[20] & np.uint16(UNUSABLE)) != 0]
    assert 1 <= touched.size <= 3
    assert np.abs(touched - wavelengths[100, 20]).max() < 10


@given(steps=st.lists(st.floats(0.2, 9.0), min_size=3, max_size=60), size=st.floats(0.3, 20.0))
@settings(max_examples=60, deadline=None)
def test_any_grid_takes_every_electron_once(steps: list[float], size: float) -> None:
    wavelength = 4000 + np.cumsum(steps)
    flux = np.linspace(1, 2, wavelength.size)
    count = int(np.ptp(wavelength) / size) + 40
    grid = replace(linear_grid(wavelength), start=3990.0 - 5 * size, step=size, count=count * 2)
    over = overlap_of(wavelength, grid)
    assert over.total(flux).sum() == pytest.approx(flux.sum(), rel=1e-9)
    assert (over.variance(flux) <= over.total(flux) + 1e-9).all()


@pytest.mark.parametrize("density", [True, False])
def test_the_linear_copy_keeps_the_integral_of_a_line(density: bool) -> None:
    wavelength = 4000 + np.cumsum(np.linspace(5, 7, 500))
    width = np.gradient(wavelength)
    line = np.exp(-0.5 * ((wavelength - 5200) / 9) ** 2)
    grid, flux = linear_flux(wavelength, line if density else line * width, density=density)
    integral = (flux * grid.step if density else flux).sum()
    assert integral == pytest.approx((line * width).sum(), rel=1e-4)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_spectrum_of_hardly_any_pixel_has_a_linear_copy(size: int) -> None:
    wavelength = 5000.0 + np.arange(size)
    grid, flux = linear_flux(wavelength, np.full(size, np.nan), density=True)
    assert flux.size == grid.count == size


def test_the_text_is_read_by_anything_that_reads_columns(tmp_path: Path) -> None:
    (tmp_path / "1d.ascii").write_text(made(LONG)["ascii"])
    table = np.loadtxt(tmp_path / "1d.ascii")
    assert table.shape == (ROWS - 21, 3)
    assert np.isfinite(table).all()
    assert (np.diff(table[:, 0]) > 0).all()
    # astropy, and with it PyNOT, guesses the names of the columns from the first line.
    guessed = Table.read(tmp_path / "1d.ascii", format="ascii", comment="#")
    assert guessed.colnames == ["wavelength", "flux", "error"]
    head = [line for line in made()["ascii"].splitlines() if line.startswith("#")]
    assert any("vacuum Angstrom" in line for line in head)
    assert any(FLUX_UNIT in line for line in head)


def test_the_log_tells_every_step_calibration_warning_and_what_to_do() -> None:
    log = made()["log"]
    flat = " ".join(log.split())
    for rule in load_limits().rules:
        assert " ".join(rule.sentence.split()) in flat
        assert " ".join(rule.advice.split()) in flat
    for said in (
        "AT2026abc, OBJ1 of 2", "extraction: optimal", "on the object, slit unmoved, 0.6 h away",
        "FLAT none: no flat of this slit within 30 days", "centroid_px 512.0", "sky_chi2 unknown",
        "vacuum", f"sha256 {'a' * 64}", "IMAGETYP is OBJECT", "header lacks SHSTAT, AIRMASS",
    ):  # fmt: skip
        assert said in flat
    assert max(map(len, log.splitlines())) <= WIDTH


def test_specutils_reads_every_object() -> None:
    specutils = pytest.importorskip("specutils", reason="specutils is not installed")
    for role in ("spectrum", "spectrum:OBJ2"):
        spectrum = specutils.Spectrum.read(made()[role])
        assert spectrum.spectral_axis.unit == "Angstrom"
        assert spectrum.flux.size == ROWS
