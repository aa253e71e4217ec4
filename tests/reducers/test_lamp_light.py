"""The light of a lamp is that of its lines per second, whatever exposure and background."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from reducers.frame import Frame, Geometry, Mask
from reducers.spectroscopy.lamp_light import lamp_light

ROWS = np.array([100.0, 180.0, 260.0, 340.0, 420.0])
IONS = ("HeI", "HeI", "HeI", "NeI", "NeI")
PER_SECOND = {"HeI": 400.0, "NeI": 900.0}
FWHM_PX, GAIN = 4.4, 0.2


def arc(seconds: float, *, level: float = 500.0, full_row: float | None = None) -> Frame:
    y = np.arange(520.0)[:, None] * np.ones((1, 60))
    sigma = FWHM_PX / 2.3548
    data = np.full(y.shape, level)
    for row, ion in zip(ROWS, IONS, strict=True):
        shape = np.exp(-0.5 * ((y - row) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        data += PER_SECOND[ion] * seconds / GAIN * shape
    mask = np.zeros(y.shape, np.uint16)
    if full_row is not None:
        mask[np.abs(y - full_row) < 1] = Mask.SATURATED
    return Frame(
        data=data.astype(np.float32),
        variance=np.ones(y.shape, np.float32),
        mask=mask,
        unit="adu",
        geometry=Geometry(x0=0, y0=0, x_binning=1, y_binning=1),
    )


def solution(ions: tuple[str, ...] = IONS) -> SimpleNamespace:
    return SimpleNamespace(
        line_row=ROWS,
        line_ion=ions,
        line_used=np.ones(len(ROWS), bool),
        fwhm_px=FWHM_PX,
        domain_x_px=(0.0, 59.0),
    )


@pytest.mark.parametrize("seconds", [3.0, 30.0])
@pytest.mark.parametrize("level", [0.0, 5000.0])
def test_the_light_does_not_depend_on_exposure_time_and_background(
    seconds: float, level: float
) -> None:
    found = lamp_light(arc(seconds, level=level), solution(), {"He": seconds, "Ne": seconds}, GAIN)
    assert found["lamp_he_e_per_s"] == pytest.approx(400, rel=0.02)
    assert found["lamp_ne_e_per_s"] == pytest.approx(900, rel=0.02)


def test_a_full_line_is_left_out() -> None:
    found = lamp_light(arc(3.0, full_row=ROWS[1]), solution(), {"He": 3.0}, GAIN)
    assert found["lamp_he_e_per_s"] == pytest.approx(400, rel=0.02)


def test_one_line_or_no_exposure_time_tells_nothing_of_a_lamp() -> None:
    one = ("HeI", *IONS[3:], "NeI", "NeI")
    assert "lamp_he_e_per_s" not in lamp_light(arc(3.0), solution(one), {"He": 3.0}, GAIN)
    assert lamp_light(arc(3.0), solution(), {"He": 0.0, "Halogen": 3.0}, GAIN) == {}
