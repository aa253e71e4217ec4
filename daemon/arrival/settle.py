"""When has a file stopped changing? Without thread, sleep or disk: you tell, you ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.arrival.sighting import Sighting

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class _Wait:
    sighting: Sighting
    first_seen: float
    same_since: float
    last_look: float


class SettleTracker:
    """Holds back files until two looks, `settle_s` apart, saw the same size and time of change.

    A file that keeps changing is handed over after `limit_s` all the same, so that it is
    recorded; whether it is whole is for the reader of the file to say. Times are seconds of any
    clock that never runs backwards.
    """

    def __init__(self, settle_s: float, limit_s: float) -> None:
        self._settle_s = settle_s
        self._limit_s = limit_s
        self._waits: dict[Path, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def observe(self, sighting: Sighting, now: float) -> None:
        """Tell what a file looked like."""
        wait = self._waits.get(sighting.path)
        if wait is None:
            self._waits[sighting.path] = _Wait(sighting, now, now, now)
            return
        if wait.sighting != sighting:
            wait.sighting, wait.same_since = sighting, now
        wait.last_look = now

    def forget(self, path: Path) -> None:
        """Tell that a file is gone."""
        self._waits.pop(path, None)

    def due(self, now: float) -> list[Path]:
        """Return the files that must be looked at again before they can be settled."""
        return [path for path, wait in self._waits.items() if self._due_at(wait) <= now]

    def next_due(self) -> float | None:
        """Return when the next file is due for a look; None when none waits."""
        return min((self._due_at(wait) for wait in self._waits.values()), default=None)

    def settled(self, now: float) -> list[Sighting]:
        """Hand over the files that have settled, the longest known first; they are forgotten."""
        ready = [
            wait
            for wait in self._waits.values()
            if wait.last_look - wait.same_since >= self._settle_s
            or now - wait.first_seen >= self._limit_s
        ]
        for wait in ready:
            del self._waits[wait.sighting.path]
        return [wait.sighting for wait in sorted(ready, key=lambda wait: wait.first_seen)]

    def _due_at(self, wait: _Wait) -> float:
        return min(wait.same_since + self._settle_s, wait.first_seen + self._limit_s)
