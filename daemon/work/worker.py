"""One worker process: claim a job, do it, say what came of it.

Started as a fresh interpreter (`python -m daemon.work.worker`), so that a crash in a C library
costs one attempt of one job. The main thread does the work; a small thread renews the lease,
which proves only that the process lives: the time limit is the supervisor's.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import gc
import importlib
import logging
import math
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.clock import SystemClock
from daemon.config import Config, load_config
from daemon.memory.archive_heartbeats import HeartbeatArchive
from daemon.memory.database import open_database
from daemon.memory.errors import StorePaused
from daemon.work.confine import (
    die_with_parent,
    forbid_core_dumps,
    give_back_memory,
    is_orphan,
    limit_memory,
)
from daemon.work.jobs import JobQueue
from daemon.work.outcomes import TryLater
from daemon.work.pulse import Pulse
from daemon.work.rationing import DiscSign, kinds_with_room, priority_with_room
from reducers.errors import ReductionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daemon.memory.records import Job, JobKind

    Task = Callable[[Job], None]

log = logging.getLogger(__name__)

LEASE_S = 60.0
RENEW_S = 15.0
IDLE_S = 0.25
#: After so long without a job the memory of the last one is given back.
REST_S = 120.0
PAUSE_S = 60.0
RETRY_FIRST_S = 2.0
#: The storage has no room, is read-only or its quota is used up: nothing is wrong with the frame.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where a worker stands: its name, its parent and the pipe on which it reports."""

    name: str
    parent_pid: int
    report_fd: int

    def report(self, line: str) -> None:
        """Tell the supervisor what begins now; a broken pipe means that it is gone."""
        os.write(self.report_fd, f"{line}\n".encode())


def work(
    config: Config,
    queue: JobQueue,
    tasks: Mapping[JobKind, Task],
    post: Post,
    pulse: Pulse,
    disc: DiscSign,
) -> None:
    """Do jobs until the share of this process is done, or it is told to leave."""
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    done, rests_at = 0, time.monotonic() + REST_S
    while done < config.work.jobs_per_worker and not leaving.is_set():
        if is_orphan(post.parent_pid):
            return
        try:
            stage = disc.stage
            job = queue.claim(
                post.name,
                kinds_with_room(stage, tasks.keys()),
                lease_s=LEASE_S,
                before=priority_with_room(stage),
            )
        except StorePaused as error:
            log.warning("waiting for the database: %s", error)
            leaving.wait(RETRY_FIRST_S)
            continue
        if job is None:
            post.report("idle")
            pulse.show("idle")
            if time.monotonic() > rests_at:
                give_back_memory()
                rests_at = math.inf
            leaving.wait(IDLE_S)
            continue
        post.report(f"job {job.id}")
        pulse.show(f"{job.kind} (job {job.id})")
        # A job that only looked whether it may begin is none: a worker is dear to replace.
        done += do(job, queue, tasks[job.kind], post.name, config, pulse)
        rests_at = time.monotonic() + REST_S
        pulse.show(ended=True)
        post.report("idle")


def do(job: Job, queue: JobQueue, task: Task, worker: str, config: Config, pulse: Pulse) -> bool:
    """Do one job and record its outcome, whatever it is; return whether it began."""
    started, began = time.monotonic(), True
    try:
        with _lease_kept(job, queue, worker, config.work.job_limit_s, pulse):
            began = settle(job, queue, task, config.work.attempts)
    except StorePaused as error:
        # The outcome could not be written: the lease runs out and the job is done again.
        log.warning("job=%s outcome not recorded: %s", job.key, error)
    log.info("job=%s took %.2f s", job.key, time.monotonic() - started)
    return began


def settle(job: Job, queue: JobQueue, task: Task, attempts: int) -> bool:
    """Run the task and turn the way it ends into the state of the job; False if it is too early."""
    try:
        task(job)
    except TryLater as later:
        queue.put_back(job, later.reason, later.after_s)
        return False
    except ReductionError as error:
        log.info("job=%s failed: %s", job.key, error)
        queue.fail(job, str(error))
    except StorePaused as error:
        log.warning("job=%s paused: %s", job.key, error)
        queue.put_back(job, f"paused: {error}", PAUSE_S)
    except Exception as error:
        full = _no_room_behind(error)
        if full is not None:
            log.warning("job=%s paused: %s", job.key, error)
            queue.put_back(job, f"paused: {full.strerror}", PAUSE_S)
            return True
        log.exception("job=%s attempt=%d", job.key, job.attempts)
        queue.fail(job, _describe(error), _retry_in_s(job.attempts, attempts))
    else:
        queue.finish(job)
    return True


def _no_room_behind(error: BaseException | None) -> OSError | None:
    """Return the error of a storage without room that led to this one; None when none did.

    Libraries raise their own in its place, without its number: astropy does when it writes FITS.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return error
        error = error.__cause__ or error.__context__
    return None


def _describe(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory: the job needs more than a worker may use"
    return f"{type(error).__name__}: {error}"


def _retry_in_s(attempts_made: int, attempts: int) -> float | None:
    """Return how long to wait before the next attempt; None when there is none left."""
    if attempts_made >= attempts:
        return None
    return float(RETRY_FIRST_S * 2 ** (max(attempts_made, 1) - 1))


@contextmanager
def _lease_kept(
    job: Job, queue: JobQueue, worker: str, limit_s: float, pulse: Pulse
) -> Iterator[None]:
    """Renew the lease while the body runs, but never beyond the time limit of a job."""
    over = threading.Event()
    until = time.monotonic() + limit_s

    def renew() -> None:
        while not over.wait(RENEW_S) and time.monotonic() < until:
            try:
                if not queue.renew(job.id, worker, LEASE_S):
                    return
                pulse.show()
            except StorePaused as error:
                log.warning("job=%s lease not renewed: %s", job.key, error)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main(arguments: list[str] | None = None) -> int:
    """Run one worker process."""
    options = _options(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level,
        format=f"%(levelname)s %(name)s worker={options.name} %(message)s",
    )
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor to pass on
    die_with_parent(options.parent)
    forbid_core_dumps()
    config = _configuration(options.config)
    limit_memory(config.work.memory_limit_mb)
    engine, clock = open_database(config.database), SystemClock()
    archive = HeartbeatArchive(engine, clock)
    queue, pulse = JobQueue(engine, clock), Pulse(archive, options.name)
    module, _, builder = options.tasks.partition(":")
    tasks: Mapping[JobKind, Task] = getattr(importlib.import_module(module), builder)(config)
    gc.freeze()  # modules stay: the collector need not look through them again and again
    post = Post(name=options.name, parent_pid=options.parent, report_fd=options.report_fd)
    try:
        work(config, queue, tasks, post, pulse, DiscSign(archive))
    except BrokenPipeError:
        log.warning("the supervisor is gone")
    return 0


def _configuration(source: str) -> Config:
    """Read the settings from a file, or ('-') as the supervisor hands them over."""
    if source != "-":
        return load_config(Path(source))
    config = pickle.load(sys.stdin.buffer)
    assert isinstance(config, Config)
    return config


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m daemon.work.worker")
    parser.add_argument("--config", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--tasks", default="daemon.work.tasks:open_tasks")
    parser.add_argument("--log-level", default="WARNING")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
