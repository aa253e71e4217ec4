"""The notices of events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from calibration_store.columns import encode_name
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.trigger_tables import TriggerRow
from reducers.transients.notices.notice import Circle, Role, TriggerNotice

if TYPE_CHECKING:
    from sqlalchemy import CompoundSelect, Select
    from sqlalchemy.orm import Session

READ, BAD = "read", "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRecord:
    """One notice that came in.

    Attributes
    ----------
    notice
        None where it could not be read; `reason` says why.
    """

    file: str
    received_at: datetime
    notice: TriggerNotice | None = None
    reason: str = ""


class TriggerArchive(ArchiveWing):
    """Queries on notices of events."""

    def record_trigger(
        self,
        sha256: str,
        file: str,
        notice: TriggerNotice | None,
        reason: str = "",
        within: Session | None = None,
    ) -> bool:
        """Record what came in; False when this content was ever there."""
        with self._writing(within) as session:
            if session.scalar(select(TriggerRow.id).where(TriggerRow.sha256 == sha256)):
                return False
            row = TriggerRow(
                sha256=sha256,
                state=READ if notice else BAD,
                reason=reason,
                file=encode_name(file),
                received_at=self._clock.now(),
            )
            _fill(row, notice)
            session.add(row)
            return True

    def triggers(self, limit: int = 100, within: Session | None = None) -> list[TriggerRecord]:
        """Return what came in, the newest first."""
        query = select(TriggerRow).order_by(TriggerRow.id.desc()).limit(limit)
        with self._reading(within) as session:
            return [_record(row) for row in session.scalars(query)]

    def notices_of(self, subject: str, within: Session | None = None) -> list[TriggerNotice]:
        """Return everything that was said of one event ('Swift 1253910')."""
        return self._notices(
            select(TriggerRow.subject).where(TriggerRow.subject == subject), within
        )

    def notices_between(
        self, first: datetime, last: datetime, within: Session | None = None
    ) -> list[TriggerNotice]:
        """Return everything that was said of the events of a time, whenever it was said."""
        subjects = select(TriggerRow.subject).where(
            TriggerRow.state == READ, TriggerRow.happened_at.between(first, last)
        )
        undated = select(TriggerRow.subject).where(
            TriggerRow.state == READ,
            TriggerRow.happened_at.is_(None),
            TriggerRow.issued_at.between(first, last),
        )
        return self._notices(subjects.union(undated), within)

    def _notices(
        self, subjects: Select[str] | CompoundSelect[str], within: Session | None
    ) -> list[TriggerNotice]:
        query = select(TriggerRow).where(TriggerRow.state == READ, TriggerRow.subject.in_(subjects))
        with self._reading(within) as session:
            rows = session.scalars(query.order_by(TriggerRow.id))
            return [notice for row in rows if (notice := _notice(row)) is not None]


def _fill(row: TriggerRow, notice: TriggerNotice | None) -> None:
    said = notice or TriggerNotice(mission="", instrument="", kind="", event="")
    row.subject = said.subject if notice else ""
    row.mission, row.instrument, row.kind = said.mission, said.instrument, said.kind
    row.event, row.name, row.role = said.event, said.name, said.role.value
    row.retraction, row.grade, row.revision = said.retraction, said.grade, said.revision
    circle = said.circle
    row.ra_deg, row.dec_deg, row.r90_arcsec = (
        (circle.ra_deg, circle.dec_deg, circle.r90_arcsec) if circle else (None, None, None)
    )
    row.happened_at, row.issued_at = said.happened_at, said.issued_at


def _record(row: TriggerRow) -> TriggerRecord:
    return TriggerRecord(
        file=row.file, received_at=row.received_at, notice=_notice(row), reason=row.reason
    )


def _notice(row: TriggerRow) -> TriggerNotice | None:
    if row.state != READ:
        return None
    circle = None
    if row.ra_deg is not None and row.dec_deg is not None and row.r90_arcsec is not None:
        circle = Circle(ra_deg=row.ra_deg, dec_deg=row.dec_deg, r90_arcsec=row.r90_arcsec)
    return TriggerNotice(
        mission=row.mission,
        instrument=row.instrument,
        kind=row.kind,
        event=row.event,
        role=Role(row.role),
        retraction=row.retraction,
        circle=circle,
        happened_at=row.happened_at,
        issued_at=row.issued_at,
        grade=row.grade,
        revision=row.revision,
        name=row.name,
    )
