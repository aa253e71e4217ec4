"""The worker processes: start them, watch them, replace those that die.

It opens no FITS file and runs no numerics, so no frame can bring it down.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.outbox.secrets import without_secrets
from daemon.work.confine import SURROUNDINGS

if TYPE_CHECKING:
    from daemon.clock import Clock
    from daemon.config import Config
    from daemon.memory.records import Job
    from daemon.work.jobs import JobQueue

log = logging.getLogger(__name__)

TASKS = "daemon.work.tasks:open_tasks"
#: A worker that dies at once, again and again, must not keep the machine busy.
_RESTART_FIRST_S = 0.5
_RESTART_LAST_S = 30.0
#: A SIGKILL that was not ours says little about the job it interrupted.
_KILLED_COUNTS_LESS = 4


@dataclass(slots=True)
class _Worker:
    name: str
    process: subprocess.Popen[bytes]
    report_fd: int
    job_since: float | None = None
    began_work: bool = False
    verdict: str = ""
    unread: bytes = field(default=b"")

    def hear(self, now: float) -> bool:
        """Read what the worker reported; True when it said anything."""
        heard = False
        while chunk := _read(self.report_fd):
            heard = self.began_work = True
            self.unread += chunk
        *lines, self.unread = self.unread.split(b"\n")
        for line in lines:
            self.job_since = now if line.startswith(b"job") else None
        return heard


class Crew:
    """Keeps a number of workers at work.

    Parameters
    ----------
    config
        Its values reach the workers through a pipe: a file edited meanwhile changes nothing.
    tasks
        'module:function' from which a worker gets its tasks; tests bring their own.
    """

    def __init__(
        self,
        config: Config,
        queue: JobQueue,
        clock: Clock,
        *,
        tasks: str = TASKS,
    ) -> None:
        self._config = config
        self._work = config.work
        self._queue = queue
        self._clock = clock
        self._tasks = tasks
        self._workers: list[_Worker] = []
        self._numbers = itertools.count(1)
        self._wait_s = 0.0
        self._not_before = 0.0
        self.last_heard = clock.monotonic()
        self.deaths = 0
        self._departed: list[str] = []
        self._killed: list[int] = []

    def departed(self) -> list[str]:
        """Return the names of the workers that have ended since the last call."""
        names, self._departed = self._departed, []
        return names

    def killed(self) -> list[int]:
        """Return the process ids of the workers that died since the last call."""
        pids, self._killed = self._killed, []
        return pids

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the living workers."""
        return tuple(worker.process.pid for worker in self._workers)

    @property
    def busy(self) -> int:
        """How many workers have a job in hand."""
        return sum(worker.job_since is not None for worker in self._workers)

    def tend(self) -> list[Job]:
        """Listen, stop what takes too long, bury the dead, start replacements.

        Returns the jobs that dead workers had in hand.
        """
        now = self._clock.monotonic()
        for worker in self._workers:
            if worker.hear(now):
                self.last_heard = now
            if worker.job_since is not None and now - worker.job_since > self._work.job_limit_s:
                worker.verdict = f"stopped at its time limit of {self._work.job_limit_s:g} s"
                kill_group(worker.process.pid)
        lost = self._bury(now)
        while len(self._workers) < self._work.workers and now >= self._not_before:
            self._workers.append(self._start())
        return lost

    def stop(self, within_s: float) -> None:
        """Ask the workers to leave, stop those that do not, give back their jobs."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + within_s
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.verdict = "stopped with the daemon"
            kill_group(worker.process.pid)
            worker.process.wait()
            os.close(worker.report_fd)
            self._departed.append(worker.name)
            self._queue.release_worker(worker.name, worker.verdict or "the daemon was stopped")
        self._workers.clear()

    def _bury(self, now: float) -> list[Job]:
        lost: list[Job] = []
        for worker in [item for item in self._workers if item.process.poll() is not None]:
            kill_group(worker.process.pid)  # whatever it started goes with it
            worker.hear(now)
            os.close(worker.report_fd)
            self._workers.remove(worker)
            self._departed.append(worker.name)
            code = worker.process.returncode
            if code != 0:
                self._killed.append(worker.process.pid)
            if code == 0:
                self._wait_s = 0.0
                continue
            self.deaths += 1
            reason = f"worker died: {worker.verdict or death_of(code)}"
            limit = attempts_limit(
                self._work.attempts, killed=code == -signal.SIGKILL and not worker.verdict
            )
            lost += self._queue.release_worker(worker.name, reason, limit)
            log.warning("worker=%s %s", worker.name, reason)
            self._hold_back(now, began_work=worker.began_work)
        return lost

    def _hold_back(self, now: float, *, began_work: bool) -> None:
        """Wait longer and longer before replacing workers that cannot even start."""
        longer_s = min(max(_RESTART_FIRST_S, 2 * self._wait_s), _RESTART_LAST_S)
        self._wait_s = 0.0 if began_work else longer_s
        self._not_before = now + self._wait_s

    def _start(self) -> _Worker:
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        name = f"{os.getpid()}-{next(self._numbers)}"
        try:
            process = subprocess.Popen(
                self._command(name, write_fd),
                stdin=subprocess.PIPE,
                pass_fds=(write_fd,),
                start_new_session=True,
                env={
                    **without_secrets(os.environ),
                    **SURROUNDINGS,
                    "PYTHONPATH": import_path(),
                },
            )
        finally:
            os.close(write_fd)
        _hand_over(process, pickle.dumps(self._config))
        return _Worker(name=name, process=process, report_fd=read_fd)

    def _command(self, name: str, report_fd: int) -> list[str]:
        level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
        return [
            *(sys.executable, "-P", "-m", "daemon.work.worker"),
            *("--config", "-"),
            *("--name", name),
            *("--parent", str(os.getpid())),
            *("--report-fd", str(report_fd)),
            *("--tasks", self._tasks),
            *("--log-level", str(level)),
        ]


def attempts_limit(attempts: int, *, killed: bool) -> int:
    """Return after how many attempts a job is given up, by the way the last one ended."""
    return attempts * _KILLED_COUNTS_LESS if killed else attempts


def kill_group(pid: int) -> None:
    """End a worker and everything it started; workers lead their own process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def death_of(code: int) -> str:
    """Return how a process ended: the name of its signal, or its exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def import_path() -> str:
    """Let workers import from where this process does, however it was started."""
    return os.pathsep.join(place for place in sys.path if place)


def _hand_over(process: subprocess.Popen[bytes], content: bytes) -> None:
    if process.stdin is None:
        return
    try:
        with process.stdin as pipe:
            pipe.write(content)
    except BrokenPipeError:
        log.warning("a worker died before it had read its configuration")


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
