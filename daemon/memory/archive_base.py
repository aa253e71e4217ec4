"""What the wings of the archive share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration_store.transactions import reading, writing

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from daemon.clock import Clock


class ArchiveWing:
    """A group of queries on one database."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def engine(self) -> Engine:
        """The database."""
        return self._engine

    @property
    def clock(self) -> Clock:
        """The time that its records carry."""
        return self._clock

    def _writing(self, within: Session | None) -> AbstractContextManager[Session]:
        return writing(self._engine, within)

    def _reading(self, within: Session | None) -> AbstractContextManager[Session]:
        return reading(self._engine, within)
