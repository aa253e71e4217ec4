"""Every master has a page that shows its members, its numbers and its verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.publish.evidence import Evidence, row_scale
from daemon.publish.failure_page import Failure
from daemon.publish.master_pages import master_page, master_picture
from reducers.fits import RawExposure
from reducers.frame import Frame
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument
from reducers.recipes import build_bias, build_flat
from reducers.reduced import Built, Exposure, SpectrumCalibrations
from reducers.spectroscopy.nominal import nominal_solution
from reducers.spectroscopy.reference import reference_magnitude, reference_wavelengths
from reducers.spectroscopy.response import Response
from tests.daemon.page_text import colliding

if TYPE_CHECKING:
    from daemon.publish.page import Page

ALFOSC = load_instrument("alfosc")
GRISM = ALFOSC.grisms["Grism_#4"]
SETUP = Setup(
    x_binning=1, y_binning=2, window=(1051, 1150, 1, 2102), readout="D-8-200",
    grism="Grism_#4", slit="Slit_1.0", filter="WG345",
)  # fmt: skip
SHAPE, LEVEL, NOISE, GAIN = (1051, 100), 11600.0, 32.0, 0.18


def exposure(kind: FrameKind, counts: np.ndarray, number: int, **facts: object) -> Exposure:
    identity = Identity(
        instrument="ALFOSC", kind=kind, setup=SETUP, exposure_s=3.0,
        observed_at=datetime(2026, 11, 20, 16, number, tzinfo=UTC), **facts,
    )  # fmt: skip
    raw = RawExposure(data=counts.astype(np.float32), header={}, wrapped_pixels=0)
    return Exposure(raw=raw, identity=identity, stem=f"ALDk2000{number:02d}")


def lit(signal: np.ndarray, seed: int) -> np.ndarray:
    """Return raw counts of this signal (adu) on the rows that see light."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(SHAPE)
    counts[: signal.shape[0]] = signal
    noise = np.sqrt(NOISE**2 + np.maximum(counts, 0) / GAIN)
    return np.round(LEVEL + counts + rng.normal(0, 1, SHAPE) * noise)


def row_wavelength() -> np.ndarray:
    from reducers.spectroscopy.dispersion import guess_wavelength

    return guess_wavelength(GRISM, 0.5 + 2.0 * np.arange(1020))


@cache
def bias() -> Evidence:
    members = [exposure(FrameKind.BIAS, lit(np.zeros((1020, 100)), n), n) for n in range(5)]
    built = build_bias(members, ALFOSC)
    return Evidence(built=built, exposures=tuple(members), given=SpectrumCalibrations(),
                    instrument=ALFOSC)  # fmt: skip


@cache
def flat() -> Evidence:
    lamp = 1e5 * np.exp(-0.5 * ((row_wavelength() - 7500) / 1500) ** 2)
    signal = np.repeat(lamp[:, None], 100, axis=1)
    members = [exposure(FrameKind.SPEC_FLAT, lit(signal, n), n) for n in range(3)]
    built = build_flat(members, SpectrumCalibrations(), ALFOSC)
    return Evidence(built=built, exposures=tuple(members), given=SpectrumCalibrations(),
                    instrument=ALFOSC)  # fmt: skip


def arc_row(wavelength: float) -> float:
    return (float(nominal_solution(GRISM, 0.0).row(wavelength, 1100.0)) - 0.5) / 2


