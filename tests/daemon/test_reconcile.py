"""The scan that is the truth, and the intake that submits what it finds."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daemon.arrival.intake import RAW_MISSING, Intake
from daemon.arrival.reconcile import Scan, Verdict, compare, scan
from daemon.arrival.sighting import RawNames, Stamp
from daemon.arrival.watch import Watcher
from daemon.config import Watch
from daemon.memory.archive_files import FileArchive
from daemon.memory.records import FileState, JobRequest
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

NAMES = RawNames(["AL*.fits"])
LATER_NS = int(4e18)


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 20, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = fresh_database(tmp_path / "db" / "a.sqlite")
    yield opened
    opened.dispose()


class Arrivals:
    """An intake on a clock of its own; events are off, so that only scans find files."""

    def __init__(
        self, raw: Path, engine: Engine, scanner: Callable[..., Scan] = scan, *more: Path
    ) -> None:
        self.clock = FakeClock()
        self.archive = FileArchive(engine, self.clock)
        self.requests: list[JobRequest] = []
        self.settings = Watch(settle_s=2.0, hold_limit_s=600.0, rescan_s=60.0)
        self.intake = Intake(
            [raw, *more],
            NAMES,
            self.settings,
            engine=engine,
            archive=self.archive,
            submit=self._submit,
            watcher=Watcher([], "always"),
            clock=self.clock,
            scanner=scanner,
        )
        self.intake.start()

    def _submit(self, request: JobRequest, within: Session) -> None:
        self.requests.append(request)

    def step(self) -> None:
        self.intake.step()
        self.clock.seconds += 1

    def run_s(self, seconds: int) -> None:
        for _ in range(seconds):
            self.step()
        while not self.intake.next_in_s():
            if not self.intake.step():
                break

    def states(self) -> dict[str, tuple[FileState, str]]:
        return {item.path.name: (item.state, item.reason) for item in self.archive.files()}


def look(folder: Path, now_ns: int = LATER_NS) -> Scan:
    return scan(folder, NAMES, now_ns=now_ns)


def verdicts(folder: Path, now_ns: int = LATER_NS) -> dict[str, tuple[FileState, str]]:
    decided = look(folder, now_ns).decided
    return {Path(name).name: (item.state, item.reason) for name, item in decided.items()}


def test_what_is_not_raw_is_decided_with_its_reason_and_without_opening(raw: Path) -> None:
    os.mkfifo(raw / "ALfifo.fits")
    (raw / "ALnowhere.fits").symlink_to(raw / "absent")
    (raw / "ALloop.fits").symlink_to(raw / "ALloop.fits")
    (raw / "up").symlink_to(raw)
    (raw / "NCab.fits").write_bytes(b"x")
    (raw / "ALa.fits.part").write_bytes(b"x")
    (raw / ".hidden").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(raw)
        server.bind("ALsock.fits")
        os.chdir(here)
        assert verdicts(raw) == {
            "ALfifo.fits": (FileState.QUARANTINED, "not a regular file but a FIFO"),
            "ALsock.fits": (FileState.QUARANTINED, "not a regular file but a socket"),
            "ALnowhere.fits": (FileState.HELD, "a link to nowhere"),
            "ALloop.fits": (FileState.QUARANTINED, "a loop of links"),
            "up": (FileState.IGNORED, "a link to a directory; it is not searched"),
            "NCab.fits": (FileState.IGNORED, "the name does not match AL*.fits"),
            "ALa.fits.part": (FileState.IGNORED, "a temporary name"),
            ".hidden": (FileState.IGNORED, "a hidden directory; it is not searched"),
        }


@pytest.mark.parametrize("name", [".ALa.fits.Xy12Ab", "ALa.fits.part", "ALa.fits.tmp", "ALa.fits~"])
def test_a_temporary_name_in_use_is_not_worth_a_record(raw: Path, name: str) -> None:
    (raw / name).write_bytes(b"x")
    found = look(raw, now_ns=time.time_ns())
    assert (found.raw, found.decided) == ({}, {})


def test_raw_files_are_found_at_every_depth_and_through_links(raw: Path, tmp_path: Path) -> None:
    deep = raw / "2026" / "11" / "20"
    deep.mkdir(parents=True)
    (deep / "ALa.fits").write_bytes(b"x")
    (deep / "alb.FITS").write_bytes(b"xy")
    (tmp_path / "elsewhere").write_bytes(b"xyz")
    (raw / "ALc.fits").symlink_to(tmp_path / "elsewhere")
    sizes = {Path(name).name: stamp[0] for name, stamp in look(raw).raw.items()}
    assert sizes == {"ALa.fits": 1, "alb.FITS": 2, "ALc.fits": 3}


def test_a_name_that_is_no_text_is_recorded_too(raw: Path, engine: Engine) -> None:
    Path(os.fsdecode(os.fsencode(raw) + b"/AL\xff.fits")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(raw) + b"/\xfe.fits")).write_bytes(b"x")
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(5)
    assert len(arrivals.requests) == 1
    assert len(arrivals.states()) == 2


def test_only_what_is_new_or_changed_is_nominated(raw: Path) -> None:
    for name in ("ALa.fits", "ALb.fits"):
        (raw / name).write_bytes(b"x")
    handled: dict[str, Stamp] = dict(look(raw).raw)
    (raw / "ALb.fits").write_bytes(b"longer")
    (raw / "ALc.fits").write_bytes(b"x")
    news = compare(look(raw), handled)
    assert [item.path.name for item in news.nominated] == ["ALb.fits", "ALc.fits"]


@pytest.mark.parametrize("how", ["empty", "absent"])
def test_an_unmounted_directory_says_nothing_about_its_files(raw: Path, how: str) -> None:
    handled: dict[str, Stamp] = {str(raw / "ALa.fits"): (1, 1), str(raw / "x"): (0, 0)}
    if how == "absent":
        raw.rmdir()
    news = compare(look(raw), handled)
    assert (news.missing, news.over, news.nominated) == ([], [], [])
    assert "unmounted" in news.warning or "missing" in news.warning


def test_files_deleted_one_by_one_are_counted_as_missing(raw: Path) -> None:
    (raw / "ALa.fits").write_bytes(b"x")
    news = compare(look(raw), {**look(raw).raw, str(raw / "ALb.fits"): (1, 1)})
    assert (news.missing, news.warning) == ([raw / "ALb.fits"], "")


def test_a_scan_of_20_000_files_takes_less_than_a_second(raw: Path) -> None:
    for number in range(20_000):
        os.close(os.open(raw / f"AL{number:05d}.fits", os.O_CREAT | os.O_WRONLY))
    handled = dict(look(raw).raw)
    started = time.process_time()
    news = compare(look(raw), handled)
    took_s = time.process_time() - started
    assert len(handled) == 20_000
    assert news.nominated == []
    assert took_s < 1.0


def test_ten_thousand_files_without_any_event_are_all_found_once(raw: Path, engine: Engine) -> None:
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(1)
    for number in range(10_000):
        os.close(os.open(raw / f"AL{number:05d}.fits", os.O_CREAT | os.O_WRONLY))
    arrivals.run_s(130)
    assert len({request.key for request in arrivals.requests}) == 10_000
    assert len(arrivals.requests) == 10_000
    assert {state for state, _ in arrivals.states().values()} == {FileState.HELD}


def test_a_scan_while_settled_files_wait_for_their_batch_submits_none_twice(
    raw: Path, engine: Engine
) -> None:
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(1)
    for number in range(1000):
        (raw / f"AL{number:05d}.fits").touch()
    for _ in range(20):
        arrivals.intake.rescan()
        arrivals.step()
    assert len(arrivals.requests) == 1000


def test_a_file_that_changes_while_it_waits_for_its_batch_is_submitted_as_it_is_now(
    raw: Path, engine: Engine
) -> None:
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(1)
    for number in range(600):
        (raw / f"AL{number:05d}.fits").touch()
    last = raw / "AL00599.fits"
    while not arrivals.requests:
        arrivals.intake.rescan()
        arrivals.step()
    last.write_bytes(b"more")
    arrivals.intake.rescan()
    arrivals.run_s(20)
    own = [request for request in arrivals.requests if request.payload["path"] == str(last)]
    assert [request.payload["size"] for request in own] == [4]
    assert len(arrivals.requests) == 600


def test_a_mount_that_hangs_holds_up_nothing_else_and_is_taken_in_when_it_answers(
    raw: Path, engine: Engine, tmp_path: Path
) -> None:
    hung, answers = tmp_path / "hung", threading.Event()
    hung.mkdir()
    for folder in (raw, hung):
        (folder / f"AL{folder.name}.fits").write_bytes(b"x")

    def scanner(folder: Path, *given: Any, **named: Any) -> Scan:
        if folder == hung:
            answers.wait(60)
        return scan(folder, *given, **named)

    arrivals = Arrivals(raw, engine, scanner, hung)
    started = time.monotonic()
    arrivals.run_s(70)
    assert time.monotonic() - started < 30
    assert set(arrivals.states()) == {"ALraw.fits"}
    assert not arrivals.intake.idle
    answers.set()
    while arrivals.intake.tree.raw_files < 2:
        assert time.monotonic() - started < 120
        arrivals.run_s(1)
    arrivals.run_s(5)
    assert set(arrivals.states()) == {"ALraw.fits", "ALhung.fits"}


def test_a_scan_that_does_not_come_back_is_said(raw: Path, engine: Engine) -> None:
    answers = threading.Event()

    def scanner(folder: Path, *given: Any, **named: Any) -> Scan:
        answers.wait(60)
        return scan(folder, *given, **named)

    arrivals = Arrivals(raw, engine, scanner)
    arrivals.run_s(2)
    assert arrivals.intake.tree.warnings == ()
    (late,) = arrivals.intake.warnings(stalled_after_s=0.0)
    assert late.startswith(f"scan of {raw} has not come back for")
    answers.set()


def test_a_storage_that_gives_an_error_is_said_and_asked_again(raw: Path, engine: Engine) -> None:
    (raw / "ALa.fits").write_bytes(b"x")
    errors = [OSError(116, "Stale file handle")]

    def scanner(folder: Path, *given: Any, **named: Any) -> Scan:
        if errors:
            raise errors.pop()
        return scan(folder, *given, **named)

    arrivals = Arrivals(raw, engine, scanner)
    arrivals.run_s(2)
    assert arrivals.intake.tree.warnings == (f"{raw} cannot be searched: Stale file handle",)
    arrivals.run_s(70)
    assert arrivals.intake.tree.warnings == ()
    assert set(arrivals.states()) == {"ALa.fits"}


def test_a_raw_file_that_is_deleted_is_missing_until_it_returns(raw: Path, engine: Engine) -> None:
    (raw / "ALa.fits").write_bytes(b"x")
    (raw / "ALb.fits").write_bytes(b"x")
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(5)
    taken = arrivals.archive.file_at(raw / "ALa.fits")
    assert taken is not None
    arrivals.archive.record_file(replace(taken, state=FileState.INGESTED, sha256="aa"))
    content = raw / "ALa.fits"
    content.rename(raw.parent / "away")
    arrivals.run_s(70)
    gone = arrivals.archive.file_at(content)
    assert gone is not None
    assert (gone.state, gone.reason, gone.sha256) == (FileState.MISSING, RAW_MISSING, "aa")
    before = len(arrivals.requests)
    (raw.parent / "away").rename(content)
    arrivals.run_s(70)
    assert len(arrivals.requests) == before + 1
    assert arrivals.states()["ALa.fits"][0] is FileState.HELD


def test_many_deleted_files_do_not_hold_up_the_supervisor(raw: Path, engine: Engine) -> None:
    for number in range(1_000):
        (raw / f"AL{number:05d}.fits").touch()
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(5)
    for number in range(999):
        (raw / f"AL{number:05d}.fits").unlink()
    arrivals.clock.seconds += 60
    steps = 0
    while arrivals.intake.step():
        steps += 1
    assert steps >= 4
    assert {state for state, _ in arrivals.states().values()} == {
        FileState.HELD,
        FileState.IGNORED,
    }


def test_what_lies_below_a_folder_that_cannot_be_listed_is_not_missing(raw: Path) -> None:
    found = Scan(folder=raw, present=True, raw={str(raw / "ALa.fits"): (1, 1)})
    found.decided[str(raw / "shut")] = Verdict(state=FileState.HELD, reason="no permission")
    handled: dict[str, Stamp] = {str(raw / "shut" / "ALb.fits"): (1, 1)}
    assert compare(found, handled).missing == []


def test_a_growing_file_is_submitted_only_after_it_rests(raw: Path, engine: Engine) -> None:
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(1)
    arrivals.intake.rescan()
    for size in range(1, 30):
        (raw / "ALa.fits").write_bytes(b"x" * size)
        arrivals.run_s(1)
        assert arrivals.requests == []
    arrivals.run_s(4)
    assert [request.payload["size"] for request in arrivals.requests] == [29]


def test_a_changed_file_is_submitted_again_an_unchanged_one_is_not(
    raw: Path, engine: Engine
) -> None:
    (raw / "ALa.fits").write_bytes(b"x")
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(200)
    assert len(arrivals.requests) == 1
    (raw / "ALa.fits").write_bytes(b"other")
    arrivals.run_s(70)
    assert len({request.key for request in arrivals.requests}) == 2


def test_after_a_restart_a_held_file_is_submitted_under_the_same_key(
    raw: Path, engine: Engine
) -> None:
    (raw / "ALa.fits").write_bytes(b"x")
    before, after = Arrivals(raw, engine), Arrivals(raw, engine)
    before.run_s(5)
    after.run_s(5)
    assert [request.key for request in before.requests] == [
        request.key for request in after.requests
    ]


def test_a_link_that_led_nowhere_is_taken_once_it_leads_to_a_file(
    raw: Path, engine: Engine, tmp_path: Path
) -> None:
    (raw / "ALa.fits").symlink_to(tmp_path / "late")
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(5)
    assert arrivals.states()["ALa.fits"] == (FileState.HELD, "a link to nowhere")
    (tmp_path / "late").write_bytes(b"x")
    arrivals.run_s(70)
    assert len(arrivals.requests) == 1


def test_every_file_of_a_messy_tree_has_exactly_one_state(raw: Path, engine: Engine) -> None:
    os.mkfifo(raw / "ALfifo.fits")
    for name in ("ALa.fits", "picture.jpg", "NCa.fits", "notes with 'quotes'\n.txt"):
        (raw / name).write_bytes(b"x")
    arrivals = Arrivals(raw, engine)
    arrivals.run_s(70)
    assert arrivals.states().keys() == {item.name for item in raw.iterdir()}
    assert len(arrivals.archive.files()) == 5
