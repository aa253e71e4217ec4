"""The calibration store: which masters exist, and in which state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from calibration_store.codec import from_json, to_json
from calibration_store.records import MasterRecord, MasterState
from calibration_store.tables import MasterInputRow, MasterParentRow, MasterRow
from calibration_store.transactions import reading, writing
from reducers.identity import Setup

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select
    from sqlalchemy.orm import Session


class CalibrationStore:
    """Remembers every version of every master.

    Every method joins the caller's transaction when `within` is given.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, record: MasterRecord, within: Session | None = None) -> MasterRecord:
        """Record a master and supersede the current version of the same set.

        A rejected master supersedes nothing; a key that is known is rewritten in place and keeps
        its version, and its ban.

        Returns
        -------
        MasterRecord
            As stored, with its version.
        """
        with writing(self._engine, within) as session:
            row = session.scalar(select(MasterRow).where(MasterRow.key == record.key))
            if row is None:
                version = record.version or _next_version(session, record)
                row = MasterRow(key=record.key, version=version)
            elif row.state == MasterState.BANNED:
                record = replace(record, state=MasterState.BANNED, reason=row.reason)
            if record.state is MasterState.CURRENT:
                _supersede(session, record)
            _fill(row, record)
            session.add(row)
            session.flush()
            return _record(row)

    def get(self, key: str, within: Session | None = None) -> MasterRecord | None:
        """Return the master with this key, in whatever state."""
        found = self._records(select(MasterRow).where(MasterRow.key == key), within)
        return found[0] if found else None

    def candidates(
        self, role: str, instrument: str, within: Session | None = None
    ) -> list[MasterRecord]:
        """Return every current master of a role, oldest first."""
        query = select(MasterRow).where(
            MasterRow.role == role,
            MasterRow.instrument == instrument,
            MasterRow.state == MasterState.CURRENT,
        )
        return self._records(query.order_by(MasterRow.observed_at, MasterRow.id), within)

    def history(
        self, role: str, instrument: str, within: Session | None = None
    ) -> list[MasterRecord]:
        """Return the current and the rejected masters of a role, oldest first."""
        query = select(MasterRow).where(
            MasterRow.role == role,
            MasterRow.instrument == instrument,
            MasterRow.state.in_((MasterState.CURRENT, MasterState.REJECTED)),
        )
        return self._records(query.order_by(MasterRow.observed_at, MasterRow.id), within)

    def versions(
        self, set_key: str, night: str, role: str | None = None, within: Session | None = None
    ) -> list[MasterRecord]:
        """Return every version of a set, oldest version first."""
        query = select(MasterRow).where(MasterRow.set_key == set_key, MasterRow.night == night)
        if role is not None:
            query = query.where(MasterRow.role == role)
        return self._records(query.order_by(MasterRow.version, MasterRow.id), within)

    def everything(self, within: Session | None = None) -> list[MasterRecord]:
        """Return every master, in whatever state, oldest first."""
        return self._records(select(MasterRow).order_by(MasterRow.id), within)

    def of_night(self, night: str, within: Session | None = None) -> list[MasterRecord]:
        """Return every master of a night, in whatever state."""
        query = select(MasterRow).where(MasterRow.night == night)
        return self._records(query.order_by(MasterRow.role, MasterRow.id), within)

    def dependents_of(self, key: str, within: Session | None = None) -> list[MasterRecord]:
        """Return the current masters that were built with this one."""
        children = select(MasterParentRow.master_id).where(MasterParentRow.key == key)
        return self._current_among(children, within)

    def built_from(self, sha256: str, within: Session | None = None) -> list[MasterRecord]:
        """Return the current masters that hold this raw frame."""
        holders = select(MasterInputRow.master_id).where(MasterInputRow.sha256 == sha256)
        return self._current_among(holders, within)

    def set_state(
        self, key: str, state: MasterState, reason: str, within: Session | None = None
    ) -> bool:
        """Change the state of a master; False when it is unknown."""
        with writing(self._engine, within) as session:
            row = session.scalar(select(MasterRow).where(MasterRow.key == key))
            if row is None:
                return False
            if state is MasterState.CURRENT:
                _supersede(session, _record(row))
            row.state, row.reason = state.value, reason
            return True

    def _current_among(self, ids: Select[int], within: Session | None) -> list[MasterRecord]:
        query = select(MasterRow).where(
            MasterRow.id.in_(ids), MasterRow.state == MasterState.CURRENT
        )
        return self._records(query.order_by(MasterRow.id), within)

    def _records(self, query: Select[MasterRow], within: Session | None) -> list[MasterRecord]:
        with reading(self._engine, within) as session:
            return [_record(row) for row in session.scalars(query)]


def _same_set(record: MasterRecord) -> tuple[Any, ...]:
    return (
        MasterRow.set_key == record.set_key,
        MasterRow.night == record.night,
        MasterRow.role == record.role,
        MasterRow.instrument == record.instrument,
    )


def _next_version(session: Session, record: MasterRecord) -> int:
    newest = session.scalar(select(func.max(MasterRow.version)).where(*_same_set(record)))
    return (newest or 0) + 1


def _supersede(session: Session, record: MasterRecord) -> None:
    session.execute(
        update(MasterRow)
        .where(
            *_same_set(record),
            MasterRow.key != record.key,
            MasterRow.state == MasterState.CURRENT,
        )
        .values(state=MasterState.SUPERSEDED)
    )


def _fill(row: MasterRow, record: MasterRecord) -> None:
    row.instrument, row.role, row.setup = record.instrument, record.role, to_json(record.setup)
    row.set_key, row.night = record.set_key, record.night
    row.state, row.reason = record.state.value, record.reason
    row.observed_at, row.built_at = record.observed_at, record.built_at
    row.path, row.sha256, row.aperture_y_px = record.path, record.sha256, record.aperture_y_px
    row.measurements = to_json(dict(record.measurements))
    row.inputs = [
        MasterInputRow(position=position, sha256=sha256, stem=stem)
        for position, (sha256, stem) in enumerate(record.inputs)
    ]
    row.parents = [
        MasterParentRow(position=position, role=role, key=key)
        for position, (role, key) in enumerate(record.parents)
    ]


def _record(row: MasterRow) -> MasterRecord:
    return MasterRecord(
        key=row.key,
        instrument=row.instrument,
        role=row.role,
        setup=from_json(Setup, row.setup),
        set_key=row.set_key,
        night=row.night,
        observed_at=row.observed_at,
        built_at=row.built_at,
        path=row.path,
        state=MasterState(row.state),
        version=row.version,
        inputs=tuple((each.sha256, each.stem) for each in row.inputs),
        parents=tuple((each.role, each.key) for each in row.parents),
        measurements={name: float(value) for name, value in row.measurements.items()},
        reason=row.reason,
        aperture_y_px=row.aperture_y_px,
        sha256=row.sha256,
    )