@cache
def arc() -> Evidence:
    """Return an arc of five helium lines, of which the last does not shine."""
    lines = np.array([4472.73, 5017.08, 5877.25, 6680.0, 7067.14])
    rows = (nominal_solution(GRISM, 0.0).row(lines, 1100.0) - 0.5) / 2
    signal = np.zeros((1020, 100))
    for row in rows[:-1]:
        signal += 3e4 * np.exp(-0.5 * ((np.arange(1020) - row) / 1.1) ** 2)[:, None]
    solution = replace(
        nominal_solution(GRISM, 0.0), rms_angstrom=0.2, rms_px=0.06, n_lines=3, fwhm_px=5.0,
        domain_x_px=(1050.0, 1150.0), line_wavelength=lines, line_row=2 * rows + 0.5,
        line_residual_angstrom=np.array([0.1, -0.2, 0.1, 2.0, 0.0]),
        line_used=np.array([True, True, True, False, False]), line_ion=("HeI",) * 5,
    )  # fmt: skip
    built = Built(role="ARC", value=solution, measurements={"rms_px": 0.06, "lines": 3.0})
    member = exposure(FrameKind.ARC, lit(signal, 1), 1, lamps=("He",))
    return Evidence(built=built, exposures=(member,), given=SpectrumCalibrations(),
                    instrument=ALFOSC)  # fmt: skip


@cache
def standard() -> Evidence:
    """Return a response whose bands scatter by 2 per cent, beside an older one."""
    star = ALFOSC.standards[0]
    table = reference_wavelengths(star)
    at = table[(table > 3800) & (table < 9000) & np.isfinite(reference_magnitude(star, table))]
    grid = np.linspace(3700, 9100, 500)
    curve = 15 - 1e-7 * (grid - 5500) ** 2
    points = np.interp(at, grid, curve) + np.random.default_rng(2).normal(0, 0.02, at.size)
    response = Response(
        wavelength=grid, ab_zero_point=curve, error=0.01 + 0 * grid, standard=star.name,
        rms_mag=0.02, airmass=1.2, slit="Slit_1.0", grism="Grism_#4", points_wavelength=at,
        points_zero_point=points, cross_validation_mag=0.023,
    )  # fmt: skip
    older = replace(response, ab_zero_point=curve + 0.1)
    member = exposure(FrameKind.SPEC_STD, np.zeros(SHAPE), 1, standard=star.name, airmass=1.2)
    built = Built(role="RESPONSE", value=response, measurements={"snr": 150.0})
    return Evidence(built=built, exposures=(member,), given=SpectrumCalibrations(),
                    instrument=ALFOSC, previous=(older,))  # fmt: skip


CASES = {"bias": bias, "flat": flat, "arc": arc, "standard": standard}


def failed(page: Page) -> list[str]:
    return [f"{name}: {panel['failed']}" for name, panel in page.facts["panels"].items()
            if "failed" in panel]  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_every_master_has_a_page_without_text_upon_text(kind: str) -> None:
    case = replace(
        CASES[kind](), verdict="the lamp gave only 300 adu: was it on? " * 12,
        notes=("RESPONSE EFOSC.2022-01-29T01:12:03.548, another night, another slit, 46.7 h",
               "FLAT none, no flat within 30 days"),
    )  # fmt: skip
    page = master_page(case)
    assert failed(page) == []
    assert colliding(page) == []
    words = " ".join(text.get_text() for text in page.figure.texts)
    assert "not used" in words
    assert "was it on?" in words


@pytest.mark.parametrize("kind", CASES)
def test_the_description_names_members_measurements_and_panels(kind: str) -> None:
    case = CASES[kind]()
    picture = master_picture(case)
    said = json.loads(picture.json)
    assert picture.png.startswith(b"\x89PNG")
    assert said["kind"] == kind
    assert said["frames"] == [member.stem for member in case.exposures]
    assert said["measurements"].keys() == case.built.measurements.keys()
    assert len(said["panels"]) >= 5


def test_frames_that_gave_no_master_are_shown_with_the_reason() -> None:
    members = (*arc().exposures, *bias().exposures)
    for role in ("ARC", "BIAS"):
        page = master_page(
            Failure(role=role, exposures=members, instrument=ALFOSC, reason="no light")
        )
        assert failed(page) == []
        assert colliding(page) == []
        assert any("no light" in text.get_text() for text in page.figure.texts)
    said = page.facts
    assert (said["role"], said["reason"], len(said["frames"])) == ("BIAS", "no light", 6)
    lines = master_page(
        Failure(role="ARC", exposures=arc().exposures, instrument=ALFOSC, reason="no light")
    ).facts["panels"]["rows ALDk200001"]["expected_rows"]
    # The brightest helium line is where the frame has it.
    assert min(abs(row - arc_row(5877.25)) for row in lines) < 3


