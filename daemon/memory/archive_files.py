"""The files of the watched tree and how each of them ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import FileRecord, FileState
from daemon.memory.tables import FileRow

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session


class FileArchive(ArchiveWing):
    """Queries on files."""

    def record_file(self, record: FileRecord, within: Session | None = None) -> FileRecord:
        """Record how a file stands now; when it was first seen is kept."""
        with self._writing(within) as session:
            now = self._clock.now()
            row = session.scalar(select(FileRow).where(FileRow.path == record.path))
            if row is None:
                row = FileRow(path=record.path, first_seen=record.first_seen or now)
                session.add(row)
            row.state, row.reason = record.state.value, record.reason
            row.size, row.mtime_ns, row.sha256 = record.size, record.mtime_ns, record.sha256
            row.last_seen = record.last_seen or now
            session.flush()
            return file_record(row)

    def file_at(self, path: Path, within: Session | None = None) -> FileRecord | None:
        """Return what is known of the file at this path."""
        with self._reading(within) as session:
            row = session.scalar(select(FileRow).where(FileRow.path == path))
            return file_record(row) if row else None

    def files(
        self, state: FileState | None = None, within: Session | None = None
    ) -> list[FileRecord]:
        """Return every known file, or those in one state, by path."""
        query = select(FileRow).order_by(FileRow.path)
        if state is not None:
            query = query.where(FileRow.state == state)
        with self._reading(within) as session:
            return [file_record(row) for row in session.scalars(query)]

    def copies(self, sha256: str, within: Session | None = None) -> list[Path]:
        """Return every path where this content was seen, the latest first."""
        query = select(FileRow.path).where(FileRow.sha256 == sha256)
        with self._reading(within) as session:
            return list(session.scalars(query.order_by(FileRow.last_seen.desc(), FileRow.id)))


def file_record(row: FileRow) -> FileRecord:
    """Return a row as a record."""
    return FileRecord(
        path=row.path,
        state=FileState(row.state),
        reason=row.reason,
        size=row.size,
        mtime_ns=row.mtime_ns,
        sha256=row.sha256,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
    )
