"""What the report of a night asks of the other nights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import Decision, ProductState
from daemon.memory.tables import ProductRow, RevisionRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: What is the same in every frame of a habit: a value never seen before is worth a line.
_SETUP = ("grism", "slit", "filter", "readout")


class ReportArchive(ArchiveWing):
    """Queries over many nights."""

    def nights_touched(self, within: Session | None = None) -> dict[str, bool]:
        """Return for every night with products whether a person had to redo or reject one."""
        query = (
            select(ProductRow.night, ProductRow.verdict, ProductRow.redo["user"].as_string())
            .where(ProductRow.state != ProductState.SUPERSEDED)
            .distinct()
        )
        found: dict[str, bool] = {}
        with self._reading(within) as session:
            for night, verdict, user in session.execute(query):
                touched = verdict == Decision.REJECTED or bool(user)
                found[night] = found.get(night, False) or touched
        return found

    def last_seen(self, before: str, within: Session | None = None) -> dict[tuple[str, str], str]:
        """Return every (key, value) that headers showed before a night, and in which night last.

        The keys are 'kind', 'grism', 'slit', 'filter', 'readout' and 'lamps'.
        """
        setup = RevisionRow.identity["setup"]
        columns: list[Any] = [
            RevisionRow.kind,
            *(setup[name].as_string() for name in _SETUP),
            RevisionRow.identity["lamps"].as_string(),
        ]
        query = select(*columns, func.max(RevisionRow.night)).where(
            RevisionRow.current.is_(True), RevisionRow.night < before
        )
        found: dict[tuple[str, str], str] = {}
        with self._reading(within) as session:
            for *values, night in session.execute(query.group_by(*columns)):
                for key, value in zip(("kind", *_SETUP, "lamps"), values, strict=True):
                    said = _lamps(value) if key == "lamps" else str(value or "")
                    found[key, said] = max(night, found.get((key, said), ""))
        return found


def _lamps(text: str | None) -> str:
    """Return the lamps as a person writes them: '["He", "Ne"]' is 'He Ne'."""
    return " ".join(str(text or "").translate(str.maketrans('[]",', "    ")).split())
