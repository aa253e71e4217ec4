"""A job's row as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.memory.records import Job, JobKind, JobState

if TYPE_CHECKING:
    from daemon.memory.tables import JobRow


def job_record(row: JobRow) -> Job:
    """Return a row as a record."""
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        key=row.key,
        payload=dict(row.payload),
        priority=row.priority,
        state=JobState(row.state),
        attempts=row.attempts,
        not_before=row.not_before,
        lease_until=row.lease_until,
        worker=row.worker,
        error=row.error,
        submitted_at=row.submitted_at,
    )
