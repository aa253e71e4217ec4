"""The sources that people were told of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.candidate_tables import CandidateRow
from daemon.memory.trigger_tables import AlertRow
from reducers.transients.alert import SAME_PLACE_ARCSEC, Told, Urgency

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from reducers.transients.candidate import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """One source with what was told of it.

    Attributes
    ----------
    urgency
        The highest that any detection had.
    told_as
        How it was really told: a storm of alerts goes into the digest.
    document
        The alert as JSON.
    reports
        Service -> what became of a report there, with 'state', 'remote', 'at' and 'error'.
    """

    name: str
    ra_deg: float
    dec_deg: float
    urgency: Urgency
    told_as: Urgency
    headline: str
    night: str
    programme: str
    first_at: datetime
    last_at: datetime
    told_at: datetime
    detections: int
    score: float | None
    document: Mapping[str, Any]
    reports: Mapping[str, Mapping[str, str]]


class AlertArchive(ArchiveWing):
    """Queries on alerts."""

    def told_at_place(
        self, ra_deg: float, dec_deg: float, within: Session | None = None
    ) -> Told | None:
        """Return what was told of the source at a place; None when there was none."""
        with self._reading(within) as session:
            row = _nearest(session, ra_deg, dec_deg)
            if row is None:
                return None
            return Told(name=row.name, urgency=Urgency(row.urgency), told_at=row.told_at)

    def record_alert(self, record: AlertRecord, within: Session | None = None) -> None:
        """Record what was told, in place of what was told of the same name before."""
        with self._writing(within) as session:
            row = session.scalar(select(AlertRow).where(AlertRow.name == record.name))
            if row is None:
                row = AlertRow(name=record.name, first_at=record.first_at, detections=0, reports={})
                row.ra_deg, row.dec_deg = record.ra_deg, record.dec_deg
                session.add(row)
            row.urgency, row.told_as = record.urgency.value, record.told_as.value
            row.headline, row.night, row.programme = record.headline, record.night, record.programme
            row.last_at, row.told_at = record.last_at, record.told_at
            row.detections += 1
            row.score = record.score
            row.document = json.loads(json.dumps(record.document))

    def record_detection(self, name: str, within: Session | None = None) -> None:
        """Note that a source was seen again, of which there is nothing new to tell."""
        with self._writing(within) as session:
            row = session.scalar(select(AlertRow).where(AlertRow.name == name))
            if row is not None:
                row.last_at, row.detections = self._clock.now(), row.detections + 1

    def record_report(
        self, name: str, service: str, said: Mapping[str, str], within: Session | None = None
    ) -> None:
        """Note what became of a report to a service."""
        with self._writing(within) as session:
            row = session.scalar(select(AlertRow).where(AlertRow.name == name))
            if row is not None:
                row.reports = {**row.reports, service: dict(said)}

    def judge_candidate(
        self, candidate_id: int, seen: Candidate, within: Session | None = None
    ) -> None:
        """Note the class and the standing that the circles of now give a candidate."""
        with self._writing(within) as session:
            row = session.get(CandidateRow, candidate_id)
            if row is not None:
                row.colour, row.standing = int(seen.colour), seen.standing.value
                row.reasons = list(seen.reasons)
                row.score = seen.score if math.isfinite(seen.score) else None

    def alert(self, name: str, within: Session | None = None) -> AlertRecord | None:
        """Return one alert by its name."""
        with self._reading(within) as session:
            row = session.scalar(select(AlertRow).where(AlertRow.name == name))
            return None if row is None else _record(row)

    def alerts(
        self,
        night: str | None = None,
        programme: str | None = None,
        limit: int = 200,
        within: Session | None = None,
    ) -> list[AlertRecord]:
        """Return what was told, the newest first."""
        query = select(AlertRow).order_by(AlertRow.last_at.desc(), AlertRow.id.desc())
        if night is not None:
            query = query.where(AlertRow.night == night)
        if programme is not None:
            query = query.where(AlertRow.programme == programme)
        with self._reading(within) as session:
            return [_record(row) for row in session.scalars(query.limit(limit))]

    def told_since(self, when: datetime, within: Session | None = None) -> int:
        """Return of how many sources people were told at once since then."""
        query = select(func.count()).select_from(AlertRow)
        query = query.where(AlertRow.told_at >= when, AlertRow.told_as != Urgency.DIGEST)
        with self._reading(within) as session:
            return session.scalar(query) or 0


def _nearest(session: Session, ra_deg: float, dec_deg: float) -> AlertRow | None:
    reach = SAME_PLACE_ARCSEC / 3600
    band = select(AlertRow).where(AlertRow.dec_deg.between(dec_deg - reach, dec_deg + reach))
    near = [(_apart_deg(row, ra_deg, dec_deg), row.id, row) for row in session.scalars(band)]
    inside = [each for each in near if each[0] <= reach]
    return min(inside, key=lambda each: each[:2])[2] if inside else None


def _apart_deg(row: AlertRow, ra_deg: float, dec_deg: float) -> float:
    """Return a small angle; in haversines it is exact however small."""
    dec1, dec2 = math.radians(row.dec_deg), math.radians(dec_deg)
    half_ra, half_dec = math.radians(row.ra_deg - ra_deg) / 2, (dec1 - dec2) / 2
    h = math.sin(half_dec) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin(half_ra) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(h))))


def _record(row: AlertRow) -> AlertRecord:
    return AlertRecord(
        name=row.name,
        ra_deg=row.ra_deg,
        dec_deg=row.dec_deg,
        urgency=Urgency(row.urgency),
        told_as=Urgency(row.told_as),
        headline=row.headline,
        night=row.night,
        programme=row.programme,
        first_at=row.first_at,
        last_at=row.last_at,
        told_at=row.told_at,
        detections=row.detections,
        score=row.score,
        document=dict(row.document),
        reports=dict(row.reports),
    )
