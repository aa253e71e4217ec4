"""What a task has at hand: the memory, the store, the instruments, the layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from calibration_store.pins import Pins
from calibration_store.store import CalibrationStore
from daemon.clock import Clock, SystemClock
from daemon.config import Config
from daemon.layout import Layout
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.work.jobs import JobQueue
from reducers.errors import UnknownInstrument
from reducers.instrument import Instrument
from reducers.profiles import load_instrument

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord
    from daemon.work.plan import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that tasks share."""

    config: Config
    clock: Clock
    engine: Engine
    queue: JobQueue
    archive: Archive
    store: CalibrationStore
    pins: Pins
    layout: Layout
    instruments: Mapping[str, Instrument]

    def instrument(self, name: str) -> Instrument:
        """Return a profile by the name it gives its instrument."""
        try:
            return self.instruments[name]
        except KeyError:
            raise UnknownInstrument(
                f"there is no profile of '{name}' in the configuration"
            ) from None

    def wants(self, frame: FrameRecord) -> bool:
        """Tell whether a frame is among those that a batch is restricted to."""
        own = frame.identity
        return self.config.only.wants(frame.stem, f"{own.target} {own.object_name}")

    def submit(self, steps: Iterable[Step], within: Session) -> None:
        """Submit jobs in the caller's transaction."""
        for step in steps:
            self.queue.submit(step.request, postpone=step.postpone, within=within)


def open_bench(
    config: Config, clock: Clock | None = None, *, engine: Engine | None = None
) -> Bench:
    """Open the memory, unless it is open already, and load the profiles that are configured."""
    clock = clock or SystemClock()
    engine = engine or open_database(config.database)
    loaded = [load_instrument(name) for name in config.instrument.profiles]
    return Bench(
        config=config,
        clock=clock,
        engine=engine,
        queue=JobQueue(engine, clock),
        archive=Archive(engine, clock),
        store=CalibrationStore(engine),
        pins=Pins(engine),
        layout=Layout(config.root),
        instruments={instrument.name: instrument for instrument in loaded},
    )


def digest_of(*parts: object) -> str:
    """Return the SHA-256 of values that JSON can hold; the same values give the same key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
