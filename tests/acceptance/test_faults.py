"""What goes wrong at a telescope ends in the right flag or in a named reason, never in silence."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from reducers.errors import PoorResponse, PoorWavelengthFit, ReductionError, SetupMismatch
from reducers.fits import read_raw
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.recipes import (
    Exposure,
    SpectrumCalibrations,
    SpectrumSettings,
    build_arc,
    build_bias,
    build_flat,
    build_response,
    reduce_spectrum,
)
from reducers.reduced import TargetMagnitude
from reducers.simulate.frames import simulate
from reducers.simulate.observer import Observer
from reducers.simulate.records import Source
from reducers.simulate.sources import flux_of
from reducers.simulate.targets import STANDARDS, Target

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
NIGHT = date(2026, 2, 3)
ALFOSC = load_instrument("alfosc")
STAR = Source(name="quasar", model="quasar", ab_magnitude=17.2, detector_x=956.0)


class Camera:
    """Takes one exposure after the other and reads them as the daemon would."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.observer = Observer(seed=5, night=NIGHT, steady=True)

    def expose(self, planned) -> Exposure:
        """Return an exposure as a recipe takes it."""
        frame = simulate(planned, ALFOSC)
        path = self.folder / frame.name
        path.write_bytes(frame.content)
        raw = read_raw(path, ALFOSC.detector)
        return Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=path.stem)

    def last(self, **changes) -> Exposure:
        """Return the last planned exposure with something gone wrong."""
        return self.expose(replace(self.observer.taken[-1], **changes))

    def science(self, *sources, exposure_s=600.0, **changes) -> Exposure:
        """Return a science exposure with these sources on the slit."""
        target = Target(
            name="AT2026fau", hour_angle_h=0.5, dec_deg=30.0, exposure_s=exposure_s, sources=sources
        )
        self.observer.science(target)
        spectrum = self.observer.taken[-2]
        return self.expose(replace(spectrum, aperture_y_px=self.aperture_y_px, **changes))

    @property
    def aperture_y_px(self) -> float:
        """Where the slit stands; the wheel is not moved."""
        return self.observer.aperture_y


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> Camera:
    return Camera(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def given(camera) -> SpectrumCalibrations:
    """Return sound calibrations: what is wrong is only ever the frame under test."""
    observer = camera.observer
    observer.biases(5)
    biases = [camera.expose(p) for p in observer.taken]
    bias = build_bias(biases, ALFOSC)
    facts = {"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    calibrations = SpectrumCalibrations(bias=bias.value, facts=facts)
    observer.flats(3)
    flats = [camera.expose(p) for p in observer.taken[-3:]]
    flat = build_flat(flats, calibrations, ALFOSC)
    observer.arc()
    arc = build_arc([camera.last()], calibrations, ALFOSC)
    facts |= {
        "flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"],
        "flat_gain_error": flat.measurements["gain_error"],
    }
    calibrations = replace(calibrations, flat=flat.value, wavelengths=arc.value, facts=facts)
    observer.at(1.0)
    observer.standard(STANDARDS[0])
    star = camera.expose(replace(observer.taken[-2], flexure_px=0.0))
    response = build_response(star, calibrations, ALFOSC)
    return replace(calibrations, response=response.value)


def names(reduced) -> set[str]:
    return {flag.name for flag in reduced.flags}


def test_a_sound_exposure_raises_no_flag(camera, given) -> None:
    reduced = reduce_spectrum(camera.science(STAR), given, ALFOSC)
    assert reduced.quality <= 2
    assert not {"NO_TRACE", "NEG_FLUX", "LOW_SNR", "SKY_CHI2", "SATURATED"} & names(reduced)


@pytest.mark.parametrize("power", [0.0, 1e-4])
def test_an_arc_without_light_is_refused(camera, given, power) -> None:
    camera.observer.arc()
    with pytest.raises(PoorWavelengthFit):
        build_arc([camera.last(lamp_power=power)], given, ALFOSC)


@pytest.mark.parametrize(
    ("declared", "burning"),
    [(("He", "Ne"), ("ThAr",)), (("He", "Ne"), ("Halogen",)), (("ThAr",), ("He", "Ne"))],
)
def test_an_arc_of_the_wrong_lamp_is_refused(camera, given, declared, burning) -> None:
    camera.observer.arc()
    with pytest.raises(PoorWavelengthFit):
        build_arc([camera.last(lamps=declared, burning=burning)], given, ALFOSC)


def test_an_arc_with_one_lamp_dead_is_refused_or_still_true(camera, given) -> None:
    camera.observer.arc()
    exposure = camera.last(burning=("Ne",))
    try:
        built = build_arc([exposure], given, ALFOSC)
    except PoorWavelengthFit:
        return
    y, x = np.arange(300.0, 1700.0, 50), np.full(28, 1000.0)
    here, there = built.value.wavelength(y, x), given.wavelengths.wavelength(y, x)
    assert np.abs(here - there).max() < 1.5


def verdict_on(flats, given) -> str:
    """Return why a set of flats makes no master, '' when it does."""
    try:
        return build_flat(flats, given, ALFOSC).verdict
    except ReductionError as error:
        return str(error)


def test_saturated_flats_make_no_master(camera, given) -> None:
    camera.observer.flats(3, exposure_s=60.0)
    assert "satur" in verdict_on([camera.expose(p) for p in camera.observer.taken[-3:]], given)


def test_flats_with_a_dead_lamp_make_no_master(camera, given) -> None:
    camera.observer.flats(3)
    dim = [camera.expose(replace(p, lamp_power=0.01)) for p in camera.observer.taken[-3:]]
    assert "lamp" in verdict_on(dim, given)


def test_an_empty_slit_is_extracted_where_the_target_should_be_and_says_so(camera, given) -> None:
    reduced = reduce_spectrum(camera.science(), given, ALFOSC)
    assert "NO_TRACE" in names(reduced)
    assert reduced.quality >= 3
    assert reduced.objects


def test_a_target_beside_the_slit_is_not_called_good(camera, given) -> None:
    star = replace(STAR, off_slit_arcsec=2.5, ab_magnitude=19.0)
    reduced = reduce_spectrum(camera.science(star), given, ALFOSC)
    assert {"NO_TRACE", "LOW_SNR"} & names(reduced)


def test_a_standard_beside_the_slit_makes_no_response(camera, given) -> None:
    camera.observer.standard(STANDARDS[0])
    planned = camera.observer.taken[-2]
    gone = tuple(replace(s, off_slit_arcsec=8.0) for s in planned.sources)
    with pytest.raises(PoorResponse):
        build_response(camera.expose(replace(planned, sources=gone)), given, ALFOSC)


def test_a_cloud_dims_the_flux_and_never_the_error_alone(camera, given) -> None:
    clear = reduce_spectrum(camera.science(STAR), given, ALFOSC).objects[0].spectrum
    cloudy = reduce_spectrum(camera.science(STAR, transparency=0.4), given, ALFOSC)
    spectrum = cloudy.objects[0].spectrum
    green = (clear.wavelength > 5000) & (clear.wavelength < 5500) & clear.good
    there = np.interp(clear.wavelength[green], spectrum.wavelength, spectrum.flux)
    assert np.median(there / clear.flux[green]) == pytest.approx(0.4, abs=0.03)


def test_a_trailed_target_keeps_its_flux_and_its_width_is_told(camera, given) -> None:
    still = reduce_spectrum(camera.science(STAR), given, ALFOSC)
    trailed = reduce_spectrum(camera.science(replace(STAR, trail_px=12.0)), given, ALFOSC)
    assert trailed.measurements["fwhm_arcsec"] > 1.5 * still.measurements["fwhm_arcsec"]
    one, two = still.objects[0].spectrum, trailed.objects[0].spectrum
    green = (one.wavelength > 5000) & (one.wavelength < 6500) & one.good
    there = np.interp(one.wavelength[green], two.wavelength, two.flux)
    assert np.median(there / one.flux[green]) == pytest.approx(1.0, abs=0.06)


def test_masters_of_another_binning_are_never_applied(camera, given) -> None:
    with pytest.raises(SetupMismatch, match=r"binning|window"):
        reduce_spectrum(camera.science(STAR, y_binning=1), given, ALFOSC)


def test_masters_of_another_window_are_never_applied(camera, given) -> None:
    with pytest.raises(SetupMismatch):
        reduce_spectrum(camera.science(STAR, window=(901, 1200, 1, 2102)), given, ALFOSC)


def test_a_window_without_overscan_is_named(camera, given) -> None:
    exposure = camera.science(STAR, window=(851, 1250, 1, 1800))
    with pytest.raises(ReductionError, match="overscan"):
        reduce_spectrum(exposure, replace(given, bias=None, flat=None), ALFOSC)


def test_every_fault_leaves_a_product_or_a_reason(camera, given) -> None:
    """No calibration at all, a blank frame, a saturated one: each still ends."""
    assert camera.science(STAR).identity.kind is FrameKind.SPEC_OBJECT
    bare = reduce_spectrum(camera.science(STAR), SpectrumCalibrations(), ALFOSC)
    assert bare.quality == 2  # the sky lines of a long exposure hold the nominal wavelengths
    assert {"WAVE_GUESSED", "NO_RESPONSE", "NO_FLAT", "NO_BIAS"} <= names(bare)
    burnt = reduce_spectrum(
        camera.science(replace(STAR, ab_magnitude=6.0), exposure_s=1200.0), given, ALFOSC
    )
    assert "SATURATED" in names(burnt)


def _true_magnitude(source: Source, centre: float, width: float) -> float:
    """Return the AB magnitude through a filter with round shoulders."""
    w = np.arange(centre - width, centre + width, 1.0)
    curve = np.exp(-np.log(2) * (2 * (w - centre) / width) ** 10)
    flux = flux_of(source, w, ALFOSC)
    return (
        float(-2.5 * np.log10((flux * curve * w).sum() / (curve / w).sum() / 2.99792458e18)) - 48.6
    )


@pytest.mark.parametrize("model", ["quasar", "supernova", "star"])
def test_light_lost_at_the_slit_is_made_good_by_an_image(camera, given, model) -> None:
    source = replace(STAR, model=model, ab_magnitude=16.5)
    exposure = camera.science(replace(source, off_slit_arcsec=0.46))
    image = TargetMagnitude(
        stem="image", filter_name="V", error=0.01, band="V", system="Vega",
        magnitude=_true_magnitude(source, 5300.0, 800.0) - 0.02,
    )  # fmt: skip
    shown = replace(given, magnitudes=(image,))

    def of_the_true_flux(how: SpectrumSettings) -> np.ndarray:
        found = reduce_spectrum(exposure, shown, ALFOSC, how).objects[0].spectrum
        expected = flux_of(source, found.wavelength, ALFOSC)
        parts = [(w, w + 500) for w in range(4000, 7000, 500)]
        inside = [(found.wavelength > a) & (found.wavelength < b) & found.good for a, b in parts]
        return np.array([found.flux[part].sum() / expected[part].sum() for part in inside])

    untied, tied = (of_the_true_flux(SpectrumSettings(tie_flux=tie)) for tie in (False, True))
    assert 0.66 < np.median(untied) < 0.74
    assert np.abs(tied - 1).max() < 0.03
