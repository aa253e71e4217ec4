"""From what a person typed to the archive and to one frame or master in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.cli.find_frame import find, which
from daemon.cli.options import configuration
from daemon.config import ConfigError

if TYPE_CHECKING:
    import argparse

    from calibration_store.records import MasterRecord
    from calibration_store.store import CalibrationStore
    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord

_SHORTEST_KEY = 6


class Unusable(Exception):
    """What was asked for cannot be done; the message says why and what can."""


def existing_database(args: argparse.Namespace) -> Config:
    """Return the configuration of a daemon that has a database.

    Raises
    ------
    ConfigError
        If there is none.
    """
    config = configuration(args)
    if not config.database.is_file():
        raise ConfigError(
            f"no database at {config.database}: give --config or --root of the daemon"
        )
    return config


def one_frame(archive: Archive, name: str, night: str | None = None) -> FrameRecord:
    """Return the one frame that is meant.

    Raises
    ------
    Unusable
        If it is none, or several.
    """
    found = find(archive, name, night)
    if len(found) != 1:
        raise Unusable(which(archive, name, found))
    return found[0]


def master_named(store: CalibrationStore, name: str, role: str = "") -> MasterRecord | None:
    """Return the newest master of this file name or key, or of the beginning of its key."""
    stem = name.rsplit("/", 1)[-1].removesuffix(".fits")
    found = [item for item in store.everything() if item.path.stem == stem or item.key == name]
    if not found and len(name) >= _SHORTEST_KEY:
        found = [item for item in store.everything() if item.key.startswith(name)]
        found = found if len(found) == 1 else []
    return max(found, key=lambda item: (item.role == role, item.version), default=None)
