"""`alfoscd canary`: send a synthetic set with a known answer the whole way, now."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "canary",
        help="try the whole way with a set whose answer is known",
        description="Simulate a small set, reduce it with the daemon's own intake, workers and "
        "courier in <root>/canary, and compare with the truth. Exit code 0: it came through, "
        "1: it did not.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Send one canary; return 1 when something is not as it should be."""
    config = configuration(args)
    from daemon.canary.flight import fly
    from daemon.canary.news import note
    from daemon.canary.task import record_of
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_database
    from daemon.work.supervisor import AlreadyRunning

    began = datetime.now(UTC)
    try:
        flight = fly(config)
    except AlreadyRunning:
        print("alfoscd: another canary is on its way; see `alfoscd status`", file=sys.stderr)
        return 2
    record = record_of(flight, began, datetime.now(UTC))
    if config.database.is_file():
        engine = open_database(config.database)
        note(Archive(engine, SystemClock()), record)
        engine.dispose()
    found = flight.figures
    print(f"wavelengths off by {found.wavelength_px:.3f} pixels rms (allowed 0.2)")
    print(f"flux {found.flux_ratio:.3f} of the truth (allowed 0.97 to 1.03)")
    print(f"the canary {'came through' if record.is_well else 'FAILED'} in {flight.took_s:.0f} s")
    for problem in flight.problems:
        print(f"  - {problem}")
    if flight.problems:
        print(f"its files are in {config.root / 'canary'}")
    return 0 if record.is_well else 1
