"""Whatever an image holds, its search for sources ends."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.frame import Frame, Mask
from reducers.imaging.detection import detect
from reducers.imaging.extraction import extract
from tests.reducers.imaging.small_camera import stars

SHAPE = (1000, 1100)
RNG = np.random.default_rng(7)
NOISE = RNG.normal(0, 10, SHAPE).astype(np.float32)
PLACES = [(700 + 70 * k, 100 + 160 * k) for k in range(5)]
SOURCES = stars(PLACES, 2e4, shape=SHAPE).astype(np.float32)
LEFT = np.indices(SHAPE)[1] < 550


def frame_of(light: np.ndarray, mask: np.ndarray | None = None) -> Frame:
    mask = np.zeros(SHAPE, np.uint16) if mask is None else mask
    return Frame(data=light, variance=np.full(SHAPE, 100.0), mask=mask, unit="electron")


def test_stars_beside_a_saturated_half_are_found() -> None:
    light = np.where(LEFT, np.float32(3e5), NOISE + SOURCES)
    frame = frame_of(light, np.where(LEFT, np.uint16(Mask.SATURATED), np.uint16(0)))
    found, segments = detect(frame, np.zeros(SHAPE, np.float32), np.full(SHAPE, 10.0, np.float32))
    beside = found.x > 560
    assert sorted(np.rint(found.x[beside])) == [x for x, _ in PLACES]
    assert found.flooded == pytest.approx(0.5, abs=0.02)
    assert not segments[:, :540].any()


@pytest.mark.parametrize(
    "light",
    [NOISE + 500, RNG.exponential(300, SHAPE).astype(np.float32), 30 * NOISE + 900],
    ids=["sky not subtracted", "noise of one sign", "noise above the sky"],
)
def test_light_without_end_raises_nothing(light: np.ndarray) -> None:
    level, rms = np.zeros(SHAPE, np.float32), np.full(SHAPE, 10.0, np.float32)
    found, _ = detect(frame_of(light), level, rms)
    assert found.flooded > 0.5


def test_an_ordinary_image_has_no_flood() -> None:
    found = extract(NOISE + SOURCES, 50.0, err=None, minarea=5)
    assert len(found.objects) == len(PLACES)
    assert found.flooded is None
    assert found.flooded_fraction == 0
