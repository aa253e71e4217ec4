"""Durable jobs with leases: what should be done, by whom, and what came of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.orm import aliased

from calibration_store.transactions import reading, writing
from daemon.memory.job_record import job_record
from daemon.memory.records import Job, JobKind, JobRequest, JobState
from daemon.memory.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Engine, Select
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.expression import ColumnElement

    from daemon.clock import Clock

_OPEN = (JobState.WAITING.value, JobState.BLOCKED.value)


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
        """Add a job, or fold the request into the waiting one of the same key.

        The smaller priority wins, and so do the new values of the payload; the later start wins
        with `postpone`, else the earlier. A job that is running does not count: the request may
        know of something that came too late for it.

        Returns
        -------
        bool
            Whether a job was added.
        """
        with writing(self._engine, within) as session:
            now = self._clock.now()
            start = request.not_before or now
            row = session.scalar(_open(request.key))
            if row is not None:
                later = max if postpone else min
                _fold(row, request, later(row.not_before, start))
                return False
            session.add(_new_row(request, start, now))
            return True

    def claim(
        self,
        worker: str,
        kinds: Collection[JobKind] | None = None,
        *,
        lease_s: float = 60.0,
        before: int | None = None,
    ) -> Job | None:
        """Take the most urgent job that is due and whose key nobody is running.

        The attempt is counted here, so that a worker that dies has used it up.

        Parameters
        ----------
        before
            Priority from which on jobs are left alone.
        """
        now = self._clock.now()
        twin = aliased(JobRow)
        running = select(twin.id).where(twin.key == JobRow.key, twin.state == JobState.RUNNING)
        next_id = select(JobRow.id).where(
            JobRow.state == JobState.WAITING, JobRow.not_before <= now, ~running.exists()
        )
        if kinds is not None:
            next_id = next_id.where(JobRow.kind.in_([kind.value for kind in kinds]))
        if before is not None:
            next_id = next_id.where(JobRow.priority < before)
        chosen = next_id.order_by(JobRow.priority, JobRow.id).limit(1).scalar_subquery()
        statement = (
            update(JobRow)
            .where(JobRow.id == chosen)
            .values(
                state=JobState.RUNNING.value,
                worker=worker,
                lease_until=now + timedelta(seconds=lease_s),
                attempts=JobRow.attempts + 1,
            )
            .returning(JobRow)
            .execution_options(synchronize_session=False)
        )
        with writing(self._engine) as session:
            row = session.scalar(statement)
            return None if row is None else job_record(row)

    def renew(self, job_id: int, worker: str, lease_s: float = 60.0) -> bool:
        """Extend the lease; False when the job is no longer this worker's."""
        with writing(self._engine) as session:
            row = session.get(JobRow, job_id)
            if row is None or row.state != JobState.RUNNING or row.worker != worker:
                return False
            row.lease_until = self._clock.now() + timedelta(seconds=lease_s)
            return True

    def finish(self, job: Job, *, remark: str = "", within: Session | None = None) -> bool:
        """Mark a job done; False when it is no longer this worker's.

        A remark says why nothing came of it though nothing failed.
        """
        with writing(self._engine, within) as session:
            row = _held(session, job)
            if row is None:
                return False
            self._end(session, row, JobState.DONE, remark)
            return True

    def fail(
        self,
        job: Job,
        error: str,
        retry_in_s: float | None = None,
        *,
        within: Session | None = None,
    ) -> bool:
        """Mark a job failed, or let it wait for another attempt after `retry_in_s`."""
        with writing(self._engine, within) as session:
            row = _held(session, job)
            if row is None:
                return False
            if retry_in_s is None:
                self._end(session, row, JobState.FAILED, error)
            else:
                self._wait(session, row, error, retry_in_s)
            return True

    def put_back(
        self, job: Job, reason: str, in_s: float = 0.0, *, within: Session | None = None
    ) -> bool:
        """Let a job wait again without counting the attempt (try later, shutdown, pause)."""
        with writing(self._engine, within) as session:
            row = _held(session, job)
            if row is None:
                return False
            row.attempts -= 1
            self._wait(session, row, reason, in_s)
            return True

    def release(self, key_prefix: str, *, within: Session | None = None) -> int:
        """Let blocked jobs wait whose key begins so; return how many."""
        query = select(JobRow).where(
            JobRow.state == JobState.BLOCKED, JobRow.key.startswith(key_prefix, autoescape=True)
        )
        with writing(self._engine, within) as session:
            rows = session.scalars(query).all()
            for row in rows:
                row.state = JobState.WAITING.value
            return len(rows)

    def release_expired(self, attempts_limit: int | None = None) -> list[Job]:
        """Take back jobs whose lease ran out; those at the limit fail for good."""
        return self._take_back(
            JobRow.lease_until < self._clock.now(), "its worker went silent", attempts_limit
        )

    def release_worker(
        self, worker: str, error: str, attempts_limit: int | None = None
    ) -> list[Job]:
        """Take back at once the jobs of a worker that died; those at the limit fail for good."""
        return self._take_back(JobRow.worker == worker, error, attempts_limit)

    def postpone(self, key: str, not_before: datetime, *, within: Session | None = None) -> bool:
        """Let a waiting job start no earlier than this; False when none waits."""
        with writing(self._engine, within) as session:
            row = session.scalar(_open(key))
            if row is not None:
                row.not_before = max(row.not_before, not_before)
            return row is not None

    def hasten(self, key: str, not_before: datetime, *, within: Session | None = None) -> bool:
        """Let a waiting job start as early as this; False when none waits."""
        with writing(self._engine, within) as session:
            row = session.scalar(_open(key))
            if row is not None:
                row.not_before = min(row.not_before, not_before)
            return row is not None

    def get(self, job_id: int) -> Job | None:
        """Return one job."""
        with reading(self._engine) as session:
            row = session.get(JobRow, job_id)
            return None if row is None else job_record(row)

    def jobs(self, state: JobState, limit: int = 100) -> list[Job]:
        """Return the newest jobs in a state."""
        query = select(JobRow).where(JobRow.state == state)
        with reading(self._engine) as session:
            rows = session.scalars(query.order_by(JobRow.id.desc()).limit(limit))
            return [job_record(row) for row in rows]

    def counts(self) -> Mapping[tuple[JobKind, JobState], int]:
        """Return how many jobs of each kind are in each state."""
        query = select(JobRow.state, JobRow.kind, func.count())
        with reading(self._engine) as session:
            found = session.execute(query.group_by(JobRow.state, JobRow.kind))
            return {(JobKind(kind), JobState(state)): n for state, kind, n in found}

    def unfinished(self) -> int:
        """Return how many jobs are waiting or running."""
        states = (JobState.WAITING.value, JobState.RUNNING.value)
        query = select(func.count()).select_from(JobRow).where(JobRow.state.in_(states))
        with reading(self._engine) as session:
            return session.scalar(query) or 0

    def next_due(self) -> datetime | None:
        """Return when the next waiting job may start; None when none waits."""
        query = select(func.min(JobRow.not_before)).where(JobRow.state == JobState.WAITING)
        with reading(self._engine) as session:
            return session.scalar(query)

    def _take_back(
        self, which: ColumnElement[bool], error: str, attempts_limit: int | None
    ) -> list[Job]:
        query = select(JobRow).where(JobRow.state == JobState.RUNNING, which)
        with writing(self._engine) as session:
            rows: Sequence[JobRow] = session.scalars(query.order_by(JobRow.id)).all()
            for row in rows:
                if attempts_limit is not None and row.attempts >= attempts_limit:
                    self._end(session, row, JobState.FAILED, error)
                else:
                    self._wait(session, row, error, 0.0)
            return [job_record(row) for row in rows]

    def _end(self, session: Session, row: JobRow, state: JobState, error: str) -> None:
        """End a job; earlier failures of the same task are settled by it, whatever comes out."""
        session.execute(
            update(JobRow)
            .where(JobRow.key == row.key, JobRow.state == JobState.FAILED, JobRow.id != row.id)
            .values(state=JobState.DONE.value)
        )
        row.state, row.error = state.value, error
        row.lease_until, row.ended_at = None, self._clock.now()

    def _wait(self, session: Session, row: JobRow, error: str, in_s: float) -> None:
        """Let a running job wait; a request that came meanwhile is folded into it."""
        row.not_before = self._clock.now() + timedelta(seconds=in_s)
        newer = session.scalar(_open(row.key))
        if newer is not None:
            row.payload = {**row.payload, **newer.payload}
            row.priority = min(row.priority, newer.priority)
            row.not_before = min(row.not_before, newer.not_before)
            session.delete(newer)
            session.flush()
        row.state, row.error = JobState.WAITING.value, error
        row.worker, row.lease_until = "", None


def _open(key: str) -> Select[JobRow]:
    return select(JobRow).where(JobRow.key == key, JobRow.state.in_(_OPEN))


def _held(session: Session, job: Job) -> JobRow | None:
    """Return the row if it is still the same attempt of the same worker."""
    row = session.get(JobRow, job.id)
    if row is None or row.state != JobState.RUNNING:
        return None
    return row if (row.worker, row.attempts) == (job.worker, job.attempts) else None


def _fold(row: JobRow, request: JobRequest, start: datetime) -> None:
    row.payload = {**row.payload, **request.payload}
    row.priority = min(row.priority, request.priority)
    row.not_before = start
    if not request.blocked:
        row.state = JobState.WAITING.value


def _new_row(request: JobRequest, start: datetime, now: datetime) -> JobRow:
    state = JobState.BLOCKED if request.blocked else JobState.WAITING
    return JobRow(
        kind=request.kind.value,
        key=request.key,
        payload=dict(request.payload),
        priority=request.priority,
        state=state.value,
        attempts=0,
        not_before=start,
        worker="",
        error="",
        submitted_at=now,
    )
