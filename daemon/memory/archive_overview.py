"""The state of everything, counted by the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from calibration_store.tables import MasterRow
from daemon.memory.archive_deliveries import DeliveryArchive
from daemon.memory.archive_files import FileArchive, file_record
from daemon.memory.archive_heartbeats import HeartbeatArchive
from daemon.memory.job_record import job_record
from daemon.memory.overview import Overview, ProductLine
from daemon.memory.records import (
    FileRecord,
    FileState,
    JobKind,
    JobState,
    ProductState,
)
from daemon.memory.tables import FileRow, JobRow, ProductRow, RevisionRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session


class OverviewArchive(FileArchive, DeliveryArchive, HeartbeatArchive):
    """What `status` asks."""

    def latest_night(self, within: Session | None = None) -> str:
        """Return the last night that has frames; '' without any."""
        query = select(func.max(RevisionRow.night)).where(RevisionRow.current.is_(True))
        with self._reading(within) as session:
            return session.scalar(query) or ""

    def overview(
        self, night: str | None = None, recent: int = 20, within: Session | None = None
    ) -> Overview:
        """Return everything `status` shows of a night (the last one by default)."""
        with self._reading(within) as session:
            night = self.latest_night(session) if night is None else night
            return Overview(
                night=night,
                files={FileState(state): count for state, count in _count(session, FileRow.state)},
                frames_total=_frames_total(session),
                frames={kind: count for kind, count in _frames_of(session, night)},
                products={
                    (ProductState(state), quality): count
                    for state, quality, count in _products_of(session, night)
                },
                jobs={
                    (JobKind(kind), JobState(state)): count
                    for state, kind, count in _count(session, JobRow.state, JobRow.kind)
                },
                masters={
                    (role, state): count for role, state, count in _masters_of(session, night)
                },
                deliveries=self.count_deliveries(session),
                undelivered=tuple(self.undelivered(recent, session)),
                heartbeats=tuple(self.heartbeats(session)),
                troubles=tuple(_troubles(session, recent)),
                broken=tuple(job_record(row) for row in _broken(session, recent)),
                latest=tuple(_latest(session, recent)),
                last_arrival=_last_arrival(session),
            )


def _count(session: Session, *columns: Any) -> Iterable[Any]:
    return session.execute(select(*columns, func.count()).group_by(*columns))


def _frames_total(session: Session) -> int:
    query = select(func.count()).select_from(RevisionRow).where(RevisionRow.current.is_(True))
    return session.scalar(query) or 0


def _frames_of(session: Session, night: str) -> Iterable[Any]:
    return session.execute(
        select(RevisionRow.kind, func.count())
        .where(RevisionRow.current.is_(True), RevisionRow.night == night)
        .group_by(RevisionRow.kind)
    )


def _products_of(session: Session, night: str) -> Iterable[Any]:
    return session.execute(
        select(ProductRow.state, ProductRow.quality, func.count())
        .where(ProductRow.night == night, ProductRow.state != ProductState.SUPERSEDED)
        .group_by(ProductRow.state, ProductRow.quality)
    )


def _masters_of(session: Session, night: str) -> Iterable[Any]:
    return session.execute(
        select(MasterRow.role, MasterRow.state, func.count())
        .where(MasterRow.night == night)
        .group_by(MasterRow.role, MasterRow.state)
    )


def _troubles(session: Session, recent: int) -> list[FileRecord]:
    rows: list[FileRow] = []
    # One state at a time, so that the index gives the order.
    for state in (FileState.QUARANTINED, FileState.HELD):
        query = select(FileRow).where(FileRow.state == state)
        rows += session.scalars(query.order_by(FileRow.last_seen.desc()).limit(recent))
    rows.sort(key=lambda row: row.last_seen, reverse=True)
    return [file_record(row) for row in rows[:recent]]


def _broken(session: Session, recent: int) -> Iterable[JobRow]:
    query = select(JobRow).where(JobRow.state == JobState.FAILED)
    return session.scalars(query.order_by(JobRow.id.desc()).limit(recent))


def _latest(session: Session, recent: int) -> list[ProductLine]:
    found: list[ProductLine] = []
    for state in (ProductState.PROVISIONAL, ProductState.FINAL):
        query = select(
            ProductRow.stem,
            ProductRow.night,
            ProductRow.target,
            ProductRow.quality,
            ProductRow.flag_bits,
            ProductRow.created_at,
            ProductRow.latency_s,
        ).where(ProductRow.state == state)
        rows = session.execute(query.order_by(ProductRow.created_at.desc()).limit(recent))
        found += (ProductLine(state=state, **row._mapping) for row in rows)
    found.sort(key=lambda line: line.created_at, reverse=True)
    return found[:recent]


def _last_arrival(session: Session) -> datetime | None:
    query = select(func.max(RevisionRow.arrived_at)).where(RevisionRow.current.is_(True))
    return session.scalar(query)
