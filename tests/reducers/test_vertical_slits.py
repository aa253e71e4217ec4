"""Spectra behind a vertical slit run along x: turned once, they are reduced like any other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io.fits import Header

from reducers.detector.correct import divide_flat, subtract_bias
from reducers.detector.start import turn
from reducers.errors import SetupMismatch
from reducers.fits import read_raw
from reducers.frame import Frame, Geometry
from reducers.identify import identify
from reducers.identity import FrameKind, Setup
from reducers.preparation import debiased, grism_of
from reducers.products import image_hdus
from reducers.profiles import load_instrument
from reducers.recipes import (
    Exposure,
    SpectrumCalibrations,
    SpectrumSettings,
    build_arc,
    build_bias,
    build_flat,
    reduce_spectrum,
)
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night

if TYPE_CHECKING:
    from pathlib import Path

ALFOSC = load_instrument("alfosc")
#: Binned rows of the horizontal frame that are laid along x, and where they begin there.
LIT_ROWS, FIRST_COLUMN = 1024, 25
QUICK = SpectrumSettings(clean_cosmics=False)
STACK = {FrameKind.BIAS: 5, FrameKind.ARC: 1, FrameKind.SPEC_FLAT: 3, FrameKind.SPEC_OBJECT: 1}


@pytest.fixture(scope="module")
def horizontal(tmp_path_factory: pytest.TempPathFactory) -> dict[FrameKind, list[Exposure]]:
    """Return a few exposures behind a horizontal slit."""
    folder: Path = tmp_path_factory.mktemp("night")
    found: dict[FrameKind, list[Exposure]] = {kind: [] for kind in STACK}
    for planned in plan_night(seed=5):
        kind = FrameKind(planned.kind)
        if len(found.get(kind, [])) >= STACK.get(kind, 0):
            continue
        simulated = simulate(planned, ALFOSC)
        path = folder / simulated.name
        path.write_bytes(simulated.content)
        raw = read_raw(path, ALFOSC.detector)
        found[kind].append(
            Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=planned.stem)
        )
    return found


def stood_up(exposure: Exposure, *, mirrored: bool) -> Exposure:
    """Return the exposure as the detector would read it with slit and grism turned by 90 deg."""
    horizontal = exposure.raw.data
    light = horizontal[:LIT_ROWS].T
    raw = np.empty((400, 1074), np.float32)
    overscan = horizontal[1034:1046].T  # twelve columns of the same drifting level
    raw[:] = np.resize(overscan, (400, 1074))
    lit = slice(FIRST_COLUMN, FIRST_COLUMN + LIT_ROWS)
    raw[:, lit] = light[:, ::-1] if mirrored else light
    setup = replace(
        exposure.identity.setup,
        x_binning=2,
        y_binning=1,
        window=(1, 2148, 851, 1250),
        slit="Vert_1.0",
    )
    return replace(
        exposure,
        raw=replace(exposure.raw, data=raw),
        identity=replace(exposure.identity, setup=setup, aperture_y_px=None),
    )


def reduced(exposures: dict[FrameKind, list[Exposure]]):
    bias = build_bias(exposures[FrameKind.BIAS], ALFOSC)
    given = SpectrumCalibrations(
        bias=bias.value, facts={"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    )
    flat = build_flat(exposures[FrameKind.SPEC_FLAT], given, ALFOSC)
    assert flat.measurements["lit_fraction"] > 0.7, "the red end is lit, wherever it is"
    arc = build_arc(exposures[FrameKind.ARC], given, ALFOSC)
    given = replace(given, flat=flat.value, wavelengths=arc.value)
    science = exposures[FrameKind.SPEC_OBJECT][0]
    return arc, reduce_spectrum(science, given, ALFOSC, QUICK)


@pytest.fixture(scope="module")
def lying(horizontal):
    """Return arc and spectrum of the horizontal slit."""
    return reduced(horizontal)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mirrored", [False, True], ids=["as_along_y", "mirrored"])
def test_a_spectrum_along_x_is_reduced_like_one_along_y_in_either_direction(
    horizontal: dict[FrameKind, list[Exposure]], lying, mirrored: bool
) -> None:
    arc_y, along_y = lying
    standing = {
        kind: [stood_up(e, mirrored=mirrored) for e in members]
        for kind, members in horizontal.items()
    }
    arc_x, along_x = reduced(standing)
    assert arc_x.measurements["lines"] >= 0.9 * arc_y.measurements["lines"]
    assert arc_x.measurements["rms_px"] < 1.3 * arc_y.measurements["rms_px"]
    assert along_x.measurements["sky5577_angstrom"] == pytest.approx(
        along_y.measurements["sky5577_angstrom"], abs=0.3
    )
    assert along_x.measurements["snr"] == pytest.approx(along_y.measurements["snr"], rel=0.1)
    assert along_x.measurements["object_column"] == pytest.approx(
        along_y.measurements["object_column"], abs=0.2
    )
    wave = np.arange(5000.0, 8000.0, 20.0)
    x, y = (
        np.interp(wave, r.objects[0].counts.wavelength, r.objects[0].counts.flux)
        for r in (along_x, along_y)
    )
    assert np.median(x / y) == pytest.approx(1, abs=0.03)


def test_the_product_of_a_vertical_slit_says_so_and_is_flagged_as_unverified(
    horizontal: dict[FrameKind, list[Exposure]],
) -> None:
    science = stood_up(horizontal[FrameKind.SPEC_OBJECT][0], mirrored=False)
    product = reduce_spectrum(science, SpectrumCalibrations(), ALFOSC, QUICK)
    assert "UNVERIFIED" in {flag.name for flag in product.flags}
    assert "WAVE_GUESSED" in {flag.name for flag in product.flags}
    header = image_hdus(product.image, Header())[0].header
    assert header["DETTURN"] is True
    assert any("rows now follow the detector's x" in step for step in product.image.history)


def plane(value: float, geometry: Geometry, shape: tuple[int, int]) -> Frame:
    return Frame(
        data=np.full(shape, value, np.float32),
        variance=np.zeros(shape, np.float32),
        mask=np.zeros(shape, np.uint16),
        geometry=geometry,
    )


def test_turning_keeps_every_pixel_at_its_place_on_the_detector() -> None:
    place = Geometry(x0=50, y0=850, x_binning=2, y_binning=1)
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    frame = plane(0, place, (3, 4)).after("numbers", data=data)
    turned = turn(frame)
    assert turned.data[3, 1] == data[1, 3]
    assert turned.geometry.on_detector(3, 1) == frame.geometry.on_detector(1, 3)
    again = turn(turned)
    assert again.geometry == place
    assert np.array_equal(again.data, data)


def test_a_turned_master_never_meets_a_frame_that_is_not() -> None:
    square = Geometry(x0=100, y0=100)
    frame = plane(1, square, (5, 5))
    for step in (subtract_bias, divide_flat):
        with pytest.raises(SetupMismatch):
            step(frame, turn(frame))


def test_the_bias_is_subtracted_before_the_frame_is_turned(
    horizontal: dict[FrameKind, list[Exposure]],
) -> None:
    biases = [stood_up(e, mirrored=False) for e in horizontal[FrameKind.BIAS]]
    master = build_bias(biases, ALFOSC).value
    assert not master.geometry.turned, "a bias serves both orientations"
    frame = debiased(biases[0], master, ALFOSC)
    assert frame.geometry.turned
    assert abs(float(np.median(frame.data))) < 3


def test_an_instrument_that_knows_no_vertical_slits_tells_such_spectra_in_pixels(
    horizontal: dict[FrameKind, list[Exposure]],
) -> None:
    identity = stood_up(horizontal[FrameKind.SPEC_OBJECT][0], mirrored=False).identity
    silent = replace(ALFOSC, vertical_slits=None)
    assert grism_of(identity, silent).in_pixels
    assert not grism_of(identity, ALFOSC).in_pixels


def test_the_binning_along_the_slit_follows_the_slit() -> None:
    setup = Setup(x_binning=2, y_binning=1, window=(1, 2148, 851, 1250), readout="D")
    assert (setup.slit_binning, setup.dispersion_binning) == (2, 1)
    standing = replace(setup, slit="Vert_0.9")
    assert (standing.slit_binning, standing.dispersion_binning) == (1, 2)


@pytest.mark.parametrize(
    ("name", "orientation", "cautioned"),
    [
        ("Slit_1.0", "Horizontal", False),
        ("Vert_0.9", "Vertical", False),
        ("Slit_1.0", "Vertical", True),
        ("Vert_0.9", "Horizontal", True),
    ],
)
def test_a_slit_whose_name_contradicts_its_orientation_is_cautioned(
    alfosc_header, name: str, orientation: str, cautioned: bool
) -> None:
    identity = identify(alfosc_header("science", ALAPRTNM=name, ALAPRORI=orientation), ALFOSC)
    assert identity.kind is FrameKind.SPEC_OBJECT
    assert any("vertical" in reason for reason in identity.reasons) is cautioned
