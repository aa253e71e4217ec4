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
#: Room that came back counts only when it is so much more: no message for every file removed.
_HYSTERESIS = 1.25


class Stage(StrEnum):
    """How grave it is."""

    AMPLE = "ample"
    LOW = "low"
    URGENT = "urgent"
    SCARCE = "scarce"
    LAST = "nearly gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """When a stage begins: parts of `warn_h` and `warn_gb`, and files that may still be made.

    A forecast alone stops no work: where more than `ample` of `warn_gb` is left it only warns.
    """

    hours: float
    room: float
    files: int
    ample: float = math.inf


#: With the default 24 h and 5 GB: 6 h or 1.25 GB, 2 h or 0.4 GB, half an hour or 0.1 GB.
_LIMITS = {
    Stage.LAST: _Limit(hours=1 / 48, room=1 / 48, files=500, ample=2.0),
    Stage.SCARCE: _Limit(hours=1 / 12, room=1 / 12, files=2_000, ample=4.0),
    Stage.URGENT: _Limit(hours=1 / 4, room=1 / 4, files=10_000),
    Stage.LOW: _Limit(hours=1.0, room=1.0, files=50_000),
}
#: Stage -> what is left out from it on, in words.
_LEFT_OUT = {
    Stage.URGENT: "plots are left out",
    Stage.SCARCE: "plots, combinations and everything that only makes old products better wait",
    Stage.LAST: "only frames are taken in and masters built, reductions wait and go on by "
    "themselves when there is room",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free at one moment; seconds of a clock that never runs backwards.

    Attributes
    ----------
    free_files
        How many more files fit; infinite where the storage knows no limit.
    """

    at_s: float
    free_bytes: int
    free_files: float = math.inf


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
    room: Room, hours: float, *, warn_h: float, warn_gb: float, before: Stage = Stage.AMPLE
) -> Stage:
    """Return how grave it is; from a graver stage the way back is longer."""
    for stage, limit in _LIMITS.items():
        keep = _HYSTERESIS if _GRAVITY[before] >= _GRAVITY[stage] else 1.0
        warned = warn_gb * 1e9
        soon = hours < warn_h * limit.hours * keep
        soon = soon and room.free_bytes < (limit.ample * warned if warned else math.inf)
        little = room.free_bytes < warned * limit.room * keep
        if soon or little or room.free_files < limit.files * keep:
            return stage
    return Stage.AMPLE


_GRAVITY = {stage: number for number, stage in enumerate(Stage)}


def is_graver(stage: Stage, before: Stage) -> bool:
    """Tell whether the one is worse than the other."""
    return _GRAVITY[stage] > _GRAVITY[before]


def has_room_for_plots(stage: Stage) -> bool:
    """Tell whether pictures are drawn, which no number depends on."""
    return _GRAVITY[stage] < _GRAVITY[Stage.URGENT]


def has_room_for_more(stage: Stage) -> bool:
    """Tell whether there is room for what nobody waits for: combinations, old nights, canaries."""
    return _GRAVITY[stage] < _GRAVITY[Stage.SCARCE]


def has_room_for_science(stage: Stage) -> bool:
    """Tell whether exposures are reduced at all; taking them in needs next to nothing."""
    return _GRAVITY[stage] < _GRAVITY[Stage.LAST]


def sentence(room: Room, hours: float, stage: Stage = Stage.AMPLE) -> str:
    """Return the room and how long it lasts, and what is left out for it, in words."""
    said = f"{room.free_bytes / 1e9:.1f} GB free"
    if room.free_files < _LIMITS[Stage.LOW].files:
        said += f" for {room.free_files:.0f} files"
    if not math.isinf(hours):
        said += f", enough for {hours:.1f} h at this rate"
    return "; ".join([said, *filter(None, [_LEFT_OUT.get(stage)])])
