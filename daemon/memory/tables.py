"""The tables of the daemon; they share the calibration store's base."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from calibration_store.columns import FileName
from calibration_store.tables import Base


class FileRow(Base):
    """One file seen in the watched tree."""

    __tablename__ = "file"
    __table_args__ = (
        UniqueConstraint("path"),
        Index("ix_file_state", "state", "last_seen"),
        Index("ix_file_sha256", "sha256"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[Path]
    state: Mapped[str]
    reason: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class FrameRow(Base):
    """One exposure; a stem may come again on another night."""

    __tablename__ = "frame"
    __table_args__ = (UniqueConstraint("stem", "night"), Index("ix_frame_night", "night"))

    id: Mapped[int] = mapped_column(primary_key=True)
    stem: Mapped[str] = mapped_column(FileName)
    night: Mapped[str]


class RevisionRow(Base):
    """One content of one exposure; exactly one of them is current."""

    __tablename__ = "revision"
    __table_args__ = (
        UniqueConstraint("sha256"),
        UniqueConstraint("frame_id", "revision"),
        Index(
            "uq_revision_current",
            "frame_id",
            unique=True,
            sqlite_where=text("current = 1"),
            postgresql_where=text("current"),
        ),
        Index("ix_revision_overview", "current", "night", "kind"),
        Index("ix_revision_kind", "kind", "current", "instrument", "observed_at"),
        Index("ix_revision_arrived", "current", "arrived_at"),
        Index("ix_revision_path", "path"),
        Index("ix_revision_taken", "current", "instrument", "night", "observed_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"))
    revision: Mapped[int]
    current: Mapped[bool]
    sha256: Mapped[str]
    path: Mapped[Path]
    size: Mapped[int] = mapped_column(BigInteger)
    night: Mapped[str]
    kind: Mapped[str]
    instrument: Mapped[str]
    observed_at: Mapped[datetime | None]
    identity: Mapped[dict[str, Any]]
    ingested_at: Mapped[datetime]
    arrived_at: Mapped[datetime]
    frame: Mapped[FrameRow] = relationship(lazy="joined", innerjoin=True)
    sets: Mapped[list[RevisionSetRow]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class RevisionSetRow(Base):
    """A calibration set that a revision belongs to."""

    __tablename__ = "revision_set"
    __table_args__ = (Index("ix_revision_set_key", "set_key"),)

    revision_id: Mapped[int] = mapped_column(
        ForeignKey("revision.id", ondelete="CASCADE"), primary_key=True
    )
    set_key: Mapped[str] = mapped_column(primary_key=True)


class KindChangeRow(Base):
    """A person's word on what a frame is."""

    __tablename__ = "kind_change"
    __table_args__ = (Index("ix_kind_change_sha256", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    kind_before: Mapped[str]
    kind: Mapped[str]
    user: Mapped[str]
    reason: Mapped[str]
    changed_at: Mapped[datetime]


class JobRow(Base):
    """One job; at most one of a key waits, and at most one runs."""

    __tablename__ = "job"
    __table_args__ = (
        Index(
            "uq_job_waiting",
            "key",
            unique=True,
            sqlite_where=text("state IN ('waiting', 'blocked')"),
            postgresql_where=text("state IN ('waiting', 'blocked')"),
        ),
        Index(
            "uq_job_running",
            "key",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index("ix_job_next", "state", "priority", "id"),
        Index("ix_job_count", "state", "kind"),
        Index("ix_job_key", "key", "state"),
        Index("ix_job_due", "state", "not_before"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str]
    payload: Mapped[dict[str, Any]]
    priority: Mapped[int]
    state: Mapped[str]
    attempts: Mapped[int]
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    worker: Mapped[str]
    error: Mapped[str]
    submitted_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ProductRow(Base):
    """One reduced exposure; one per frame is not superseded."""

    __tablename__ = "product"
    __table_args__ = (
        UniqueConstraint("key", "generation"),
        Index(
            "uq_product_current",
            "frame_id",
            unique=True,
            sqlite_where=text("state <> 'superseded'"),
            postgresql_where=text("state <> 'superseded'"),
        ),
        Index("ix_product_overview", "night", "state", "quality"),
        Index("ix_product_frame", "frame_id", "created_at"),
        Index("ix_product_created", "state", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    generation: Mapped[int]
    frame_id: Mapped[int] = mapped_column(ForeignKey("frame.id", ondelete="CASCADE"))
    frame_sha256: Mapped[str]
    stem: Mapped[str] = mapped_column(FileName)
    night: Mapped[str]
    recipe: Mapped[str]
    recipe_version: Mapped[str]
    state: Mapped[str]
    quality: Mapped[int]
    flag_bits: Mapped[int] = mapped_column(BigInteger)
    target: Mapped[str]
    paths: Mapped[dict[str, Any]]
    hashes: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    latency_s: Mapped[float | None]
    recipe_digest: Mapped[str] = mapped_column(server_default="")
    redo: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    verdict: Mapped[str] = mapped_column(server_default="")
    verdict_by: Mapped[str] = mapped_column(server_default="")
    verdict_at: Mapped[datetime | None]
    inputs: Mapped[list[ProductInputRow]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="ProductInputRow.position"
    )
    decisions: Mapped[list[DecisionRow]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="DecisionRow.position"
    )
    measurements: Mapped[list[MeasurementRow]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="MeasurementRow.name"
    )
    flags: Mapped[list[FlagRow]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="FlagRow.position"
    )


class ProductInputRow(Base):
    """What went into a product: the raw content and the masters."""

    __tablename__ = "product_input"
    __table_args__ = (Index("ix_product_input_key", "key"),)

    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str]
    key: Mapped[str]


class DecisionRow(Base):
    """Which master was chosen for one role, and why every other was not."""

    __tablename__ = "decision"

    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str]
    master_key: Mapped[str]
    rung: Mapped[str]
    reason: Mapped[str]
    rejected: Mapped[list[Any]]


class MeasurementRow(Base):
    """One number measured on a product; NULL is NaN."""

    __tablename__ = "measurement"
    __table_args__ = (Index("ix_measurement_name", "name"),)

    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float | None]


class FlagRow(Base):
    """One quality flag of a product."""

    __tablename__ = "flag"
    __table_args__ = (Index("ix_flag_name", "name"),)

    product_id: Mapped[int] = mapped_column(
        ForeignKey("product.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    bit: Mapped[int] = mapped_column(BigInteger)
    quality: Mapped[int]
    value: Mapped[float | None]
    threshold: Mapped[float | None]
    sentence: Mapped[str]


class CombinationRow(Base):
    """The combination of one group of spectra, as last made."""

    __tablename__ = "combination"
    __table_args__ = (UniqueConstraint("group_key"), Index("ix_combination_night", "night"))

    id: Mapped[int] = mapped_column(primary_key=True)
    group_key: Mapped[str]
    key: Mapped[str]
    night: Mapped[str]
    target: Mapped[str]
    setup: Mapped[str]
    state: Mapped[str]
    quality: Mapped[int]
    exposure_s: Mapped[float]
    members: Mapped[list[Any]]
    excluded: Mapped[list[Any]]
    paths: Mapped[dict[str, Any]]
    hashes: Mapped[dict[str, Any]]
    measurements: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class JudgementRow(Base):
    """One verdict of a person on one product, as it was given."""

    __tablename__ = "judgement"
    __table_args__ = (Index("ix_judgement_product", "product_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_key: Mapped[str]
    stem: Mapped[str] = mapped_column(FileName)
    night: Mapped[str]
    recipe: Mapped[str]
    quality: Mapped[int]
    flags: Mapped[list[Any]]
    decision: Mapped[str]
    user: Mapped[str]
    answers: Mapped[dict[str, Any]]
    remark: Mapped[str]
    judged_at: Mapped[datetime]


class OccasionRow(Base):
    """Something the schedule asked for once in a night."""

    __tablename__ = "occasion"

    name: Mapped[str] = mapped_column(primary_key=True)
    night: Mapped[str] = mapped_column(primary_key=True)
    due: Mapped[datetime]
    asked_at: Mapped[datetime]


class HeartbeatRow(Base):
    """The last sign of life of one process."""

    __tablename__ = "heartbeat"

    who: Mapped[str] = mapped_column(primary_key=True)
    pid: Mapped[int]
    at: Mapped[datetime]
    state: Mapped[str]
    progress: Mapped[int]
