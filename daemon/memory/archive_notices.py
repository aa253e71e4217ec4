"""The outbox of notices, and signs of life."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from calibration_store.columns import decode_name, encode_name
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import Heartbeat, Notice, NoticeState
from daemon.memory.tables import HeartbeatRow, NoticeRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


class NoticeArchive(ArchiveWing):
    """Queries on notices and heartbeats."""

    def queue_notice(
        self,
        dedup_key: str,
        topic: str,
        text: str,
        attachments: Sequence[Path] = (),
        within: Session | None = None,
    ) -> bool:
        """Put a notice into the outbox; False when one with this key was ever there."""
        with self._writing(within) as session:
            known = select(NoticeRow.id).where(NoticeRow.dedup_key == dedup_key)
            if session.scalar(known) is not None:
                return False
            now = self._clock.now()
            session.add(
                NoticeRow(
                    dedup_key=dedup_key,
                    topic=topic,
                    text=text,
                    attachments=[encode_name(str(path)) for path in attachments],
                    state=NoticeState.WAITING.value,
                    attempts=0,
                    next_try=now,
                    created_at=now,
                    error="",
                )
            )
            return True

    def pending_notices(self, now: datetime, within: Session | None = None) -> list[Notice]:
        """Return the notices that should be tried now, oldest first."""
        query = select(NoticeRow).where(
            NoticeRow.state == NoticeState.WAITING, NoticeRow.next_try <= now
        )
        with self._reading(within) as session:
            return [_notice(row) for row in session.scalars(query.order_by(NoticeRow.id))]

    def mark_notice_sent(self, notice_id: int, within: Session | None = None) -> None:
        """Note that a notice went out."""
        self._mark(notice_id, NoticeState.SENT, "", None, within)

    def mark_notice_failed(
        self,
        notice_id: int,
        error: str,
        next_try: datetime | None,
        within: Session | None = None,
    ) -> None:
        """Note that a delivery failed; without a `next_try` the notice is given up."""
        state = NoticeState.FAILED if next_try is None else NoticeState.WAITING
        self._mark(notice_id, state, error, next_try, within)

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

    def forget_heartbeat(self, who: str, within: Session | None = None) -> None:
        """Remove the sign of life of one who left properly."""
        with self._writing(within) as session:
            row = session.get(HeartbeatRow, who)
            if row is not None:
                session.delete(row)

    def _mark(
        self,
        notice_id: int,
        state: NoticeState,
        error: str,
        next_try: datetime | None,
        within: Session | None,
    ) -> None:
        with self._writing(within) as session:
            row = session.get_one(NoticeRow, notice_id)
            row.state, row.error, row.attempts = state.value, error, row.attempts + 1
            row.next_try = next_try or row.next_try


def _notice(row: NoticeRow) -> Notice:
    return Notice(
        id=row.id,
        dedup_key=row.dedup_key,
        topic=row.topic,
        text=row.text,
        attachments=tuple(Path(decode_name(path)) for path in row.attachments),
        state=NoticeState(row.state),
        attempts=row.attempts,
        next_try=row.next_try,
        created_at=row.created_at,
        error=row.error,
    )
