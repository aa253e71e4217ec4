"""The daemon: watch, settle, submit; keep workers at work; show that it lives.

It opens no FITS file and runs no numerics, so no frame can bring it down.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.arrival.errand import Errand
from daemon.arrival.intake import Intake
from daemon.arrival.sighting import RawNames
from daemon.arrival.watch import Watcher
from daemon.canary.watch import CanaryWatch
from daemon.clock import SystemClock
from daemon.layout import remove_unfinished
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.errors import StoreExchanged, StorePaused
from daemon.memory.records import FileState, JobKind, JobState
from daemon.memory.rescue import identity
from daemon.schedule.metrics_file import MetricsFile
from daemon.schedule.timetable import Timetable
from daemon.status_words import WARNING
from daemon.triggers.watch import SpoolWatch
from daemon.work.courier_keeper import COURIER, CourierKeeper
from daemon.work.crew import TASKS, Crew, attempts_limit
from daemon.work.disc_watch import DiscWatch
from daemon.work.jobs import JobQueue
from daemon.work.notify_systemd import SystemdNotifier
from daemon.work.plan import FETCH_KEY, review_request
from daemon.work.pulse import PREFIX
from daemon.work.rationing import DISC
from reducers.profiles import load_instrument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from daemon.clock import Clock
    from daemon.config import Config

log = logging.getLogger(__name__)

#: What the schedule may ask for: the kinds of which the workers have a task.
SCHEDULED = (
    JobKind.CANARY,
    JobKind.BACKUP,
    JobKind.DEBT,
    JobKind.HEALTH,
    JobKind.REPORT,
)
#: The daemon leaves within 20 s of being told to, whatever its workers do.
LEAVE_WITHIN_S = 12.0
_STEP_S = 0.25
_HEARTBEAT_S = 2.0
_EXPIRED_S = 10.0
_MANY = 10_000
_RECENT = 100


class AlreadyRunning(Exception):
    """Another daemon works on the same database."""


class EngineRoom:
    """What the daemon and the batch share: intake, queue, crew and the signs of life."""

    def __init__(
        self, config: Config, engine: Engine, clock: Clock, intake: Intake, *, tasks: str = TASKS
    ) -> None:
        self.config = config
        self.clock = clock
        self.queue = JobQueue(engine, clock)
        self.archive = Archive(engine, clock)
        self.intake = intake
        self.triggers = SpoolWatch(config.trigger_spool, self.queue, clock)
        self.crew = Crew(config, self.queue, clock, tasks=tasks)
        self.disc = DiscWatch(config.root, self.archive, clock, config.disc)
        self._next_heartbeat = 0.0
        self._next_expired = 0.0
        self.proven_s = clock.monotonic()
        self._file = identity(config.database)

    def open(self) -> None:
        """Take back what a killed predecessor left, and begin to watch."""
        remove_unfinished(self.config.root)
        for beat in self.archive.heartbeats():
            self.archive.forget_heartbeat(beat.who)
        limit = attempts_limit(self.config.work.attempts, killed=True)
        for job in self.queue.jobs(JobState.RUNNING, _MANY):
            # We hold the lock and workers end with their daemon: nobody is doing these.
            self.queue.release_worker(job.worker, "the daemon was stopped", limit)
        if self.archive.has_products():
            self.queue.submit(review_request(self.clock.now()))
        # What catalogues lacked may be there by now.
        self.queue.hasten(FETCH_KEY, self.clock.now())
        self.intake.start()

    def step(self) -> None:
        """Do once everything that is due; a database that pauses is waited for.

        Raises
        ------
        StoreExchanged
            If another file, or none, lies where the database was.
        """
        try:
            self.intake.step()
            self.triggers.step()
            self.crew.tend()
            self._forget_departed()
            self._sweep_after_the_dead()
            self._take_back_expired()
            self.disc.step()
            self._show_life()
        except StorePaused as error:
            log.warning("waiting for the database: %s", error)

    def close(self) -> None:
        """Stop the workers, give back their jobs, leave no sign of life."""
        self.intake.stop()
        try:
            self.crew.stop(LEAVE_WITHIN_S)
            self._forget_departed()
            for who in ("supervisor", COURIER, DISC):
                self.archive.forget_heartbeat(who)
        except StorePaused as error:
            log.warning("left without a note in the database: %s", error)

    @property
    def is_moving(self) -> bool:
        """Whether intake and workers progress: written to the database, or nothing to do."""
        now = self.clock.monotonic()
        patience_s = 2 * self.config.work.job_limit_s + 60
        writes = now - self.proven_s < 60
        works = not self.crew.pids or now - self.crew.last_heard < patience_s
        return writes and works

    def describe(self) -> str:
        """Return one line for the service manager."""
        crew = f"{self.crew.busy} of {len(self.crew.pids)} workers busy"
        said = [*self.intake.tree.warnings, *filter(None, [self.disc.warning])]
        troubles = "".join(f"{WARNING}{text}" for text in said)
        return f"{crew}, {self.intake.settling} files settling{troubles}"

    def _sweep_after_the_dead(self) -> None:
        """Delete what dead workers left half written, without waiting for the storage."""
        for pid in self.crew.killed():
            Errand(partial(remove_unfinished, self.config.root, pid), "files of a dead worker")

    def _forget_departed(self) -> None:
        for name in self.crew.departed():
            self.archive.forget_heartbeat(f"{PREFIX}{name}")

    def _take_back_expired(self) -> None:
        now = self.clock.monotonic()
        if now >= self._next_expired:
            self._next_expired = now + _EXPIRED_S
            limit = attempts_limit(self.config.work.attempts, killed=True)
            for job in self.queue.release_expired(limit):
                log.warning("job=%s taken back: %s", job.key, job.error)
            self._quarantine_unread()

    def _quarantine_unread(self) -> None:
        """Say of files whose reading was given up why they are not ingested."""
        for job in self.queue.jobs(JobState.FAILED, _RECENT):
            if job.kind is not JobKind.INGEST:
                continue
            path = Path(str(job.payload["path"]))
            record = self.archive.file_at(path)
            same = record is not None and record.mtime_ns == job.payload["mtime_ns"]
            if record is not None and same and record.state is FileState.HELD:
                reason = f"reading it failed: {job.error}"
                self.archive.record_file(
                    replace(record, state=FileState.QUARANTINED, reason=reason)
                )

    def _show_life(self) -> None:
        now = self.clock.monotonic()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + _HEARTBEAT_S
            if identity(self.config.database) != self._file:
                # What we write goes into a file without a name, and new workers see another one.
                raise StoreExchanged(f"{self.config.database}: {StoreExchanged.__doc__}")
            self.archive.heartbeat("supervisor", os.getpid(), self.describe(), progressed=1)
            self.proven_s = now


class Supervisor:
    """Runs until it is told to leave."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        notifier: SystemdNotifier | None = None,
        tasks: str = TASKS,
    ) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._notifier = notifier or SystemdNotifier()
        self._tasks = tasks
        self._wake = threading.Event()
        self._leaving = False

    def leave(self) -> None:
        """Ask it to leave; safe in a signal handler."""
        self._leaving = True
        self._wake.set()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Watch and work until told to leave.

        Raises
        ------
        AlreadyRunning
            If another daemon holds the lock of this database.
        """
        with single_instance(lock_path(self._config)):
            engine = open_database(self._config.database)
            room = EngineRoom(
                self._config,
                engine,
                self._clock,
                open_intake(self._config, engine, self._clock, self._wake.set),
                tasks=self._tasks,
            )
            timetable = self._timetable(room)
            courier = CourierKeeper(self._config, self._clock)
            try:
                room.open()
                room.step()
                timetable.start()
                self._notifier.ready(room.describe())
                on_ready()
                self._keep_going(room, courier)
            finally:
                self._notifier.stopping()
                timetable.stop()
                courier.stop()
                room.close()
                engine.dispose()

    def _timetable(self, room: EngineRoom) -> Timetable:
        site = load_instrument(self._config.instrument.profiles[0])
        return Timetable(
            room.archive,
            room.queue,
            self._clock,
            site,
            SCHEDULED,
            canary_every_h=self._config.canary.every_h,
        )

    def _keep_going(self, room: EngineRoom, courier: CourierKeeper) -> None:
        path = self._config.root / "alfoscd.prom"
        canaries = CanaryWatch(room.archive, room.queue, self._clock, self._config.canary)
        metrics = MetricsFile(path, self._config.database, self._clock)
        while not self._leaving:
            self._wake.wait(min(_STEP_S, max(0.02, room.intake.next_in_s())))
            self._wake.clear()
            room.step()
            metrics.step()
            canaries.step()
            courier.tend()
            if room.is_moving:
                self._notifier.alive(room.describe())


def run_daemon(
    config: Config, *, tasks: str = TASKS, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Run the daemon in this process until SIGTERM or SIGINT."""
    supervisor = Supervisor(config, tasks=tasks)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.leave())
    supervisor.run(on_ready)


