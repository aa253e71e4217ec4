"""What is due once is asked for once: restarts, late wakes and jumping clocks change nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from astropy.coordinates import AltAz, EarthLocation, get_sun
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.clock import observing_night, twilights
from daemon.memory.archive import Archive
from daemon.memory.records import JobKind, JobState
from daemon.schedule.occasions import occasions_of
from daemon.schedule.timetable import Timetable
from daemon.work.backup import BackupDamaged, copy_database
from daemon.work.jobs import JobQueue
from reducers.earth_rotation import tables_at_hand
from reducers.profiles import load_instrument
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from pathlib import Path

ALFOSC = load_instrument("alfosc")
NIGHT = date(2026, 11, 20)
KINDS = (JobKind.REPORT, JobKind.DEBT, JobKind.BACKUP, JobKind.CANARY)
START = datetime(2026, 11, 20, 14, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()


class Desk:
    """A database, a clock, and a daemon that is restarted whenever it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.engine, self.clock = fresh_database(folder / "d.sqlite"), Clock()

    def timetable(self) -> Timetable:
        archive = Archive(self.engine, self.clock)
        queue = JobQueue(self.engine, self.clock)
        return Timetable(archive, queue, self.clock, ALFOSC, KINDS, canary_every_h=6.0)

    def asked_until(self, until: datetime, step: timedelta) -> list[tuple[str, str]]:
        asked = []
        while self.clock.at <= until:
            asked += [(item.name, item.night) for item in self.timetable().step()]
            self.clock.at += step
        return asked


def test_a_night_has_its_occasions_in_order() -> None:
    names = [item.name for item in occasions_of(NIGHT, ALFOSC)]
    assert names == ["debt evening", "debt morning", "health", "report", "backup", "addendum"]
    report = occasions_of(NIGHT, ALFOSC)[3]
    assert report.due.date() == date(2026, 11, 21)
    assert observing_night(report.due, ALFOSC.longitude_deg) == NIGHT


def test_the_twilights_are_astropys() -> None:
    place = EarthLocation.from_geodetic(ALFOSC.longitude_deg, ALFOSC.latitude_deg, 2382)
    found = twilights(NIGHT, ALFOSC)
    with tables_at_hand():
        for when, wanted in (
            (found.sunset, -0.833),
            (found.evening, -6.0),
            (found.dark, -18.0),
            (found.dawn, -18.0),
            (found.sunrise, -0.833),
        ):
            assert when is not None
            time = Time(when)
            altitude = get_sun(time).transform_to(AltAz(obstime=time, location=place)).alt.deg
            assert altitude == pytest.approx(wanted, abs=0.05)


def test_over_three_days_everything_is_asked_for_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    asked = desk.asked_until(START + timedelta(days=3), timedelta(minutes=5))
    assert max(Counter(asked).values()) == 1
    names = [
        (name, night)
        for name, night in asked
        if night >= "2026-11-20" and not name.startswith("canary")
    ]
    assert names[:4] == [
        ("debt evening", "2026-11-20"),
        ("debt morning", "2026-11-20"),
        ("report", "2026-11-20"),
        ("backup", "2026-11-20"),
    ]
    assert ("addendum", "2026-11-20") in names
    canaries = [
        name for name, night in asked if name.startswith("canary") and night == "2026-11-21"
    ]
    assert len(canaries) == 5
    waiting = JobQueue(desk.engine, desk.clock).jobs(JobState.WAITING, 1000)
    assert len(waiting) == len(asked)


@settings(max_examples=25, deadline=None)
@given(jumps=st.lists(st.integers(min_value=1, max_value=1500), min_size=1, max_size=12))
def test_however_late_the_machine_wakes_the_report_is_asked_for_once(
    jumps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    asked: list[tuple[str, str]] = []
    desk.timetable().step()
    for minutes in jumps:
        desk.clock.at += timedelta(minutes=minutes)
        asked += [(item.name, item.night) for item in desk.timetable().step()]
    assert not asked or max(Counter(asked).values()) == 1
    due = occasions_of(NIGHT, ALFOSC)[3].due
    assert (("report", "2026-11-20") in asked) == (desk.clock.at >= due)


def test_a_hint_that_comes_too_late_is_left_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.timetable().step()
    desk.clock.at = START + timedelta(hours=20)
    names = {item.name for item in desk.timetable().step()}
    assert "report" in names
    assert "debt morning" not in names


def test_nights_before_there_was_a_daemon_are_not_reported(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.clock.at = datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert [item.name for item in desk.timetable().step()] == []


def test_the_scheduler_asks_by_itself_and_stops(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    timetable = desk.timetable()
    timetable.step()
    desk.clock.at = START + timedelta(hours=18)
    timetable.start()
    timetable.stop()
    asked = Archive(desk.engine, desk.clock).occasions("2026-11-20")
    assert "report" in asked


def test_a_backup_holds_what_the_database_holds_and_seven_are_kept(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.timetable().step()
    for day in range(1, 11):
        path = copy_database(tmp_path / "d.sqlite", f"2026-11-{day:02d}")
    assert len(list(path.parent.glob("*.sqlite"))) == 7
    with sqlite3.connect(path) as copy:
        assert ("begin",) in copy.execute("SELECT name FROM occasion").fetchall()
    copy.close()


def test_a_damaged_database_leaves_the_earlier_backup_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.timetable().step()
    good = copy_database(tmp_path / "d.sqlite", "2026-11-01")
    kept = good.read_bytes()
    desk.engine.dispose()
    broken = bytearray((tmp_path / "d.sqlite").read_bytes())
    broken[4096 * 2 : 4096 * 6] = bytes(4096 * 4)
    (tmp_path / "d.sqlite").write_bytes(broken)
    with pytest.raises((BackupDamaged, sqlite3.DatabaseError)):
        copy_database(tmp_path / "d.sqlite", "2026-11-02")
    assert good.read_bytes() == kept
    assert not (good.parent / "d_2026-11-02.sqlite").exists()
