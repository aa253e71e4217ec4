from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.memory.records import JobKind
from daemon.sections import Catalogues
from daemon.work.refetch import fetch_missing
from daemon.work.sky_catalogues import open_catalogues
from reducers.simulate.frames import simulate
from tests.daemon.hall import ALFOSC
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, planned

if TYPE_CHECKING:
    from pathlib import Path

_QUARTER_OF_AN_HOUR_S = 900.0


class Hall(ImageHall):
    """A hall without a link, that looks for missing catalogues now and then."""

    @property
    def tasks(self) -> dict[JobKind, object]:
        return {**super().tasks, JobKind.FETCH: lambda job: fetch_missing(self.bench, job)}


@pytest.fixture(scope="module")
def image() -> dict[str, bytes]:
    frame = simulate(planned()[len(BIASES) + len(FLATS)], ALFOSC)
    return {frame.name: frame.content}


@pytest.fixture
def hall(tmp_path: Path, image: dict[str, bytes]) -> Hall:
    hall = Hall(tmp_path, image, catalogues=Catalogues(online=False))
    hall.put(IMAGES[0])
    hall.work({JobKind.IMAGE}, until_s=600)
    return hall


def test_an_image_without_catalogues_is_calibrated_again_when_they_are_there(hall: Hall) -> None:
    before = hall.product(IMAGES[0])
    assert "catalogues" in hall.waiting()
    assert open_catalogues(hall.bench.config).wanted.everything()
    hall.fill_catalogues()
    hall.work({JobKind.FETCH, JobKind.IMAGE}, until_s=2 * _QUARTER_OF_AN_HOUR_S)
    after = hall.product(IMAGES[0])
    assert after.key != before.key
    assert open_catalogues(hall.bench.config).wanted.everything() == []
    assert "catalogues" not in hall.waiting()


def test_what_is_still_missing_is_tried_again_and_nothing_is_made_twice(hall: Hall) -> None:
    before = hall.product(IMAGES[0])
    did = hall.work({JobKind.FETCH, JobKind.IMAGE}, until_s=3 * _QUARTER_OF_AN_HOUR_S)
    assert {job.kind for job in did} == {JobKind.FETCH}
    assert 1 < len(did) < 5
    assert hall.product(IMAGES[0]) == before
    assert "catalogues" in hall.waiting()
