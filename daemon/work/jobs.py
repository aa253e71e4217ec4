"""Durable jobs with leases: what should be done, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from daemon.clock import Clock
from daemon.memory.records import Job, JobKind, JobRequest, JobState


class JobQueue:
    """Hands out jobs, each to one worker at a time.

    Every method joins the caller's transaction when `within` is given.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def submit(
        self, request: JobRequest, *, postpone: bool = False, within: Session | None = None
    ) -> bool:
        """Add a job, or fold the request into the waiting one of the same key; True when new."""
        raise NotImplementedError

    def claim(
        self, worker: str, kinds: Collection[JobKind] | None = None, *, lease_s: float = 60.0
    ) -> Job | None:
        """Take the most urgent job that is due and whose key nobody is running."""
        raise NotImplementedError

    def renew(self, job_id: int, worker: str, lease_s: float = 60.0) -> bool:
        """Extend the lease; False when the job is no longer this worker's."""
        raise NotImplementedError

    def finish(self, job: Job, *, within: Session | None = None) -> bool:
        """Mark a job done; False when it is no longer this worker's."""
        raise NotImplementedError

    def fail(
        self,
        job: Job,
        error: str,
        retry_in_s: float | None = None,
        *,
        within: Session | None = None,
    ) -> bool:
        """Mark a job failed, or let it wait for another attempt."""
        raise NotImplementedError

    def put_back(self, job: Job, reason: str, in_s: float = 0.0) -> bool:
        """Let a job wait again without counting the attempt (try later, shutdown, paused)."""
        raise NotImplementedError

    def release(self, key_prefix: str, *, within: Session | None = None) -> int:
        """Let blocked jobs wait whose key begins so; return how many."""
        raise NotImplementedError

    def release_expired(self, attempts_limit: int | None = None) -> list[Job]:
        """Take back jobs whose lease ran out; those at the limit fail for good."""
        raise NotImplementedError

    def release_worker(
        self, worker: str, error: str, attempts_limit: int | None = None
    ) -> list[Job]:
        """Take back at once the jobs of a worker that died."""
        raise NotImplementedError

    def postpone(self, key: str, not_before: datetime, *, within: Session | None = None) -> bool:
        """Let a waiting job start no earlier than this."""
        raise NotImplementedError

    def hasten(self, key: str, not_before: datetime, *, within: Session | None = None) -> bool:
        """Let a waiting job start as early as this."""
        raise NotImplementedError

    def get(self, job_id: int) -> Job | None:
        """Return one job."""
        raise NotImplementedError

    def jobs(self, state: JobState, limit: int = 100) -> list[Job]:
        """Return the newest jobs in a state."""
        raise NotImplementedError

    def counts(self) -> Mapping[tuple[JobKind, JobState], int]:
        """Return how many jobs of each kind are in each state."""
        raise NotImplementedError

    def unfinished(self) -> int:
        """Return how many jobs are waiting or running."""
        raise NotImplementedError

    def next_due(self) -> datetime | None:
        """Return when the next waiting job may start; None when none waits."""
        raise NotImplementedError
