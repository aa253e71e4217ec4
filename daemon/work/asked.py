"""From what a person asked for, on a terminal or in Slack, to one master, or a sentence why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration_store.records import MasterRecord
    from calibration_store.store import CalibrationStore

_SHORTEST_KEY = 6


class Unusable(Exception):
    """What was asked for cannot be done; the message says why and what can."""


def master_named(store: CalibrationStore, name: str, role: str = "") -> MasterRecord | None:
    """Return the newest master of this file name or key, or of the beginning of its key."""
    stem = name.rsplit("/", 1)[-1].removesuffix(".fits")
    found = [item for item in store.everything() if item.path.stem == stem or item.key == name]
    if not found and len(name) >= _SHORTEST_KEY:
        found = [item for item in store.everything() if item.key.startswith(name)]
        found = found if len(found) == 1 else []
    return max(found, key=lambda item: (item.role == role, item.version), default=None)
