"""What stands in for an arc of one's own: each step gives a product, and says which it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from reducers.combined_products import read_spectrum
from reducers.errors import PoorWavelengthFit
from reducers.fits import read_raw
from reducers.identify import identify
from reducers.preparation import grism_of
from reducers.profiles import load_instrument
from reducers.recipes import build_arc, reduce_spectrum
from reducers.reduced import Exposure, ReducedSpectrum, SpectrumCalibrations, SpectrumSettings
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night
from reducers.spectrum_products import spectrum_products
from tests.daemon.hall import WINDOW

if TYPE_CHECKING:
    from pathlib import Path

ALFOSC = load_instrument("alfosc")
FACTS = {"bias_read_noise_adu": 32.0}
SCIENCE, ARC = "ALJa150017", "ALJa150018"


@pytest.fixture(scope="module")
def exposures(tmp_path_factory) -> dict[str, Exposure]:
    """Return a science exposure and its arc, a strip around the target."""
    folder, found = tmp_path_factory.mktemp("raw"), {}
    for planned in plan_night(seed=5):
        if planned.stem in (SCIENCE, ARC):
            path = folder / f"{planned.stem}.fits"
            path.write_bytes(simulate(replace(planned, window=WINDOW), ALFOSC).content)
            raw = read_raw(path, ALFOSC.detector)
            identity = identify(raw.header, ALFOSC)
            found[planned.stem] = Exposure(raw=raw, identity=identity, stem=planned.stem)
    return found


@pytest.fixture(scope="module")
def with_arc(exposures) -> ReducedSpectrum:
    arc = build_arc([exposures[ARC]], SpectrumCalibrations(facts=FACTS), ALFOSC).value
    return reduce_spectrum(
        exposures[SCIENCE], SpectrumCalibrations(wavelengths=arc, facts=FACTS), ALFOSC
    )


def behind(exposure: Exposure, grism: str) -> Exposure:
    setup = replace(exposure.identity.setup, grism=grism)
    return replace(exposure, identity=replace(exposure.identity, setup=setup))


@pytest.fixture(scope="module")
def in_pixels(exposures) -> ReducedSpectrum:
    return reduce_spectrum(
        behind(exposures[SCIENCE], "Grism_#99"), SpectrumCalibrations(facts=FACTS), ALFOSC
    )


def levels(reduced: ReducedSpectrum) -> dict[str, int]:
    return {flag.name: flag.quality for flag in reduced.flags}


def test_nominal_wavelengths_that_sky_lines_confirm_are_usable_and_true(exposures, with_arc):
    nominal = reduce_spectrum(exposures[SCIENCE], SpectrumCalibrations(facts=FACTS), ALFOSC)
    assert levels(nominal)["WAVE_GUESSED"] == 2
    assert nominal.measurements["sky_confirms"] == 1.0
    middle = nominal.wavelengths.shape[1] // 2
    true = with_arc.wavelengths[:, middle]
    seen = (true > 4500) & (true < 7500)
    off_px = (nominal.wavelengths[:, middle] - true)[seen] / 3.5
    assert np.abs(off_px).max() < 0.5


def test_nominal_wavelengths_that_nothing_confirms_are_not_usable(exposures):
    exposure = exposures[SCIENCE]
    for seed in range(3):  # no sky lines: noise alone
        noise = np.random.default_rng(seed).normal(0, 32.0, exposure.raw.data.shape)
        dark = (12000 + noise).astype(np.float32)
        unlit = replace(exposure, raw=replace(exposure.raw, data=dark))
        nominal = reduce_spectrum(unlit, SpectrumCalibrations(facts=FACTS), ALFOSC)
        assert levels(nominal)["WAVE_GUESSED"] == 4


def test_a_grism_that_nobody_knows_gives_a_spectrum_in_pixels(in_pixels, with_arc):
    assert levels(in_pixels)["PIXELS_ONLY"] == 4
    assert in_pixels.quality == 4
    told = set(levels(in_pixels))
    assert not told & {"WAVE_GUESSED", "EXTRAP", "FLEXURE_NONE", "UNVERIFIED", "NO_RESPONSE"}
    target, known = in_pixels.objects[0], with_arc.objects[0]
    place, counts = target.spectrum.wavelength, target.counts.flux
    assert np.all(np.diff(place) > 0)
    assert 0 <= place[0] < place[-1] < ALFOSC.detector.rows
    # The same electrons, row by row, as where the grism is known.
    rows = with_arc.solution.row(known.spectrum.wavelength, 1050.0)
    there = np.interp(rows, place, counts)
    bright = known.counts.good & (known.counts.flux > 10 * known.counts.error)
    assert np.median(there[bright] / known.counts.flux[bright]) == pytest.approx(1.0, abs=0.02)


def test_the_product_in_pixels_says_so_in_every_file(in_pixels, exposures, tmp_path):
    files = spectrum_products(in_pixels, behind(exposures[SCIENCE], "Grism_#99"), ())
    table = files["spectrum"][1]
    assert np.isnan(table.data["WAVE"]).all()
    assert np.array_equal(table.data["PIXEL"], in_pixels.objects[0].spectrum.wavelength)
    assert table.header["WAVETYPE"] == files["spectrum"][0].header["WAVETYPE"] == "none"
    assert files["spectrum"][0].header["FLUXCAL"] == "UNCALIBRATED"
    for name in ("iraf", "rectified"):
        assert files[name][0].header["CTYPE1"] == "PIXEL"
        assert files[name][0].header["CDELT1"] == pytest.approx(2.0)
    assert "WAVE" not in files["image2d"]
    assert files["ascii"].splitlines()[0] == "# pixel flux error"
    assert "the axis is the detector's pixels" in files["log"]
    files["spectrum"].writeto(tmp_path / "p.fits")
    assert np.isnan(read_spectrum(tmp_path / "p.fits").counts.wavelength).all()


def test_an_arc_of_an_unknown_grism_is_refused_in_words(exposures):
    arc = behind(exposures[ARC], "Grism_#99")
    with pytest.raises(PoorWavelengthFit, match="knows no wavelengths of Grism_#99"):
        build_arc([arc], SpectrumCalibrations(facts=FACTS), ALFOSC)


def test_a_listed_grism_without_a_first_guess_counts_in_pixels(exposures):
    grisms = {**ALFOSC.grisms, "Grism_#4": replace(ALFOSC.grisms["Grism_#4"], first_guess=())}
    instrument = replace(ALFOSC, grisms=grisms)
    assert grism_of(exposures[SCIENCE].identity, instrument).in_pixels
    vertical = replace(exposures[SCIENCE].identity.setup, slit="Vert_1.0")
    beside = replace(exposures[SCIENCE].identity, setup=vertical)
    assert grism_of(beside, replace(ALFOSC, vertical_slits=None)).in_pixels
    assert not grism_of(beside, ALFOSC).in_pixels


def test_wavelengths_may_be_told_in_air(with_arc, exposures, tmp_path: Path):
    files = {
        medium: spectrum_products(
            with_arc, exposures[SCIENCE], (), settings=SpectrumSettings(wavelengths=medium)
        )
        for medium in ("vacuum", "air")
    }
    vacuum, air = (files[name]["spectrum"][1] for name in ("vacuum", "air"))
    near = int(np.argmin(np.abs(vacuum.data["WAVE"] - 5578.888)))
    # [O I]: 5577.338 in air is 5578.888 in vacuum (Osterbrock et al. 1996; Ciddor 1996).
    assert vacuum.data["WAVE"][near] - air.data["WAVE"][near] == pytest.approx(1.550, abs=2e-3)
    assert np.array_equal(vacuum.data["FLUX"], air.data["FLUX"])
    assert (air.header["WAVETYPE"], air.header["TUCD1"]) == ("air", "em.wl;obs.atmos")
    assert (vacuum.header["WAVETYPE"], vacuum.header["TUCD1"]) == ("vacuum", "em.wl")
    for name in ("iraf", "rectified"):
        assert files["air"][name][0].header["CTYPE1"] == "AWAV"
        assert files["vacuum"][name][0].header["CTYPE1"] == "WAVE"
    assert "# WAVELENGTH air Angstrom, topocentric" in files["air"]["ascii"]
    moved = files["vacuum"]["image2d"]["WAVE"].data - files["air"]["image2d"]["WAVE"].data
    assert 0.8 < np.nanmin(moved) < np.nanmax(moved) < 3.0
    files["air"]["spectrum"].writeto(tmp_path / "air.fits")
    back = read_spectrum(tmp_path / "air.fits").counts.wavelength
    assert np.abs(back - vacuum.data["WAVE"]).max() < 1e-6, "members come back in vacuum"


def test_a_file_in_air_is_read_as_such_by_the_wcs(with_arc, exposures):
    from astropy.wcs import WCS

    files = spectrum_products(
        with_arc, exposures[SCIENCE], (), settings=SpectrumSettings(wavelengths="air")
    )
    assert isinstance(files["iraf"], fits.HDUList)
    assert WCS(files["iraf"][0].header).wcs.ctype[0] == "AWAV"
