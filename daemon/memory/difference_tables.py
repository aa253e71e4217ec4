"""The tables of difference images and of light curves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from calibration_store.tables import Base


class DifferenceRow(Base):
    """The difference of one image product, or why there is none; one for each exposure."""

    __tablename__ = "difference"
    __table_args__ = (UniqueConstraint("frame_id"), Index("ix_difference_night", "night"))

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"))
    product_key: Mapped[str]
    night: Mapped[str]
    template: Mapped[str]
    method: Mapped[str]
    why: Mapped[str]
    rejected: Mapped[list[Any]]
    paths: Mapped[dict[str, Any]]
    hashes: Mapped[dict[str, Any]]
    measurements: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class LightRow(Base):
    """One point of the light curve of a watched target: a measurement, or why there is none."""

    __tablename__ = "light"
    __table_args__ = (
        UniqueConstraint("target", "frame_id", "method"),
        Index("ix_light_target", "target", "observed_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str]
    frame_id: Mapped[int] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"))
    method: Mapped[str]
    product_key: Mapped[str]
    stem: Mapped[str]
    band: Mapped[str]
    observed_at: Mapped[datetime | None]
    exposure_s: Mapped[float]
    flux: Mapped[float | None]
    flux_error: Mapped[float | None]
    zero_point_mag: Mapped[float | None]
    zero_point_error_mag: Mapped[float | None]
    ra_deg: Mapped[float]
    dec_deg: Mapped[float]
    why: Mapped[str]
