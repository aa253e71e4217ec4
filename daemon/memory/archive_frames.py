"""Exposures and their revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from calibration_store.codec import from_json, to_json
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import FrameRecord
from daemon.memory.tables import FrameRow, RevisionRow, RevisionSetRow
from reducers.identity import FrameKind, Identity

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Select
    from sqlalchemy.orm import Session


class FrameArchive(ArchiveWing):
    """Queries on frames."""

    def record_frame(
        self,
        *,
        stem: str,
        sha256: str,
        path: Path,
        size: int,
        identity: Identity,
        night: str,
        arrived_at: datetime,
        set_keys: Collection[str],
        within: Session | None = None,
    ) -> tuple[FrameRecord, bool, bool]:
        """Record the content of a raw file as a revision of an exposure.

        Content that is known under any name is the same exposure. New content is a new revision
        of the exposure that was at this path, or has this stem in this night; else a new one.

        Parameters
        ----------
        set_keys
            The calibration sets it belongs to, for `set_members`; may be empty.

        Returns
        -------
        FrameRecord
            The revision with this content.
        bool
            Whether the exposure is new.
        bool
            Whether this content has just become the current revision of the exposure.
        """
        with self._writing(within) as session:
            known = session.scalar(select(RevisionRow).where(RevisionRow.sha256 == sha256))
            if known is not None:
                restored = _restore(session, known, path)
                return _frame_record(known), False, restored
            frame = _exposure(session, stem, night, path)
            new = frame is None
            frame = frame or FrameRow(stem=stem, night=night)
            row = RevisionRow(
                frame=frame,
                revision=1 + (0 if new else _retire(session, frame.id)),
                current=True,
                sha256=sha256,
                path=path,
                size=size,
                night=night,
                kind=identity.kind.value,
                instrument=identity.instrument,
                observed_at=identity.observed_at,
                identity=to_json(identity),
                ingested_at=self._clock.now(),
                arrived_at=arrived_at,
                sets=[RevisionSetRow(set_key=key) for key in sorted(set(set_keys))],
            )
            _move_to_night(session, frame, night)
            session.add(row)
            session.flush()
            return _frame_record(row), new, True

    def frame(self, frame_id: int, within: Session | None = None) -> FrameRecord | None:
        """Return the current revision of an exposure."""
        found = self._frames(_current().where(RevisionRow.frame_id == frame_id), within)
        return found[0] if found else None

    def frame_of_content(self, sha256: str, within: Session | None = None) -> FrameRecord | None:
        """Return the revision with this content, current or not."""
        found = self._frames(select(RevisionRow).where(RevisionRow.sha256 == sha256), within)
        return found[0] if found else None

    def find_frames(self, name_or_stem: str, within: Session | None = None) -> list[FrameRecord]:
        """Return the current frames that a person may mean by a stem, file name or path."""
        name = name_or_stem.rsplit("/", 1)[-1]
        stems = {name_or_stem, name}
        for suffix in (".gz", ".fits", ".fit", ".fts"):
            name = name.removesuffix(suffix)
            stems.add(name)
        # By the exposures alone: asked for `current` as well, SQLite would walk all that are.
        named = select(FrameRow.id).where(FrameRow.stem.in_(stems))
        query = select(RevisionRow).where(RevisionRow.frame_id.in_(named))
        found = self._frames(query.order_by(RevisionRow.night, RevisionRow.id), within)
        return [frame for frame in found if frame.current]

    def current_frames(
        self,
        kind: FrameKind | None = None,
        night: str | None = None,
        instrument: str | None = None,
        within: Session | None = None,
        *,
        taken: tuple[datetime, datetime] | None = None,
    ) -> list[FrameRecord]:
        """Return the current revisions in order of observation.

        Parameters
        ----------
        taken
            Between these times; those whose headers tell no time come with them.
        """
        query = _current()
        if kind is not None:
            query = query.where(RevisionRow.kind == kind)
        if night is not None:
            query = query.where(RevisionRow.night == night)
        if instrument is not None:
            query = query.where(RevisionRow.instrument == instrument)
        if taken is not None:
            at = RevisionRow.observed_at
            query = query.where(or_(at.between(*taken), at.is_(None)))
        return self._frames(query.order_by(RevisionRow.observed_at, RevisionRow.id), within)

    def frames_of_zone(
        self,
        kind: FrameKind,
        instrument: str,
        low_dec_deg: float,
        high_dec_deg: float,
        within: Session | None = None,
    ) -> list[FrameRecord]:
        """Return the current frames of every night that point between two declinations."""
        pointing = RevisionRow.identity["dec_deg"].as_float()
        query = _current().where(
            RevisionRow.kind == kind,
            RevisionRow.instrument == instrument,
            pointing.between(low_dec_deg, high_dec_deg),
        )
        return self._frames(query.order_by(RevisionRow.observed_at, RevisionRow.id), within)

    def set_members(
        self, kind: FrameKind, set_key: str, night: str, within: Session | None = None
    ) -> list[FrameRecord]:
        """Return the current members of a calibration set in order of observation."""
        member = select(RevisionSetRow.revision_id).where(RevisionSetRow.set_key == set_key)
        query = _current().where(
            RevisionRow.kind == kind, RevisionRow.night == night, RevisionRow.id.in_(member)
        )
        return self._frames(query.order_by(RevisionRow.observed_at, RevisionRow.id), within)

    def frame_before(self, frame: FrameRecord, within: Session | None = None) -> FrameRecord | None:
        """Return the exposure that its instrument took last before this one in its night."""
        if frame.identity.observed_at is None:
            return None
        query = _current().where(
            RevisionRow.instrument == frame.identity.instrument,
            RevisionRow.night == frame.night,
            RevisionRow.observed_at < frame.identity.observed_at,
        )
        found = self._frames(query.order_by(RevisionRow.observed_at.desc()).limit(1), within)
        return found[0] if found else None

    def other_revisions(
        self, frame: FrameRecord, within: Session | None = None
    ) -> list[FrameRecord]:
        """Return every other content of the same exposure."""
        query = select(RevisionRow).where(
            RevisionRow.frame_id == frame.id, RevisionRow.sha256 != frame.sha256
        )
        return self._frames(query.order_by(RevisionRow.revision), within)

    def move_frame(self, sha256: str, path: Path, within: Session | None = None) -> bool:
        """Note that this content is now read from another path; False when it is unknown."""
        with self._writing(within) as session:
            row = session.scalar(select(RevisionRow).where(RevisionRow.sha256 == sha256))
            if row is not None:
                row.path = path
            return row is not None

    def _frames(self, query: Select[RevisionRow], within: Session | None) -> list[FrameRecord]:
        with self._reading(within) as session:
            return [_frame_record(row) for row in session.scalars(query)]


def _current() -> Select[RevisionRow]:
    return select(RevisionRow).where(RevisionRow.current.is_(True))


def _exposure(session: Session, stem: str, night: str, path: Path) -> FrameRow | None:
    # Who is at this path counts for more than who has this name.
    here = session.scalar(_current().where(RevisionRow.path == path).limit(1))
    if here is not None:
        return here.frame
    return session.scalar(select(FrameRow).where(FrameRow.stem == stem, FrameRow.night == night))


def _retire(session: Session, frame_id: int) -> int:
    """Let no revision of an exposure be current; return the highest revision number."""
    for row in session.scalars(_current().where(RevisionRow.frame_id == frame_id)):
        row.current = False
    session.flush()
    query = select(func.max(RevisionRow.revision)).where(RevisionRow.frame_id == frame_id)
    return session.scalar(query) or 0


def _restore(session: Session, row: RevisionRow, path: Path) -> bool:
    """Make an old revision current again when its content came back in place of the newer."""
    if row.current:
        return False
    now = session.scalar(_current().where(RevisionRow.frame_id == row.frame_id))
    if now is not None and now.path != path:
        return False
    _retire(session, row.frame_id)
    row.current, row.path = True, path
    session.flush()
    return True


def _move_to_night(session: Session, frame: FrameRow, night: str) -> None:
    """Follow a header whose date was mended, unless the name is taken in that night."""
    if frame.night == night:
        return
    taken = select(FrameRow.id).where(FrameRow.stem == frame.stem, FrameRow.night == night)
    if session.scalar(taken) is None:
        frame.night = night


def _frame_record(row: RevisionRow) -> FrameRecord:
    return FrameRecord(
        id=row.frame_id,
        stem=row.frame.stem,
        revision=row.revision,
        sha256=row.sha256,
        path=row.path,
        night=row.night,
        identity=from_json(Identity, row.identity),
        ingested_at=row.ingested_at,
        arrived_at=row.arrived_at,
        current=row.current,
    )
