"""Every grism of ALFOSC gives true wavelengths on its own arc, with no hand touching anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from numpy.polynomial import polynomial

from reducers.detector_recipes import build_bias
from reducers.fits import read_raw
from reducers.identify import identify
from reducers.profiles import load_instrument
from reducers.recipes import Exposure, SpectrumCalibrations, build_arc, reduce_spectrum
from reducers.simulate.frames import simulate
from reducers.simulate.observer import Observer
from reducers.simulate.records import Source
from reducers.simulate.targets import Target

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
ALFOSC = load_instrument("alfosc")
GRISMS = (3, 4, 5, 7, 8, 10, 11, 17, 18, 19, 20)
STAR = Source(name="star", model="star", ab_magnitude=16.5, detector_x=956.0)
TARGET = Target(name="AT2026gri", hour_angle_h=0.4, dec_deg=30, exposure_s=300, sources=(STAR,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("grisms")


def taken(folder, planned):
    """Return an exposure as a recipe takes it, and its truth."""
    frame = simulate(planned, ALFOSC)
    path = folder / frame.name
    path.write_bytes(frame.content)
    raw = read_raw(path, ALFOSC.detector)
    exposure = Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=path.stem)
    return exposure, frame.truth


@pytest.fixture(scope="module")
def bias(folder) -> SpectrumCalibrations:
    observer = Observer(seed=9, night=date(2026, 2, 3), steady=True)
    observer.biases(3)
    built = build_bias([taken(folder, planned)[0] for planned in observer.taken], ALFOSC)
    return SpectrumCalibrations(bias=built.value)


@pytest.mark.parametrize("number", GRISMS)
def test_an_arc_gives_true_wavelengths_and_the_science_a_spectrum(number, folder, bias) -> None:
    observer = Observer(seed=30 + number, night=date(2026, 2, 4), steady=True)
    observer.at(-1.0)
    observer.science(TARGET)
    science, arc = (replace(p, grism=f"Grism_#{number}") for p in observer.taken)
    exposure, truth = taken(folder, arc)
    solution = build_arc([exposure], bias, ALFOSC).value
    y, x = np.arange(5.0, 2050.0, 5.0), np.full(409, 956.0)
    found = solution.wavelength(y, x)
    t, u0 = (x - 1050) / 100, (y - 1050) / 1000
    a, b, c = truth.bend_px
    bend = (a * t + b * t**2) * (1 + c * u0)
    true = polynomial.polyval((y - truth.shift_px - bend - 1000) / 1000, truth.dispersion)
    error_px = (found - true) / np.gradient(found, y)
    inside = ~solution.is_extrapolated(found)
    # Unbinned pixels; #3, #10 and #11 are simulated with a simpler shape than their glass has.
    assert float(np.sqrt(np.mean(error_px[inside] ** 2))) < 0.3
    reduced = reduce_spectrum(
        taken(folder, science)[0], replace(bias, wavelengths=solution), ALFOSC
    )
    assert reduced.objects[0].snr > 3
    assert not {"NO_TRACE", "NEG_FLUX", "WAVE_RMS"} & {flag.name for flag in reduced.flags}
