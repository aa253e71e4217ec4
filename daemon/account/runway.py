"""How long the room on the disc lasts, by what went away lately."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Less than this says nothing of a rate.
_LEAST_S = 600.0
_LAST_HOUR_S = 3600.0
#: What is urgent is so much less than what is low.
_URGENT = 0.25
#: Room that came back counts only when it is so much more: no message for every file removed.
_HYSTERESIS = 1.25


class Stage(StrEnum):
    """How grave it is."""

    AMPLE = "ample"
    LOW = "low"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free at one moment; seconds of a clock that never runs backwards."""

    at_s: float
    free_bytes: int


def runway_h(rooms: Sequence[Room]) -> float:
    """Return for how many hours the room lasts; infinite where nothing goes away.

    The faster of two rates counts, the last hour's and that of all the time looked back on: a
    night that has just begun is not averaged with the quiet day before it.
    """
    if not rooms:
        return math.inf
    now = rooms[-1]
    hour_ago = next(room for room in rooms if now.at_s - room.at_s <= _LAST_HOUR_S)
    rates = [
        (then.free_bytes - now.free_bytes) / (now.at_s - then.at_s)
        for then in (rooms[0], hour_ago)
        if now.at_s - then.at_s >= _LEAST_S
    ]
    fastest = max(rates, default=0.0)
    return now.free_bytes / fastest / 3600 if fastest > 0 else math.inf


def stage_of(
    free_bytes: int, hours: float, *, warn_h: float, warn_gb: float, before: Stage = Stage.AMPLE
) -> Stage:
    """Return how grave it is; from a graver stage the way back is longer."""
    for stage, factor in ((Stage.URGENT, _URGENT), (Stage.LOW, 1.0)):
        keep = _HYSTERESIS if _GRAVITY[before] >= _GRAVITY[stage] else 1.0
        if hours < warn_h * factor * keep or free_bytes < warn_gb * 1e9 * factor * keep:
            return stage
    return Stage.AMPLE


_GRAVITY = {Stage.AMPLE: 0, Stage.LOW: 1, Stage.URGENT: 2}


def is_graver(stage: Stage, before: Stage) -> bool:
    """Tell whether the one is worse than the other."""
    return _GRAVITY[stage] > _GRAVITY[before]


def sentence(free_bytes: int, hours: float) -> str:
    """Return the room and how long it lasts, in words."""
    said = f"{free_bytes / 1e9:.1f} GB free"
    return said if math.isinf(hours) else f"{said}, enough for {hours:.1f} h at this rate"
