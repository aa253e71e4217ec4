"""The state of everything as people ask for it: read without the daemon, without heavy imports."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from daemon import status_queries as ask
from daemon.memory.rescue import rescue
from daemon.status_canary import last_canary
from daemon.status_combinations import combinations
from daemon.status_lines import Status
from daemon.status_outbox import outbox
from daemon.status_words import WARNING, duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from daemon.status_lines import WorkerLine

#: A daemon that has given no sign of life for so long is down.
SILENT_AFTER_S = 60.0
#: A file held for longer wants attention.
HELD_TOO_LONG = timedelta(minutes=10)
#: A notice that could not be read is told for so long.
BAD_NOTICES_FOR = timedelta(days=1)
#: SQLite's words for a file that is not whole.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
#: SQLite cannot write with less room than this.
_FULL_BYTES = 1_000_000
#: Counting the files of the watched tree may take so long.
_COUNTING_LIMIT_S = 0.1


def to_json(status: Status) -> str:
    """Return the status as JSON text; times are ISO 8601 in UTC."""
    return json.dumps(asdict(status), default=_json_value, indent=1)


def read_status(
    database: Path,
    *,
    now: datetime,
    raw: Sequence[Path] = (),
    night: str | None = None,
    recent: int = 12,
) -> Status:
    """Read what the database knows, whether or not the daemon is running.

    Parameters
    ----------
    database
        The file; it is opened read-only and need not exist.
    raw
        Watched directories, to count what lies there.
    night
        Observing night shown; by default the newest that holds science, for in the afternoon the
        newest of all holds but calibrations.
    recent
        How many frames, products and troubles are listed.
    """
    on_disk = count_files(raw)
    if not database.is_file():
        why = (f"no database yet at {database}: start the daemon with `alfoscd run DIR`",)
        return Status(at=now, database=str(database), verdict="down", why=why, on_disk=on_disk)
    try:
        with ask.Reader(database) as reader:
            return _read(reader, database, now, on_disk, night, recent)
    except sqlite3.Error as error:
        why = (_unread(error, database),)
        return Status(at=now, database=str(database), verdict="down", why=why, on_disk=on_disk)


def count_files(raw: Iterable[Path], limit_s: float = _COUNTING_LIMIT_S) -> int | None:
    """Return how many files lie in the watched directories; None if it takes too long.

    The counting has a thread of its own: a mount that hangs must not keep `status` from saying so.
    """
    found: list[int | None] = []
    thread = threading.Thread(target=lambda: found.append(_count(raw, limit_s)), daemon=True)
    thread.start()
    thread.join(2 * limit_s)
    return found[0] if found else None


def _count(raw: Iterable[Path], limit_s: float) -> int | None:
    until = time.monotonic() + limit_s
    count = 0
    waiting = [os.fspath(folder) for folder in raw]
    if not waiting:
        return None
    while waiting:
        if time.monotonic() > until:
            return None
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        count += 1
        except OSError:
            continue
    return count


def _read(
    reader: ask.Reader,
    database: Path,
    now: datetime,
    on_disk: int | None,
    night: str | None,
    recent: int,
) -> Status:
    newest = night or reader.value("SELECT max(night) FROM revision WHERE current = 1") or ""
    shown = night or ask.newest_science_night(reader) or newest
    workers = ask.workers(reader, now)
    jobs = reader.pairs("SELECT state, count(*) FROM job GROUP BY state")
    files = reader.pairs("SELECT state, count(*) FROM file GROUP BY state")
    failed = ask.jobs(reader, "failed", recent)
    told = outbox(reader, recent)
    canary = last_canary(reader)
    verdict, why = judge(
        workers,
        jobs,
        files,
        ask.held_since(reader, now - HELD_TOO_LONG),
        ask.bad_notices_since(reader, now - BAD_NOTICES_FOR),
        told.dead,
        canary_failed=canary is not None and bool(canary.problems),
        silent_because=_why_silent(database, [w.pid for w in workers if w.who == "supervisor"]),
    )
    return Status(
        at=now,
        database=str(database),
        verdict=verdict,
        why=why,
        night=shown,
        newest_night=newest,
        newest_frames=ask.frames(reader, newest),
        nights=ask.nights(reader),
        files=files,
        on_disk=on_disk,
        frames_total=reader.value("SELECT count(*) FROM revision WHERE current = 1"),
        frames=ask.frames(reader, shown),
        last_frames=ask.last_frames(reader, recent, night),
        masters=ask.masters(reader, shown),
        products=ask.products(reader, shown, recent),
        combinations=combinations(reader, shown),
        product_counts=reader.pairs(
            "SELECT state || ' ' || quality, count(*) FROM product"
            " WHERE night = ? AND state <> 'superseded' GROUP BY state, quality",
            shown,
        ),
        troubles=ask.troubles(reader, recent),
        missing=ask.files_in(reader, "missing", recent),
        jobs=jobs,
        running=ask.jobs(reader, "running", recent),
        failed=failed,
        workers=workers,
        latency_s=ask.latency(reader, shown),
        shutter_latency_s=ask.shutter_latency(reader, shown),
        untouched_nights=ask.untouched_nights(reader, shown),
        verdicts=ask.verdicts(reader),
        outbox=told,
        canary=canary,
    )


def judge(
    workers: Sequence[WorkerLine],
    jobs: Mapping[str, int],
    files: Mapping[str, int],
    long_held: int = 0,
    bad_notices: int = 0,
    undelivered: int = 0,
    *,
    canary_failed: bool = False,
    silent_because: str = "see its log, restart it",
) -> tuple[str, tuple[str, ...]]:
    """Return the verdict and every reason for it, the gravest first.

    Parameters
    ----------
    long_held
        Files held for longer than any delivery takes.
    bad_notices
        Notices of events that came lately and could not be read.
    undelivered
        Messages that the outbox has given up.
    canary_failed
        Whether the last synthetic set did not come out as it should.
    silent_because
        What is said of a daemon that gave no sign of life, and what to do.
    """
    why = []
    chiefs = [worker for worker in workers if worker.who == "supervisor"]
    down = not any(worker.age_s <= SILENT_AFTER_S for worker in chiefs)
    if down and not chiefs:
        why.append("the daemon is not running: start it with `alfoscd run DIR`")
    elif down:
        age = min(worker.age_s for worker in chiefs)
        why.append(f"the daemon gave no sign of life for {duration(age)}: {silent_because}")
    if jobs.get("failed"):
        why.append(f"{jobs['failed']} failed job{'s' * (jobs['failed'] > 1)}")
    for state, count in (("quarantined", files.get("quarantined", 0)), ("held", long_held)):
        if count:
            why.append(f"{count} file{'s' * (count > 1)} {state}")
    if bad_notices:
        why.append(f"{bad_notices} notice{'s' * (bad_notices > 1)} unread: `alfoscd trigger list`")
    if undelivered:
        why.append(f"{undelivered} message{'s' * (undelivered > 1)} undelivered: see OUTBOX")
    if canary_failed:
        why.append("the last canary failed: see CANARY")
    if not down:
        why += [text for chief in chiefs for text in chief.state.split(WARNING)[1:]]
    silent = [w.who for w in workers if w.age_s > SILENT_AFTER_S]
    if silent and not down:
        why.append(f"silent: {', '.join(silent)}")
    return ("down" if down else "degraded" if why else "ok"), tuple(why)


def _why_silent(database: Path, pids: Sequence[int]) -> str:
    """Return why a daemon may give no sign of life, which it writes into its database."""
    try:
        free = shutil.disk_usage(database.parent).free
    except OSError as error:
        return f"its disc cannot be asked: {error.strerror}"
    if free < _FULL_BYTES:
        return f"the disc of {database.parent} is full; make room, and it goes on by itself"
    there = [pid for pid in pids if Path(f"/proc/{pid}").is_dir()]
    if there:
        return (
            f"its process {there[0]} is there and cannot write; does another program hold the "
            "database? It goes on when that lets go; else see its log, restart it"
        )
    return "see its log, restart it"


def _unread(error: sqlite3.Error, database: Path) -> str:
    if "no such" in str(error):
        return "an earlier version wrote the database: start the daemon once, it mends that"
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return f"the database is damaged ({error}). {rescue(database)}"
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN:
        mend = "after a crash only the daemon's user can: sudo -u alfoscd alfoscd status"
        return f"the database cannot be read ({error}); {mend}"
    return f"the database cannot be read: {error}"


def _json_value(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
