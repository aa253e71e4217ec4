"""What the report of a night asks of the other nights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import ProductState
from daemon.memory.tables import MeasurementRow, ProductRow, RevisionRow

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

#: What is the same in every frame of a habit: a value never seen before is worth a line.
_SETUP = ("grism", "slit", "filter", "readout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One number of one current product."""

    night: str
    kind: str
    grism: str
    filter: str
    name: str
    value: float


class ReportArchive(ArchiveWing):
    """Queries over many nights."""

    def measured(
        self, names: Collection[str], first: str, last: str, within: Session | None = None
    ) -> list[Measured]:
        """Return these measurements of the current products of some nights, in order of night."""
        setup = RevisionRow.identity["setup"]
        query = (
            select(
                ProductRow.night,
                RevisionRow.kind,
                setup["grism"].as_string(),
                setup["filter"].as_string(),
                MeasurementRow.name,
                MeasurementRow.value,
            )
            .join(ProductRow, MeasurementRow.product_id == ProductRow.id)
            .join(RevisionRow, RevisionRow.sha256 == ProductRow.frame_sha256)
            .where(
                MeasurementRow.name.in_(names),
                MeasurementRow.value.is_not(None),
                ProductRow.night.between(first, last),
                ProductRow.state != ProductState.SUPERSEDED,
            )
            .order_by(ProductRow.night, ProductRow.id)
        )
        with self._reading(within) as session:
            return [
                Measured(night=night, kind=kind, grism=grism, filter=band, name=name, value=value)
                for night, kind, grism, band, name, value in session.execute(query)
            ]

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
