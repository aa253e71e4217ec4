"""What the schedule has asked for: the truth that outlives restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.tables import OccasionRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


class OccasionArchive(ArchiveWing):
    """Queries on occasions."""

    def note_occasion(
        self, name: str, night: str, due: datetime, within: Session | None = None
    ) -> bool:
        """Note that something was asked for; False when it was before."""
        with self._writing(within) as session:
            if session.get(OccasionRow, (name, night)) is not None:
                return False
            session.add(OccasionRow(name=name, night=night, due=due, asked_at=self._clock.now()))
            return True

    def occasions(self, night: str, within: Session | None = None) -> dict[str, datetime]:
        """Return what was asked for in a night, and when."""
        with self._reading(within) as session:
            rows = session.scalars(select(OccasionRow).where(OccasionRow.night == night))
            return {row.name: row.asked_at for row in rows}

    def first_occasion(self, within: Session | None = None) -> datetime | None:
        """Return when the schedule was first kept; None when it never was."""
        with self._reading(within) as session:
            return session.scalar(select(func.min(OccasionRow.asked_at)))
