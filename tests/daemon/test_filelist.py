"""A list of files: only those are taken in, and nothing is said of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.arrival.intake import Intake
from daemon.arrival.sighting import RawNames
from daemon.arrival.watch import Watcher
from daemon.config import Watch
from daemon.memory.archive_files import FileArchive
from daemon.memory.database import open_database
from daemon.memory.records import FileRecord, FileState
from tests.daemon.fresh_database import fresh_database
from tests.daemon.test_reconcile import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.memory.records import JobRequest


def taken_in(raw: Path, database: Path, names: RawNames, *, lenient: bool = False) -> list[str]:
    """Return the names of the files that a minute of watching submits."""
    engine, clock = fresh_database(database), FakeClock()
    requests: list[JobRequest] = []
    intake = Intake(
        [raw],
        names,
        Watch(settle_s=1.0),
        engine=engine,
        archive=FileArchive(engine, clock),
        submit=lambda request, _: requests.append(request),
        watcher=Watcher([], "always"),
        clock=clock,
        lenient=lenient,
    )
    intake.start()
    for _ in range(20):
        intake.step()
        clock.seconds += 1
    engine.dispose()
    return sorted(str(request.payload["path"]).rsplit("/", 1)[-1] for request in requests)


def test_only_listed_files_are_taken_in_and_the_others_later(tmp_path: Path) -> None:
    raw, database = tmp_path / "raw", tmp_path / "db" / "a.sqlite"
    raw.mkdir()
    for number in range(3):
        (raw / f"AL{number}.fits").write_bytes(b"x")
    listed = RawNames(["AL*.fits"], frozenset({"AL1.fits"}))
    assert taken_in(raw, database, listed) == ["AL1.fits"]
    assert taken_in(raw, database, RawNames(["AL*.fits"])) == ["AL0.fits", "AL1.fits", "AL2.fits"]


def test_quarantined_files_are_tried_again_only_when_a_person_insists(tmp_path: Path) -> None:
    raw, database = tmp_path / "raw", tmp_path / "db" / "a.sqlite"
    raw.mkdir()
    path = raw / "AL0.fits"
    path.write_bytes(b"x")
    status = path.stat()
    engine = open_database(database)
    FileArchive(engine, FakeClock()).record_file(
        FileRecord(
            path=path, state=FileState.QUARANTINED, reason="bad", size=status.st_size,
            mtime_ns=status.st_mtime_ns,
        )
    )  # fmt: skip
    engine.dispose()
    names = RawNames(["AL*.fits"])
    assert taken_in(raw, database, names) == []
    assert taken_in(raw, database, names, lenient=True) == ["AL0.fits"]
