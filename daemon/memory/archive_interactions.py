"""What people did in conversations, and which conversations there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.interaction_tables import InteractionRow
from daemon.memory.interactions import Interaction
from daemon.memory.messages import DeliveryState
from daemon.memory.notice_tables import DeliveryRow, NoticeRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation: the message that opened it, and where the other side keeps it."""

    opened_by: str
    channel: str
    mark: str


class InteractionArchive(ArchiveWing):
    """Queries on conversations."""

    def interaction(self, key: str, within: Session | None = None) -> Interaction | None:
        """Return what was done or refused under a key."""
        with self._reading(within) as session:
            row = session.get(InteractionRow, key)
            return None if row is None else _interaction(row)

    def record_interaction(self, made: Interaction, within: Session | None = None) -> None:
        """Remember what was done or refused."""
        with self._writing(within) as session:
            session.add(
                InteractionRow(
                    key=made.key,
                    user=made.user,
                    channel=made.channel,
                    mark=made.mark,
                    said=made.said,
                    done=made.done,
                    answer=made.answer,
                    at=made.at,
                )
            )

    def interactions(
        self, since: datetime | None = None, within: Session | None = None
    ) -> list[Interaction]:
        """Return everything people did, or what they did since a time, oldest first."""
        query = select(InteractionRow).order_by(InteractionRow.at, InteractionRow.key)
        if since is not None:
            query = query.where(InteractionRow.at >= since)
        with self._reading(within) as session:
            return [_interaction(row) for row in session.scalars(query)]

    def threads(
        self, sink: str, opening: str, since: datetime, within: Session | None = None
    ) -> list[Thread]:
        """Return the conversations that were opened since a time, the newest first.

        Parameters
        ----------
        opening
            How the keys of the messages begin that open one.
        """
        query = (
            select(DeliveryRow)
            .join(DeliveryRow.notice)
            .where(
                NoticeRow.dedup_key.startswith(opening, autoescape=True),
                DeliveryRow.sink == sink,
                DeliveryRow.state == DeliveryState.SENT,
                DeliveryRow.sent_at >= since,
            )
        )
        with self._reading(within) as session:
            rows = session.scalars(query.order_by(DeliveryRow.id.desc()))
            return [_thread(row) for row in rows]

    def thread_at(
        self, sink: str, channel: str, mark: str, within: Session | None = None
    ) -> Thread | None:
        """Return the conversation that the other side keeps there; None when it is not ours."""
        query = select(DeliveryRow).where(
            DeliveryRow.sink == sink,
            DeliveryRow.address == channel,
            DeliveryRow.remote == mark,
            DeliveryRow.state == DeliveryState.SENT,
        )
        with self._reading(within) as session:
            row = session.scalar(query.limit(1))
            return None if row is None else _thread(row)


def _thread(row: DeliveryRow) -> Thread:
    return Thread(opened_by=row.notice.dedup_key, channel=row.address, mark=row.remote)


def _interaction(row: InteractionRow) -> Interaction:
    return Interaction(
        key=row.key,
        user=row.user,
        channel=row.channel,
        mark=row.mark,
        said=row.said,
        done=row.done,
        answer=row.answer,
        at=row.at,
    )
