"""The dead man's switch sees from outside, by other code, that the daemon does not work."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from daemon import deadman
from daemon.memory.archive import Archive
from daemon.memory.archive_canaries import CanaryRecord
from daemon.memory.messages import Message, Topic
from daemon.memory.records import FileRecord, FileState
from tests.daemon.fresh_database import fresh_database
from tests.daemon.smtp_server import mail_server

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
LAST = "2026-11-20"


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


class Place:
    """A daemon's database in which all is well, and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw = folder, folder / "raw"
        self.raw.mkdir()
        self.settings = {"paths": {"raw": ["raw"], "root": "out"}}
        (folder / "out").mkdir()
        self.clock = Clock()
        self.engine = fresh_database(folder / "out" / "alfoscd.sqlite")
        self.archive = Archive(self.engine, self.clock)
        self.clock.at = NOW - timedelta(days=9)
        self.archive.note_occasion("begin", "", self.clock.at)
        self.clock.at = NOW
        self.archive.heartbeat("supervisor", 7, "watching")
        self.canary(NOW - timedelta(hours=3))
        self.archive.queue_message(
            Message(key="r", topic=Topic.REPORT, text="all well", night=LAST)
        )

    def canary(self, when: datetime) -> None:
        self.archive.record_canary(CanaryRecord(asked_at=when, ended_at=when, took_s=20.0))

    def frame(self, name: str, age_s: float, *, known: bool) -> None:
        path = self.raw / name
        path.write_bytes(b"x")
        when = NOW.timestamp() - age_s
        os.utime(path, (when, when))
        if known:
            record = FileRecord(path=path, state=FileState.INGESTED, reason="", size=1, mtime_ns=1)
            self.archive.record_file(record)

    def look(self, after: timedelta = timedelta(0)) -> list[str]:
        return deadman.look(self.settings, self.folder, NOW + after)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_all_is_well_where_everything_is_there(place: Place) -> None:
    place.frame("ALAb010001.fits", 7200, known=True)
    place.frame("ALAb010002.fits", 60, known=False)  # it has just come
    assert place.look() == []


def test_a_silent_daemon_is_seen(place: Place) -> None:
    (said,) = place.look(timedelta(minutes=10))
    assert "no sign of life for 10 min" in said
    place.archive.forget_heartbeat("supervisor")
    assert place.look() == ["the daemon is not running: systemctl status alfoscd"]


def test_a_canary_that_is_too_old_is_seen_and_none_is_missed_where_they_are_off(
    place: Place,
) -> None:
    later = timedelta(hours=9, minutes=30)
    assert any("no canary has ended for 12 h" in text for text in place.look(later))
    place.settings["canary"] = {"every_h": 0.0}
    assert not any("canary" in text for text in place.look(later))


def test_a_night_without_a_report_is_seen_from_noon_on(place: Place) -> None:
    late = place.look(timedelta(hours=23, minutes=30))
    assert "the night 2026-11-21 has no report: alfoscd report --night 2026-11-21" in late
    assert not any("report" in text for text in place.look(timedelta(hours=22)))


@pytest.mark.parametrize(
    ("now", "night"),
    [
        (datetime(2026, 11, 21, 11, 59, tzinfo=UTC), date(2026, 11, 19)),
        (datetime(2026, 11, 21, 12, 0, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 21, 23, 59, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2027, 1, 1, 13, 0, tzinfo=UTC), date(2026, 12, 31)),
    ],
)
def test_the_night_whose_report_is_due(now: datetime, night: date) -> None:
    assert deadman.night_reported_by(now) == night


def test_a_frame_that_nobody_took_in_is_seen(place: Place) -> None:
    place.frame("ALAb010001.fits", 8000, known=True)
    place.frame("ALAb010002.fits", 7200, known=False)
    place.frame(".ALAb010003.fits.Xy12", 7000, known=False)
    (said,) = place.look()
    assert "ALAb010002.fits lies there for more than 60 min" in said
    place.raw.rename(place.folder / "gone")
    (said,) = place.look()
    assert "cannot be reached" in said


def test_a_broken_or_absent_database_is_said(place: Place) -> None:
    place.engine.dispose()
    for path in (place.folder / "out").glob("alfoscd.sqlite*"):
        path.unlink()
    assert "there is no database" in place.look()[0]
    (place.folder / "out" / "alfoscd.sqlite").write_bytes(b"not a database, " * 500)
    assert "cannot be read" in place.look()[0]


def test_trouble_is_mailed_when_it_changes_and_again_after_a_day(tmp_path: Path) -> None:
    memory = tmp_path / "m.json"
    silent = [
        ["the daemon gave no sign of life for 6 min"],
        ["the daemon gave no sign of life for 9 min"],
    ]
    told = [
        deadman._is_news(memory, [], 0.0),
        deadman._is_news(memory, silent[0], 60.0),
        deadman._is_news(memory, silent[1], 120.0),
        deadman._is_news(memory, silent[1], 90_000.0),
        deadman._is_news(memory, [], 90_060.0),
        deadman._is_news(memory, [], 90_120.0),
    ]
    assert told == [False, True, False, True, True, False]


def test_it_mails_by_itself_in_a_process_of_its_own(place: Place, repository: Path) -> None:
    place.engine.dispose()
    with mail_server() as server:
        config = place.folder / "alfoscd.toml"
        config.write_text(
            '[paths]\nraw = ["raw"]\nroot = "out"\n[mail]\nhost = "127.0.0.1"\n'
            f'port = {server.server_address[1]}\nsecurity = "none"\nrecipients = ["a@b.org"]\n'
        )
        command = [sys.executable, "-I", str(repository / "daemon" / "deadman.py")]
        done = subprocess.run(
            [*command, "--config", str(config)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stderr
        assert "no sign of life" in done.stdout
        assert len(server.mails) == 1


def test_it_needs_the_standard_library_alone(repository: Path) -> None:
    tree = ast.parse((repository / "daemon" / "deadman.py").read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    assert names <= set(sys.stdlib_module_names)
