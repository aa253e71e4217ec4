"""What came of the canaries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.canary_tables import CanaryRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRecord:
    """One canary.

    Attributes
    ----------
    asked_at
        When it should have begun; what it waited for a worker counts.
    took_s
        On its way; 0 for one that never began.
    wavelength_px, flux_ratio
        As `daemon.canary.figures.Figures`; None where there was nothing to measure.
    problems
        Sentences; empty when it came through.
    """

    asked_at: datetime
    ended_at: datetime
    took_s: float
    wavelength_px: float | None = None
    flux_ratio: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def latency_s(self) -> float:
        """From being asked for to its end."""
        return (self.ended_at - self.asked_at).total_seconds()

    @property
    def is_well(self) -> bool:
        """Whether it came through as it should."""
        return not self.problems


class CanaryArchive(ArchiveWing):
    """Queries on canaries."""

    def record_canary(self, record: CanaryRecord, within: Session | None = None) -> None:
        """Add one."""
        with self._writing(within) as session:
            session.add(
                CanaryRow(
                    asked_at=record.asked_at,
                    ended_at=record.ended_at,
                    took_s=record.took_s,
                    wavelength_px=record.wavelength_px,
                    flux_ratio=record.flux_ratio,
                    problems=list(record.problems),
                )
            )

    def last_canary(self, within: Session | None = None) -> CanaryRecord | None:
        """Return the one that ended last; None before the first."""
        found = self.last_canaries(1, within)
        return found[0] if found else None

    def last_canaries(self, limit: int, within: Session | None = None) -> list[CanaryRecord]:
        """Return those that ended last, the newest first."""
        query = select(CanaryRow).order_by(CanaryRow.ended_at.desc(), CanaryRow.id.desc())
        with self._reading(within) as session:
            return [_record(row) for row in session.scalars(query.limit(limit))]


def _record(row: CanaryRow) -> CanaryRecord:
    return CanaryRecord(
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        took_s=row.took_s,
        wavelength_px=row.wavelength_px,
        flux_ratio=row.flux_ratio,
        problems=tuple(row.problems),
    )
