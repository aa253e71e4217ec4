"""Options that several commands share, and how they become a configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.config import load_config
from daemon.publish.words import no_paint, terminal_paint

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config
    from daemon.publish.words import Paint

#: Looked for in this order when no --config is given.
USUAL_PLACES = (Path("alfoscd.toml"), Path("/etc/alfoscd/alfoscd.toml"))


def add_config(parser: argparse.ArgumentParser, *, root: bool = True) -> None:
    """Add --config, and --root where products are written or read."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="F",
        help="configuration file (default: $ALFOSCD_CONFIG, ./alfoscd.toml, /etc/alfoscd/)",
    )
    if root:
        parser.add_argument(
            "--root",
            type=Path,
            metavar="R",
            help="where products and database are (default: [paths] root)",
        )


def nights_of(text: str) -> tuple[str, ...]:
    """Return 'A,B' as nights."""
    return tuple(night for night in text.replace(" ", "").split(",") if night)


def config_file(args: argparse.Namespace) -> Path | None:
    """Return the configuration file to read; None when there is none."""
    if args.config is not None:
        return Path(args.config)
    named = os.environ.get("ALFOSCD_CONFIG")
    if named:
        return Path(named)
    return next((place for place in USUAL_PLACES if place.is_file()), None)


def configuration(args: argparse.Namespace, raw: Path | None = None) -> Config:
    """Return the configuration file with what the command line changes."""
    overrides = {
        "paths.root": getattr(args, "root", None),
        "paths.raw": None if raw is None else [raw],
    }
    return load_config(config_file(args), overrides=overrides)


def paint() -> Paint:
    """Return colours on a terminal, nothing elsewhere."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return no_paint if plain else terminal_paint
