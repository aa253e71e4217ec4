"""What a site's templates do to a spectrum: header, log, memory; and when there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from astropy.io import fits

from daemon.config import Classification, Config
from tests.daemon.hall import SCIENCE, Contents, Hall, simulated
from tests.reducers.supernovae import write_templates

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def contents() -> Contents:
    return simulated()


def _reduced(folder: Path, contents: Contents, templates: Path | None) -> tuple[Hall, fits.Header]:
    hall = Hall(folder, contents, classification=Classification(templates=templates))
    hall.put(*contents)
    hall.work(until_s=200)
    hall.bench.engine.dispose()
    with fits.open(hall.product().paths["spectrum"]) as hdus:
        return hall, hdus[0].header.copy()


def test_a_target_is_compared_with_the_templates_of_the_site(
    tmp_path: Path, contents: Contents
) -> None:
    hall, header = _reduced(tmp_path, contents, write_templates(tmp_path / "templates"))
    assert "SNTYPE" in header
    assert header["SNSURE"] in (True, False)
    log = hall.product().paths["log"].read_text()
    assert "CLASSIFICATION" in log
    assert "class_sure" in hall.product().measurements
    ascii_head = hall.product().paths["ascii"].read_text().partition("# Masked")[0]
    assert "# CLASSIFICATION " in ascii_head


def test_without_templates_nothing_is_said_of_it(tmp_path: Path, contents: Contents) -> None:
    hall, header = _reduced(tmp_path, contents, None)
    assert "SNTYPE" not in header
    assert "CLASSIFICATION" not in hall.product().paths["log"].read_text()


def test_a_folder_that_is_not_there_costs_no_spectrum(tmp_path: Path, contents: Contents) -> None:
    hall, header = _reduced(tmp_path, contents, tmp_path / "absent")
    assert header["SNTYPE"] == "none"
    assert "no folder of templates" in hall.product().paths["log"].read_text().replace("\n", " ")
    assert hall.frame(SCIENCE).identity.kind == "SPEC_OBJECT"


def test_choosing_templates_reduces_again_and_having_none_changes_no_product(
    tmp_path: Path,
) -> None:
    with_templates = Config(classification=Classification(templates=tmp_path))
    assert Config().settings_digest != with_templates.settings_digest
    assert Config(classification=Classification()).settings_digest == Config().settings_digest