def open_intake(config: Config, engine: Engine, clock: Clock, wake: Callable[[], None]) -> Intake:
    """Return the arrival side of a configuration."""
    queue = JobQueue(engine, clock)
    return Intake(
        config.raw,
        raw_names(config),
        config.watch,
        engine=engine,
        archive=Archive(engine, clock),
        submit=lambda request, session: queue.submit(request, within=session),
        watcher=Watcher(config.raw, config.watch.polling, wake),
        clock=clock,
        lenient=config.only.lenient,
    )


def raw_names(config: Config) -> RawNames:
    """Return the patterns of raw names: the configured one, else those of the profiles."""
    if config.watch.pattern:
        return RawNames([config.watch.pattern], config.only.files)
    patterns = [load_instrument(name).file_pattern for name in config.instrument.profiles]
    return RawNames(patterns, config.only.files)


def lock_path(config: Config) -> Path:
    """Return the file whose lock a running daemon holds."""
    return config.database.with_name(config.database.name + ".lock")


@contextmanager
def single_instance(path: Path) -> Iterator[None]:
    """Hold the lock of a database; the kernel lets it go when the process ends, however.

    Raises
    ------
    AlreadyRunning
        Naming the process that holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            pid = stream.read().strip() or "unknown"
            message = f"another alfoscd (process {pid}) works on {path.with_suffix('')}"
            raise AlreadyRunning(message) from None
        stream.seek(0)
        stream.truncate()
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield
