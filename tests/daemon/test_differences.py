"""An image that has an earlier one of its field is compared with it, without being asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from daemon.cli.main import main
from daemon.config import Differences
from daemon.memory.records import JobKind
from daemon.publish.light_curve import brightness, light_curve_csv
from daemon.work.differences import subtract_template
from daemon.work.templates import stored_templates, template_of
from daemon.work.watched import parse_watched
from reducers.simulate.frames import simulate
from reducers.simulate.scene import Visitor
from reducers.transients.candidate import Standing
from tests.daemon.hall import ALFOSC
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, planned, simulated_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.memory.records import Job

EARLIER = planned()[-1]
assert EARLIER.scene is not None
assert EARLIER.ra_deg is not None
assert EARLIER.dec_deg is not None
#: A star that was not there three weeks before, half a minute from the middle.
NEW = Visitor(
    name="new", ra_deg=EARLIER.ra_deg - 0.008, dec_deg=EARLIER.dec_deg + 0.006, r_mag=19.5
)
LATER = replace(
    EARLIER,
    stem="ALJb050001",
    number=1,
    start=EARLIER.start + timedelta(days=21),
    scene=replace(EARLIER.scene, visitors=(*EARLIER.scene.visitors, NEW)),
)
WATCH = (f"AT2026new {NEW.ra_deg:.6f} {NEW.dec_deg:.6f}", "nothing here 20 5", "no line")


class DifferenceHall(ImageHall):
    """A hall that takes templates off images as well."""

    @property
    def tasks(self) -> dict[JobKind, object]:
        def subtract(job: Job) -> None:
            subtract_template(self.bench, job)

        return {**super().tasks, JobKind.DIFFERENCE: subtract}


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DifferenceHall]:
    frame = simulate(LATER, ALFOSC)
    contents = {**simulated_images(), frame.name: frame.content}
    folder = tmp_path_factory.mktemp("differences")
    hall = DifferenceHall(folder, contents, differences=Differences(watch=WATCH))
    hall.fill_catalogues()
    hall.put(*BIASES, *FLATS, IMAGES[-1])
    hall.work(until_s=600)
    hall.put(frame.name)
    hall.work(until_s=600)
    yield hall
    hall.bench.engine.dispose()


LATER_NAME = f"{LATER.stem}.fits"


def test_the_new_star_is_the_only_candidate(hall: DifferenceHall) -> None:
    record = hall.bench.archive.difference(hall.frame(LATER_NAME).id)
    assert record is not None
    assert record.template == EARLIER.stem
    assert "21 days older" in record.why
    kept = hall.bench.archive.candidates_of(record.frame_id)
    ours = [each.candidate for each in kept if each.candidate.method == "difference"]
    (found,) = [each for each in ours if each.standing is Standing.NEW]
    assert found.reasons == (f"{EARLIER.stem} does not show it.",)
    assert 0 < found.score <= 1
    plots = hall.bench.layout.plots(hall.frame(LATER_NAME).night)
    for what in ("stamps", "finder"):
        picture = plots / f"{LATER.stem}_new{found.number}_{what}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
    off = np.hypot(
        (found.ra_deg - NEW.ra_deg) * np.cos(np.radians(31)), found.dec_deg - NEW.dec_deg
    )
    assert off * 3600 < 0.3
    assert found.magnitude == pytest.approx(NEW.r_mag, abs=0.1)


def test_the_files_lie_beside_the_image(hall: DifferenceHall) -> None:
    record = hall.bench.archive.difference(hall.frame(LATER_NAME).id)
    assert record is not None
    path = record.paths["difference"]
    assert path.name == f"{LATER.stem}_diff.fits"
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header["TEMPLATE"] == EARLIER.stem
        assert hdus["CHANGES"].data["CLEAN"].sum() == 1
        assert [row["ROLE"] for row in hdus["PROVENANCE"].data] == ["IMAGE", "TEMPLATE"]
    assert record.measurements["difference_limit_50_mag"] > 21


def test_the_watched_target_has_a_light_curve(hall: DifferenceHall) -> None:
    points = hall.bench.archive.light_curve("AT2026new")
    assert [(each.stem, each.method) for each in points] == [
        (EARLIER.stem, "difference"), (EARLIER.stem, "image"),
        (LATER.stem, "difference"), (LATER.stem, "image"),
    ]  # fmt: skip
    before, after = points[1], points[2]
    assert points[0].why.startswith("no earlier image")
    assert np.isnan(brightness(before).magnitude)
    assert brightness(before).limit_5 > 20.5
    assert brightness(after).magnitude == pytest.approx(NEW.r_mag, abs=0.1)
    assert brightness(points[3]).magnitude == pytest.approx(NEW.r_mag, abs=0.1)
    assert len(light_curve_csv(points).splitlines()) == 5
    assert hall.bench.archive.watched() == ["AT2026new"]


def test_a_person_reads_the_light_curve_and_gets_its_files(
    hall: DifferenceHall, capsys: pytest.CaptureFixture[str]
) -> None:
    root = hall.bench.config.root
    assert main(["lightcurve", "AT2026new", "--root", str(root)]) == 0
    said = capsys.readouterr().out
    assert said.count("(3 sigma)") == 1
    assert said.count("19.") >= 2
    assert (root / "lightcurve_AT2026new.csv").read_text().count(LATER.stem) == 2
    assert (root / "lightcurve_AT2026new.png").read_bytes().startswith(b"\x89PNG")
    assert main(["lightcurve", "nobody", "--root", str(root)]) == 1
    assert "AT2026new" in capsys.readouterr().err


def test_a_person_adds_a_template(
    hall: DifferenceHall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.fits"
    broken.write_text("nothing")
    image = str(hall.product(LATER_NAME).paths["image"])
    assert main(["templates", "--root", str(tmp_path), "--add", image, str(broken)]) == 1
    told = capsys.readouterr()
    assert "broken.fits is not added" in told.err
    assert "r_SDSS" in told.out


def test_a_second_image_of_the_night_is_no_template(hall: DifferenceHall) -> None:
    frame = hall.frame(IMAGES[-1])
    choice = template_of(hall.bench, frame, hall.product(IMAGES[-1]))
    assert choice.offer is None
    assert [why for _, why in choice.rejected] == ["it was taken later"]


def test_a_survey_cutout_serves_where_no_earlier_image_does(hall: DifferenceHall) -> None:
    frame, product = hall.frame(IMAGES[-1]), hall.product(IMAGES[-1])
    folder = hall.bench.config.template_folder
    folder.mkdir(parents=True, exist_ok=True)
    with fits.open(hall.product(LATER_NAME).paths["image"]) as hdus:
        fits.writeto(folder / "field.r.fits", hdus[0].data, hdus[0].header)
    (folder / "broken.fits").write_bytes(b"SIMPLE  = nothing")
    try:
        assert len(stored_templates(folder)) == 2
        choice = template_of(hall.bench, frame, product)
        assert choice.offer is not None
        assert choice.offer.kind == "survey"
        assert ("broken.fits", True) in [(name, "FITS" in why) for name, why in choice.rejected]
        (request,) = [
            job for job in hall.done if job.kind is JobKind.DIFFERENCE
            and job.payload["frame_id"] == frame.id
        ][:1]  # fmt: skip
        subtract_template(hall.bench, request)
        record = hall.bench.archive.difference(frame.id)
        assert record is not None
        assert record.method == "zogy", record.why
    finally:
        for path in folder.iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("SN 2026abc 150.25 -12.5", ("SN 2026abc", 150.25, -12.5)),
        ("x 10:00:00 -01:30:00.0", ("x", 150.0, -1.5)),
        ("x 10:00:00", None),
        ("x 400 20", None),
        ("x nan 20", None),
    ],
)
def test_lines_of_watched_targets(line: str, place: tuple[str, float, float] | None) -> None:
    found = parse_watched(line)
    assert (found and (found.name, found.ra_deg, found.dec_deg)) == place
