"""Signs of life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import Heartbeat
from daemon.memory.tables import HeartbeatRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class HeartbeatArchive(ArchiveWing):
    """Who lives, and what they do."""

    def heartbeat(
        self,
        who: str,
        pid: int,
        state: str,
        *,
        progressed: int = 0,
        within: Session | None = None,
    ) -> None:
        """Leave a sign of life, and add how much got done since the last one."""
        with self._writing(within) as session:
            row = session.get(HeartbeatRow, who)
            if row is None:
                row = HeartbeatRow(who=who, progress=0)
                session.add(row)
            row.pid, row.at, row.state = pid, self._clock.now(), state
            row.progress += progressed

    def heartbeats(self, within: Session | None = None) -> list[Heartbeat]:
        """Return the last sign of life of everyone."""
        with self._reading(within) as session:
            rows = session.scalars(select(HeartbeatRow).order_by(HeartbeatRow.who))
            return [
                Heartbeat(
                    who=row.who, pid=row.pid, at=row.at, state=row.state, progress=row.progress
                )
                for row in rows
            ]

    def heartbeat_of(self, who: str, within: Session | None = None) -> Heartbeat | None:
        """Return the last sign of life of one; None where there is none."""
        return next((beat for beat in self.heartbeats(within) if beat.who == who), None)

    def forget_heartbeat(self, who: str, within: Session | None = None) -> None:
        """Remove the sign of life of one who left properly."""
        with self._writing(within) as session:
            row = session.get(HeartbeatRow, who)
            if row is not None:
                session.delete(row)
