"""Reduce a folder once: the daemon's own intake, jobs and workers, until nothing is left to do."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.arrival.sighting import RawNames
from daemon.clock import SystemClock
from daemon.config import Mail, Outbox, Slack
from daemon.memory.database import open_database
from daemon.memory.records import Job, JobKind, JobState
from daemon.work.crew import TASKS
from daemon.work.supervisor import (
    EngineRoom,
    lock_path,
    open_intake,
    raw_names,
    single_instance,
)
from reducers.profiles import instrument_names, load_instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from daemon.clock import Clock
    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.work.jobs import JobQueue

log = logging.getLogger(__name__)

_STEP_S = 0.1
_MANY = 10_000
_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a spectator of a batch may want to see: a job has ended.

    Attributes
    ----------
    job
        As it ended, done or failed.
    unfinished
        Jobs that are left.
    stem
        The frame that it was about; '' where it was about none.
    """

    job: Job
    unfinished: int
    stem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a batch came to."""

    done: int
    failed: int
    took_s: float
    finished: bool


def reduce_directory(
    config: Config,
    folder: Path,
    on_event: Callable[[Event], None] | None = None,
    *,
    tasks: str = TASKS,
    limit_s: float | None = None,
) -> Outcome:
    """Reduce every raw frame below a folder, with the daemon's own code.

    Raises
    ------
    AlreadyRunning
        If a daemon works on the same database.
    """
    paths = replace(config.paths, raw=(folder.resolve(),))
    # Everything is there already: nothing to wait for, and no provisional product needed.
    calibration = replace(config.calibration, provisional=False)
    watch = replace(config.watch, settle_s=min(config.watch.settle_s, 0.2), polling="always")
    # Whoever asks for a batch sits before it: it tells nobody else.
    silent = replace(config, slack=Slack(), mail=Mail(), outbox=Outbox(), webhook={}, programmes={})
    batch = replace(silent, paths=paths, calibration=calibration, watch=watch)
    return run_until_idle(batch, on_event, tasks=tasks, limit_s=limit_s)


def run_until_idle(
    config: Config,
    on_event: Callable[[Event], None] | None = None,
    *,
    clock: Clock | None = None,
    tasks: str = TASKS,
    limit_s: float | None = None,
    more_to_come: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Work until every file is taken in and the queue is dry.

    Parameters
    ----------
    on_event
        Told of every job that has ended.
    limit_s
        Give up after so long.
    more_to_come
        While it is true, sets are not closed early and an empty queue is not the end.
    """
    clock = clock or SystemClock()
    started = clock.monotonic()
    pause = threading.Event()
    with single_instance(lock_path(config)):
        engine = open_database(config.database)
        intake = open_intake(config, engine, clock, pause.set)
        room = EngineRoom(config, engine, clock, intake, tasks=tasks)
        tally = _Tally(room.queue, room.archive)
        finished = False
        try:
            room.open()
            while not finished and (limit_s is None or clock.monotonic() - started < limit_s):
                room.step()
                for event in tally.ended():
                    if on_event is not None:
                        on_event(event)
                more = more_to_come() or not intake.idle
                finished = not more and _is_dry(room, clock)
                pause.wait(0.0 if finished else _STEP_S)
                pause.clear()
        finally:
            room.close()
            engine.dispose()
    return Outcome(
        done=tally.done, failed=tally.failed, took_s=clock.monotonic() - started, finished=finished
    )


def _is_dry(room: EngineRoom, clock: Clock) -> bool:
    """Tell whether nothing is left; close the calibration sets when only they wait."""
    left = [*room.queue.jobs(JobState.RUNNING, _MANY), *room.queue.jobs(JobState.WAITING, _MANY)]
    if any(job.kind is JobKind.INGEST and not _is_held(job) for job in left):
        return False
    now = clock.now()
    left = [job for job in left if job.kind is not JobKind.INGEST]
    # What services did not give is asked for again much later: a batch does not wait for it.
    left = [job for job in left if job.kind is not JobKind.FETCH or job.not_before <= now]
    # Stars are looked at when every image has its own: a star flat of a few is made in vain.
    others = [job for job in left if job.payload.get("role") != "STAR_FLAT"]
    for job in others or left:
        # One that looks again in a moment waits for another master: asking sooner is in vain.
        held = job.kind is JobKind.MASTER and job.state is JobState.WAITING
        if held and job.not_before > now + _MOMENT:
            room.queue.hasten(job.key, now)
    return not left


def _is_held(job: Job) -> bool:
    """Tell whether a file is only being held: half a file will not grow in a batch."""
    put_back = job.state is JobState.WAITING and job.attempts == 0 and bool(job.error)
    return put_back and not job.error.startswith("paused")


class _Tally:
    """Counts jobs as they end, each once."""

    def __init__(self, queue: JobQueue, archive: Archive) -> None:
        self._queue = queue
        self._archive = archive
        self._seen = {job.id for job in self._recent()}
        self.done = 0
        self.failed = 0

    def ended(self) -> Iterator[Event]:
        fresh = [job for job in self._recent() if job.id not in self._seen]
        for job in sorted(fresh, key=lambda item: item.id):
            self._seen.add(job.id)
            self.done += job.state is JobState.DONE
            self.failed += job.state is JobState.FAILED
            yield Event(job=job, unfinished=self._queue.unfinished(), stem=self._stem_of(job))

    def _stem_of(self, job: Job) -> str:
        number = job.payload.get("frame_id")
        frame = None if number is None else self._archive.frame(int(number))
        return "" if frame is None else frame.stem

    def _recent(self) -> list[Job]:
        return [
            *self._queue.jobs(JobState.DONE, _MANY),
            *self._queue.jobs(JobState.FAILED, _MANY),
        ]


def nothing_raw(config: Config, folder: Path) -> str:
    """Return why no file below the directory is raw, and what to do; '' where one is."""
    names = raw_names(config)
    found = [name for _, _, files in os.walk(folder) for name in files]
    if any(names.match(name) for name in found):
        return ""
    none = f"none of the {len(found)} files below {folder} is named {names.shown}"
    for profile in sorted(set(instrument_names()) - set(config.instrument.profiles)):
        others = RawNames([load_instrument(profile).file_pattern])
        if any(others.match(name) for name in found):
            mend = f'add "{profile}" to [instrument] profiles'
            return f"{none}, but some are named {others.shown}: {mend}"
    return f"{none}: give the directory of the raw frames, or set [watch] pattern"
