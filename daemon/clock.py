"""Time as the daemon sees it; tests put their own clock in."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the aware UTC time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


def observing_night(when: datetime, longitude_deg: float = 0.0) -> date:
    """Return the date on which the night of `when` began, turning over at local mean noon.

    Parameters
    ----------
    when
        Aware time.
    longitude_deg
        East longitude of the telescope; 0 turns over at 12 UTC.
    """
    local = when.astimezone(UTC) + timedelta(hours=longitude_deg / 15)
    return (local - timedelta(hours=12)).date()
