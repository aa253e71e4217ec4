"""Keeps the courier's process alive, without ever waiting for it."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

from daemon.work.crew import death_of, import_path, kill_group

if TYPE_CHECKING:
    from daemon.clock import Clock
    from daemon.config import Config

log = logging.getLogger(__name__)

#: Under this name it gives signs of life.
COURIER = "courier"
_FIRST_S, _LAST_S = 1.0, 300.0
_LEAVE_WITHIN_S = 2.0


class CourierKeeper:
    """Starts the courier, and again when it ends; what it was sending it will look for itself."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._wait_s = 0.0
        self._not_before = clock.monotonic()

    @property
    def pid(self) -> int | None:
        """Process id of the courier; None between two of them."""
        return self._process.pid if self._process is not None else None

    def tend(self) -> None:
        """Start it if it is not there."""
        now = self._clock.monotonic()
        if self._process is not None and self._process.poll() is not None:
            log.warning("the courier died: %s", death_of(self._process.returncode))
            lived_s = now - self._started
            longer_s = min(max(_FIRST_S, 2 * self._wait_s), _LAST_S)
            self._wait_s = _FIRST_S if lived_s > _LAST_S else longer_s
            self._process, self._not_before = None, now + self._wait_s
        if self._process is None and now >= self._not_before:
            self._process, self._started = self._start(), now

    def stop(self) -> None:
        """Let it go; a connection that hangs is cut, and looked after at the next start."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_LEAVE_WITHIN_S)
        except subprocess.TimeoutExpired:
            kill_group(self._process.pid)
            self._process.wait()
        self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "daemon.work.carrier"),
                *("--parent", str(os.getpid())),
                *("--log-level", str(level)),
            ],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": import_path()},
        )
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                pipe.write(pickle.dumps(self._config))
        except BrokenPipeError:
            log.warning("the courier died before it had read its configuration")
        return process
