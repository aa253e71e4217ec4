"""Whatever is missing, malformed or beside the point: no error, and no alert on a guess."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from daemon.config import Programme
from daemon.memory.records import JobKind
from daemon.triggers.spool import drop
from daemon.triggers.watch import triggers_request
from daemon.work.trigger_notices import read_triggers
from reducers.simulate.frames import simulate
from reducers.simulate.scene import Visitor
from reducers.transients.alert import Urgency
from tests.daemon.hall import ALFOSC, NOON
from tests.daemon.image_hall import IMAGES, ImageHall, planned, simulated_images
from tests.reducers.transients.notices_by_hand import swift_xrt

if TYPE_CHECKING:
    from pathlib import Path

PLAN = planned()[8]
RA, DEC = float(PLAN.ra_deg or 0), float(PLAN.dec_deg or 0)
#: Far beyond what the detector holds.
FULL = Visitor(name="full", ra_deg=RA + 0.004, dec_deg=DEC - 0.006, r_mag=9.5)
FAINT = replace(FULL, r_mag=18.0)


class BadHall(ImageHall):
    """A hall that reads notices and tells everybody."""

    def __init__(self, folder: Path, visitor: Visitor) -> None:
        assert PLAN.scene is not None
        shown = replace(PLAN, scene=replace(PLAN.scene, visitors=(visitor,)))
        contents = {**simulated_images(), IMAGES[0]: simulate(shown, ALFOSC).content}
        super().__init__(folder, contents, programmes={"*": Programme(alerts=True, open=True)})
        self.clock.seconds = (PLAN.start - NOON).total_seconds() + 300

    @property
    def tasks(self) -> dict[JobKind, object]:
        return {**super().tasks, JobKind.TRIGGERS: lambda job: read_triggers(self.bench, job)}

    def notices(self, **contents: bytes) -> None:
        for name, content in contents.items():
            drop(self.bench.config.trigger_spool, f"{name}.xml", content)
        self.bench.queue.submit(triggers_request(self.clock.now()))
        self.work({JobKind.TRIGGERS})

    @property
    def urgencies(self) -> list[Urgency]:
        self.put(IMAGES[0])
        self.work({JobKind.IMAGE})
        return [each.urgency for each in self.bench.archive.alerts()]


def circle(dec: float) -> bytes:
    when = (PLAN.start - timedelta(minutes=20)).isoformat()
    return swift_xrt(ra=FAINT.ra_deg, dec=dec, when=when)


@pytest.fixture
def hall(tmp_path: Path, request: pytest.FixtureRequest):
    hall = BadHall(tmp_path, getattr(request, "param", FAINT))
    yield hall
    hall.bench.engine.dispose()


def test_without_catalogues_an_image_stands_and_nobody_is_told(hall: BadHall) -> None:
    hall.notices(good=circle(FAINT.dec_deg))
    assert hall.urgencies == []
    assert hall.product(IMAGES[0]).measurements["search_impossible"] == 1


def test_a_catalogue_that_is_torn_is_no_catalogue(hall: BadHall) -> None:
    hall.fill_catalogues()
    for path in hall.bench.config.catalogue_folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 200:
            path.write_bytes(path.read_bytes()[:150])
    hall.notices(good=circle(FAINT.dec_deg))
    assert hall.urgencies == []


def test_broken_notices_stop_nothing_and_a_second_copy_tells_nobody_twice(hall: BadHall) -> None:
    hall.fill_catalogues()
    good = circle(FAINT.dec_deg)
    hall.notices(empty=b"", torn=good[:300], noise=b"\xff\xfe<a>", good=good, again=good)
    assert hall.urgencies == [Urgency.PAGE]
    assert len(list((hall.bench.config.trigger_spool / "bad").glob("*.xml"))) == 3
    hall.notices(once_more=good)
    assert len(hall.bench.archive.alerts()) == 1


def test_a_circle_off_the_image_wakes_nobody(hall: BadHall) -> None:
    hall.fill_catalogues()
    hall.notices(beside=circle(FAINT.dec_deg + 0.08))
    assert hall.urgencies == [Urgency.DIGEST]


@pytest.mark.parametrize("hall", [FULL], indirect=True)
def test_a_saturated_target_is_flagged_and_never_told(hall: BadHall) -> None:
    hall.fill_catalogues()
    hall.notices(on_it=circle(FULL.dec_deg))
    assert hall.urgencies == []
    kept = hall.bench.archive.candidates_of(hall.frame(IMAGES[0]).id)
    assert all(each.candidate.standing in ("vetoed", "known") for each in kept)
