"""Looks into the spool now and then without ever waiting for its storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.arrival.errand import Errand
from daemon.memory.records import PRIORITY_LOOK, JobKind, JobRequest
from daemon.triggers.spool import waiting_in

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from daemon.clock import Clock
    from daemon.work.jobs import JobQueue

KEY = "triggers"
_EVERY_S = 1.0


def triggers_request(now: datetime) -> JobRequest:
    """Return the job that reads what lies in the spool."""
    return JobRequest(kind=JobKind.TRIGGERS, key=KEY, priority=PRIORITY_LOOK, not_before=now)


class SpoolWatch:
    """Submits a job whenever a notice lies in the spool."""

    def __init__(self, spool: Path, queue: JobQueue, clock: Clock) -> None:
        self._spool, self._queue, self._clock = spool, queue, clock
        self._errand: Errand[list[Path]] | None = None
        self._next = 0.0

    def step(self) -> None:
        """Look, if it is time; a look that hangs is waited for by its own thread."""
        if self._errand is not None and self._errand.is_back():
            errand, self._errand = self._errand, None
            if self._found(errand):
                self._queue.submit(triggers_request(self._clock.now()))
        now = self._clock.monotonic()
        if self._errand is None and now >= self._next:
            self._next = now + _EVERY_S
            self._errand = Errand(lambda: waiting_in(self._spool), "spool of notices")

    @staticmethod
    def _found(errand: Errand[list[Path]]) -> bool:
        try:
            return bool(errand.result())
        except (OSError, RuntimeError):
            return False
