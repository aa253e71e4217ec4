"""The real ALFOSC night of 2020-03-20: numbers measured independently must come out."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.publish.evidence import Evidence
from daemon.publish.figures import science_page
from daemon.publish.master_pages import master_page
from reducers.detector.combine import read_noise_of
from reducers.fits import read_raw
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.preparation import levelled
from reducers.profiles import load_instrument
from reducers.recipes import (
    Exposure,
    SpectrumCalibrations,
    build_arc,
    build_bias,
    build_flat,
    build_response,
    reduce_spectrum,
)

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(600)]
ALFOSC = load_instrument("alfosc")


@pytest.fixture(scope="module")
def exposures(realdata):
    """Return every exposure of the night by stem."""
    found = {}
    for path in sorted((realdata / "alfosc_raw").glob("*.fits")):
        raw = read_raw(path, ALFOSC.detector)
        identity = identify(raw.header, ALFOSC)
        found[path.stem] = Exposure(raw=raw, identity=identity, stem=path.stem)
    return found


@pytest.fixture(scope="module")
def masters(exposures):
    """Return bias, flat, the two arcs and the response."""
    biases = [
        e
        for e in exposures.values()
        if e.identity.kind is FrameKind.BIAS and e.identity.setup.y_binning == 2
    ]
    bias = build_bias(biases, ALFOSC)
    facts = {"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    given = SpectrumCalibrations(bias=bias.value, facts=facts)
    flats = [e for e in exposures.values() if e.identity.kind is FrameKind.SPEC_FLAT]
    flat = build_flat(flats, given, ALFOSC)
    facts |= {
        "flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"],
        "flat_gain_error": flat.measurements["gain_error"],
    }
    arcs = {s: build_arc([exposures[s]], given, ALFOSC) for s in ("ALDc200088", "ALDc200207")}
    standard = exposures["ALDc200086"]
    evening = SpectrumCalibrations(
        bias=bias.value, flat=flat.value, wavelengths=arcs["ALDc200088"].value, facts=facts
    )
    return bias, flat, arcs, build_response(standard, evening, ALFOSC), facts


@pytest.fixture(scope="module")
def science(exposures, masters):
    """Return the reduced quasar."""
    bias, flat, arcs, response, facts = masters
    given = SpectrumCalibrations(
        bias=bias.value,
        flat=flat.value,
        wavelengths=arcs["ALDc200207"].value,
        response=response.value,
        facts=facts,
    )
    return reduce_spectrum(exposures["ALDc200205"], given, ALFOSC)


def test_the_gain_comes_out_of_the_flats(masters) -> None:
    assert masters[1].measurements["gain_e_per_adu"] == pytest.approx(0.18, abs=0.01)


def test_the_read_noise_comes_out_of_the_biases(exposures) -> None:
    pair = [levelled(exposures[f"ALDc2100{n:02d}"], ALFOSC) for n in (8, 9, 10)]
    assert 31.0 < read_noise_of(pair) < 33.0


def test_both_arcs_are_solved(masters) -> None:
    for arc in masters[2].values():
        assert arc.verdict == ""
        assert arc.measurements["lines"] >= 30
        assert arc.measurements["rms_angstrom"] < 0.6


def test_the_standard_is_hd_84937_and_smooth(masters, exposures) -> None:
    assert exposures["ALDc200086"].identity.standard == "HD 84937"
    assert masters[3].value.standard == "HD 84937"
    assert masters[3].measurements["rms_mag"] < 0.03


def test_the_air_in_the_standards_light_agrees_with_the_stars_own_lines(exposures, masters) -> None:
    bias, flat, arcs, _, facts = masters
    given = SpectrumCalibrations(
        bias=bias.value, flat=flat.value, wavelengths=arcs["ALDc200088"].value, facts=facts
    )
    measured = reduce_spectrum(exposures["ALDc200086"], given, ALFOSC).measurements
    # The star stands 0.23 arcsec off the middle of the slit: two witnesses for one shift.
    assert measured["stellar_shift_px"] == pytest.approx(-1.08, abs=0.4)
    assert abs(measured["stellar_telluric_px"]) < 0.3


def test_the_green_sky_line_lies_where_it_should(science) -> None:
    assert science.measurements["sky5577_angstrom"] == pytest.approx(5578.9, abs=0.3)


def test_the_quasar_is_found_in_its_column(science) -> None:
    assert science.measurements["object_column"] == pytest.approx(105.5, abs=0.5)
    assert science.objects[0].snr > 10


def test_the_sky_fits_within_the_noise(science) -> None:
    assert 0.9 < science.measurements["sky_chi2"] < 1.1


def test_cosmic_rays_are_counted_in_the_right_number(science) -> None:
    assert 50 < science.measurements["cosmic_events"] < 100


def test_the_spectrum_is_calibrated_and_positive(science) -> None:
    spectrum = science.objects[0].spectrum
    inside = (spectrum.wavelength > 4200) & (spectrum.wavelength < 8500)
    flux = spectrum.flux[inside & spectrum.good]
    assert 1e-17 < np.median(flux) < 1e-14
    assert science.quality <= 2


def test_without_any_calibration_there_is_still_a_product(exposures) -> None:
    result = reduce_spectrum(exposures["ALDc200205"], SpectrumCalibrations(), ALFOSC)
    names = {flag.name for flag in result.flags}
    assert {"NO_BIAS", "NO_FLAT", "WAVE_GUESSED", "NO_RESPONSE"} <= names
    assert result.quality == 2, "sky lines confirm the nominal wavelengths"
    assert result.measurements["sky5577_angstrom"] == pytest.approx(5578.89, abs=0.5)


def test_every_page_of_the_night_is_drawn_whole_and_says_the_same_numbers(
    exposures, masters, science
) -> None:
    bias, flat, arcs, response, facts = masters
    given = SpectrumCalibrations(bias=bias.value, facts=facts)
    of_kind = {
        kind: tuple(e for e in exposures.values() if e.identity.kind is kind) for kind in FrameKind
    }
    biases = tuple(e for e in of_kind[FrameKind.BIAS] if e.identity.setup.y_binning == 2)
    made = (
        (bias, biases),
        (flat, of_kind[FrameKind.SPEC_FLAT]),
        (arcs["ALDc200207"], (exposures["ALDc200207"],)),
        (response, (exposures["ALDc200086"],)),
    )
    pages = [
        master_page(Evidence(built=built, exposures=members, given=given, instrument=ALFOSC))
        for built, members in made
    ]
    pages.append(science_page(science, exposures["ALDc200205"]))
    for page in pages:
        broken = [name for name, panel in page.facts["panels"].items() if "failed" in panel]
        assert broken == [], page.facts["kind"]
    panels = pages[-1].facts["panels"]
    assert panels["image"]["trace_column"] == pytest.approx(105.5, abs=1)
    assert 0.9 < panels["residual"]["robust_sigma"] < 1.1
    widths = [panels["zones"][zone]["fwhm_arcsec"] for zone in ("blue", "green", "red")]
    assert widths == pytest.approx([1.0] * 3, abs=0.35)
    seen = {line["ion"] for line in pages[2].facts["panels"]["arc"]["not_seen"]}
    assert not seen, "helium and neon were both lit"
