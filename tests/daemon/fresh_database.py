"""New databases for tests: migrated once in a process and copied, since Alembic takes its time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from daemon.memory.database import open_database

if TYPE_CHECKING:
    from sqlalchemy import Engine


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "alfoscd.sqlite"
        open_database(path).dispose()
        return path.read_bytes()


def fresh_database(path: Path) -> Engine:
    """Open a database, at first as the daemon leaves it before its first frame."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_migrated())
    return open_database(path)
