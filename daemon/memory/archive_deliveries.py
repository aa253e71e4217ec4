"""Each delivery of each message: where it stands, and what is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from daemon.memory.archive_notices import (
    NoticeArchive,
    delivery_record,
    delivery_row,
    notice_row,
)
from daemon.memory.messages import DeliveryState
from daemon.memory.notice_tables import DeliveryRow, NoticeRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from daemon.memory.messages import Delivery, Message, Topic

#: Still to be settled.
OPEN = (DeliveryState.WAITING, DeliveryState.UNKNOWN)


class DeliveryArchive(NoticeArchive):
    """The courier's side of the outbox."""

    def due_deliveries(self, now: datetime, within: Session | None = None) -> list[Delivery]:
        """Return what should be tried now: the urgent first, then in order of queueing."""
        query = select(DeliveryRow).where(DeliveryRow.state.in_(OPEN), DeliveryRow.next_try <= now)
        return self._deliveries(_in_order(query), within)

    def open_deliveries(
        self, sink: str, address: str, within: Session | None = None
    ) -> list[Delivery]:
        """Return what waits for one place, due or not."""
        query = select(DeliveryRow).where(
            DeliveryRow.sink == sink,
            DeliveryRow.address == address,
            DeliveryRow.state.in_(OPEN),
        )
        return self._deliveries(_in_order(query), within)

    def next_delivery_at(self, within: Session | None = None) -> datetime | None:
        """Return when the next thing is due; None when nothing waits."""
        waiting = select(func.min(DeliveryRow.next_try)).where(DeliveryRow.state.in_(OPEN))
        unrouted = select(func.min(NoticeRow.next_try)).where(NoticeRow.routed.is_(False))
        with self._reading(within) as session:
            times = [session.scalar(waiting), session.scalar(unrouted)]
        return min((each for each in times if each is not None), default=None)

    def delivery(self, delivery_id: int, within: Session | None = None) -> Delivery:
        """Return one delivery as it stands now."""
        with self._reading(within) as session:
            return delivery_record(session.get_one(DeliveryRow, delivery_id))

    def deliveries_of(self, key: str, within: Session | None = None) -> list[Delivery]:
        """Return every delivery of one message."""
        query = select(DeliveryRow).join(DeliveryRow.notice).where(NoticeRow.dedup_key == key)
        return self._deliveries(query.order_by(DeliveryRow.id), within)

    def sent_since(
        self, storm: str, sink: str, address: str, since: datetime, within: Session | None = None
    ) -> int:
        """Return how many messages of a class went to a place since a time."""
        query = (
            select(func.count())
            .select_from(DeliveryRow)
            .join(DeliveryRow.notice)
            .where(
                NoticeRow.storm == storm,
                DeliveryRow.sink == sink,
                DeliveryRow.address == address,
                DeliveryRow.state == DeliveryState.SENT,
                DeliveryRow.sent_at > since,
            )
        )
        with self._reading(within) as session:
            return session.scalar(query) or 0

    def gathered(self, delivery_id: int, within: Session | None = None) -> list[Delivery]:
        """Return the deliveries that one message tells together, in order of queueing."""
        query = select(DeliveryRow).where(DeliveryRow.gathered_in == delivery_id)
        return self._deliveries(query.order_by(DeliveryRow.id), within)

    def count_deliveries(self, within: Session | None = None) -> dict[DeliveryState, int]:
        """Return how many deliveries are in each state."""
        query = select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
        with self._reading(within) as session:
            return {DeliveryState(state): count for state, count in session.execute(query)}

    def last_deliveries(
        self, limit: int, *, sink: str = "", settled: bool = False, within: Session | None = None
    ) -> list[Delivery]:
        """Return the newest deliveries, without those that are settled unless they are wanted."""
        query = select(DeliveryRow).order_by(DeliveryRow.id.desc()).limit(limit)
        if sink:
            query = query.where(DeliveryRow.sink == sink)
        if not settled:
            over = (DeliveryState.SENT, DeliveryState.GATHERED, DeliveryState.OVERTAKEN)
            query = query.where(DeliveryRow.state.not_in(over))
        return self._deliveries(query, within)

    def undelivered(self, limit: int, within: Session | None = None) -> list[Delivery]:
        """Return what was given up or is held by an unclear answer, newest first."""
        states = (DeliveryState.DEAD, DeliveryState.UNKNOWN)
        query = select(DeliveryRow).where(DeliveryRow.state.in_(states))
        return self._deliveries(query.order_by(DeliveryRow.id.desc()).limit(limit), within)

    def mark(
        self, delivery_id: int, state: DeliveryState, within: Session | None = None, **values: Any
    ) -> None:
        """Note how a delivery stands, and other columns of it."""
        with self._writing(within) as session:
            row = session.get_one(DeliveryRow, delivery_id)
            row.state = state.value
            for name, value in values.items():
                setattr(row, name, value)

    def mark_all(
        self,
        deliveries: Collection[int],
        state: DeliveryState,
        within: Session | None = None,
        **values: Any,
    ) -> None:
        """Note the same of several deliveries."""
        with self._writing(within) as session:
            session.execute(
                update(DeliveryRow)
                .where(DeliveryRow.id.in_(deliveries))
                .values(state=state.value, **values)
            )

    def doubt_unfinished(self, now: datetime, within: Session | None = None) -> int:
        """Call unknown what was being sent when its courier ended; return how many."""
        with self._writing(within) as session:
            query = select(DeliveryRow).where(DeliveryRow.state == DeliveryState.SENDING)
            rows = list(session.scalars(query))
            for row in rows:
                row.state, row.next_try = DeliveryState.UNKNOWN.value, now
                row.error = "the courier was stopped while it was being sent"
            return len(rows)

    def add_delivery(
        self, message: Message, sink: str, address: str, within: Session | None = None
    ) -> Delivery:
        """Queue a message for one place alone, as the opening of a conversation; once."""
        with self._writing(within) as session:
            notice = session.scalar(select(NoticeRow).where(NoticeRow.dedup_key == message.key))
            if notice is None:
                notice = notice_row(message, self._clock.now())
                notice.routed = True
                session.add(notice)
            place = select(DeliveryRow).where(
                DeliveryRow.notice == notice,
                DeliveryRow.sink == sink,
                DeliveryRow.address == address,
            )
            row = session.scalar(place)
            if row is None:
                row = delivery_row(notice, sink, address, self._clock.now())
                session.add(row)
                session.flush()
            return delivery_record(row)

    def rewrite_notice(
        self, key: str, text: str, values: Mapping[str, Any], within: Session | None = None
    ) -> None:
        """Change what a message not yet sent says."""
        with self._writing(within) as session:
            session.execute(
                update(NoticeRow).where(NoticeRow.dedup_key == key).values(text=text, **values)
            )

    def revive(
        self, sink: str = "", topic: Topic | None = None, within: Session | None = None
    ) -> int:
        """Let what was given up be tried again at once; return how many deliveries."""
        query = select(DeliveryRow).join(DeliveryRow.notice)
        query = query.where(DeliveryRow.state == DeliveryState.DEAD)
        if sink:
            query = query.where(DeliveryRow.sink == sink)
        if topic is not None:
            query = query.where(NoticeRow.topic == topic)
        with self._writing(within) as session:
            rows = list(session.scalars(query))
            for row in rows:
                # What may have arrived is looked for before it goes out again.
                doubtful = row.began_at is not None
                state = DeliveryState.UNKNOWN if doubtful else DeliveryState.WAITING
                row.state, row.attempts = state.value, 0
                row.next_try = row.created_at = self._clock.now()
            return len(rows)

    def _deliveries(self, query: Select[DeliveryRow], within: Session | None) -> list[Delivery]:
        with self._reading(within) as session:
            return [delivery_record(row) for row in session.scalars(query)]


def _in_order(query: Select[DeliveryRow]) -> Select[DeliveryRow]:
    return query.join(DeliveryRow.notice).order_by(NoticeRow.priority, DeliveryRow.id)
