"""CCD14 as real frames of 2020-03-20/21 show it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.detector.illumination import measure_shift, narrow_features
from reducers.detector.overscan import overscan_noise
from reducers.detector.start import start_frame
from reducers.fits import read_raw
from reducers.frame import Mask
from reducers.identify import identify
from reducers.preparation import debiased, electrons
from reducers.profiles import load_instrument
from reducers.recipes import Exposure, SpectrumCalibrations, build_bias, build_flat

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.reduced import Built

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(120)]
ALFOSC = load_instrument("alfosc")


@pytest.fixture(scope="module")
def read(realdata: Path):
    """Return a reader of exposures by stem."""

    def exposure(stem: str) -> Exposure:
        raw = read_raw(realdata / "alfosc_raw" / f"{stem}.fits", ALFOSC.detector)
        return Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=stem)

    return exposure


@pytest.fixture(scope="module")
def bias(read) -> Built:
    return build_bias([read(f"ALDc2100{n:02d}") for n in range(4, 15)], ALFOSC)


@pytest.fixture(scope="module")
def flat(read, bias: Built) -> Built:
    facts = {"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    given = SpectrumCalibrations(bias=bias.value, facts=facts)
    return build_flat([read(f"ALDc200{n}") for n in range(337, 342)], given, ALFOSC)


def test_read_noise_and_gain_are_what_was_measured_independently(bias: Built, flat: Built) -> None:
    assert 31.5 < bias.measurements["read_noise_adu"] < 32.5
    assert flat.measurements["gain_e_per_adu"] == pytest.approx(0.18, abs=0.01)
    assert 1.3 < bias.measurements["row_noise_adu"] < 2.5


def test_the_bias_level_drifted_in_the_afternoon_and_no_frame_had_to_be_left_out(
    bias: Built,
) -> None:
    assert 30 < bias.measurements["drift_adu"] < 50
    assert bias.measurements["left_out"] == 0


def test_light_reaches_the_last_binned_row_by_half_and_the_overscan_begins_behind_it(read) -> None:
    counts = read("ALDc200337").raw.data[1025:1046, 100:].mean(axis=1)
    dark = counts[9:].mean()
    full = counts[:5].mean() - dark
    assert 0.4 < (counts[6] - dark) / full < 0.8, "row 1031"
    assert abs(counts[7] - dark) / full < 0.003, "row 1032 holds no light"


def test_the_window_has_hardly_a_bad_pixel(bias: Built, flat: Built) -> None:
    assert bias.measurements["bad_pixels"] < 20
    assert flat.measurements["bad_pixels"] < 20


def test_fringes_of_the_flat_have_the_measured_amplitude(flat: Built) -> None:
    assert 0.004 < flat.measurements["fringe_rms"] < 0.013


def test_scattered_light_ends_the_flat_before_the_lamp_does(flat: Built) -> None:
    lit = (flat.value.mask & Mask.NO_FLAT == 0).all(axis=1)
    assert 720 < np.flatnonzero(lit)[-1] < 780, "4000 to 4400 A"


def test_the_slit_stood_elsewhere_at_night_than_in_the_morning_flats(
    read, bias: Built, flat: Built
) -> None:
    arc = debiased(read("ALDc200207"), bias.value, ALFOSC)
    science = debiased(read("ALDc200205"), bias.value, ALFOSC)
    by_arc, by_sky = measure_shift(arc, flat.value), measure_shift(science, flat.value)
    assert by_arc[0] == pytest.approx(-3.1, abs=0.3)
    assert by_sky[0] == pytest.approx(by_arc[0], abs=0.6), "sky and lamp agree"
    itself = debiased(read("ALDc200339"), bias.value, ALFOSC)
    assert measure_shift(itself, flat.value)[0] == pytest.approx(0, abs=0.02)


def test_no_mark_of_the_slit_is_left_in_the_sky(read, bias: Built, flat: Built) -> None:
    given = SpectrumCalibrations(bias=bias.value, flat=flat.value)
    frame, *_ = electrons(read("ALDc200205"), given, ALFOSC)
    rows = frame.data[50:600]
    middle = np.median(rows, axis=1, keepdims=True)
    noise = np.sqrt(np.median(frame.variance[50:600]))
    kept = np.where(np.abs(rows - middle) < 5 * noise, rows, middle).mean(axis=0)
    marks = narrow_features(kept.astype(np.float64))
    free = np.r_[20:85, 130:380]  # the quasar stands at 105
    expected = noise / np.sqrt(550) / np.median(middle)
    assert np.std(marks[free]) < 1.35 * expected


def test_a_night_frame_is_noisier_than_the_biases_of_the_afternoon(read, bias: Built) -> None:
    detector = ALFOSC.detector
    night = [
        overscan_noise(start_frame(e.raw.data, e.identity.setup, detector), detector.overscan)[0]
        for e in map(read, ("ALDc200086", "ALDc200205", "ALDc200207"))
    ]
    assert 1.01 < np.mean(night) / bias.measurements["read_noise_adu"] < 1.06


def test_flats_are_normalised_without_a_bias_too(read) -> None:
    built = build_flat([read(f"ALDc200{n}") for n in (337, 338)], SpectrumCalibrations(), ALFOSC)
    assert built.verdict == ""
    assert built.measurements["lit_fraction"] > 0.7
    assert np.isfinite(built.value.data).all()


def test_flats_of_a_lamp_that_was_off_are_refused_in_words(read, bias: Built) -> None:
    dark = [
        replace(read("ALDc200337"), raw=read(stem).raw, stem=stem)
        for stem in ("ALDc210004", "ALDc210005", "ALDc210006")
    ]
    built = build_flat(dark, SpectrumCalibrations(bias=bias.value), ALFOSC)
    assert "was it on?" in built.verdict
    assert built.value.history[-1].startswith("left out ALDc210006: the lamp gave only")


def test_one_saturated_flat_is_left_out_and_the_others_serve(read, bias: Built) -> None:
    members = [read(f"ALDc200{n}") for n in (337, 338, 339)]
    bright = np.minimum(members[1].raw.data * 7, 870_000)
    members[1] = replace(members[1], raw=replace(members[1].raw, data=bright))
    built = build_flat(members, SpectrumCalibrations(bias=bias.value), ALFOSC)
    assert built.verdict == ""
    assert built.measurements["left_out"] == 1
    assert built.value.history[-1].startswith("left out ALDc200338: saturated in")
