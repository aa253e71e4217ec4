"""Readings of one quantity in one set-up, and what a night makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import TYPE_CHECKING

from daemon.health.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One number that the instrument gave, and where the telescope stood.

    Attributes
    ----------
    value, error
        In the unit of the series; the error is NaN where none was measured.
    frame
        Stem of the frame, or of the first frame of the master.
    """

    value: float
    error: float = math.nan
    at: datetime
    night: str
    frame: str = ""
    rotator_deg: float | None = None
    altitude_deg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All readings of one quantity in one set-up, oldest first."""

    rule: Rule
    setup: str
    readings: tuple[Reading, ...]

    @property
    def name(self) -> str:
        """What people and keys call it."""
        return f"{self.rule.name} {self.setup}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class NightValue:
    """What the readings of one night come to.

    Attributes
    ----------
    value, error
        The error is that of the value, NaN where no reading had one.
    day
        Number of the day, for trends.
    """

    night: str
    value: float
    error: float
    count: int

    @property
    def day(self) -> int:
        """Number of the day, so that gaps count."""
        return date.fromisoformat(self.night).toordinal()


def nightly(series: Series) -> tuple[NightValue, ...]:
    """Return one value for each night with readings, oldest first; what is not finite is left out.

    The middle of the night, or the best where clouds only ever make it worse.
    """
    by_night: dict[str, list[Reading]] = {}
    for reading in series.readings:
        if math.isfinite(reading.value):
            by_night.setdefault(reading.night, []).append(reading)
    choose = _CHOICES[series.rule.of_night]
    return tuple(_night_value(night, found, choose) for night, found in sorted(by_night.items()))


def _night_value(
    night: str, readings: Sequence[Reading], choose: Callable[[Iterable[float]], float]
) -> NightValue:
    errors = [reading.error for reading in readings if reading.error > 0]
    error = median(errors) / math.sqrt(len(errors)) if errors else math.nan
    return NightValue(
        night=night,
        value=choose(reading.value for reading in readings),
        error=error,
        count=len(readings),
    )


_CHOICES: Mapping[str, Callable[[Iterable[float]], float]] = {
    "median": median,
    "highest": max,
    "lowest": min,
}
