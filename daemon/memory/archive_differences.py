"""Difference images and light curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from calibration_store.columns import decode_name, encode_name
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.difference_tables import DifferenceRow, LightRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRecord:
    """The difference of one image.

    Attributes
    ----------
    product_key
        Of the image product it was made of.
    template, method
        What was taken off and how; '' where nothing could be.
    why
        Why this template, or why none.
    rejected
        Name and reason of every template that was not taken.
    """

    frame_id: int
    product_key: str
    night: str
    template: str = ""
    method: str = ""
    why: str = ""
    rejected: tuple[tuple[str, str], ...] = ()
    paths: Mapping[str, Path] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[str, float] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LightRecord:
    """One point of a light curve; NaN where nothing was measured, and `why`.

    Attributes
    ----------
    method
        'image' or 'difference'.
    flux, flux_error
        Total electrons of the exposure.
    zero_point_mag
        Of one electron per second.
    """

    target: str
    frame_id: int
    method: str
    product_key: str
    stem: str
    band: str
    observed_at: datetime | None
    exposure_s: float
    ra_deg: float
    dec_deg: float
    flux: float = math.nan
    flux_error: float = math.nan
    zero_point_mag: float = math.nan
    zero_point_error_mag: float = math.nan
    why: str = ""


class DifferenceArchive(ArchiveWing):
    """Queries on differences and light curves."""

    def record_difference(self, record: DifferenceRecord, within: Session | None = None) -> None:
        """Record the difference of an exposure in place of its earlier one."""
        with self._writing(within) as session:
            session.execute(delete(DifferenceRow).where(DifferenceRow.frame_id == record.frame_id))
            session.add(
                DifferenceRow(
                    frame_id=record.frame_id,
                    product_key=record.product_key,
                    night=record.night,
                    template=record.template,
                    method=record.method,
                    why=record.why,
                    rejected=[[encode_name(name), why] for name, why in record.rejected],
                    paths={role: encode_name(str(path)) for role, path in record.paths.items()},
                    hashes=dict(record.hashes),
                    measurements={k: _storable(v) for k, v in record.measurements.items()},
                    created_at=self.clock.now(),
                )
            )

    def difference(self, frame_id: int, within: Session | None = None) -> DifferenceRecord | None:
        """Return the difference of an exposure."""
        query = select(DifferenceRow).where(DifferenceRow.frame_id == frame_id)
        with self._reading(within) as session:
            row = session.scalar(query)
            return None if row is None else _difference(row)

    def record_light(self, record: LightRecord, within: Session | None = None) -> None:
        """Record a point of a light curve in place of the one that this exposure gave before."""
        with self._writing(within) as session:
            session.execute(
                delete(LightRow).where(
                    LightRow.target == record.target,
                    LightRow.frame_id == record.frame_id,
                    LightRow.method == record.method,
                )
            )
            session.add(
                LightRow(
                    **{name: getattr(record, name) for name in _LIGHT},
                    **{name: _storable(getattr(record, name)) for name in _NUMBERS},
                )
            )

    def light_curve(self, target: str, within: Session | None = None) -> list[LightRecord]:
        """Return every point of a target, oldest first."""
        query = select(LightRow).where(LightRow.target == target)
        with self._reading(within) as session:
            rows = session.scalars(query.order_by(LightRow.observed_at, LightRow.method))
            return [_light(row) for row in rows]

    def watched(self, within: Session | None = None) -> list[str]:
        """Return the names of the targets that have a light curve."""
        query = select(LightRow.target).distinct().order_by(LightRow.target)
        with self._reading(within) as session:
            return list(session.scalars(query))


_LIGHT = (
    "target", "frame_id", "method", "product_key", "stem", "band", "observed_at", "exposure_s",
    "ra_deg", "dec_deg", "why",
)  # fmt: skip
_NUMBERS = ("flux", "flux_error", "zero_point_mag", "zero_point_error_mag")


def _storable(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _light(row: LightRow) -> LightRecord:
    told: dict[str, Any] = {name: getattr(row, name) for name in _LIGHT}
    told |= {name: _number(getattr(row, name)) for name in _NUMBERS}
    return LightRecord(**told)


def _difference(row: DifferenceRow) -> DifferenceRecord:
    return DifferenceRecord(
        frame_id=row.frame_id,
        product_key=row.product_key,
        night=row.night,
        template=row.template,
        method=row.method,
        why=row.why,
        rejected=tuple((decode_name(name), why) for name, why in row.rejected),
        paths={role: Path(decode_name(path)) for role, path in row.paths.items()},
        hashes=dict(row.hashes),
        measurements={name: _number(value) for name, value in row.measurements.items()},
        created_at=row.created_at,
    )
