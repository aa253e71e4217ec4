"""Fixtures shared by the acceptance tests of images."""

from __future__ import annotations

import pytest

from tests.acceptance.sky_camera import SkyCamera


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory) -> SkyCamera:
    """Return a camera that reads the middle of the field; its masters are built once."""
    camera = SkyCamera(tmp_path_factory.mktemp("sky"))
    camera.calibrations()
    return camera


@pytest.fixture(scope="module")
def camera(calibrated: SkyCamera) -> SkyCamera:
    """Return a camera whose noise does not depend on what other files of tests took."""
    return calibrated.copy()
