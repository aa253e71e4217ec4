"""The occasions of one night: what is due when, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from daemon.clock import twilights
from daemon.memory.records import (
    PRIORITY_BACKLOG,
    PRIORITY_CALIBRATION,
    PRIORITY_LOOK,
    JobKind,
    JobRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.clock import Site

#: Calibrations can still be taken so long before dawn.
_BEFORE_DAWN = timedelta(hours=1)
#: The last exposures of a night are reduced by then.
_AFTER_SUNRISE = timedelta(minutes=15)
_BEFORE_SUNSET = timedelta(hours=1)
_DAY = timedelta(days=1)
#: Others come after everything; a canary waits as long as the night's own frames do.
_PRIORITIES = {
    JobKind.DEBT: PRIORITY_LOOK,
    JobKind.REPORT: PRIORITY_LOOK,
    JobKind.CANARY: PRIORITY_CALIBRATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Something to be done once.

    Attributes
    ----------
    name
        'report', 'addendum', 'debt evening', 'debt morning', 'canary 16', 'backup'.
    night
        Observing night, YYYY-MM-DD.
    due
        When.
    expires
        After that it is of no use any more and left out.
    """

    name: str
    night: str
    due: datetime
    expires: datetime
    kind: JobKind

    def request(self, now: datetime) -> JobRequest:
        """Return the job that does it."""
        return JobRequest(
            kind=self.kind,
            key=f"{self.name}:{self.night}",
            payload={"night": self.night, "occasion": self.name},
            priority=_PRIORITIES.get(self.kind, PRIORITY_BACKLOG),
            not_before=now,
        )


def occasions_of(night: date, site: Site, *, canary_every_h: float = 0.0) -> list[Occasion]:
    """Return everything that is due between the noon before a night and the noon after it.

    Parameters
    ----------
    canary_every_h
        Hours between canaries; one is always sent before sunset. 0 sends none at all.
    """
    turns = twilights(night, site)
    begins = turns.noon - _DAY
    dusk = turns.dark or turns.evening or turns.sunset or begins + _DAY / 4
    dawn = turns.dawn or turns.sunrise or turns.noon - _DAY / 4
    rise = turns.sunrise or turns.noon - _DAY / 4
    label = night.isoformat()

    def occasion(name: str, due: datetime, lasting: timedelta, kind: JobKind) -> Occasion:
        return Occasion(name=name, night=label, due=due, expires=due + lasting, kind=kind)

    found = [
        occasion("debt evening", dusk, timedelta(hours=3), JobKind.DEBT),
        occasion("debt morning", dawn - _BEFORE_DAWN, timedelta(hours=1), JobKind.DEBT),
        # Just before the report, which tells its trends.
        occasion("health", rise + _AFTER_SUNRISE - timedelta(minutes=2), _DAY, JobKind.HEALTH),
        occasion("report", rise + _AFTER_SUNRISE, 7 * _DAY, JobKind.REPORT),
        # What changed since the report goes out once a day, at the end of the next night.
        occasion("addendum", rise + _AFTER_SUNRISE + _DAY, 7 * _DAY, JobKind.REPORT),
        occasion("backup", turns.noon - timedelta(minutes=5), _DAY, JobKind.BACKUP),
    ]
    if canary_every_h > 0:
        sunset = turns.sunset or dusk
        moments = [sunset - _BEFORE_SUNSET, *_every(begins, turns.noon, canary_every_h)]
        lasting = timedelta(hours=canary_every_h)
        found += [occasion(f"canary {m:%H:%M}", m, lasting, JobKind.CANARY) for m in moments]
    return sorted(found, key=lambda item: (item.due, item.name))


def _every(begin: datetime, end: datetime, hours: float) -> Iterator[datetime]:
    when = begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while when < end:
        yield when
        when += timedelta(hours=hours)
