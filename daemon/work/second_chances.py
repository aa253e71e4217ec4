"""Files and jobs that were given up, and how a person has them tried again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from daemon.arrival.sighting import Sighting
from daemon.memory.database import writing
from daemon.memory.records import FileRecord, FileState, Job, JobKind, JobRequest, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.archive import Archive
    from daemon.work.jobs import JobQueue

_MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """What waits for a person: files not taken in, and jobs that failed for good."""

    files: tuple[FileRecord, ...]
    jobs: tuple[Job, ...]


def given_up(archive: Archive, queue: JobQueue) -> GivenUp:
    """Return everything that was given up."""
    files = (*archive.files(FileState.QUARANTINED), *archive.files(FileState.HELD))
    jobs = [job for job in queue.jobs(JobState.FAILED, _MANY) if job.kind is not JobKind.INGEST]
    return GivenUp(files=files, jobs=tuple(jobs))


def retry_files(
    archive: Archive, queue: JobQueue, files: Sequence[FileRecord], user: str
) -> list[tuple[FileRecord, str]]:
    """Ask for each file to be read again; return those that cannot be, with the reason."""
    refused: list[tuple[FileRecord, str]] = []
    now = archive.clock.now()
    for record in files:
        try:
            status = record.path.stat()
        except OSError as error:
            refused.append((record, error.strerror or str(error)))
            continue
        sighting = Sighting(path=record.path, size=status.st_size, mtime_ns=status.st_mtime_ns)
        held = replace(
            record,
            state=FileState.HELD,
            reason=f"to be read again, {user} asks; before: {record.reason}",
            size=sighting.size,
            mtime_ns=sighting.mtime_ns,
        )
        with writing(archive.engine) as session:
            archive.record_file(held, within=session)
            queue.submit(sighting.request(now), within=session)
    return refused


def retry_jobs(archive: Archive, queue: JobQueue, jobs: Sequence[Job]) -> None:
    """Ask for each failed job once more, with its attempts counted from nought."""
    for job in jobs:
        request = JobRequest(
            kind=job.kind,
            key=job.key,
            payload=job.payload,
            priority=job.priority,
            not_before=archive.clock.now(),
        )
        queue.submit(request)
