"""A spectrum learns from the image through its slit where the target stood."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.work.acquisitions import last_slit_image
from reducers.frame import Geometry
from reducers.identity import FrameKind
from reducers.simulate.frames import data_bytes
from tests.daemon.hall import BIASES, SCIENCE, WINDOW, Contents, Hall, edited, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLIT_IMAGE = "ALJa150016.fits"


@pytest.fixture(scope="module")
def contents() -> Contents:
    return simulated()


@pytest.fixture
def hall(tmp_path: Path, contents: Contents) -> Iterator[Hall]:
    hall = Hall(tmp_path, contents)
    yield hall
    hall.bench.engine.dispose()


def _slit_image(hall: Hall, *, across_arcsec: float, column_px: float = 1050.0) -> bytes:
    """Return the spectrum's file as an image through its slit, ten minutes earlier."""
    own = hall.frame(SCIENCE).identity
    earlier = own.observed_at - timedelta(minutes=10)
    header = hall.contents[SCIENCE]
    rows = (WINDOW[3] - WINDOW[2] + 1) // own.setup.y_binning
    columns = WINDOW[1] - WINDOW[0] + 1
    geometry = Geometry(WINDOW[0] - 1, WINDOW[2] - 1, 1, own.setup.y_binning)
    y = geometry.detector_y(np.arange(rows))[:, None] - own.aperture_y_px
    x = geometry.detector_x(np.arange(columns))[None, :] - column_px
    half = hall.bench.instrument("ALFOSC").slits_arcsec[own.setup.slit] / 2 / 0.2138
    inside = np.clip((half - np.abs(y)) / own.setup.y_binning + 0.5, 0, 1)
    star = 20_000 * np.exp(-0.5 * (x**2 + (y - across_arcsec / 0.2138) ** 2) / 2.2**2)
    rng = np.random.default_rng(1)
    data = 10_000 + inside * (700 + star) + rng.normal(0, 35, (rows, columns))
    raw = data_bytes(np.rint(data).astype(np.int64))
    for card, value in (
        ("ALGRNM", "Open_(Lyot)"),
        ("OBJECT", "slit check"),
        ("DATE-OBS", earlier.strftime("%Y-%m-%dT%H:%M:%S.0")),
    ):
        header = edited(header, card, value)
    return header[: len(header) - len(raw)] + raw


def test_a_target_beside_the_slit_is_flagged_on_its_spectrum(hall: Hall) -> None:
    hall.put(*BIASES, SCIENCE)
    hall.put(SLIT_IMAGE, content=_slit_image(hall, across_arcsec=1.6))
    assert hall.frame(SLIT_IMAGE).identity.kind is FrameKind.SLIT_IMAGE
    hall.work(until_s=600)
    product = hall.product()
    assert product.measurements["target_across_arcsec"] == pytest.approx(1.6, abs=0.3)
    assert "TARGET_OUTSIDE_SLIT" in [flag.name for flag in product.flags]


def test_only_an_image_of_the_same_acquisition_counts(hall: Hall) -> None:
    hall.put(SCIENCE)
    science = hall.frame(SCIENCE)
    assert last_slit_image(hall.bench, science) is None
    content = _slit_image(hall, across_arcsec=0.0)
    hall.put("ALJa150014.fits", content=edited(content, "ALAPRTNM", "Slit_2.5"))
    old = science.identity.observed_at - timedelta(hours=1)
    hall.put(
        "ALJa150015.fits", content=edited(content, "DATE-OBS", old.strftime("%Y-%m-%dT%H:%M:%S.0"))
    )
    assert last_slit_image(hall.bench, science) is None
    hall.put(SLIT_IMAGE, content=content)
    assert last_slit_image(hall.bench, science) == hall.frame(SLIT_IMAGE)
