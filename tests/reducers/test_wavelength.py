"""The wavelength solution: real ALFOSC arcs, storage, binning and refusal."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits

from reducers.errors import PoorWavelengthFit
from reducers.frame import Frame, Geometry, Mask
from reducers.profiles import load_instrument
from reducers.spectroscopy.dispersion import guess_row
from reducers.spectroscopy.flexure import measure_flexure
from reducers.spectroscopy.lines import reference_lines
from reducers.spectroscopy.wavelength import WavelengthSolution, solve_wavelength

if TYPE_CHECKING:
    from pathlib import Path

ALFOSC = load_instrument("alfosc")
GRISM = ALFOSC.grisms["Grism_#4"]


def counts_of(folder: Path, stem: str) -> Any:
    """Return raw counts with wrapped pixels repaired, less the overscan level."""
    data = fits.getdata(folder / f"{stem}.fits", 1).astype(np.float64)
    data[data > 2**31] -= 2**32
    return data


@cache
def bias(folder: Path) -> Any:
    """Return the median of the eleven 1x2 biases, each less its overscan level."""
    planes = [counts_of(folder, f"ALDc2100{k:02d}") for k in range(4, 15)]
    return np.median([p - np.median(p[1034:1046]) for p in planes], axis=0)


@cache
def frame(folder: Path, stem: str) -> Frame:
    """Return a bias-subtracted frame in ADU, with saturated pixels marked."""
    raw = counts_of(folder, stem)
    data = (raw - np.median(raw[1034:1046]) - bias(folder))[:1030]
    mask = np.where(raw[:1030] > 560e3, Mask.SATURATED, Mask.GOOD).astype(np.uint16)
    variance = np.maximum(data, 0) / 0.18 + 32.0**2
    place = Geometry(x0=850, y0=0, x_binning=1, y_binning=2)
    return Frame(data=data, variance=variance, mask=mask, geometry=place)


@cache
def solution(folder: Path, stem: str) -> WavelengthSolution:
    """Return the solution of a real helium-neon arc."""
    return solve_wavelength(frame(folder, stem), GRISM, ALFOSC.lines, lamps=("He", "Ne"))


@pytest.fixture(scope="module")
def raw(realdata: Path) -> Path:
    """Return the folder of raw ALFOSC frames."""
    return realdata / "alfosc_raw"


@pytest.mark.realdata
@pytest.mark.parametrize("stem", ["ALDc200088", "ALDc200207"])
def test_real_arc_has_thirty_lines_within_a_third_of_an_angstrom(raw: Path, stem: str) -> None:
    solved = solution(raw, stem)
    assert solved.n_lines >= 30
    assert solved.rms_angstrom < 0.34


@pytest.mark.realdata
@pytest.mark.parametrize("stem", ["ALDc200088", "ALDc200207"])
def test_helium_3889_carries_the_blue_end(raw: Path, stem: str) -> None:
    solved = solution(raw, stem)
    k = int(np.argmin(np.abs(solved.line_wavelength - 3889.75)))
    assert solved.line_used[k]
    assert abs(solved.line_residual_angstrom[k]) < 0.35


@pytest.mark.realdata
def test_wavelength_at_a_known_row_of_the_arc_on_object(raw: Path) -> None:
    assert solution(raw, "ALDc200207").wavelength(954.74, 1050) == pytest.approx(6144.76, abs=0.3)


@pytest.mark.realdata
def test_two_arcs_of_a_night_differ_by_the_known_flexure(raw: Path) -> None:
    waves = np.array([4472.7, 5017.1, 6144.8, 7247.2])
    rows = [solution(raw, s).row(waves, 1050) for s in ("ALDc200207", "ALDc200088")]
    assert 0.2 <= float(np.median(np.abs(rows[1] - rows[0]))) <= 0.4


@pytest.mark.realdata
def test_green_oxygen_line_of_the_science_frame_is_where_it_should_be(raw: Path) -> None:
    science, solved = frame(raw, "ALDc200205"), solution(raw, "ALDc200207")
    flexure = measure_flexure(science.data, solved, science.geometry, science.shape)
    assert flexure.oxygen_5577_arc_angstrom == pytest.approx(5578.9, abs=0.3)
    assert flexure.n_lines >= 2


@pytest.mark.realdata
def test_flexure_brings_the_evening_arc_to_the_science_frame(raw: Path) -> None:
    science, solved = frame(raw, "ALDc200205"), solution(raw, "ALDc200088")
    flexure = measure_flexure(science.data, solved, science.geometry, science.shape)
    assert flexure.applied
    assert flexure.shift_px == pytest.approx(0.3, abs=0.12)
    assert flexure.oxygen_5577_angstrom == pytest.approx(5578.9, abs=0.3)


def drawn_arc(y_binning: int = 2, *, tilt_px: float = 3.0) -> Frame:
    """Return a noiseless arc of Gaussian lines, tilted by `tilt_px` over 200 columns."""
    lines = [x for x in reference_lines(GRISM, ALFOSC.lines) if x.ion in ("HeI", "NeI")]
    place = Geometry(x0=900, y0=0, x_binning=1, y_binning=y_binning)
    y = place.detector_y(np.arange(2060 // y_binning))[:, None]
    lean = tilt_px * (np.arange(200) - 99.5) / 200
    data = np.full((y.size, 200), 100.0)
    for line in lines:
        row = float(guess_row(GRISM, np.array([line.wavelength_angstrom]))[0]) + 4.0
        data += line.strength * 500 * y_binning * np.exp(-0.5 * ((y - row - lean) / 1.8) ** 2)
    clean = np.zeros(data.shape, np.uint16)
    return Frame(data=data, variance=data, mask=clean, unit="electron", geometry=place)


def test_tilted_lines_are_followed_along_the_slit() -> None:
    solved = solve_wavelength(drawn_arc(), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
    rows = solved.row(6144.76, np.array([905.0, 999.5, 1095.0]))
    assert rows[2] - rows[0] == pytest.approx(3.0 * 190 / 200, abs=0.05)


def test_solution_of_a_binned_arc_serves_an_unbinned_frame() -> None:
    binned = solve_wavelength(drawn_arc(2), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
    single = solve_wavelength(drawn_arc(1), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
    place = Geometry(x0=900, y0=0, x_binning=1, y_binning=1)
    maps = [s.map_for((1600, 200), place)[250:] for s in (binned, single)]
    assert float(np.abs(maps[0] - maps[1]).max()) < 0.5


def test_shift_moves_lines_up_by_that_many_pixels() -> None:
    solved = solve_wavelength(drawn_arc(), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
    moved = solved.shifted(1.5)
    assert moved.row(6000.0, 1000.0) - solved.row(6000.0, 1000.0) == pytest.approx(1.5, abs=1e-3)
    assert moved.wavelength(801.5, 1000.0) == pytest.approx(float(solved.wavelength(800, 1000)))


def test_stored_solution_comes_back_the_same() -> None:
    solved = solve_wavelength(drawn_arc(), GRISM, ALFOSC.lines, lamps=("He", "Ne")).shifted(0.3)
    again = WavelengthSolution.from_arrays(
        {name: np.asarray(value) for name, value in solved.to_arrays().items()}
    )
    y = np.linspace(0, 2063, 50)
    assert np.array_equal(again.wavelength(y, 950.0), solved.wavelength(y, 950.0))
    assert again.line_ion == solved.line_ion
    assert again.n_lines == solved.n_lines


def test_wavelengths_beyond_the_lines_are_called_extrapolated() -> None:
    solved = solve_wavelength(drawn_arc(), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
    assert solved.is_extrapolated(np.array([3500.0, 6000.0])).tolist() == [True, False]


def test_wavelength_never_turns_back_on_the_whole_detector() -> None:
    solved = solve_wavelength(drawn_arc(), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
    assert (np.diff(solved.wavelength(np.arange(0.0, 2064.0), 1000.0)) < 0).all()


def test_an_arc_without_light_is_refused() -> None:
    dark = drawn_arc()
    noise = np.random.default_rng(1).normal(0, 30, dark.shape)
    with pytest.raises(PoorWavelengthFit):
        solve_wavelength(dark.after("dark", data=noise), GRISM, ALFOSC.lines, lamps=("He", "Ne"))
