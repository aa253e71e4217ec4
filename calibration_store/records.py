"""What the calibration store hands out: frozen records, never database rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from reducers.identity import Setup


class MasterState(StrEnum):
    """Whether a master may be used."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    BANNED = "banned"


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterRecord:
    """One version of one master calibration.

    Attributes
    ----------
    key
        Product key: content of the inputs, recipe version, parents and settings.
    role
        'BIAS', 'FLAT', 'ARC', 'RESPONSE', 'DARK', 'SKY_FLAT', 'FRINGE', ...
    set_key
        What the members of its set share; with role, instrument and night it names the set.
    observed_at
        Middle of its inputs.
    version
        1, 2, ... within its set; 0 lets the store count.
    inputs
        (SHA-256, stem) of every raw frame in it.
    parents
        (role, key) of every master that was applied to its inputs.
    reason
        Why it is rejected or banned; '' otherwise.
    aperture_y_px
        Slit position of an arc; None where it does not matter.
    sha256
        Of the file.
    """

    key: str
    instrument: str
    role: str
    setup: Setup
    set_key: str
    night: str
    observed_at: datetime
    built_at: datetime
    path: Path
    state: MasterState = MasterState.CURRENT
    version: int = 0
    inputs: tuple[tuple[str, str], ...] = ()
    parents: tuple[tuple[str, str], ...] = ()
    measurements: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    aperture_y_px: float | None = None
    sha256: str = ""
