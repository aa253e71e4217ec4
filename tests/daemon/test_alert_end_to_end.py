"""From a notice in the spool and an image on the sky to a message in the outbox."""

from __future__ import annotations

import cProfile
import pstats
import time
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.config import Programme
from daemon.memory.messages import Topic
from daemon.memory.records import JobKind
from daemon.triggers.spool import drop
from daemon.triggers.watch import triggers_request
from daemon.work.images import calibrate_image
from daemon.work.plan import reduce_request
from daemon.work.redo import Redo
from daemon.work.trigger_notices import read_triggers
from reducers.transients.alert import Urgency
from reducers.transients.localisation import Colour
from tests.daemon.hall import NOON
from tests.daemon.image_hall import (
    BIASES,
    FLATS,
    IMAGES,
    ImageHall,
    draw,
    planned,
    simulated_images,
)
from tests.reducers.transients.notices_by_hand import swift_bat, swift_xrt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from daemon.memory.archive_alerts import AlertRecord
    from daemon.memory.records import Job
    from reducers.simulate.scene import Visitor

FIRST = IMAGES[0]


class Watching(ImageHall):
    """A hall that reads notices, and looks for new sources on each image that it calibrates."""

    took_s = 0.0

    @property
    def spool(self) -> Path:
        return self.bench.config.trigger_spool

    @property
    def tasks(self) -> dict[JobKind, object]:
        return {
            **super().tasks,
            JobKind.IMAGE: self.look,
            JobKind.TRIGGERS: partial(read_triggers, self.bench),
        }

    def look(self, job: Job) -> None:
        """Calibrate an image; the search and the alert belong to the job, and are timed in it."""
        profile = cProfile.Profile(time.process_time)
        profile.runcall(calibrate_image, self.bench, job, draw)
        times = {entry[2]: row[3] for entry, row in pstats.Stats(profile).stats.items()}
        self.took_s = max(self.took_s, times["search_for_new"] + times["record_search"])

    @property
    def told(self) -> list[AlertRecord]:
        return self.bench.archive.alerts()

    def wait_for_the_image(self) -> None:
        """Let the image be taken five minutes ago."""
        now = observed_at() + timedelta(minutes=5)
        self.clock.seconds = (now - NOON).total_seconds()

    def notice(self, make: Callable[..., bytes], **how: Any) -> None:
        """Drop a notice about the new source and read it."""
        new, happened = source(), (observed_at() - timedelta(minutes=31)).isoformat()
        where = {"ra": new.ra_deg + 0.0003, "dec": new.dec_deg - 0.0003, "when": happened}
        drop(self.spool, "notice.xml", make(**where, **how))
        self.bench.queue.submit(triggers_request(self.clock.now()))
        self.work({JobKind.TRIGGERS})


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Watching]:
    """Return a hall whose image was searched before any notice came."""
    rules = {"*": Programme(alerts=True, slack_channel="C1")}
    late = Watching(tmp_path, simulated_images(), programmes=rules)
    late.fill_catalogues()
    late.wait_for_the_image()
    late.put(FIRST)
    late.work({JobKind.IMAGE})
    yield late
    late.bench.engine.dispose()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """Return a hall that took in two notices of the new source, then calibrated its image."""
    folder = tmp_path_factory.mktemp("alerts")
    rules = {"*": Programme(alerts=True, slack_channel="C1")}
    hall = Watching(folder, simulated_images(), programmes=rules)
    hall.fill_catalogues()
    hall.wait_for_the_image()
    hall.notice(swift_bat)
    hall.notice(swift_xrt)
    hall.put(*BIASES, *FLATS, FIRST)
    hall.work(until_s=600)
    yield hall
    hall.bench.engine.dispose()


def source() -> Visitor:
    scene = planned()[8].scene
    assert scene is not None
    (visitor,) = scene.visitors
    return visitor


def observed_at() -> datetime:
    when: datetime = planned()[8].start
    return when


def test_the_new_source_and_nothing_else_is_told(hall: Watching) -> None:
    (alert,) = hall.told
    new, said = source(), alert.document
    off = np.hypot((said["ra"] - new.ra_deg) * np.cos(np.radians(new.dec_deg)),
                   said["dec"] - new.dec_deg)  # fmt: skip
    assert off * 3600 < 0.3
    assert said["magnitude"] == pytest.approx(new.r_mag, abs=0.1)
    assert alert.urgency is Urgency.PAGE
    assert said["follow_up_event"] == ["Swift 1253910"] * 2, "its circles of BAT and of XRT"


def test_its_message_waits_in_the_outbox_and_its_files_are_written(hall: Watching) -> None:
    (notice,) = hall.bench.archive.notices(Topic.ALERT)
    (alert,) = hall.told
    assert notice.message.programme == alert.programme
    assert "GREEN" in notice.message.title
    assert "Swift 1253910" in notice.message.text
    assert notice.message.blocks
    folder = hall.bench.layout.alerts(alert.night)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".xml"]


def test_the_search_and_the_alert_take_a_small_part_of_ten_seconds(hall: Watching) -> None:
    # File complete to alert queued, beyond the reduction; a full frame has 12 times the pixels.
    assert 0 < hall.took_s < 5


def test_the_same_image_reduced_again_tells_nobody(hall: Watching) -> None:
    before = len(hall.bench.archive.notices(Topic.ALERT))
    request = reduce_request(hall.frame(FIRST), priority=1, now=hall.clock.now(), redo=Redo(
        user="eva", at="2026-11-21T13:00:00+00:00").to_json())  # fmt: skip
    hall.bench.queue.submit(request)
    hall.work(until_s=60)
    assert len(hall.told) == 1
    assert len(hall.bench.archive.notices(Topic.ALERT)) == before


def test_a_circle_that_comes_after_the_image_tells_of_its_source_then(
    late: Watching,
) -> None:
    assert [each.urgency for each in late.told] == [Urgency.DIGEST]
    late.notice(swift_xrt)
    told = late.bench.archive.notices(Topic.ALERT)
    assert told[0].message.title.startswith("better placed: GREEN")
    (record,) = late.bench.archive.alerts()
    assert record.urgency is Urgency.PAGE
    (kept,) = late.bench.archive.candidates_of(late.frame(FIRST).id)
    assert kept.candidate.colour is Colour.GREEN
    late.notice(swift_bat, serial=9, issued="2026-11-30T00:00:00",
                params={"Def_NOT_a_GRB": "true"})  # fmt: skip
    last = late.bench.archive.notices(Topic.ALERT)[0].message
    assert last.title == "taken back: Swift 1253910 is no event, says its mission."
    late.notice(swift_bat, serial=10, issued="2026-11-30T01:00:00", role="test")
    assert late.bench.archive.notices(Topic.ALERT)[0].message == last
