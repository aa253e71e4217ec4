"""A master dark is taken off a spectrum where its signal matters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.fits import read_raw
from reducers.frame import Frame, Mask
from reducers.identify import identify
from reducers.preparation import above_bias, electrons
from reducers.profiles import load_instrument
from reducers.reduced import Exposure, SpectrumCalibrations
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night
from tests.daemon.hall import SCIENCE, WINDOW

if TYPE_CHECKING:
    from pathlib import Path

ALFOSC = load_instrument("alfosc")
NOISE_ADU = 32.0
#: Pixel that is warm.
WARM = (500, 40)


@pytest.fixture(scope="module")
def exposure(tmp_path_factory: pytest.TempPathFactory) -> Exposure:
    folder: Path = tmp_path_factory.mktemp("raw")
    (planned,) = [item for item in plan_night(seed=5) if f"{item.stem}.fits" == SCIENCE]
    path = folder / SCIENCE
    path.write_bytes(simulate(replace(planned, window=WINDOW), ALFOSC).content)
    raw = read_raw(path, ALFOSC.detector)
    return Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=path.stem)


def dark_of(exposure: Exposure, of_noise: float) -> Frame:
    """Return a dark whose signal in the exposure is this part of the read noise."""
    like = above_bias(exposure, None, ALFOSC)
    rate = of_noise * NOISE_ADU / exposure.identity.exposure_s
    mask = np.zeros(like.shape, np.uint16)
    mask[WARM] = np.uint16(Mask.BAD)
    return like.after(
        "",
        data=np.full(like.shape, rate, np.float32),
        variance=np.full(like.shape, (0.1 * rate) ** 2, np.float32),
        mask=mask,
        unit="adu/s",
    )


def prepared(exposure: Exposure, dark: Frame | None) -> tuple[Frame, np.ndarray]:
    given = SpectrumCalibrations(dark=dark, facts={"bias_read_noise_adu": NOISE_ADU})
    frame, _, masters, _ = electrons(exposure, given, ALFOSC)
    return frame, masters


def test_dark_signal_that_matters_is_subtracted_with_its_variance(exposure: Exposure) -> None:
    plain, before = prepared(exposure, None)
    frame, masters = prepared(exposure, dark_of(exposure, 2.0))
    gain = exposure.identity.gain_e_per_adu or ALFOSC.detector.gain_e_per_adu
    signal_e = 2.0 * NOISE_ADU * gain
    assert np.median(plain.data - frame.data) == pytest.approx(signal_e, rel=1e-3)
    assert np.median(masters - before) == pytest.approx((0.1 * signal_e) ** 2, rel=1e-3)
    assert frame.mask[WARM] & Mask.BAD
    seconds = exposure.identity.exposure_s
    assert f"dark: master subtracted for {seconds:g} s" in frame.history


def test_weak_dark_signal_is_left_and_said_and_warm_pixels_are_masked(exposure: Exposure) -> None:
    plain, before = prepared(exposure, None)
    frame, masters = prepared(exposure, dark_of(exposure, 0.02))
    assert (frame.data == plain.data).all()
    assert (masters == before).all()
    assert any(step.startswith("dark: not subtracted, 0.020") for step in frame.history)
    assert not plain.mask[WARM] & Mask.BAD
    assert frame.mask[WARM] & Mask.BAD
