"""`alfoscd what-if`: which calibrations a frame would get, without reducing it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import Unusable, existing_database, one_frame
from daemon.cli.main import complain
from daemon.cli.options import add_config

if TYPE_CHECKING:
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "what-if",
        help="show which calibrations a frame would get; nothing is reduced",
        description="Choose the calibrations of a frame again under other conditions and print "
        "what would change. Nothing is reduced and nothing is recorded; to do it, see `alfoscd "
        "redo FRAME --exclude/--calibration` and `alfoscd cal`.",
    )
    parser.add_argument("frame", metavar="FRAME", help="stem, number, file name, target or time")
    parser.add_argument(
        "--ban", action="append", default=[], metavar="MASTER|FRAME",
        help="as if this master, or every one that holds this raw frame, were not there",
    )  # fmt: skip
    parser.add_argument(
        "--pin", action="append", default=[], metavar="ROLE=MASTER",
        help="as if this master had to be used",
    )  # fmt: skip
    parser.add_argument(
        "--at", type=time_utc, metavar="TIME",
        help="with the masters that stood at this time, UT, as 2026-11-20T03:00",
    )  # fmt: skip
    parser.add_argument("--night", metavar="N", help="which night, when the stem is ambiguous")
    add_config(parser)
    parser.set_defaults(run=run)


def time_utc(text: str) -> datetime:
    """Return a time as typed, UT where no zone is given.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is no time.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: write 2026-11-20T03:00") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def run(args: argparse.Namespace) -> int:
    """Print what would be chosen, and what would change; return 0, or 2 when it cannot be told."""
    config = existing_database(args)
    from daemon.memory.database import open_read_only
    from daemon.work.bench import open_bench

    bench = open_bench(config, engine=open_read_only(config.database))
    try:
        frame = one_frame(bench.archive, args.frame, args.night)
        print("\n".join(_lines(bench, frame, args)))
    except Unusable as error:
        return complain(str(error))
    return 0


def _lines(bench: Bench, frame: FrameRecord, args: argparse.Namespace) -> list[str]:
    from daemon.cli.why import names_of_masters
    from daemon.publish.explanation import difference_lines, selection_lines
    from daemon.work.redo_request import request_of
    from daemon.work.roles import product_of
    from daemon.work.selecting import select_masters

    product = product_of(frame.identity)
    if not product:
        raise Unusable(f"{frame.stem} is {frame.identity.kind}: it is not reduced on its own")
    how = request_of(
        bench.archive, frame, user="what-if", settings={}, pins=args.pin, exclude=args.ban
    )
    chosen = select_masters(bench, frame, product, how, at=args.at)
    names = names_of_masters(bench)
    lines = [f"{frame.stem} would be reduced with", *selection_lines(chosen, names)]
    before = bench.archive.current_product(frame.id)
    if before is None:
        return [*lines, "it has no product to compare with"]
    changed = difference_lines(before.choices, chosen, names)
    return [*lines, "CHANGES", *(changed or ["  none: the product would be the same"])]
