"""The supervisor's eye on canaries: one after a start, and a word on one that does not end.

A canary that hangs with its worker, or dies with it, cannot tell of itself.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.canary.news import note
from daemon.memory.archive_canaries import CanaryRecord
from daemon.memory.errors import StorePaused
from daemon.memory.records import PRIORITY_CALIBRATION, Job, JobKind, JobRequest, JobState

if TYPE_CHECKING:
    from daemon.clock import Clock
    from daemon.config import Canary
    from daemon.memory.archive import Archive
    from daemon.work.jobs import JobQueue

log = logging.getLogger(__name__)

#: What was there at the start is dealt with first.
FIRST_AFTER_S = 180.0
_LOOK_EVERY_S = 30.0
_MANY = 1000


class CanaryWatch:
    """Asks for the first canary and writes down those that do not end."""

    def __init__(self, archive: Archive, queue: JobQueue, clock: Clock, settings: Canary) -> None:
        self._archive, self._queue, self._clock = archive, queue, clock
        self._settings = settings
        self._first_at = clock.monotonic() + FIRST_AFTER_S
        self._next = self._first_at
        self._asked = False

    def step(self) -> None:
        """Do what is due; nothing where canaries are off."""
        now = self._clock.monotonic()
        if self._settings.every_h <= 0 or now < self._next:
            return
        self._next = now + _LOOK_EVERY_S
        try:
            if not self._asked:
                self._queue.submit(first_request())
                self._asked = True
            self._look()
        except StorePaused as error:
            log.warning("the canaries wait for the database: %s", error)

    def _look(self) -> None:
        last = self._archive.last_canary()
        now, limit = self._clock.now(), timedelta(seconds=self._settings.limit_s)
        for job in self._canaries(JobState.RUNNING, JobState.WAITING, JobState.FAILED):
            asked = job.submitted_at
            if last is not None and last.asked_at >= asked:
                continue
            if job.state is JobState.FAILED:
                lines = job.error.strip().splitlines() or ["for no reason that it told"]
                problem = f"its worker gave up: {lines[-1]}"
            elif now - asked > limit:
                doing = "waits for a worker" if job.state is JobState.WAITING else "is not back"
                problem = (
                    f"it {doing} {(now - asked).total_seconds():.0f} s after it was due, "
                    f"allowed are {self._settings.limit_s:.0f}"
                )
            else:
                continue
            last = CanaryRecord(asked_at=asked, ended_at=now, took_s=0.0, problems=(problem,))
            note(self._archive, last)

    def _canaries(self, *states: JobState) -> list[Job]:
        found = [job for state in states for job in self._queue.jobs(state, _MANY)]
        return sorted((j for j in found if j.kind is JobKind.CANARY), key=lambda job: job.id)


def first_request() -> JobRequest:
    """Return the job of the canary after a start; several starts in a row ask for one."""
    return JobRequest(kind=JobKind.CANARY, key="canary start", priority=PRIORITY_CALIBRATION)
