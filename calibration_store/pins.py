"""Masters that a person wants used, whatever the rules would choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from calibration_store.tables import PinRow
from calibration_store.transactions import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A wish: frames of `night` that the master can serve are to be reduced with it."""

    master_key: str
    night: str
    role: str
    user: str
    reason: str
    pinned_at: datetime


class Pins:
    """Remembers the wishes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, pin: Pin, within: Session | None = None) -> None:
        """Note a wish; the same one again replaces who asked and why."""
        with writing(self._engine, within) as session:
            session.merge(
                PinRow(
                    master_key=pin.master_key,
                    night=pin.night,
                    role=pin.role,
                    user=pin.user,
                    reason=pin.reason,
                    pinned_at=pin.pinned_at,
                )
            )

    def remove(self, master_key: str, within: Session | None = None) -> list[str]:
        """Forget every wish for a master; return the nights it was wanted in."""
        with writing(self._engine, within) as session:
            own = PinRow.master_key == master_key
            nights = list(session.scalars(select(PinRow.night).where(own)))
            session.execute(delete(PinRow).where(own))
            return nights

    def of(self, role: str, night: str, within: Session | None = None) -> list[Pin]:
        """Return the wishes for a role in a night, the latest first."""
        query = select(PinRow).where(PinRow.role == role, PinRow.night == night)
        return self._pins(query.order_by(PinRow.pinned_at.desc(), PinRow.master_key), within)

    def every(self, within: Session | None = None) -> list[Pin]:
        """Return every wish, by night."""
        return self._pins(select(PinRow).order_by(PinRow.night, PinRow.master_key), within)

    def _pins(self, query: Select[PinRow], within: Session | None) -> list[Pin]:
        with reading(self._engine, within) as session:
            return [
                Pin(
                    master_key=row.master_key,
                    night=row.night,
                    role=row.role,
                    user=row.user,
                    reason=row.reason,
                    pinned_at=row.pinned_at,
                )
                for row in session.scalars(query)
            ]
