"""A borrowed response is the median of those that stand beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration_store.policy import Selection
from calibration_store.records import MasterRecord
from daemon.work.calibrations import provenance_of, read_responses
from reducers.identity import Setup
from reducers.products import master_hdus
from reducers.reduced import Built
from reducers.spectroscopy.response import Response

if TYPE_CHECKING:
    from pathlib import Path

SETUP = Setup(x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200")
GRID = np.linspace(3600, 9200, 300)


def written(folder: Path, name: str, grey: float) -> MasterRecord:
    zero = 15.4 - ((GRID - 5200) / 2600) ** 2 + grey
    response = Response(
        wavelength=GRID, ab_zero_point=zero, error=np.full(GRID.size, 0.01), standard=name,
        rms_mag=0.01, airmass=1.2, slit="Slit_1.0", grism="Grism_#4",
        points_wavelength=GRID[::9], points_zero_point=zero[::9],
        telluric_wavelength=GRID[100:110], telluric_transmission=np.full(10, 0.7),
    )  # fmt: skip
    path = folder / f"{name}.fits"
    master_hdus(Built(role="RESPONSE", value=response, measurements={}), ()).writeto(path)
    when = datetime(2026, 3, 1, tzinfo=UTC)
    return MasterRecord(
        key=name, instrument="ALFOSC", role="RESPONSE", setup=SETUP, set_key="", night="n",
        observed_at=when, built_at=when, path=path, sha256=name * 3,
    )  # fmt: skip


def test_the_median_is_read_from_the_files_and_each_is_named(tmp_path: Path) -> None:
    masters = [written(tmp_path, f"star{n}", grey) for n, grey in enumerate((0.5, 0.0, 0.02))]
    alone = Selection(role="RESPONSE", master=masters[0], rung="", reason="", borrowed=True)
    together = replace(alone, companions=tuple(masters[1:]))
    peak = [
        float(read.ab_zero_point.max())
        for choice in (alone, together)
        if (read := read_responses([choice])) is not None
    ]
    assert peak == pytest.approx([15.9, 15.42], abs=1e-3)
    assert [item.file for item in provenance_of([], [together])] == [m.path.name for m in masters]
    masters[2].path.unlink()
    assert read_responses([together]) is not None
    assert read_responses([]) is None
