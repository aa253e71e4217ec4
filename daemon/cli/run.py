"""`alfoscd run`: the daemon."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "run",
        help="watch a directory and reduce what arrives",
        description="Watch raw directories and reduce what arrives, until SIGTERM or Ctrl-C.",
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, metavar="DIR", help="watch this (default: [paths] raw)"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the daemon until it is told to leave."""
    config = configuration(args, args.directory)
    if not config.raw:
        return _refuse("nothing to watch: give a directory, or set [paths] raw")
    from daemon.work.supervisor import AlreadyRunning, Supervisor

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    # It tells of every look at the timetable, twice a minute.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    supervisor = Supervisor(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.leave())
    where = ", ".join(map(str, config.raw))
    try:
        supervisor.run(lambda: print(f"watching {where}; products in {config.root}", flush=True))
    except AlreadyRunning:
        return _refuse(f"a daemon already works on {config.database}; see `alfoscd status`")
    return 0


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
