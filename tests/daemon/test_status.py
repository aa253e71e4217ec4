"""`status` tells the truth, quickly, whatever state the database is in."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from daemon.cli.main import main
from daemon.clock import SystemClock
from daemon.memory.archive import Archive
from daemon.memory.database import open_database, writing
from daemon.memory.messages import DeliveryState
from daemon.memory.records import FileRecord, FileState
from daemon.publish.status_text import render
from daemon.publish.words import clean, table
from daemon.status import SILENT_AFTER_S, count_files, judge, read_status, to_json
from daemon.status_lines import (
    JobLine,
    ProductSummary,
    Status,
    TroubleLine,
    WorkerLine,
)
from daemon.status_words import advice_on, completeness, duration
from reducers.identity import FrameKind, Identity, Setup
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def worker(age_s: float) -> WorkerLine:
    return WorkerLine(who="supervisor", pid=1, state="watching", age_s=age_s, progress=5)


def product(quality: int, stem: str = "ALDc200205") -> ProductSummary:
    flags = (("NO_TRACE", "No object was found on the slit."),) if quality else ()
    return ProductSummary(
        stem=stem, kind="SPEC_OBJECT", target="AT2026abc", state="final", quality=quality,
        observed_at=NOW, exposure_s=1800.0, setup="Grism_#4 Slit_1.0 1x1", flags=flags,
        measurements={"snr": 21.0}, choices={}, paths={}, version=1, latency_s=30.0,
    )  # fmt: skip


def status(**changed: object) -> Status:
    plain = Status(
        at=NOW, database="x.sqlite", verdict="ok", why=(), night="2026-11-20",
        frames={"SPEC_OBJECT": 1}, files={"ingested": 3, "ignored": 1}, on_disk=4,
    )  # fmt: skip
    return replace(plain, **changed)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "alfoscd.sqlite"
    fresh_database(path).dispose()
    return path


def test_without_a_database_it_says_how_to_begin(tmp_path: Path) -> None:
    found = read_status(tmp_path / "none.sqlite", now=NOW)
    assert found.exit_code == 2
    assert "alfoscd run" in found.why[0]
    assert not (tmp_path / "none.sqlite").exists()


def test_a_file_that_is_no_database_is_a_sentence_not_an_error(tmp_path: Path) -> None:
    path = tmp_path / "alfoscd.sqlite"
    path.write_bytes(b"SIMPLE  = T" * 500)
    assert "put it aside" in read_status(path, now=NOW).why[0]


def test_an_empty_database_reads_and_renders(database: Path) -> None:
    found = read_status(database, now=NOW)
    assert found.verdict == "down"
    assert "not running" in render(found)


def test_a_read_only_database_in_a_read_only_folder_is_read(database: Path) -> None:
    database.chmod(0o444)
    database.parent.chmod(0o555)
    try:
        assert read_status(database, now=NOW).frames_total == 0
    finally:
        database.parent.chmod(0o755)


def test_a_fresh_sign_of_life_makes_it_ok_and_an_old_one_down(database: Path) -> None:
    engine = open_database(database)
    Archive(engine, SystemClock()).heartbeat("supervisor", 7, "watching")
    engine.dispose()
    now = datetime.now(UTC)
    assert read_status(database, now=now).exit_code == 0
    late = now + timedelta(seconds=SILENT_AFTER_S + 5)
    assert read_status(database, now=late).exit_code == 2


@pytest.mark.parametrize(
    ("pid", "words"),
    [(os.getpid(), "is there and cannot write"), (2**22 + 1, "restart it")],
    ids=["lives", "gone"],  # a number would differ between the processes of one run
)
def test_a_silent_daemon_whose_process_lives_is_not_called_dead(
    database: Path, pid: int, words: str
) -> None:
    engine = open_database(database)
    Archive(engine, SystemClock()).heartbeat("supervisor", pid, "watching")
    engine.dispose()
    late = datetime.now(UTC) + timedelta(seconds=SILENT_AFTER_S + 5)
    assert words in read_status(database, now=late).why[0]


def record_frames(database: Path, *frames: tuple[str, str, FrameKind]) -> None:
    engine = open_database(database)
    archive = Archive(engine, SystemClock())
    setup = Setup(x_binning=1, y_binning=1, window=(1, 500, 1, 2102), readout="D-8-200")
    for stem, night, kind in frames:
        identity = Identity(
            instrument="ALFOSC", kind=kind, setup=setup, observed_at=NOW, exposure_s=60.0,
            reasons=("the header says so",),
        )  # fmt: skip
        archive.record_frame(
            stem=stem, night=night, sha256=stem, path=Path("/raw") / stem, size=1,
            identity=identity, arrived_at=NOW, set_keys=(),
        )  # fmt: skip
    engine.dispose()


def test_in_the_afternoon_the_night_with_science_is_shown_and_the_new_one_named(
    database: Path,
) -> None:
    record_frames(
        database,
        ("ALDc190001", "2026-11-19", FrameKind.BIAS),
        ("ALDc190002", "2026-11-19", FrameKind.SPEC_OBJECT),
        ("ALDc200001", "2026-11-20", FrameKind.BIAS),
        ("ALDc200002", "2026-11-20", FrameKind.BIAS),
    )
    found = read_status(database, now=NOW)
    assert (found.night, found.newest_night) == ("2026-11-19", "2026-11-20")
    said = render(found)
    assert "night 2026-11-19 (the newest with science; 2026-11-20 has BIAS 2 so far)" in said
    asked = read_status(database, now=NOW, night="2026-11-20")
    assert asked.frames == {"BIAS": 2}
    assert {line.stem for line in asked.last_frames} == {"ALDc200001", "ALDc200002"}
    assert "so far" not in render(asked)


def test_without_any_science_the_newest_night_is_shown(database: Path) -> None:
    record_frames(database, ("ALDc200001", "2026-11-20", FrameKind.BIAS))
    assert read_status(database, now=NOW).night == "2026-11-20"


def test_what_is_not_reduced_says_why(database: Path) -> None:
    record_frames(database, ("ALDc200614", "2026-11-20", FrameKind.POLARIMETRY))
    (frame,) = read_status(database, now=NOW, night="2026-11-20").last_frames
    assert frame.state == "recorded: the header says so"


def test_an_unknown_night_is_answered_with_the_known_ones(database: Path) -> None:
    record_frames(database, ("ALDc200001", "2026-11-20", FrameKind.BIAS))
    said = render(read_status(database, now=NOW, night="2026-11-02"))
    assert "2026-11-02 is not known; the last nights are 2026-11-20" in said


def test_a_mount_that_hangs_does_not_keep_status_from_answering(tmp_path: Path) -> None:
    answer = threading.Event()

    def hung() -> Iterator[Path]:
        answer.wait(60)
        yield tmp_path

    started = time.monotonic()
    assert count_files(hung()) is None
    assert time.monotonic() - started < 30
    answer.set()


def test_a_missing_raw_file_is_counted_and_listed_but_no_alarm(database: Path) -> None:
    engine = open_database(database)
    archive = Archive(engine, SystemClock())
    archive.heartbeat("supervisor", 7, "watching")
    archive.record_file(
        FileRecord(
            path=Path("/raw/gone.fits"), state=FileState.MISSING, size=1, mtime_ns=1,
            reason="the raw file is no longer there; what was made from it stays",
        )
    )  # fmt: skip
    engine.dispose()
    found = read_status(database, now=datetime.now(UTC))
    shown = render(found)
    assert found.verdict == "ok"
    assert "1 raw missing" in shown
    assert "missing: /raw/gone.fits" in shown
    assert "nothing if it was archived" in shown


def test_what_troubles_the_daemon_is_a_reason() -> None:
    state = "0 of 2 workers busy; WARNING: scan of /data has not come back for 90 s"
    chief = replace(worker(1), state=state)
    assert judge([chief], {}, {}) == ("degraded", ("scan of /data has not come back for 90 s",))


def test_a_worker_that_lives_does_not_hide_that_the_daemon_is_down() -> None:
    alone = replace(worker(1), who="worker 7-1")
    assert judge([worker(999), alone], {}, {})[0] == "down"
    assert judge([alone], {}, {})[0] == "down"


def test_a_quarantined_file_degrades_and_is_named_with_reason_and_advice(database: Path) -> None:
    engine = open_database(database)
    archive = Archive(engine, SystemClock())
    archive.heartbeat("supervisor", 7, "watching")
    archive.record_file(
        FileRecord(
            path=Path("/raw/bad.fits"), state=FileState.QUARANTINED, size=1, mtime_ns=1,
            reason="The file is shorter than its headers declare.",
        )
    )  # fmt: skip
    engine.dispose()
    found = read_status(database, now=datetime.now(UTC))
    assert found.exit_code == 1
    shown = render(found)
    for words in ("/raw/bad.fits", "shorter than its headers", "copy the file again"):
        assert words in shown


def test_json_holds_everything_and_is_json(database: Path) -> None:
    told = json.loads(to_json(read_status(database, now=NOW)))
    assert told["verdict"] == "down"
    assert datetime.fromisoformat(told["at"]) == NOW


def test_a_hundred_times_the_frames_are_answered_in_far_less_than_a_hundred_times(
    tmp_path: Path,
) -> None:
    few, many = (_timed(_crowded(tmp_path / f"{n}.sqlite", n)) for n in (1_000, 100_000))
    assert many < 30 * few


def _crowded(database: Path, frames: int) -> Path:
    engine = open_database(database)
    with writing(engine) as session:
        many = (
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {frames}) "
        )
        day = "'2026-01-' || substr('0' || (1 + i % 28), -2)"
        when = "'2026-01-01 00:00:00.000000'"
        for columns in (
            f"INSERT INTO frame(id, stem, night) {many} SELECT i, 'AL' || i, {day} FROM n",
            "INSERT INTO revision(id, frame_id, revision, current, sha256, path, size, night, kind,"
            f" instrument, observed_at, identity, ingested_at, arrived_at) {many}"
            f" SELECT i, i, 1, 1, 's' || i, '/r/' || i, 1, {day}, 'BIAS', 'ALFOSC', {when}, '{{}}',"
            f" {when}, {when} FROM n",
            "INSERT INTO file(path, state, reason, size, mtime_ns, sha256, first_seen, last_seen)"
            f" {many} SELECT '/r/' || i, 'ingested', '', 1, 1, 's' || i, {when}, {when} FROM n",
            "INSERT INTO job(kind, key, payload, priority, state, attempts, not_before, worker,"
            f" error, submitted_at) {many} SELECT 'ingest_frame', 'k' || i, '{{}}', 10, 'done', 1,"
            f" {when}, '', '', {when} FROM n",
        ):
            session.execute(text(columns))
    engine.dispose()
    return database


def _timed(database: Path) -> float:
    """Return the least CPU seconds of five answers."""
    return min(_once(database) for _ in range(5))


def _once(database: Path) -> float:
    start = time.process_time()
    assert read_status(database, now=NOW).frames_total in (1_000, 100_000)
    return time.process_time() - start


def test_status_imports_no_numerics() -> None:
    code = (
        "import sys; from daemon.cli.main import main; main(['status', '--root', '/nowhere']);"
        "heavy = {'astropy', 'scipy', 'matplotlib', 'numpy', 'sqlalchemy'} & set(sys.modules);"
        "sys.exit(','.join(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("on_disk", "words"),
    [(4, "unexplained 0"), (6, "not yet seen 2"), (3, "since removed 1"), (None, "not counted")],
)
def test_the_files_add_up_in_words(on_disk: int | None, words: str) -> None:
    assert words in completeness(status(on_disk=on_disk))


def test_every_file_in_the_tree_is_counted(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.fits", "deep/b.fits", "deep/.hidden"):
        (tmp_path / name).touch()
    assert count_files([tmp_path]) == 3
    assert count_files([tmp_path / "absent"]) == 0
    assert count_files([]) is None


def test_silence_is_worse_than_failure_is_worse_than_nothing() -> None:
    assert judge([worker(1)], {}, {})[0] == "ok"
    assert judge([worker(1)], {"failed": 1}, {})[0] == "degraded"
    assert judge([worker(1)], {}, {"held": 1})[0] == "ok"
    assert judge([worker(1)], {}, {"held": 1}, long_held=1)[0] == "degraded"
    assert judge([worker(999)], {"failed": 1}, {})[0] == "down"


def test_flags_are_said_in_words() -> None:
    assert "No object was found on the slit" in render(status(products=(product(3),)))


def test_the_name_of_a_file_never_becomes_a_command_of_its_own() -> None:
    name = "ALDc200205; rm -rf $HOME"
    job = JobLine(
        kind="reduce_frame", about=name, state="failed", attempts=3, error="a", at=NOW
    )  # fmt: skip
    (told,) = [line for line in render(status(failed=(job,))).splitlines() if " redo " in line]
    assert shlex.split(told)[-3:] == ["alfoscd", "redo", name]


def test_a_failed_reduction_comes_with_the_command_that_repeats_it() -> None:
    job = JobLine(
        kind="reduce_frame", about="ALDc200205", state="failed", attempts=3, error="a\nlast", at=NOW
    )
    shown = render(status(failed=(job,)))
    assert "alfoscd redo ALDc200205" in shown
    assert "why: last" in shown


def test_hostile_names_cannot_command_the_terminal() -> None:
    evil = TroubleLine(path="/raw/\x1b[2J\n.fits", state="held", reason="\x07", since=None)
    shown = render(status(troubles=(evil,)))
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("reason", ["permission denied", "The file is shorter", "strange"])
def test_every_trouble_has_advice(reason: str) -> None:
    line = TroubleLine(path="x", state="quarantined", reason=reason, since=None)
    assert len(advice_on(line)) > 10


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("600 MB, more than the limit of 100 MB", "size_limit_mb"),
        ("never completed: 0 bytes, nothing is written yet", "copy the file again"),
        ("not a regular file but a FIFO", "remove it"),
        ("a loop of links", "remove the link"),
        ("a link to nowhere", "mend or remove the link"),
    ],
)
def test_reasons_of_the_intake_have_advice_of_their_own(reason: str, advice: str) -> None:
    line = TroubleLine(path="x", state="quarantined", reason=reason, since=None)
    assert advice in advice_on(line)


@pytest.mark.parametrize(
    ("seconds", "said"), [(3, "3 s"), (240, "4 min"), (9000, "2.5 h"), (259200, "3.0 d")]
)
def test_times_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_table_keeps_its_width_and_columns() -> None:
    lines = table(("a", "b"), [("1", "x" * 300), ("22", "y")], 60)
    assert max(map(len, lines)) <= 60
    assert lines[0].index("b") == lines[2].index("y")
    assert clean("é\t\x00", 9) == "é ?"


def test_what_could_not_be_delivered_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "alfoscd.sqlite"
    engine = fresh_database(path)
    archive = Archive(engine, SystemClock())
    archive.queue_notice("k", "hint", "Take an arc")
    archive.route_notice(archive.notices()[0].id, [("slack", "C1", "")])
    (delivery,) = archive.deliveries_of("k")
    archive.mark(delivery.id, DeliveryState.DEAD, error="the token was revoked. To do: a new one.")
    found = read_status(path, now=NOW)
    assert any("1 message undelivered" in reason for reason in found.why)
    shown = render(found)
    assert "OUTBOX  dead 1" in shown
    assert "Take an arc, to slack C1" in shown
    assert "the token was revoked. To do: a new one." in shown
    assert "alfoscd outbox --retry" in shown
    engine.dispose()


def test_the_outbox_is_listed_and_revived_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = fresh_database(tmp_path / "alfoscd.sqlite")
    archive = Archive(engine, SystemClock())
    archive.queue_notice("k", "hint", "Take an arc")
    archive.route_notice(archive.notices()[0].id, [("slack", "C1", "")])
    archive.mark(archive.deliveries_of("k")[0].id, DeliveryState.DEAD, error="revoked")
    assert main(["outbox", "--root", str(tmp_path)]) == 0
    assert "Take an arc" in (out := capsys.readouterr().out)
    assert "revoked" in out
    assert main(["outbox", "--retry", "--sink", "slack", "--root", str(tmp_path)]) == 0
    assert "1 deliveries" in capsys.readouterr().out
    assert archive.deliveries_of("k")[0].state is DeliveryState.WAITING
    engine.dispose()
