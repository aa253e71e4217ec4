"""The room on the disc is watched ahead of time, and told of once for each stage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from daemon.account.runway import Room, Stage, runway_h, stage_of
from daemon.arrival.errand import Errand
from daemon.config import Disc
from daemon.memory.messages import Topic
from daemon.memory.records import JobKind, JobRequest
from daemon.work.disc_watch import DiscWatch, free_below
from daemon.work.pictures import save_picture
from daemon.work.rationing import DiscSign, kinds_with_room, priority_with_room
from tests.daemon.hall import Hall, draw

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


def rooms(*free_gb: float, every_s: float = 600.0) -> list[Room]:
    return [Room(at_s=n * every_s, free_bytes=int(gb * GB)) for n, gb in enumerate(free_gb)]


def test_the_runway_is_what_is_left_over_what_goes_away() -> None:
    # One gigabyte in ten minutes, six in an hour: 48 GB last eight hours.
    assert runway_h(rooms(50, 49, 48)) == pytest.approx(8.0)


def test_a_quiet_disc_lasts_for_ever() -> None:
    assert runway_h(rooms(50, 50, 51)) == math.inf
    assert runway_h([]) == math.inf


def test_two_looks_a_minute_apart_forecast_nothing() -> None:
    assert runway_h(rooms(50, 40, every_s=60)) == math.inf


def test_a_night_that_begins_is_not_averaged_with_the_day() -> None:
    day = rooms(*[100.0] * 60)
    night = [Room(at_s=36_000 + 600 * n, free_bytes=(100 - n) * GB) for n in range(7)]
    assert runway_h([*day, *night]) == pytest.approx(94 / 6, rel=0.01)


@pytest.mark.parametrize(
    ("gb", "hours", "before", "stage"),
    [
        (3, 1.9, Stage.URGENT, Stage.SCARCE),
        (0.4, math.inf, Stage.AMPLE, Stage.SCARCE),
        (3, 0.4, Stage.SCARCE, Stage.LAST),
        (0.1, math.inf, Stage.SCARCE, Stage.LAST),
        (0.12, math.inf, Stage.LAST, Stage.LAST),
        (0.14, math.inf, Stage.LAST, Stage.SCARCE),
        # However fast it goes away: where there is much, a forecast stops no work.
        (100, 0.1, Stage.AMPLE, Stage.URGENT),
        (100, math.inf, Stage.AMPLE, Stage.AMPLE),
        (100, 23.0, Stage.AMPLE, Stage.LOW),
        (100, 5.0, Stage.AMPLE, Stage.URGENT),
        (4, math.inf, Stage.AMPLE, Stage.LOW),
        (1, math.inf, Stage.AMPLE, Stage.URGENT),
        (100, 26.0, Stage.LOW, Stage.LOW),
        (100, 31.0, Stage.LOW, Stage.AMPLE),
    ],
)
def test_a_stage_is_left_later_than_it_is_entered(
    gb: float, hours: float, before: Stage, stage: Stage
) -> None:
    room = Room(at_s=0.0, free_bytes=int(gb * GB))
    assert stage_of(room, hours, warn_h=24, warn_gb=5, before=before) is stage


@pytest.mark.parametrize(
    ("files", "stage"),
    [(60_000, Stage.AMPLE), (20_000, Stage.LOW), (1_000, Stage.SCARCE), (100, Stage.LAST)],
)
def test_a_disc_without_room_for_more_files_is_full(files: float, stage: Stage) -> None:
    room = Room(at_s=0.0, free_bytes=1000 * GB, free_files=files)
    assert stage_of(room, math.inf, warn_h=24, warn_gb=5) is stage


class SmallDisc:
    """A disc that a watch looks at when it is told to."""

    def __init__(self, hall: Hall) -> None:
        self.hall, self.free_gb = hall, 20.0
        self.watch = DiscWatch(
            hall.bench.config.root,
            hall.bench.archive,
            hall.clock,
            Disc(),
            lambda _: (int(self.free_gb * GB), math.inf),
        )

    def look(self, free_gb: float) -> str:
        self.free_gb = free_gb
        self.hall.clock.seconds += 61
        self.watch.step()
        errand = self.watch._errand
        assert errand is None or isinstance(errand, Errand)
        if errand is not None:
            errand.is_back(5.0)
            self.watch.step()
        return self.watch.warning


def test_each_stage_is_told_of_once_and_stands_in_the_sign_of_life(tmp_path: Path) -> None:
    hall = Hall(tmp_path, {})
    disc = SmallDisc(hall)
    assert disc.look(20) == ""
    assert "4.0 GB free" in disc.look(4)
    disc.look(4)
    assert disc.look(1).endswith("plots are left out")
    told = [each.message.subject for each in hall.bench.archive.notices(Topic.TROUBLE)]
    assert told == ["alfoscd: room on the disc is urgent", "alfoscd: room on the disc is low"]
    assert disc.look(50) == ""


def test_what_nobody_waits_for_stops_first_and_frames_are_taken_in_to_the_last(
    tmp_path: Path,
) -> None:
    hall = Hall(tmp_path, {})
    queue, disc = hall.bench.queue, SmallDisc(hall)
    for kind, priority in (
        (JobKind.INGEST, 10), (JobKind.MASTER, 16), (JobKind.REDUCE, 20), (JobKind.IMAGE, 60),
        (JobKind.COMBINE, 70),
    ):  # fmt: skip
        queue.submit(JobRequest(kind=kind, key=kind, priority=priority))

    def done_with(free_gb: float) -> list[JobKind]:
        """Claim as a worker does, then give everything back."""
        disc.look(free_gb)
        stage = DiscSign(hall.bench.archive).stage
        kinds, before = kinds_with_room(stage, list(JobKind)), priority_with_room(stage)
        jobs = []
        while (job := queue.claim("worker", kinds, before=before)) is not None:
            jobs.append(job)
        for job in jobs:
            queue.put_back(job, "a test", 0.0)
        return [job.kind for job in jobs]

    everything = [JobKind.INGEST, JobKind.MASTER, JobKind.REDUCE, JobKind.IMAGE, JobKind.COMBINE]
    assert done_with(20) == done_with(1) == everything
    assert done_with(0.3) == everything[:3]
    assert done_with(0.05) == everything[:2]
    assert "reductions wait and go on by themselves" in disc.watch.warning
    assert done_with(20) == everything
    assert hall.bench.archive.heartbeat_of("disc") is None


def test_plots_are_left_out_before_any_product_is(tmp_path: Path) -> None:
    hall = Hall(tmp_path, {})
    disc = SmallDisc(hall)
    path = tmp_path / "verify.png"
    for free_gb, drawn in ((1.0, False), (20.0, True)):
        disc.look(free_gb)
        sparing = DiscSign(hall.bench.archive).sparing(draw)
        assert save_picture(path, sparing) is drawn
        assert path.exists() is drawn


def test_the_disc_of_a_folder_that_will_be_is_asked(tmp_path: Path) -> None:
    free_bytes, free_files = free_below(tmp_path / "a" / "b")
    assert free_bytes > 0
    assert free_files > 0
