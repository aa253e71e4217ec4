"""Watches the room on the disc of the products: says in time that it ends, and saves it."""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from daemon.account.runway import Room, Stage, is_graver, runway_h, sentence, stage_of
from daemon.arrival.errand import Errand
from daemon.memory.messages import PRIORITY_URGENT, Message, Topic
from daemon.work.rationing import DISC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.clock import Clock
    from daemon.config import Disc
    from daemon.memory.archive import Archive

    #: Bytes and files.
    Free = tuple[int, float]

log = logging.getLogger(__name__)

_EVERY_S = 60.0
#: Workers look at what is written; `status` takes what was not written for a minute for silent.
_WRITE_EVERY_S = 20.0
_LOOKED_BACK = 12 * 60


class DiscWatch:
    """Looks once a minute; `warning` is a sentence while the room is short, else ''."""

    def __init__(
        self,
        root: Path,
        archive: Archive,
        clock: Clock,
        settings: Disc,
        look: Callable[[Path], Free] | None = None,
    ) -> None:
        self._root, self._archive, self._clock = root, archive, clock
        self._settings = settings
        self._look = partial(look or free_below, root)
        self._rooms: deque[Room] = deque(maxlen=_LOOKED_BACK)
        self._errand: Errand[Free] | None = None
        self._next = self._next_sign = clock.monotonic()
        self._is_written = False
        self._stage = Stage.AMPLE
        self.warning = ""

    def step(self) -> None:
        """Look if it is time; a storage that hangs is waited for by a thread of its own."""
        now = self._clock.monotonic()
        if self._errand is None and now >= self._next:
            self._next = now + _EVERY_S
            self._errand = Errand(self._look, "room on the disc")
        if self._errand is not None and self._errand.is_back():
            errand, self._errand = self._errand, None
            try:
                free_bytes, free_files = errand.result()
                self._judge(Room(at_s=now, free_bytes=free_bytes, free_files=free_files))
            except OSError as error:
                reason = error.strerror or error
                self.warning = f"the disc of {self._root} cannot be asked: {reason}"
        if now >= self._next_sign:
            self._next_sign = now + _WRITE_EVERY_S
            self._write()

    def _judge(self, room: Room) -> None:
        self._rooms.append(room)
        hours = runway_h(self._rooms)
        before, limits = self._stage, self._settings
        self._stage = stage_of(
            room, hours, warn_h=limits.warn_h, warn_gb=limits.warn_gb, before=before
        )
        said = f"the disc of {self._root} fills up: {sentence(room, hours, self._stage)}"
        self.warning = said if self._stage is not Stage.AMPLE else ""
        if self._stage is not before:
            log.warning("room on the disc is %s: %s", self._stage, said)
            self._write()
        if is_graver(self._stage, before):
            self._tell(said)

    def _write(self) -> None:
        """Let the workers know; while there is room enough nothing is written."""
        if self._stage is not Stage.AMPLE:
            self._archive.heartbeat(DISC, os.getpid(), self._stage.value)
            self._is_written = True
        elif self._is_written:
            self._archive.forget_heartbeat(DISC)
            self._is_written = False

    def _tell(self, said: str) -> None:
        """Tell of it, of each stage at most once a day."""
        day = f"{self._clock.now():%Y-%m-%d}"
        message = Message(
            key=f"disc:{self._stage}:{day}",
            topic=Topic.TROUBLE,
            subject=f"alfoscd: room on the disc is {self._stage}",
            text=(
                f"{said}.\nTo do: remove or move what is no longer needed below {self._root}, "
                "oldest nights first; raw frames are never touched.\nWhen no room is left, "
                "reductions pause and go on by themselves; no frame is lost or marked as failed."
            ),
            priority=PRIORITY_URGENT,
        )
        self._archive.queue_message(message)


def free_below(root: Path) -> Free:
    """Return how many bytes, and how many more files, fit where a folder is or will be.

    Raises
    ------
    OSError
        If the storage does not answer.
    """
    there = next(path for path in (root, *root.parents) if path.exists())
    found = os.statvfs(there)
    # Some file systems make room for as many files as there is room.
    return found.f_bavail * found.f_frsize, float(found.f_favail) if found.f_files else math.inf
