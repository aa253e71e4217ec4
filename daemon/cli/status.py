"""`alfoscd status`: what is there, what is wrong and what to do; fast, and without the daemon."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration, paint
from daemon.publish.status_text import render
from daemon.status import read_status, to_json

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config
    from daemon.status_lines import Status

_EVERY_S = 2.0
_CLEAR = "\x1b[H\x1b[2J"


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "status",
        help="show what is there, what is wrong and what to do",
        description="Exit code 0: ok, 1: something wants attention, 2: the daemon is down.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--watch", action="store_true", help="repeat until Ctrl-C")
    parser.add_argument("--night", metavar="N", help="observing night (default: the latest)")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the status; return 0, 1 or 2."""
    config = configuration(args)
    found = _look(config, args.night)
    while args.watch:
        print((_CLEAR if paint()("", "dim") else "") + _text(found, as_json=args.json), flush=True)
        time.sleep(_EVERY_S)
        found = _look(config, args.night)
    print(_text(found, as_json=args.json), end="")
    return found.exit_code


def _look(config: Config, night: str | None) -> Status:
    return read_status(config.database, now=datetime.now(UTC), raw=config.raw, night=night)


def _text(status: Status, *, as_json: bool) -> str:
    if as_json:
        return to_json(status) + "\n"
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)
    return render(status, paint=paint(), width=width)
