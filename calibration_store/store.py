"""The calibration store: which masters exist, and in which state."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from calibration_store.records import MasterRecord, MasterState


class CalibrationStore:
    """Remembers every version of every master.

    Every method joins the caller's transaction when `within` is given.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, record: MasterRecord, within: Session | None = None) -> MasterRecord:
        """Record a master and supersede the current version of the same set."""
        raise NotImplementedError

    def get(self, key: str, within: Session | None = None) -> MasterRecord | None:
        """Return the master with this key, in whatever state."""
        raise NotImplementedError

    def candidates(
        self, role: str, instrument: str, within: Session | None = None
    ) -> list[MasterRecord]:
        """Return every current master of a role, oldest first."""
        raise NotImplementedError

    def versions(
        self, set_key: str, night: str, role: str | None = None, within: Session | None = None
    ) -> list[MasterRecord]:
        """Return every version of a set, oldest version first."""
        raise NotImplementedError

    def of_night(self, night: str, within: Session | None = None) -> list[MasterRecord]:
        """Return every master of a night, in whatever state."""
        raise NotImplementedError

    def dependents_of(self, key: str, within: Session | None = None) -> list[MasterRecord]:
        """Return the current masters that were built with this one."""
        raise NotImplementedError

    def built_from(self, sha256: str, within: Session | None = None) -> list[MasterRecord]:
        """Return the current masters that hold this raw frame."""
        raise NotImplementedError

    def set_state(
        self, key: str, state: MasterState, reason: str, within: Session | None = None
    ) -> bool:
        """Change the state of a master; False when it is unknown."""
        raise NotImplementedError
