"""Numbers, times and names out of a text that nobody has checked yet."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from reducers.errors import BadNotice

#: Names longer than this are none.
_LONGEST = 80
_FIRST_YEAR, _LAST_YEAR = 1990, 2200


def number(value: Any) -> float | None:
    """Return a finite number, None where there is none; True is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """Return a whole number that a database can hold; None where there is none."""
    found = number(value)
    if found is None or found != int(found) or abs(found) >= 2**53:
        return None
    return int(found)


def moment(value: Any) -> datetime | None:
    """Return an ISO 8601 time in UTC, which it is taken to be without a zone; None for none.

    Raises
    ------
    BadNotice
        If something else stands there.
    """
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(str(value).strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadNotice(f"'{plain(value)}' is no time") from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise BadNotice(f"the year {found.year} is none of an event")
    return found


def plain(value: Any) -> str:
    """Return text on one line, printable and not long; it may still be hostile to HTML or Slack."""
    line = " ".join(str(value)[: 4 * _LONGEST].split())
    return "".join(c if c.isprintable() else "?" for c in line)[:_LONGEST]


def place(ra: Any, dec: Any) -> tuple[float, float] | None:
    """Return right ascension and declination in degrees; None where neither stands there.

    Raises
    ------
    BadNotice
        If one is missing, no number or not on the sphere.
    """
    if ra is None and dec is None:
        return None
    found = number(ra), number(dec)
    if found[0] is None or found[1] is None:
        raise BadNotice("right ascension or declination is missing or no number")
    if not (0 <= found[0] <= 360 and -90 <= found[1] <= 90):
        raise BadNotice(f"RA {found[0]:g}, Dec {found[1]:g} is no place on the sky")
    return found[0] % 360.0, found[1]
