"""`alfoscd show`: a frame's product: files, versions, measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.asked import Unusable, existing_database, one_frame
from daemon.cli.main import complain
from daemon.cli.options import add_config
from daemon.publish.words import argument

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "show",
        help="show a frame's product: files, versions, measurements",
        description="Print what a frame is, every version of its product, the files of the "
        "current one and every number measured. Why it is so: `alfoscd why FRAME`.",
    )
    parser.add_argument("frame", metavar="FRAME", help="stem, number, file name, target or time")
    parser.add_argument("--night", metavar="N", help="which night, when the stem is ambiguous")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show one frame; return 0, or 2 when there is no such frame."""
    config = existing_database(args)
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_read_only
    from daemon.publish.explanation import (
        file_lines,
        frame_lines,
        measurement_lines,
        product_lines,
    )

    archive = Archive(open_read_only(config.database), SystemClock())
    try:
        frame = one_frame(archive, args.frame, args.night)
    except Unusable as error:
        return complain(str(error))
    lines = frame_lines(frame, archive.kind_changes(frame.sha256))
    for product in archive.product_history(frame.id):
        lines += ["", *product_lines(product)]
    current = archive.current_product(frame.id)
    if current is None:
        lines += ["", f"no product counts now: `alfoscd why {argument(frame.stem)}` says why"]
    else:
        lines += ["", *file_lines(current), "", *measurement_lines(current.measurements)]
    print("\n".join(lines))
    return 0
