"""`alfoscd debt`: which calibrations the set-ups of a night have, and what to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.options import add_config

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "debt",
        help="show which calibrations are owed, and what to take",
        description="Every set-up in use against the calibrations it needs: have, have old, slit "
        "moved, refused or missing, and what to take when.",
    )
    parser.add_argument("--night", metavar="N", help="observing night (default: the latest)")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the board; return 0 when nothing is owed, 1 when something is."""
    config = existing_database(args)
    from daemon.account.debt import hints_of
    from daemon.memory.database import open_read_only
    from daemon.publish.debt_text import board_lines, hint_lines, owed_lines
    from daemon.work.bench import open_bench
    from daemon.work.debts import debts_of_night

    bench = open_bench(config, engine=open_read_only(config.database))
    night = args.night or bench.archive.latest_night()
    debts = debts_of_night(bench, night) if night else []
    owed = owed_lines(debts)
    hints = hints_of(bench.archive.products(night), snr_goal=config.hints.snr_goal)
    lines = [f"night {night or 'unknown'}", *board_lines(debts, 110), *owed, *hint_lines(hints)]
    print("\n".join(lines if debts else [*lines, "no set-up is in use"]))
    return 1 if owed else 0
