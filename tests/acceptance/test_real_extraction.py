"""Extraction on real frames: injected light comes back, and both extractions agree."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.fits import read_raw
from reducers.frame import Frame, Mask
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.preparation import electrons, grism_of, slit_offset
from reducers.profiles import load_instrument
from reducers.recipes import (
    Exposure,
    SpectrumCalibrations,
    build_arc,
    build_bias,
    build_flat,
    reduce_spectrum,
)
from reducers.reduced import SpectrumSettings
from reducers.spectroscopy.circumstances import drawn_along_slit_px
from reducers.spectroscopy.longslit import measure_slit
from reducers.spectroscopy.objects import Expected

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(600)]
ALFOSC = load_instrument("alfosc")
SCIENCE, STANDARD = "ALDc200205", "ALDc200086"
ARCS = {SCIENCE: "ALDc200207", STANDARD: "ALDc200088"}
EXTRACTED = np.uint16(Mask.COSMIC_IN_PROFILE)


@pytest.fixture(scope="module")
def night(realdata):
    """Return the exposures by stem, and the masters of science frame and standard."""
    found = {}
    for path in sorted((realdata / "alfosc_raw").glob("*.fits")):
        raw = read_raw(path, ALFOSC.detector)
        identity = identify(raw.header, ALFOSC)
        found[path.stem] = Exposure(raw=raw, identity=identity, stem=path.stem)
    kinds = {kind: [e for e in found.values() if e.identity.kind is kind] for kind in FrameKind}
    binned = [e for e in kinds[FrameKind.BIAS] if e.identity.setup.y_binning == 2]
    bias = build_bias(binned, ALFOSC)
    facts = {"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    given = SpectrumCalibrations(bias=bias.value, facts=facts)
    flat = build_flat(kinds[FrameKind.SPEC_FLAT], given, ALFOSC)
    facts |= {
        "flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"],
        "flat_gain_error": flat.measurements["gain_error"],
    }
    masters = {
        stem: SpectrumCalibrations(
            bias=bias.value, flat=flat.value, facts=facts,
            wavelengths=build_arc([found[arc]], given, ALFOSC).value,
        )
        for stem, arc in ARCS.items()
    }  # fmt: skip
    return found, masters


def reduced(night, stem):
    exposures, masters = night
    return reduce_spectrum(exposures[stem], masters[stem], ALFOSC)


def test_the_target_stands_where_targets_usually_do(night) -> None:
    found = reduced(night, SCIENCE).measurements
    away_px = abs(found["object_column"] - found["expected_column"])
    assert away_px * ALFOSC.detector.pixel_scale_arcsec < 1.0
    assert "expected_column" not in reduced(night, STANDARD).measurements


def test_the_trace_of_the_standard_is_what_refraction_draws(night) -> None:
    product, identity = reduced(night, STANDARD), night[0][STANDARD].identity
    trace = product.objects[0].trace
    column = int(np.median(trace.columns))
    wavelength = product.wavelengths[:, column]
    known = (wavelength > 3800) & (wavelength < 9200)
    drawn = drawn_along_slit_px(wavelength[known], identity, ALFOSC)
    off = trace.columns[known] - drawn
    assert np.ptp(trace.columns[known]) > 4
    assert np.std(off) < 0.15


def test_optimal_and_plain_extraction_of_the_standard_agree(night) -> None:
    star = reduced(night, STANDARD).objects[0]
    optimal, plain = star.counts, star.boxcar
    for low in range(4000, 9000, 500):
        inside = (optimal.wavelength > low) & (optimal.wavelength < low + 500)
        inside &= optimal.good & plain.good
        ratio = float(optimal.flux[inside].sum() / plain.flux[inside].sum())
        assert ratio == pytest.approx(1, abs=0.006)
    assert ((optimal.mask & EXTRACTED) != 0).mean() < 0.05


def test_no_strong_cosmic_ray_stays_in_the_science_frame(night) -> None:
    result = reduced(night, SCIENCE)
    noise = np.sqrt(np.clip(result.sky, 0, None) + result.measurements["read_noise_e"] ** 2)
    columns = np.arange(result.image.shape[1])[None, :]
    beside = np.abs(columns - result.objects[0].trace.columns[:, None]) > 12
    left = (result.image.data - result.sky > 8 * noise) & beside & result.image.good
    assert not left.any()


def star_on(frame: Frame, column: float, snr: float) -> tuple[Frame, np.ndarray]:
    """Add a star of given S/N per row: a Gaussian core on a halo, tilted by three pixels."""
    rows, columns = frame.shape
    u = np.linspace(-1, 1, rows)[:, None]
    fwhm = 4.0 * (1 + 0.1 * u**2)
    shape = np.zeros(frame.shape)
    for step in (np.arange(9) - 4) / 9:
        away = np.arange(columns)[None, :] + step - (column + 1.5 * u)
        halo = 1 / (fwhm * 1.2) / (1 + (away / (0.6 * fwhm)) ** 2) ** 2.4
        shape += 0.55 * np.exp(-0.5 * (away / fwhm * 2.3548) ** 2) / (1.0645 * fwhm) + 0.45 * halo
    shape /= shape.sum(axis=1, keepdims=True)
    noise = 65.0 / float(np.median((shape**2).sum(axis=1)))
    level = (snr**2 + np.sqrt(snr**4 + 4 * snr**2 * noise)) / 2
    flux = level * (1 + 0.3 * u[:, 0] + 0.2 * np.sin(12 * u[:, 0]))
    light = np.random.default_rng(int(column)).poisson(flux[:, None] * shape)
    return frame.after("a star", data=(frame.data + light).astype(np.float32)), flux


@pytest.mark.parametrize(("snr", "largest_bias"), [(5.0, 0.05), (15.0, 0.015), (100.0, 0.005)])
def test_a_star_added_to_the_science_frame_comes_back(night, snr, largest_bias) -> None:
    exposures, masters = night
    exposure, given = exposures[SCIENCE], masters[SCIENCE]
    frame, read_noise_e, masters_variance, _ = electrons(exposure, given, ALFOSC)
    frame, flux = star_on(frame, 250.0, snr)
    grism = grism_of(exposure.identity, ALFOSC)
    slit = measure_slit(
        frame,
        read_noise_e=read_noise_e,
        masters_variance=masters_variance.astype(float),
        arc=given.wavelengths,
        grism=grism,
        slit_offset_px=slit_offset(exposure.identity, grism),
        pixel_scale_arcsec=0.2138,
        how=SpectrumSettings(),
        flat=None,  # the star has not gone through the detector
        expected=Expected(column=250.0, tolerance_px=8.0),
    )
    found, inside = slit.extractions[0], slice(60, 950)
    off = (found.flux - flux)[inside]
    assert abs(off.sum() / flux[inside].sum()) < largest_bias
    pulls = off / np.sqrt(found.variance[inside])
    assert 1.4826 * np.median(np.abs(pulls - np.median(pulls))) == pytest.approx(1, abs=0.1)
    assert ((found.mask & EXTRACTED) != 0).mean() < 0.01
