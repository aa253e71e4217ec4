"""The table of the canaries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from calibration_store.tables import Base


class CanaryRow(Base):
    """What came of one canary; `problems` is empty when it came through."""

    __tablename__ = "canary"
    __table_args__ = (Index("ix_canary_ended", "ended_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    asked_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    took_s: Mapped[float]
    wavelength_px: Mapped[float | None]
    flux_ratio: Mapped[float | None]
    problems: Mapped[list[str]] = mapped_column(JSON)
