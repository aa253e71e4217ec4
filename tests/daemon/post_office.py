"""An outbox with a courier, on one database; a killed courier is replaced by a new one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.memory.archive import Archive
from daemon.outbox.courier import Courier
from daemon.outbox.sinks import open_sinks
from tests.daemon.fresh_database import fresh_database
from tests.daemon.hand_clock import HandClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.config import Config


class PostOffice:
    """What is queued in `archive` goes where the configuration says, as time passes."""

    def __init__(self, config: Config, secrets: Mapping[str, str] | None = None) -> None:
        self.clock = HandClock()
        self.engine = fresh_database(config.database)
        self.archive = Archive(self.engine, self.clock)
        self.secrets = secrets or {}
        self.restart(config)

    def restart(self, config: Config | None = None) -> None:
        """Put another courier in place of the one that was killed, or with other settings."""
        self.config = config or self.config
        sinks = open_sinks(self.config, self.secrets)
        self.courier = Courier(self.config, self.archive, sinks, chance=lambda: 0.5)
        self.courier.begin()

    def run(self, hours: float = 1.0, step_s: float = 30.0) -> None:
        """Let time pass until nothing is open any more, or it is over."""
        until = self.clock.time + timedelta(hours=hours)
        while self.clock.time < until:
            self.courier.step()
            if self.archive.next_delivery_at() is None:
                return
            self.clock.advance(step_s)

    def states(self, key: str) -> list[str]:
        return [each.state.value for each in self.archive.deliveries_of(key)]
