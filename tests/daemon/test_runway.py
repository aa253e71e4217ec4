"""The room on the disc is watched ahead of time, and told of once for each stage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from daemon.account.runway import Room, Stage, runway_h, stage_of
from daemon.arrival.errand import Errand
from daemon.config import Disc
from daemon.memory.messages import Topic
from daemon.work.disc_watch import DiscWatch, free_below
from tests.daemon.hall import Hall

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
    assert stage_of(int(gb * GB), hours, warn_h=24, warn_gb=5, before=before) is stage


def test_each_stage_is_told_of_once_and_stands_in_the_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = Hall(tmp_path, {})
    free = [20 * GB]
    archive = hall.bench.archive
    watch = DiscWatch(tmp_path, archive, hall.clock, Disc(), lambda _: free[0])

    def look() -> str:
        hall.clock.seconds += 61
        watch.step()
        errand = watch._errand
        assert errand is None or isinstance(errand, Errand)
        if errand is not None:
            errand.is_back(5.0)
            watch.step()
        return watch.warning

    assert look() == ""
    free[0] = 4 * GB
    assert "4.0 GB free" in look()
    look()
    free[0] = 1 * GB
    look()
    told = [each.message.subject for each in archive.notices(Topic.TROUBLE)]
    assert told == ["alfoscd: room on the disc is urgent", "alfoscd: room on the disc is low"]
    free[0] = 50 * GB
    assert look() == ""


def test_the_disc_of_a_folder_that_will_be_is_asked(tmp_path: Path) -> None:
    assert free_below(tmp_path / "a" / "b") > 0
