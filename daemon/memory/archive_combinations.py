"""Combinations of spectra, and who takes part in them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from calibration_store.columns import decode_name, encode_name
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import CombinationRecord, MemberRecord, ProductState
from daemon.memory.tables import CombinationRow

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import Session


class CombinationArchive(ArchiveWing):
    """Queries on combinations."""

    def record_combination(self, record: CombinationRecord, within: Session | None = None) -> None:
        """Record the combination of a group in place of its earlier one."""
        with self._writing(within) as session:
            row = session.scalar(_of_group(record.group)) or CombinationRow(group_key=record.group)
            _fill(row, record)
            session.add(row)

    def withdraw_combination(self, group: str, within: Session | None = None) -> None:
        """Forget the combination of a group that has fewer than two members left."""
        with self._writing(within) as session:
            session.execute(delete(CombinationRow).where(CombinationRow.group_key == group))

    def combination(self, group: str, within: Session | None = None) -> CombinationRecord | None:
        """Return the combination of one group."""
        with self._reading(within) as session:
            row = session.scalar(_of_group(group))
            return None if row is None else _record(row)

    def combinations(
        self, night: str | None = None, within: Session | None = None
    ) -> list[CombinationRecord]:
        """Return every combination, or those of one night, by group."""
        query = select(CombinationRow).order_by(CombinationRow.group_key)
        if night is not None:
            query = query.where(CombinationRow.night == night)
        with self._reading(within) as session:
            return [_record(row) for row in session.scalars(query)]


def _of_group(group: str) -> Select[CombinationRow]:
    return select(CombinationRow).where(CombinationRow.group_key == group)


def _fill(row: CombinationRow, record: CombinationRecord) -> None:
    row.key, row.night, row.target = record.key, record.night, record.target
    row.setup, row.state, row.quality = record.setup, record.state.value, record.quality
    row.exposure_s, row.created_at = record.exposure_s, record.created_at
    row.members = [
        {
            "stem": encode_name(each.stem),
            "product_key": each.product_key,
            "factor": _storable(each.factor),
            "weight": _storable(each.weight),
            "remark": each.remark,
        }
        for each in record.members
    ]
    row.excluded = [[encode_name(stem), reason] for stem, reason in record.excluded]
    row.paths = {role: encode_name(str(path)) for role, path in record.paths.items()}
    row.hashes = dict(record.hashes)
    row.measurements = {name: _storable(value) for name, value in record.measurements.items()}


def _storable(value: float) -> float | None:
    """Return a number as JSON can hold it; NULL is NaN."""
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _record(row: CombinationRow) -> CombinationRecord:
    return CombinationRecord(
        group=row.group_key,
        key=row.key,
        night=row.night,
        target=row.target,
        setup=row.setup,
        state=ProductState(row.state),
        quality=row.quality,
        exposure_s=row.exposure_s,
        members=tuple(
            MemberRecord(
                stem=decode_name(each["stem"]),
                product_key=each["product_key"],
                factor=_number(each["factor"]),
                weight=_number(each["weight"]),
                remark=each["remark"],
            )
            for each in row.members
        ),
        excluded=tuple((decode_name(stem), reason) for stem, reason in row.excluded),
        paths={role: Path(decode_name(path)) for role, path in row.paths.items()},
        hashes=dict(row.hashes),
        measurements={name: _number(value) for name, value in row.measurements.items()},
        created_at=row.created_at,
    )
