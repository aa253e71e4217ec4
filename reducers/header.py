"""Read single values of a header without ever failing on what it holds."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from astropy.io.fits import Card, VerifyError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a header may raise when one of its cards is asked for.
_UNREADABLE = (KeyError, ValueError, TypeError, IndexError, AttributeError, VerifyError)

#: Years between which an exposure is believable; the oldest CCD frames are of the seventies.
_YEARS = (1980, 2100)


def value_of(header: Mapping[str, Any], keys: str | list[str] | tuple[str, ...]) -> Any:
    """Return the value of the first of `keys` that is there and readable, else None."""
    for key in [keys] if isinstance(keys, str) else keys:
        try:
            value = header[key]
        except _UNREADABLE:
            continue
        if type(value) in (str, int, float, bool):
            return value
    return None


def text_of(header: Mapping[str, Any], keys: str | list[str]) -> str:
    """Return a text with blanks collapsed; '' when it is missing."""
    value = value_of(header, keys)
    return "" if value is None else tidy(str(value))


def optional_text_of(header: Mapping[str, Any], keys: str | list[str]) -> str | None:
    """Return a text with blanks collapsed; None when the key is missing."""
    value = value_of(header, keys)
    return None if value is None else tidy(str(value))


def number_of(header: Mapping[str, Any], keys: str | list[str]) -> float | None:
    """Return a finite number, also when it is written as a text; else None."""
    value = value_of(header, keys)
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def integer_of(header: Mapping[str, Any], keys: str | list[str]) -> int | None:
    """Return a whole number, else None."""
    number = number_of(header, keys)
    return int(number) if number is not None and number == int(number) else None


def moment_of(header: Mapping[str, Any], keys: str | list[str]) -> datetime | None:
    """Return an ISO date and time as aware UTC; None when it is no believable moment."""
    text = text_of(header, keys)
    if "T" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else _in_utc(moment)
    return moment if _YEARS[0] <= moment.year <= _YEARS[1] else None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def tidy(text: str) -> str:
    """Return text without control characters, its blanks collapsed and trimmed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def is_readable(card: Card) -> bool:
    """Tell whether a header card can be parsed."""
    try:
        _ = (card.keyword, card.value, card.comment)
    except _UNREADABLE:
        return False
    return True
