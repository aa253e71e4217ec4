"""The task that keeps a copy of the database, proven whole, for the worst morning."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.memory.records import Job
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)

_KEPT = 7


class BackupDamaged(Exception):
    """The copy of the database does not pass SQLite's own check."""


def back_up(bench: Bench, job: Job) -> None:
    """Copy the database into its backup folder and drop the oldest copies.

    Raises
    ------
    BackupDamaged
        If the copy is not whole; earlier copies stay.
    """
    path = copy_database(bench.config.database, str(job.payload["night"]))
    log.info("database copied to %s", path)


def copy_database(database: Path, label: str) -> Path:
    """Copy a database that may be in use; return the copy, which has passed SQLite's check.

    Raises
    ------
    BackupDamaged
        If it has not.
    """
    folder = database.with_name("backup")
    folder.mkdir(exist_ok=True)
    path, unproven = folder / f"{database.stem}_{label}.sqlite", folder / f".{label}.tmp"
    unproven.unlink(missing_ok=True)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source:
        source.execute("VACUUM INTO ?", (str(unproven),))
    with closing(sqlite3.connect(unproven)) as copy:
        (found,) = copy.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        unproven.unlink()
        raise BackupDamaged(f"the copy of {database.name} is damaged: {found}")
    unproven.replace(path)
    for old in sorted(folder.glob(f"{database.stem}_*.sqlite"))[:-_KEPT]:
        old.unlink()
    return path
