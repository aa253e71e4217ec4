"""`alfoscd ls`: the frames of a night, one line each, or as PyNOT's table of types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.options import add_config
from daemon.publish.words import clean, clock, number, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from daemon.memory.records import FrameRecord, ProductRecord

_HEAD = ("frame", "UT", "kind", "target", "exp", "set-up", "Q", "product", "flags")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "ls",
        help="list the frames of a night",
        description="List the frames of a night with what became of them.",
    )
    parser.add_argument("--night", metavar="N", help="observing night (default: the latest)")
    parser.add_argument("--kind", metavar="KIND", help="only this kind, as SPEC_OBJECT")
    parser.add_argument("--target", metavar="TEXT", help="only targets with this in their name")
    parser.add_argument(
        "--worse-than", type=int, metavar="Q", help="only products of a quality above this"
    )
    parser.add_argument(
        "--pfc", action="store_true",
        help="print PyNOT's file classification table (.pfc), to edit and give to `set-type`",
    )  # fmt: skip
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    config = existing_database(args)
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_read_only

    archive = Archive(open_read_only(config.database), SystemClock())
    night = args.night or archive.latest_night()
    frames = [frame for frame in archive.current_frames(night=night) if _is_wanted(frame, args)]
    if args.pfc:
        from daemon.publish.pfc import pfc_text

        print(pfc_text(frames), end="")
        return 0
    products = {item.frame_id: item for item in archive.products(night)}
    if args.worse_than is not None:
        frames = [f for f in frames if _quality(products.get(f.id)) > args.worse_than]
    lines = table(_HEAD, [_row(frame, products.get(frame.id)) for frame in frames], 140)
    print("\n".join([f"night {night or 'unknown'}: {len(frames)} frames", *lines]))
    return 0


def _is_wanted(frame: FrameRecord, args: argparse.Namespace) -> bool:
    own = frame.identity
    kind = not args.kind or own.kind == args.kind.upper()
    name = f"{own.target} {own.object_name}".casefold()
    return kind and (not args.target or args.target.casefold() in name)


def _quality(product: ProductRecord | None) -> int:
    return -1 if product is None else product.quality


def _row(frame: FrameRecord, product: ProductRecord | None) -> Sequence[str]:
    own, setup = frame.identity, frame.identity.setup
    optics = " ".join(word for word in (setup.grism, setup.slit, setup.filter) if word)
    flags = "" if product is None else " ".join(flag.name for flag in product.flags)
    return (
        clean(frame.stem, 16),
        clock(own.observed_at),
        own.kind,
        clean(own.target or own.object_name, 18),
        number(own.exposure_s, "g"),
        clean(optics, 30),
        "-" if product is None else str(product.quality),
        "-" if product is None else _state(product),
        flags,
    )


def _state(product: ProductRecord) -> str:
    verdict = f" {product.verdict.decision}" if product.verdict else ""
    return f"{product.state}{verdict}"
