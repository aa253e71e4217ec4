"""From what a person typed to the archive and to one frame or master in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.cli.find_frame import find, which
from daemon.cli.options import configuration
from daemon.config import ConfigError
from daemon.work.asked import Unusable, master_named

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord

__all__ = ["Unusable", "existing_database", "master_named", "one_frame"]


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
