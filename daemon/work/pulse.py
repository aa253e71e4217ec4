"""A worker's sign of life in the database, written no more often than somebody looks."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from daemon.memory.errors import StorePaused

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.memory.archive_heartbeats import HeartbeatArchive

log = logging.getLogger(__name__)

#: A new state is written at most this often, an old one again after so long.
_AT_MOST_EVERY_S = 1.0
_AT_LEAST_EVERY_S = 10.0
PREFIX = "worker "


class Pulse:
    """Keeps one heartbeat row; any thread of its process may use it."""

    def __init__(
        self, archive: HeartbeatArchive, name: str, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._archive = archive
        self._seconds = seconds
        self._who = f"{PREFIX}{name}"
        self._lock = threading.Lock()
        self._state = ""
        self._written = "", -_AT_LEAST_EVERY_S
        self._ended = 0

    def show(self, state: str = "", *, ended: bool = False) -> None:
        """Tell what is being done now ('': still the same), and whether a job has ended."""
        with self._lock:
            self._state = state or self._state
            self._ended += ended
            told, at = self._written
            pause_s = _AT_LEAST_EVERY_S if told == self._state else _AT_MOST_EVERY_S
            now = self._seconds()
            if now - at < pause_s:
                return
            self._written = self._state, now
            progressed, self._ended = self._ended, 0
        try:
            self._archive.heartbeat(self._who, os.getpid(), self._state, progressed=progressed)
        except StorePaused as error:
            log.warning("no sign of life in the database: %s", error)
