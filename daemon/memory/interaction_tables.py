"""The table of what people did in conversations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from calibration_store.tables import Base


class InteractionRow(Base):
    """One button or reply: done, or refused with the answer."""

    __tablename__ = "interaction"
    __table_args__ = (Index("ix_interaction_at", "at"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str]
    channel: Mapped[str]
    mark: Mapped[str]
    said: Mapped[str]
    done: Mapped[bool]
    answer: Mapped[str]
    at: Mapped[datetime]
