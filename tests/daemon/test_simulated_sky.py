"""The catalogues of a simulated night reach the discs where images look for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.table import Table

from calibration_store.catalogues.references import Catalogues
from daemon.cli.main import main
from daemon.cli.simulated_sky import catalogue_files, fetch_command, hold_catalogues
from reducers.identity import FrameKind
from reducers.simulate.night import plan_night

if TYPE_CHECKING:
    from pathlib import Path

PLAN = [p for p in plan_night(1, "demo") if p.kind is FrameKind.IMG_OBJECT and p.scene is not None]


def test_a_field_of_the_night_is_wholly_covered(tmp_path: Path) -> None:
    assert hold_catalogues(PLAN, tmp_path, retrieved="2026-01-15") > 1000
    ra, dec = PLAN[0].ra_deg, PLAN[0].dec_deg
    assert ra is not None
    assert dec is not None
    given = Catalogues(tmp_path).references_for(ra, dec, 0.12, 2026.04, "r_SDSS")
    assert given.astrometric is not None
    assert given.astrometric.covered == pytest.approx(1)
    assert given.astrometric.magnitudes["G"].min() < 16
    assert [catalogue.name for catalogue in given.photometric] == ["ps1", "sdss", "gaia"]


def test_files_say_which_survey_and_circle_they_are(tmp_path: Path) -> None:
    written = catalogue_files(PLAN, tmp_path / "catalogues")
    assert len(written) == 3
    table = Table.read(next(path for path in written if path.name.startswith("gaia")))
    assert table.meta["CATALOG"] == "gaia"
    assert np.abs(table["dec_deg"] - table.meta["DEC_CEN"]).max() <= table.meta["RADIUS"] + 1e-3


def test_the_printed_command_takes_a_file_in(tmp_path: Path) -> None:
    path = catalogue_files(PLAN, tmp_path / "catalogues")[0]
    words = fetch_command(path).split()
    assert words.pop(0) == "alfoscd"
    assert main([*words, "--root", str(tmp_path / "root")]) == 0
    assert hold_catalogues(PLAN, tmp_path / "held", retrieved="2026-01-15")
    ra, dec = PLAN[0].ra_deg, PLAN[0].dec_deg
    assert ra is not None
    assert dec is not None
    taken, held = (
        Catalogues(folder).cone("gaia", ra, dec, 0.1, 2026.04)
        for folder in (tmp_path / "root" / "catalogues", tmp_path / "held")
    )
    assert len(taken) == len(held) > 100
    assert taken.covered == pytest.approx(1)


def test_a_night_of_spectra_writes_no_catalogue(tmp_path: Path) -> None:
    assert catalogue_files(plan_night(1, "small"), tmp_path / "catalogues") == ()
    assert not (tmp_path / "catalogues").exists()
