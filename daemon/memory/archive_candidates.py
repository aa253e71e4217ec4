"""Candidates, and what was found at a place before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import delete, or_, select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.candidate_records import CandidateRecord
from daemon.memory.candidate_tables import CandidateRow
from daemon.memory.records import ProductState
from daemon.memory.tables import ProductRow
from reducers.quality import Flag
from reducers.transients.angle import angle_arcsec
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.localisation import Colour

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from daemon.memory.records import ProductRecord

#: Detections nearer than this are one source.
SAME_ARCSEC = 2.0
#: Strips of declination by which places are looked up.
_ZONES_PER_DEG = 60
_SHAPE = ("a_px", "b_px", "theta_deg", "flux_auto", "flux_auto_error")
_FLAG = ("name", "bit", "quality", "value", "threshold", "sentence", "advice", "cause")


class CandidateArchive(ArchiveWing):
    """Queries on candidates. They are current while their product is."""

    def record_candidates(
        self,
        product: ProductRecord,
        candidates: Sequence[Candidate],
        *,
        method: str = "catalogue",
        observed_at: datetime | None = None,
        within: Session | None = None,
    ) -> None:
        """Record the candidates of a product in place of those it had by this method.

        Each takes the source id of whatever was found within two arcsec before, on any night.

        Parameters
        ----------
        product
            Recorded before, in the same transaction or an earlier one.
        observed_at
            Middle of the exposure.
        """
        with self._writing(within) as session:
            row = session.scalar(
                select(ProductRow).where(
                    ProductRow.key == product.key, ProductRow.generation == product.generation
                )
            )
            if row is None:
                return
            session.execute(
                delete(CandidateRow).where(
                    CandidateRow.product_id == row.id, CandidateRow.method == method
                )
            )
            for candidate in candidates:
                if math.isfinite(candidate.ra_deg) and math.isfinite(candidate.dec_deg):
                    _add(session, row, candidate, observed_at, self.clock.now())

    def candidates(
        self,
        night: str | None = None,
        *,
        standings: Sequence[Standing] = (),
        within: Session | None = None,
    ) -> list[CandidateRecord]:
        """Return the current candidates, or those of a night or of some standings, best first."""
        query = _current()
        if night is not None:
            query = query.where(CandidateRow.night == night)
        if standings:
            query = query.where(CandidateRow.standing.in_([each.value for each in standings]))
        ordered = query.order_by(CandidateRow.score.desc(), CandidateRow.id)
        return self._candidates(ordered, within)

    def candidates_of(self, frame_id: int, within: Session | None = None) -> list[CandidateRecord]:
        """Return the current candidates of an exposure, best first."""
        query = _current().where(CandidateRow.frame_id == frame_id)
        return self._candidates(query.order_by(CandidateRow.score.desc()), within)

    def detections(self, source_id: int, within: Session | None = None) -> list[CandidateRecord]:
        """Return every current detection of a source, oldest first."""
        query = _current().where(CandidateRow.source_id == source_id)
        return self._candidates(query.order_by(CandidateRow.observed_at), within)

    def candidates_near(
        self,
        ra_deg: float,
        dec_deg: float,
        radius_arcsec: float,
        *,
        within: Session | None = None,
    ) -> list[CandidateRecord]:
        """Return the current candidates within a radius of a place, the nearest first."""
        query = _near(_current(), ra_deg, dec_deg, radius_arcsec)
        found = self._candidates(query, within)
        away = [
            angle_arcsec(ra_deg, dec_deg, one.candidate.ra_deg, one.candidate.dec_deg)
            for one in found
        ]
        order = sorted(range(len(found)), key=lambda index: away[index])
        return [found[index] for index in order if away[index] <= radius_arcsec]

    def _candidates(self, query: Select[Any], within: Session | None) -> list[CandidateRecord]:
        with self._reading(within) as session:
            return [_record(row, product) for row, product in session.execute(query)]


def _current() -> Select[Any]:
    joined = select(CandidateRow, ProductRow).join(
        ProductRow, CandidateRow.product_id == ProductRow.id
    )
    return cast("Select[Any]", joined.where(ProductRow.state != ProductState.SUPERSEDED))


def _near(query: Select[Any], ra_deg: float, dec_deg: float, radius_arcsec: float) -> Select[Any]:
    """Narrow a query to a box around a place, across 0 h and at the poles too."""
    radius = radius_arcsec / 3600
    zones = (_zone(dec_deg - radius), _zone(dec_deg + radius))
    query = query.where(CandidateRow.zone.between(*zones))
    highest = min(abs(dec_deg) + radius, 90.0)
    half = radius / max(math.cos(math.radians(highest)), 1e-9)
    if half >= 180:
        return query
    low, high = (ra_deg - half) % 360, (ra_deg + half) % 360
    if low <= high:
        return query.where(CandidateRow.ra_deg.between(low, high))
    return query.where(or_(CandidateRow.ra_deg >= low, CandidateRow.ra_deg <= high))


def _zone(dec_deg: float) -> int:
    return math.floor((dec_deg + 90) * _ZONES_PER_DEG)


def _add(
    session: Session,
    product: ProductRow,
    candidate: Candidate,
    observed_at: datetime | None,
    now: datetime,
) -> None:
    row = CandidateRow(product_id=product.id, frame_id=product.frame_id, night=product.night)
    row.method, row.number = candidate.method, candidate.number
    row.ra_deg, row.dec_deg = candidate.ra_deg % 360, candidate.dec_deg
    row.zone = _zone(candidate.dec_deg)
    row.x_px, row.y_px, row.band = candidate.x_px, candidate.y_px, candidate.band
    row.position_error_arcsec = _finite(candidate.position_error_arcsec)
    row.magnitude, row.magnitude_error = (
        _finite(candidate.magnitude),
        _finite(candidate.magnitude_error),
    )
    row.snr, row.score = _finite(candidate.snr), _finite(candidate.score)
    row.colour, row.standing = int(candidate.colour), candidate.standing.value
    row.name, row.reasons = candidate.name, list(candidate.reasons)
    row.shape = {name: _finite(getattr(candidate, name)) for name in _SHAPE}
    row.vetoes = [
        {name: _finite(getattr(flag, name)) for name in _FLAG} for flag in candidate.vetoes
    ]
    row.measurements = {name: _finite(value) for name, value in candidate.measurements.items()}
    row.observed_at, row.created_at = observed_at, now
    row.source_id = _source_at(session, candidate)
    session.add(row)
    session.flush()
    if not row.source_id:
        row.source_id = row.id


def _source_at(session: Session, candidate: Candidate) -> int:
    """Return the source that was found at a place before, by any product; 0 where none was."""
    query = _near(select(CandidateRow), candidate.ra_deg % 360, candidate.dec_deg, SAME_ARCSEC)
    best, source = SAME_ARCSEC, 0
    for row in session.scalars(query):
        away = angle_arcsec(row.ra_deg, row.dec_deg, candidate.ra_deg, candidate.dec_deg)
        if away <= best:
            best, source = away, row.source_id
    return source


def _finite(value: Any) -> Any:
    """Return a value as JSON and SQL hold it: numbers that are not finite are missing."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _record(row: CandidateRow, product: ProductRow) -> CandidateRecord:
    candidate = Candidate(
        number=row.number,
        x_px=row.x_px,
        y_px=row.y_px,
        ra_deg=row.ra_deg,
        dec_deg=row.dec_deg,
        position_error_arcsec=_number(row.position_error_arcsec),
        magnitude=_number(row.magnitude),
        magnitude_error=_number(row.magnitude_error),
        band=row.band,
        snr=_number(row.snr),
        colour=Colour(row.colour),
        standing=Standing(row.standing),
        vetoes=tuple(_flag(each) for each in row.vetoes),
        score=_number(row.score),
        name=row.name,
        method=row.method,
        reasons=tuple(row.reasons),
        measurements={name: _number(value) for name, value in row.measurements.items()},
        **{name: _number(row.shape.get(name)) for name in _SHAPE},
    )
    return CandidateRecord(
        id=row.id,
        source_id=row.source_id,
        frame_id=row.frame_id,
        stem=product.stem,
        night=row.night,
        target=product.target,
        candidate=candidate,
        observed_at=row.observed_at,
        created_at=row.created_at,
        current=product.state != ProductState.SUPERSEDED,
    )


def _flag(kept: dict[str, Any]) -> Flag:
    numbers = {name: _number(kept[name]) for name in ("value", "threshold")}
    return Flag(**{**kept, **numbers})
