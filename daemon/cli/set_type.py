"""`alfoscd set-type`: say what a frame is when its header is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import Unusable, existing_database, one_frame
from daemon.cli.main import complain
from daemon.cli.options import add_config
from daemon.publish.words import clean

if TYPE_CHECKING:
    import argparse

    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.identity import FrameKind

    Wish = tuple[FrameRecord, FrameKind]


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "set-type",
        help="say what a frame is when its header is wrong",
        description="Let a frame be of another kind than its header says: the calibration sets "
        "it leaves and joins are built anew, and it is reduced as what it is. Who said so, when "
        "and why is kept; the raw file is not touched.",
    )
    parser.add_argument("frame", metavar="FRAME", nargs="?", help="stem, number or file name")
    parser.add_argument("kind", metavar="KIND", nargs="?", help="as BIAS, SPEC_OBJECT, UNKNOWN")
    parser.add_argument(
        "--from-pfc", type=Path, metavar="FILE",
        help="take the types of an edited table that `alfoscd ls --pfc` wrote",
    )  # fmt: skip
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    parser.add_argument("--night", metavar="N", help="which night, when the stem is ambiguous")
    parser.add_argument(
        "--user", metavar="NAME", help="who says so (default: $ALFOSCD_USER, else the login name)"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Change the kinds; return 0, or 2 when nothing could be changed."""
    if (args.from_pfc is None) == (args.frame is None) or (args.frame and not args.kind):
        return complain("give FRAME and KIND, or --from-pfc FILE")
    config = existing_database(args)
    from daemon.cli.redo import user
    from daemon.work.bench import open_bench
    from daemon.work.kind_changes import change_kind

    bench = open_bench(config)
    try:
        wishes = _wishes(bench, args)
    except Unusable as error:
        return complain(str(error))
    changed = [(frame, kind) for frame, kind in wishes if frame.identity.kind is not kind]
    for frame, kind in changed:
        change_kind(bench, frame, kind, user=user(args), reason=clean(args.reason, 200))
        print(f"{frame.stem}: {frame.identity.kind} -> {kind}")
    print(f"{len(changed)} frames changed, {len(wishes) - len(changed)} were so already")
    return 0


def _wishes(bench: Bench, args: argparse.Namespace) -> list[Wish]:
    """Return what is to be changed; nothing is done when one line of it cannot be."""
    if args.from_pfc is None:
        return [_wish(bench, args.frame, args.kind, args.night)]
    from daemon.publish.pfc import read_pfc

    try:
        lines = read_pfc(args.from_pfc.read_text("utf8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{args.from_pfc} cannot be read: {error}") from error
    if not lines:
        raise Unusable(f"{args.from_pfc} names no file: `alfoscd ls --pfc` writes such a table")
    return [_wish(bench, name, kind, args.night) for name, kind in lines]


def _wish(bench: Bench, name: str, kind: str, night: str | None) -> Wish:
    from reducers.identity import FrameKind

    frame = one_frame(bench.archive, name, night)
    known = {item.value for item in FrameKind}
    if kind.upper() not in known:
        offer = ", ".join(sorted(known))
        raise Unusable(f"{frame.stem}: there is no kind '{clean(kind, 40)}'; there are {offer}")
    if frame.identity.instrument not in bench.instruments:
        raise Unusable(f"{frame.stem}: no profile of {frame.identity.instrument} is configured")
    return frame, FrameKind(kind.upper())
