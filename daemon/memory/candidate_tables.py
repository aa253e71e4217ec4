"""The table of candidates: sources that no catalogue lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from calibration_store.tables import Base


class CandidateRow(Base):
    """One candidate on one product; it counts as long as its product does.

    `source_id` is shared by all candidates at one place on the sky: the id of the first of them.
    `zone` numbers strips of declination, by which places are looked up.
    """

    __tablename__ = "candidate"
    __table_args__ = (
        UniqueConstraint("product_id", "method", "number"),
        Index("ix_candidate_place", "zone", "ra_deg"),
        Index("ix_candidate_source", "source_id"),
        Index("ix_candidate_night", "night", "standing"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int]
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    frame_id: Mapped[int]
    night: Mapped[str]
    method: Mapped[str]
    number: Mapped[int]
    zone: Mapped[int]
    ra_deg: Mapped[float]
    dec_deg: Mapped[float]
    x_px: Mapped[float]
    y_px: Mapped[float]
    position_error_arcsec: Mapped[float | None]
    magnitude: Mapped[float | None]
    magnitude_error: Mapped[float | None]
    band: Mapped[str]
    snr: Mapped[float | None]
    colour: Mapped[int]
    standing: Mapped[str]
    score: Mapped[float | None]
    name: Mapped[str]
    shape: Mapped[dict[str, Any]]
    vetoes: Mapped[list[Any]]
    reasons: Mapped[list[Any]]
    measurements: Mapped[dict[str, Any]]
    observed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
