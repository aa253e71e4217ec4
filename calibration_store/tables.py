"""The tables of the calibration store, and the base that every table shares."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import JSON, Float, ForeignKey, Index, Integer, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from calibration_store.columns import FileName, FilePath, PlainText, UtcDateTime


class Base(DeclarativeBase):
    """One metadata for the one database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        str: PlainText,
        Path: FilePath,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        float: Float,
        int: Integer,
    }


class MasterRow(Base):
    """One version of one master."""

    __tablename__ = "master"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_master_choice", "role", "instrument", "state", "observed_at"),
        Index("ix_master_set", "set_key", "night", "role", "version"),
        Index("ix_master_night", "night", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    instrument: Mapped[str]
    role: Mapped[str]
    set_key: Mapped[str]
    night: Mapped[str]
    version: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str]
    setup: Mapped[dict[str, Any]]
    observed_at: Mapped[datetime]
    built_at: Mapped[datetime]
    path: Mapped[Path]
    sha256: Mapped[str]
    aperture_y_px: Mapped[float | None]
    measurements: Mapped[dict[str, Any]]
    inputs: Mapped[list[MasterInputRow]] = relationship(
        order_by="MasterInputRow.position", cascade="all, delete-orphan", lazy="selectin"
    )
    parents: Mapped[list[MasterParentRow]] = relationship(
        order_by="MasterParentRow.position", cascade="all, delete-orphan", lazy="selectin"
    )


class MasterInputRow(Base):
    """One raw frame in a master, named by its content so that nothing above is needed."""

    __tablename__ = "master_input"
    __table_args__ = (Index("ix_master_input_sha256", "sha256"),)

    master_id: Mapped[int] = mapped_column(
        ForeignKey("master.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    stem: Mapped[str] = mapped_column(FileName)


class MasterParentRow(Base):
    """One master that was applied while another was built."""

    __tablename__ = "master_parent"
    __table_args__ = (Index("ix_master_parent_key", "key"),)

    master_id: Mapped[int] = mapped_column(
        ForeignKey("master.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str]
    key: Mapped[str]


class PinRow(Base):
    """One master that serves a night by a person's wish."""

    __tablename__ = "pin"

    master_key: Mapped[str] = mapped_column(primary_key=True)
    night: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    user: Mapped[str]
    reason: Mapped[str]
    pinned_at: Mapped[datetime]
