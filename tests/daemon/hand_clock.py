"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


class HandClock:
    """Shows the time that it was last set to."""

    def __init__(self, start: datetime = START) -> None:
        self._start = self.time = start

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - self._start).total_seconds()

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
