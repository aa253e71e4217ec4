"""What is to be told: queued once, in the transaction of what it tells about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from calibration_store.columns import decode_name, encode_name
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.messages import Delivery, DeliveryState, Message, Notice, Topic
from daemon.memory.notice_tables import DeliveryRow, NoticeRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


class NoticeArchive(ArchiveWing):
    """The queue side of the outbox."""

    def queue_message(self, message: Message, within: Session | None = None) -> bool:
        """Put a message into the outbox; False when one with this key was ever there.

        Where it goes is decided when it is delivered, so that nobody who has something to tell
        needs to know who listens.
        """
        with self._writing(within) as session:
            known = select(NoticeRow.id).where(NoticeRow.dedup_key == message.key)
            if session.scalar(known) is not None:
                return False
            if message.slot:
                _overtake(session, message.slot)
            session.add(notice_row(message, self._clock.now()))
            return True

    def queue_notice(
        self,
        dedup_key: str,
        topic: str,
        text: str,
        attachments: Sequence[Path] = (),
        within: Session | None = None,
    ) -> bool:
        """Put a plain text into the outbox; `queue_message` says more about it."""
        message = Message(
            key=dedup_key, topic=Topic(topic), text=text, attachments=tuple(attachments)
        )
        return self.queue_message(message, within)

    def notices(
        self, topic: Topic | None = None, limit: int = 100, within: Session | None = None
    ) -> list[Notice]:
        """Return what was queued, the newest first."""
        query = select(NoticeRow).order_by(NoticeRow.id.desc()).limit(limit)
        if topic is not None:
            query = query.where(NoticeRow.topic == topic)
        with self._reading(within) as session:
            return [_notice(row) for row in session.scalars(query)]

    def notice(self, key: str, within: Session | None = None) -> Notice | None:
        """Return the message that was queued under a key, whatever became of it."""
        with self._reading(within) as session:
            row = session.scalar(select(NoticeRow).where(NoticeRow.dedup_key == key))
            return None if row is None else _notice(row)

    def unrouted_notices(self, now: datetime, within: Session | None = None) -> list[Notice]:
        """Return the notices for which nobody has decided where they go, oldest first."""
        query = select(NoticeRow).where(NoticeRow.routed.is_(False), NoticeRow.next_try <= now)
        with self._reading(within) as session:
            return [_notice(row) for row in session.scalars(query.order_by(NoticeRow.id))]

    def route_notice(
        self,
        notice_id: int,
        places: Iterable[tuple[str, str, str]],
        within: Session | None = None,
    ) -> None:
        """Create the deliveries of a notice: (sink, address, why it is withheld or '')."""
        with self._writing(within) as session:
            row = session.get_one(NoticeRow, notice_id)
            if row.routed:
                return
            row.routed = True
            for sink, address, withheld in dict.fromkeys(places):
                session.add(delivery_row(row, sink, address, self._clock.now(), withheld))


def notice_row(message: Message, now: datetime) -> NoticeRow:
    """Return the row of a new message."""
    return NoticeRow(
        dedup_key=message.key,
        topic=message.topic.value,
        subject=message.subject,
        text=message.text,
        html=message.html,
        night=message.night,
        target=message.target,
        programme=message.programme,
        attachments=[encode_name(str(path)) for path in message.attachments],
        blocks=[dict(block) for block in message.blocks],
        payload=dict(message.payload),
        recipients=list(message.to),
        avoided=list(message.not_to),
        slot=message.slot,
        storm=message.storm,
        priority=message.priority,
        routed=False,
        next_try=message.not_before or now,
        created_at=now,
    )


def delivery_row(
    notice: NoticeRow, sink: str, address: str, now: datetime, withheld: str = ""
) -> DeliveryRow:
    """Return the row of a new delivery."""
    state = DeliveryState.WITHHELD if withheld else DeliveryState.WAITING
    return DeliveryRow(
        notice=notice,
        sink=sink,
        address=address,
        state=state.value,
        attempts=0,
        next_try=max(now, notice.next_try),
        created_at=now,
        error=withheld,
        remote="",
        prepared={},
    )


def delivery_record(row: DeliveryRow) -> Delivery:
    """Return a delivery as it crosses borders."""
    return Delivery(
        id=row.id,
        message=_message(row.notice),
        sink=row.sink,
        address=row.address,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_try=row.next_try,
        created_at=row.created_at,
        error=row.error,
        remote=row.remote,
        prepared=dict(row.prepared),
        began_at=row.began_at,
        sent_at=row.sent_at,
        gathered_in=row.gathered_in,
    )


def _overtake(session: Session, slot: str) -> None:
    older = select(NoticeRow.id).where(NoticeRow.slot == slot)
    # What was never routed would go out later: routed without a place, it does not.
    session.execute(
        update(NoticeRow)
        .where(NoticeRow.id.in_(older), NoticeRow.routed.is_(False))
        .values(routed=True)
    )
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.notice_id.in_(older), DeliveryRow.state == DeliveryState.WAITING)
        .values(state=DeliveryState.OVERTAKEN.value)
    )


def _notice(row: NoticeRow) -> Notice:
    return Notice(id=row.id, message=_message(row), created_at=row.created_at)


def _message(row: NoticeRow) -> Message:
    return Message(
        key=row.dedup_key,
        topic=Topic(row.topic),
        subject=row.subject,
        text=row.text,
        html=row.html,
        night=row.night,
        target=row.target,
        programme=row.programme,
        attachments=tuple(Path(decode_name(path)) for path in row.attachments),
        blocks=tuple(row.blocks),
        payload=dict(row.payload),
        to=tuple(row.recipients),
        not_to=tuple(row.avoided),
        slot=row.slot,
        storm=row.storm,
        priority=row.priority,
        not_before=row.next_try,
    )
