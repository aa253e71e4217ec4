"""The tables of the outbox: what is to be told, and each delivery of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from calibration_store.tables import Base


class NoticeRow(Base):
    """One message that must go out once."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("dedup_key"),
        Index("ix_notice_due", "routed", "next_try"),
        Index("ix_notice_slot", "slot"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    dedup_key: Mapped[str]
    topic: Mapped[str]
    subject: Mapped[str]
    text: Mapped[str]
    html: Mapped[str]
    night: Mapped[str]
    target: Mapped[str]
    programme: Mapped[str]
    attachments: Mapped[list[Any]]
    blocks: Mapped[list[Any]]
    payload: Mapped[dict[str, Any]]
    recipients: Mapped[list[Any]]
    avoided: Mapped[list[Any]]
    slot: Mapped[str]
    storm: Mapped[str]
    priority: Mapped[int]
    routed: Mapped[bool]
    next_try: Mapped[datetime]
    created_at: Mapped[datetime]


class DeliveryRow(Base):
    """One message on its way to one place; no place gets it twice."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("notice_id", "sink", "address"),
        Index("ix_delivery_due", "state", "next_try"),
        Index("ix_delivery_place", "sink", "address", "state"),
        Index("ix_delivery_gathered", "gathered_in"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id", ondelete="CASCADE"))
    sink: Mapped[str]
    address: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int]
    next_try: Mapped[datetime]
    created_at: Mapped[datetime]
    error: Mapped[str]
    remote: Mapped[str]
    prepared: Mapped[dict[str, Any]]
    began_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    gathered_in: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"))
    notice: Mapped[NoticeRow] = relationship(lazy="joined", innerjoin=True)
