"""Every reduced image is searched for new sources, and a person can search its files again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.cli.main import main
from reducers.simulate.frames import simulate
from reducers.simulate.scene import Visitor
from reducers.transients.candidate import Standing
from reducers.transients.sphere import separation_arcsec
from tests.daemon.hall import ALFOSC
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, planned, simulated_images

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = IMAGES[0]
PLAN = planned()[8]
NEW = Visitor(
    name="new", ra_deg=float(PLAN.ra_deg or 0) + 0.004, dec_deg=float(PLAN.dec_deg or 0) - 0.006,
    r_mag=18.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHall]:
    """Return a hall with one image on which something new shines."""
    assert PLAN.scene is not None
    shown = replace(PLAN, scene=replace(PLAN.scene, visitors=(NEW,)))
    contents = {**simulated_images(), FIRST: simulate(shown, ALFOSC).content}
    hall = ImageHall(tmp_path_factory.mktemp("new"), contents)
    hall.fill_catalogues()
    hall.put(*BIASES, *FLATS, FIRST)
    hall.work(until_s=600)
    yield hall
    hall.bench.engine.dispose()


def off_arcsec(candidate) -> float:
    return float(separation_arcsec(candidate.ra_deg, candidate.dec_deg, NEW.ra_deg, NEW.dec_deg))


def test_what_no_catalogue_lists_is_found_on_every_image_and_remembered(hall) -> None:
    (one,) = hall.bench.archive.candidates(standings=[Standing.NEW])
    assert off_arcsec(one.candidate) < 0.3
    assert one.candidate.magnitude == pytest.approx(18.0, abs=0.15)
    assert one.stem == PLAN.stem
    (product,) = hall.bench.archive.products()
    assert product.measurements["new_sources"] == 1
    assert {"new_sources", "new_sources_plot", "new_sources_facts"} <= product.hashes.keys()


def test_the_list_has_the_columns_of_pynot(hall) -> None:
    (path,) = hall.bench.config.root.rglob("new_sources_*.txt")
    head, _, *lines = path.read_text().splitlines()
    assert head.split()[:9] == [
        "ra", "dec", "mag_auto", "a", "b", "theta", "flux_auto", "flux_err_auto", "class",
    ]  # fmt: skip
    row = np.loadtxt(lines[:1], usecols=range(9))
    assert separation_arcsec(row[0], row[1], NEW.ra_deg, NEW.dec_deg) < 0.3
    assert 0.8 < row[4] / row[3] <= 1
    assert row[8] == 1


def test_a_person_finds_the_same_in_the_files_and_gives_the_circles(hall, tmp_path, capsys) -> None:
    (image,) = hall.bench.config.root.rglob("*_image.fits")
    place = [str(NEW.ra_deg), str(NEW.dec_deg)]
    where = ["--root", str(hall.bench.config.root), "--into", str(tmp_path)]
    code = main(["findnew", str(image), *where, "--xrt", *place, "2", "--bat", *place, "2"])
    said = capsys.readouterr().out
    assert code == 0
    assert "NEW" in said
    assert "2 green" in said
    assert len(list(tmp_path.glob("new_sources_*.png"))) == 1


def test_findnew_refuses_in_words_what_it_cannot_read(hall, tmp_path, capsys) -> None:
    (tmp_path / "image.fits").write_bytes(b"SIMPLE")
    where = ["--root", str(hall.bench.config.root)]
    assert main(["findnew", str(tmp_path / "image.fits"), *where]) == 2
    assert "no photometry beside" in capsys.readouterr().err
    broken = str(tmp_path / "image.fits")
    assert main(["findnew", broken, broken, *where]) == 2
    assert "cannot be read as an image" in capsys.readouterr().err
    assert main(["findnew", broken, "--bat", "10", "95", "3", *where]) == 2
    assert "declination" in capsys.readouterr().err


def test_status_and_report_tell_of_it_in_one_line(hall, capsys) -> None:
    said = {}
    for command in ("status", "report"):
        main([command, "--root", str(hall.bench.config.root)])
        said[command] = " ".join(capsys.readouterr().out.split())
    assert f"new sources, 1 images searched: 1 (on {PLAN.stem}) new" in said["status"]
    assert "images 1; candidates: new 1" in said["report"]
