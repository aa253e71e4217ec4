"""Trails of satellites are found and masked, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.frame import Mask
from reducers.imaging.reduced_image import ImageSettings
from reducers.simulate.scene import SatelliteTrail
from tests.acceptance.sky_camera import SCENE

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
TO_THE_MASK = ImageSettings(stop_after="sky")


TRAILS = {0.7: 24.0, 2.0: 100.0, 10.0: 155.0}


@pytest.mark.parametrize("sigma", [0.7, 10.0, pytest.param(2.0, marks=pytest.mark.slow)])
def test_a_trail_is_found_and_masked(camera, sigma: float) -> None:
    trail = SatelliteTrail(x_px=1050.0, y_px=1020.0, angle_deg=TRAILS[sigma], sigma=sigma)
    shot = camera.image(scene=replace(SCENE, trails=(trail,)))
    result = camera.reduce(shot, settings=TO_THE_MASK)
    assert result.measurements["trails"] == 1
    along = np.linspace(-200, 200, 81)
    turn = np.radians(trail.angle_deg)
    columns = result.image.geometry.column(trail.x_px + along * np.cos(turn))
    rows = result.image.geometry.row(trail.y_px + along * np.sin(turn))
    marked = result.image.mask[np.rint(rows).astype(int), np.rint(columns).astype(int)]
    assert ((marked & np.uint16(Mask.TRAIL)) != 0).mean() > 0.9


def test_a_sky_without_trails_shows_none(camera) -> None:
    result = camera.reduce(camera.image(), settings=TO_THE_MASK)
    assert result.measurements["trails"] == 0
