"""Modified Julian dates of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def mjd_of(when: datetime) -> float:
    """Return the modified Julian date of a time, in the scale of that time (UTC)."""
    return (when - _MJD_ZERO) / timedelta(days=1)
