"""Watches the room on the disc of the products and says in time that it will not last."""

from __future__ import annotations

import shutil
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from daemon.account.runway import Room, Stage, is_graver, runway_h, sentence, stage_of
from daemon.arrival.errand import Errand
from daemon.memory.messages import PRIORITY_URGENT, Message, Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from daemon.clock import Clock
    from daemon.config import Disc
    from daemon.memory.archive import Archive

_EVERY_S = 60.0
_LOOKED_BACK = 12 * 60


class DiscWatch:
    """Looks once a minute; `warning` is a sentence while the room is short, else ''."""

    def __init__(
        self,
        root: Path,
        archive: Archive,
        clock: Clock,
        settings: Disc,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self._root, self._archive, self._clock = root, archive, clock
        self._settings = settings
        self._look = partial(free_bytes or free_below, root)
        self._rooms: deque[Room] = deque(maxlen=_LOOKED_BACK)
        self._errand: Errand[int] | None = None
        self._next = clock.monotonic()
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
                self._judge(Room(at_s=now, free_bytes=errand.result()))
            except OSError as error:
                reason = error.strerror or error
                self.warning = f"the disc of {self._root} cannot be asked: {reason}"

    def _judge(self, room: Room) -> None:
        self._rooms.append(room)
        hours = runway_h(self._rooms)
        before, limits = self._stage, self._settings
        self._stage = stage_of(
            room.free_bytes, hours, warn_h=limits.warn_h, warn_gb=limits.warn_gb, before=before
        )
        said = f"the disc of {self._root} fills up: {sentence(room.free_bytes, hours)}"
        self.warning = said if self._stage is not Stage.AMPLE else ""
        if is_graver(self._stage, before):
            self._tell(said)

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


def free_below(root: Path) -> int:
    """Return the bytes that are free where a folder is, or will be.

    Raises
    ------
    OSError
        If the storage does not answer.
    """
    there = next(path for path in (root, *root.parents) if path.exists())
    return shutil.disk_usage(there).free
