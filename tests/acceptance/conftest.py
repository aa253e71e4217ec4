"""Fixtures shared by the acceptance tests of images."""

from __future__ import annotations

import pytest

from tests.acceptance.sky_camera import SkyCamera


@pytest.fixture(scope="session")
def camera(tmp_path_factory) -> SkyCamera:
    """Return a camera that reads the middle of the field; its masters are built once."""
    return SkyCamera(tmp_path_factory.mktemp("sky"))
