"""The tables of the notices of events and of the alerts on new sources."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from calibration_store.tables import Base


class TriggerRow(Base):
    """One notice that came in; of one that cannot be read only file and reason are known."""

    __tablename__ = "trigger"
    __table_args__ = (
        UniqueConstraint("sha256"),
        Index("ix_trigger_subject", "subject"),
        Index("ix_trigger_happened", "happened_at"),
        Index("ix_trigger_received", "state", "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str]
    file: Mapped[str]
    received_at: Mapped[datetime]
    subject: Mapped[str]
    mission: Mapped[str]
    instrument: Mapped[str]
    kind: Mapped[str]
    event: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    retraction: Mapped[bool]
    grade: Mapped[int]
    revision: Mapped[int] = mapped_column(BigInteger)
    ra_deg: Mapped[float | None]
    dec_deg: Mapped[float | None]
    r90_arcsec: Mapped[float | None]
    happened_at: Mapped[datetime | None]
    issued_at: Mapped[datetime | None]


class AlertRow(Base):
    """One source that was told of, or that waits for the digest; `document` is its JSON."""

    __tablename__ = "alert"
    __table_args__ = (
        UniqueConstraint("name"),
        Index("ix_alert_dec", "dec_deg"),
        Index("ix_alert_night", "night", "programme"),
        Index("ix_alert_told", "told_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    ra_deg: Mapped[float]
    dec_deg: Mapped[float]
    urgency: Mapped[str]
    told_as: Mapped[str]
    headline: Mapped[str]
    night: Mapped[str]
    programme: Mapped[str]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    told_at: Mapped[datetime]
    detections: Mapped[int]
    score: Mapped[float | None]
    document: Mapped[dict[str, Any]]
    reports: Mapped[dict[str, Any]]