def test_the_bias_page_measures_what_went_in() -> None:
    panels = master_page(bias()).facts["panels"]
    assert panels["levels"]["overscan_adu"] == pytest.approx(np.full(5, LEVEL), abs=4.0)
    assert np.median(panels["read_noise"]["pairs_adu"]) == pytest.approx(NOISE, rel=0.05)
    assert panels["histogram"]["fraction_beyond_6_sigma"] < 1e-3


def test_the_flat_page_shows_the_lamp_and_the_gain() -> None:
    panels = master_page(flat()).facts["panels"]
    assert panels["photon_transfer"]["gain_e_per_adu"] == pytest.approx(GAIN, rel=0.05)
    assert panels["lamp"]["peak_adu"] == pytest.approx([1e5] * 3, rel=0.02)
    # The frames hold no fringes: nothing is left beyond the photons.
    assert panels["pixel_rms"]["excess_beyond_7500_angstrom"] < 0.002


def test_rows_have_no_wavelengths_where_the_profile_does_not_know_their_direction() -> None:
    case = flat()
    turned = tuple(
        replace(e, identity=replace(e.identity, setup=replace(SETUP, slit="Slit_1.0_vert")))
        for e in case.exposures
    )
    assert row_scale(case, case.image)[1].startswith("approximate vacuum")
    rows, label = row_scale(replace(case, exposures=turned), case.image)
    assert "pixel" in label
    assert np.diff(rows) == pytest.approx(2.0)


def test_the_arc_page_lists_lines_used_rejected_and_not_seen() -> None:
    panels = master_page(arc()).facts["panels"]
    assert panels["arc"]["used"] == pytest.approx([4472.73, 5017.08, 5877.25])
    missing = [line["wavelength_angstrom"] for line in panels["arc"]["not_seen"]]
    assert any(abs(line - 7067.1) < 1 for line in missing)
    assert not any(abs(line - 5877.2) < 1 for line in missing)
    assert np.abs(panels["along_slit"]["median_px"]).max() < 0.05


def test_the_standard_page_tells_scatter_and_change() -> None:
    panels = master_page(standard()).facts["panels"]
    assert panels["ratio"]["robust_scatter_mag"] == pytest.approx(0.02, abs=0.008)
    assert panels["previous"]["level_mag"] == pytest.approx([-0.1])
    assert panels["previous"]["largest_shape_mag"] == pytest.approx([0.0], abs=1e-9)


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_masters_without_any_signal_are_drawn(fill: float) -> None:
    for case in (bias(), flat()):
        plane = np.full(case.image.shape, fill, np.float32)
        nothing = Frame(data=plane, variance=plane, mask=np.zeros(plane.shape, np.uint16))
        page = master_page(replace(case, built=replace(case.built, value=nothing, measurements={})))
        assert failed(page) == []
        json.loads(page.finish().json)


def test_a_page_is_drawn_whatever_bytes_the_name_of_a_file_holds() -> None:
    odd = tuple(replace(each, stem="ALDc2100\udcff $\\frac{$") for each in bias().exposures)
    page = master_page(replace(bias(), exposures=odd))
    assert page.finish().png.startswith(b"\x89PNG")
    assert failed(page) == []


def test_an_arc_without_a_line_and_an_unknown_star_are_drawn() -> None:
    none = replace(arc().solution, line_used=np.zeros(5, bool), n_lines=0, rms_px=np.nan)
    lost = replace(standard().response, standard="nobody", wavelength=np.zeros(0),
                   ab_zero_point=np.zeros(0), error=np.zeros(0), points_wavelength=np.zeros(0),
                   points_zero_point=np.zeros(0))  # fmt: skip
    for case, value in ((arc(), none), (standard(), lost)):
        page = master_page(replace(case, built=replace(case.built, value=value)))
        json.loads(page.finish().json)
