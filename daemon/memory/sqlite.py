"""Everything that only SQLite understands."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import create_engine, event

from calibration_store.transactions import READING
from daemon.memory.errors import StoreCorrupt, StoreError, StorePaused

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 30.0

_PAUSING = {
    sqlite3.SQLITE_BUSY: "it stayed locked",
    sqlite3.SQLITE_LOCKED: "it stayed locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk gives input/output errors (full, or a quota?)",
    sqlite3.SQLITE_READONLY: "it is read-only (the daemon's user may write: sudo -u alfoscd ...)",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_NOMEM: "memory is exhausted",
}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def writable_engine(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return an engine whose writing transactions take the write lock at once.

    A deferred transaction that reads first and writes later fails as soon as someone else wrote
    in between, whatever the time-out; BEGIN IMMEDIATE waits its turn instead.
    """
    engine = _engine(path, "mode=rwc", busy_timeout_s)

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        light = connection.get_execution_options().get(READING, False)
        connection.exec_driver_sql("BEGIN" if light else "BEGIN IMMEDIATE")

    return engine


def read_only_engine(path: Path, busy_timeout_s: float = 5.0) -> Engine:
    """Return an engine that cannot write, not even by mistake."""
    wal = path.with_name(path.name + "-wal")
    # Without a write-ahead log nobody is writing; then SQLite may be spared the shared memory
    # file, which a user who must not write into the folder could not create.
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
    engine = _engine(path, mode, busy_timeout_s)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def explain(error: BaseException) -> StoreError | None:
    """Return what an error of SQLite means for the daemon; None for a programming error."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    primary = code & 0xFF  # the higher bits tell variants of the same trouble
    if primary in _CORRUPT:
        return StoreCorrupt(f"The database is damaged: {error}.")
    if primary in _PAUSING:
        return StorePaused(f"The database cannot be used for now, {_PAUSING[primary]}: {error}.")
    return None


def _engine(path: Path, mode: str, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        f"sqlite:///file:{quote(str(path))}?{mode}&uri=true",
        # None: the driver begins no transactions of its own.
        connect_args={"isolation_level": None, "timeout": busy_timeout_s},
    )

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> BaseException | None:
        return explain(context.original_exception)

    return engine
