"""What people say that frames are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from calibration_store.codec import to_json
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import KindChange
from daemon.memory.tables import KindChangeRow, RevisionRow, RevisionSetRow

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from reducers.identity import Identity


class KindArchive(ArchiveWing):
    """Queries on kinds that a person has set."""

    def change_kind(
        self,
        change: KindChange,
        identity: Identity,
        set_keys: Collection[str],
        within: Session | None = None,
    ) -> bool:
        """Let a content be another kind of frame; False when the content is unknown."""
        with self._writing(within) as session:
            row = session.scalar(select(RevisionRow).where(RevisionRow.sha256 == change.sha256))
            if row is None:
                return False
            row.kind, row.identity = identity.kind.value, to_json(identity)
            row.sets = [RevisionSetRow(set_key=key) for key in sorted(set(set_keys))]
            session.add(
                KindChangeRow(
                    sha256=change.sha256,
                    kind_before=change.kind_before,
                    kind=change.kind,
                    user=change.user,
                    reason=change.reason,
                    changed_at=change.changed_at,
                )
            )
            session.flush()
            return True

    def kind_changes(self, sha256: str, within: Session | None = None) -> list[KindChange]:
        """Return what people have said of one content, oldest first."""
        query = select(KindChangeRow).where(KindChangeRow.sha256 == sha256)
        with self._reading(within) as session:
            return [
                KindChange(
                    sha256=row.sha256,
                    kind_before=row.kind_before,
                    kind=row.kind,
                    user=row.user,
                    reason=row.reason,
                    changed_at=row.changed_at,
                )
                for row in session.scalars(query.order_by(KindChangeRow.id))
            ]
