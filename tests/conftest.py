"""Fixtures shared by every folder of tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: As in the daemon's workers: threads that wait for each other on busy cores take forever.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the source tree."""
    return _REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Return the folder of real frames, or skip where it is absent."""
    folder = Path(os.environ.get("ALFOSCD_REALDATA") or _REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real frames at {folder} (set ALFOSCD_REALDATA)")
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Stay in one process where what tests print is to be read (-s)."""
    return 0 if config.option.capture == "no" else None
