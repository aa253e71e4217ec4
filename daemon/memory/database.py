"""Opening the database: migrated for the daemon, untouched for those who only look."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import MetaData, Table, inspect, select
from sqlalchemy.exc import NoSuchTableError

from calibration_store.transactions import reading, writing
from daemon.memory import sqlite
from daemon.memory.errors import (
    NoDatabase,
    SchemaTooNew,
    SchemaTooOld,
    StoreCorrupt,
    StoreForeign,
)
from daemon.memory.rescue import rescue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["SCHEMA", "open_database", "open_read_only", "reading", "writing"]

#: The newest revision of the schema; Alembic, slow to import, is needed only for other ones.
SCHEMA = "0013"

_MIGRATIONS = Path(__file__).with_name("migrations")


def open_database(path: Path, *, busy_timeout_s: float = sqlite.BUSY_TIMEOUT_S) -> Engine:
    """Open the database for reading and writing; create or migrate it first when needed.

    Raises
    ------
    SchemaTooNew
        If a newer version wrote it.
    StoreCorrupt
        If the file is damaged or no database.
    StorePaused
        If it cannot be opened or written for now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sqlite.writable_engine(path, busy_timeout_s)
    with ExitStack() as undo, _advised(path):
        undo.callback(engine.dispose)
        with reading(engine) as session:
            found = _schema_of(session.connection())
        if found != SCHEMA:
            with writing(engine) as session:
                _migrate(session.connection())
        undo.pop_all()
    return engine


def open_read_only(path: Path) -> Engine:
    """Open the database for reading, whether or not the daemon is running.

    Raises
    ------
    NoDatabase
        If there is none yet.
    SchemaTooNew, SchemaTooOld
        If another version wrote it.
    StoreCorrupt
        If the file is damaged or no database.
    """
    if not path.is_file():
        message = f"There is no database yet at {path}."
        raise NoDatabase(message)
    engine = sqlite.read_only_engine(path)
    with ExitStack() as undo, _advised(path):
        undo.callback(engine.dispose)
        with reading(engine) as session:
            found = _schema_of(session.connection())
        _refuse_newer(found)
        if found is None:
            message = f"There is no database yet at {path}: the file is empty."
            raise NoDatabase(message)
        if found != SCHEMA:
            message = (
                f"The database has schema {found} of an earlier version: start the daemon once "
                f"(`alfoscd run`), it migrates it to {SCHEMA}."
            )
            raise SchemaTooOld(message)
        undo.pop_all()
    return engine


@contextmanager
def _advised(path: Path) -> Iterator[None]:
    """Let an error about a damaged file say how to go on."""
    try:
        yield
    except StoreForeign:
        raise
    except StoreCorrupt as error:
        raise StoreCorrupt(f"{path}: {error} {rescue(path)}.") from error


def _schema_of(connection: Connection) -> str | None:
    """Return the revision of the schema; None for an empty database."""
    try:
        table = Table("alembic_version", MetaData(), autoload_with=connection)
    except NoSuchTableError:
        if inspect(connection).get_table_names():
            raise StoreForeign from None
        return None
    found: str | None = connection.scalar(select(table.c.version_num))
    return found


def _migrate(connection: Connection) -> None:
    # Another process may have been faster: look again under the write lock.
    found = _schema_of(connection)
    _refuse_newer(found)
    if found == SCHEMA:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_newer(found: str | None) -> None:
    # Revisions are numbered with four digits, so that their order is known without their scripts.
    if found is not None and found > SCHEMA:
        newer = f"The database has schema {found}, which is newer than this version's {SCHEMA}"
        raise SchemaTooNew(f"{newer}: update alfoscd.")
