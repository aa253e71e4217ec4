"""Writes the Prometheus text file now and then, without holding the supervisor up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.arrival.errand import Errand
from daemon.layout import write_atomically
from daemon.publish.metrics import metrics_text
from daemon.status import read_status

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.clock import Clock

_EVERY_S = 30.0


class MetricsFile:
    """The file `alfoscd.prom` beside the products."""

    def __init__(self, path: Path, database: Path, clock: Clock) -> None:
        self._path, self._database, self._clock = path, database, clock
        self._errand: Errand[None] | None = None
        self._next = 0.0

    def step(self) -> None:
        """Write, if it is time; a storage that hangs is waited for by a thread of its own."""
        if self._errand is not None and self._errand.is_back():
            self._errand = None
        now = self._clock.monotonic()
        if self._errand is None and now >= self._next:
            self._next = now + _EVERY_S
            self._errand = Errand(self.write, "metrics file")

    def write(self) -> None:
        """Write the file as the state is now."""
        status = read_status(self._database, now=self._clock.now())
        write_atomically(self._path, metrics_text(status).encode())
