"""Asks for what is due; what was asked for stands in the database, not in a scheduler's memory.

APScheduler wakes us at the right moments; if it does so late, twice or not at all (a suspended
machine, a clock that jumps), the next look finds the same occasions and asks for each once.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from daemon.clock import observing_night
from daemon.memory.database import writing
from daemon.memory.errors import StorePaused
from daemon.schedule.occasions import occasions_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from daemon.clock import Clock, Site
    from daemon.memory.archive import Archive
    from daemon.memory.records import JobKind
    from daemon.schedule.occasions import Occasion
    from daemon.work.jobs import JobQueue

log = logging.getLogger(__name__)

#: Nights looked back: a report that could not be asked for in time is asked for later.
_NIGHTS_BACK = 7
_LOOK_EVERY_S = 60
_BEGIN = "begin"


class Timetable:
    """Submits the job of every occasion once, when it is due."""

    def __init__(
        self,
        archive: Archive,
        queue: JobQueue,
        clock: Clock,
        site: Site,
        kinds: Collection[JobKind],
        *,
        canary_every_h: float = 0.0,
    ) -> None:
        self._archive, self._queue, self._clock, self._site = archive, queue, clock, site
        self._kinds = frozenset(kinds)
        self._canary_every_h = canary_every_h
        self._scheduler: BackgroundScheduler | None = None

    def start(self) -> None:
        """Let APScheduler wake us every minute and at the moment of each coming occasion."""
        scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None}
        )
        scheduler.add_job(self._wake, "interval", seconds=_LOOK_EVERY_S, id="every minute")
        scheduler.start()
        self._scheduler = scheduler
        self._wake()

    def stop(self) -> None:
        """Wake up no more."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def step(self) -> list[Occasion]:
        """Ask for everything that is due and was not asked for; return it."""
        now = self._clock.now()
        since = self._begun(now)
        asked = []
        for occasion in self._near(now):
            if not since <= occasion.due <= now < occasion.expires:
                continue
            with writing(self._archive.engine) as session:
                if self._archive.note_occasion(
                    occasion.name, occasion.night, occasion.due, within=session
                ):
                    self._queue.submit(occasion.request(now), within=session)
                    asked.append(occasion)
        return asked

    def coming(self) -> list[Occasion]:
        """Return the occasions of the next day, the nearest first."""
        now = self._clock.now()
        return [item for item in self._near(now) if now < item.due <= now + timedelta(days=1)]

    def _near(self, now: datetime) -> list[Occasion]:
        tonight = observing_night(now, self._site.longitude_deg)
        nights = [tonight + timedelta(days=n) for n in range(-_NIGHTS_BACK, 2)]
        return [
            item
            for night in nights
            for item in occasions_of(night, self._site, canary_every_h=self._canary_every_h)
            if item.kind in self._kinds
        ]

    def _begun(self, now: datetime) -> datetime:
        """Return when this schedule began: nights before a daemon existed are none of its."""
        begun = self._archive.first_occasion()
        if begun is None:
            self._archive.note_occasion(_BEGIN, "", now)
            return now
        return begun

    def _wake(self) -> None:
        try:
            self.step()
        except StorePaused as error:
            log.warning("the schedule waits for the database: %s", error)
            return
        if self._scheduler is None:
            return
        for item in self.coming():
            self._scheduler.add_job(
                self._wake, "date", run_date=item.due, id=f"{item.name} {item.night}",
                replace_existing=True,
            )  # fmt: skip
