"""Dithered images of one object and filter become one by themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from daemon.config import Programme, Slack
from daemon.memory.messages import Topic
from daemon.memory.records import Decision, JobKind, Verdict
from daemon.status import read_status
from daemon.work.groups import after_product
from daemon.work.stack_groups import StackGroup, after_image, stack_group_of
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, simulated_images

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.memory.records import CombinationRecord


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHall]:
    heard = {"slack": Slack(channel="C1"), "programmes": {"*": Programme(open=True)}}
    hall = ImageHall(tmp_path_factory.mktemp("stack"), simulated_images(), **heard)
    hall.fill_catalogues()
    hall.put(*BIASES, *FLATS)
    hall.work(until_s=600)
    hall.put(*IMAGES)
    hall.work(until_s=60)
    yield hall
    hall.bench.engine.dispose()


@pytest.fixture
def record(hall: ImageHall) -> CombinationRecord:
    (found,) = hall.bench.archive.combinations()
    return found


def test_a_group_is_known_by_its_key_and_spectra_are_no_stack(hall: ImageHall) -> None:
    group = stack_group_of(hall.frame(IMAGES[0]))
    assert group is not None
    assert StackGroup.of_key(group.key) == group
    assert StackGroup.of_key("ALFOSC:2026-01-15:target:Grism_#4:Slit_1.0") is None


def test_a_sequence_is_added_by_itself_and_goes_deeper(
    hall: ImageHall, record: CombinationRecord
) -> None:
    assert [member.stem for member in record.members] == [name[:-5] for name in IMAGES]
    assert sum(member.weight for member in record.members) == pytest.approx(1)
    with fits.open(record.paths["combined"], checksum=True) as hdus:
        header, noise = hdus[0].header, float(np.median(hdus["UNCERT"].data))
        assert (header["NCOMBINE"], header["BUNIT"]) == (2, "electron/s")
    with fits.open(hall.product(IMAGES[0]).paths["image"]) as hdus:
        alone = float(np.median(hdus["UNCERT"].data)) / hdus[0].header["EXPTIME"]
    assert noise < 0.85 * alone
    assert record.paths["plot"].is_file()
    panels = json.loads(record.paths["plot_facts"].read_text())["panels"]
    assert {name: panel for name, panel in panels.items() if "failed" in panel} == {}
    (line,) = read_status(hall.bench.config.database, now=hall.clock.now()).combinations
    assert (line.target, line.setup) == ("AT2026img", "r_SDSS")


def test_a_stack_is_told_with_its_page(hall: ImageHall, record: CombinationRecord) -> None:
    told = [each.message for each in hall.bench.archive.notices(Topic.PRODUCT)]
    (stack,) = [each for each in told if each.key.startswith("combination:")]
    assert stack.attachments == (record.paths["plot"],)
    assert "2 exposures combined" in stack.text


def test_a_stack_that_is_current_is_left_alone(hall: ImageHall, record: CombinationRecord) -> None:
    for request in after_image(hall.bench.archive, hall.frame(IMAGES[0])):
        hall.bench.queue.submit(request)
    assert [job.kind for job in hall.work()] == [JobKind.STACK]
    assert hall.bench.archive.combinations() == [record]


def test_a_verdict_on_an_image_never_asks_for_spectra(hall: ImageHall) -> None:
    assert after_product(hall.bench.archive, hall.frame(IMAGES[0])) == []


def test_a_stack_of_which_one_image_is_left_is_taken_back(
    hall: ImageHall, record: CombinationRecord
) -> None:
    archive, frame = hall.bench.archive, hall.frame(IMAGES[1])
    product = archive.current_product(frame.id)
    assert product is not None
    verdict = Verdict(decision=Decision.REJECTED, user="eva", at=hall.clock.now())
    archive.decide(product, verdict)
    for request in after_image(archive, frame):
        hall.bench.queue.submit(request)
    hall.work()
    assert archive.combinations() == []
    assert not record.paths["combined"].exists()
