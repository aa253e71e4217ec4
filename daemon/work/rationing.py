"""What is left undone while the room on the disc is short, so that no frame is lost for it.

The supervisor watches the disc and writes the stage down; workers look before every job.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from daemon.account.runway import (
    Stage,
    has_room_for_more,
    has_room_for_plots,
    has_room_for_science,
)
from daemon.memory.records import PRIORITY_BACKLOG, JobKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from daemon.memory.archive_heartbeats import HeartbeatArchive

    Given = ParamSpec("Given")
    Drawn = TypeVar("Drawn")

#: Under this name the supervisor tells of the disc, as long as the room is short.
DISC = "disc"
_ASK_EVERY_S = 5.0
#: Nobody waits for these tonight.
_FOR_LATER = frozenset(
    {JobKind.COMBINE, JobKind.STACK, JobKind.BACKUP, JobKind.REVIEW, JobKind.FETCH}
)
#: These fill the disc.
_SCIENCE = frozenset(
    {JobKind.REDUCE, JobKind.IMAGE, JobKind.LOOK, JobKind.DIFFERENCE, JobKind.CANARY}
)


class NoRoomForPictures(RuntimeError):
    """The disc is nearly full: the picture is left out, its product is not."""


class DiscSign:
    """The stage of the disc as the supervisor wrote it down, asked for now and then."""

    def __init__(
        self, archive: HeartbeatArchive, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._archive, self._seconds = archive, seconds
        self._stage, self._asked = Stage.AMPLE, -_ASK_EVERY_S

    @property
    def stage(self) -> Stage:
        """How grave it is now.

        Raises
        ------
        StorePaused
            If the database cannot be read for now.
        """
        now = self._seconds()
        if now - self._asked >= _ASK_EVERY_S:
            beat = self._archive.heartbeat_of(DISC)
            self._stage = Stage(beat.state) if beat is not None else Stage.AMPLE
            self._asked = now
        return self._stage

    def sparing(self, draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
        """Return what draws only while there is room for pictures.

        It raises `NoRoomForPictures` otherwise, as what cannot be drawn for any other reason.
        """

        def drawn(*of: Given.args, **how: Given.kwargs) -> Drawn:
            if not has_room_for_plots(self.stage):
                raise NoRoomForPictures(f"room on the disc is {self.stage}")
            return draw(*of, **how)

        return drawn


def kinds_with_room(stage: Stage, kinds: Collection[JobKind]) -> list[JobKind]:
    """Return the kinds of jobs that are done at this stage."""
    left_out: frozenset[JobKind] = frozenset()
    if not has_room_for_more(stage):
        left_out |= _FOR_LATER
    if not has_room_for_science(stage):
        left_out |= _SCIENCE
    return [kind for kind in kinds if kind not in left_out]


def priority_with_room(stage: Stage) -> int | None:
    """Return the priority of the first jobs that are not done at this stage; None where all are."""
    return None if has_room_for_more(stage) else PRIORITY_BACKLOG
