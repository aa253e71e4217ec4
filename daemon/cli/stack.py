"""`alfoscd stack`: one deep image of a target from several."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.options import add_config, nights_of
from daemon.cli.redo import refuse
from daemon.publish.words import clean

if TYPE_CHECKING:
    from daemon.work.stacks import StackMade


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "stack",
        help="add a target's images in one filter",
        description="Add the reduced images of one target in one filter, over all nights or "
        "those named. Each is calibrated with its own night. Images that would spoil the stack "
        "are left out with a reason; the list beside the stack may be edited and given back.",
    )
    parser.add_argument("target", metavar="TARGET", help="name of the target as status shows it")
    parser.add_argument("--filter", metavar="F", default="", help="which filter, as r or r_SDSS")
    parser.add_argument(
        "--nights", metavar="A,B", type=nights_of, default=(),
        help="these nights, as 2026-11-20,2026-11-23 (default: every night)",
    )  # fmt: skip
    parser.add_argument(
        "--list", type=Path, metavar="FILE", help="an edited list: it alone says which and how much"
    )
    parser.add_argument(
        "--into", type=Path, metavar="DIR", help="write here (default: the newest night's folder)"
    )
    how = parser.add_argument_group("how images are added")
    how.add_argument(
        "--method", choices=("mean", "median"), default="mean",
        help="how the images are added (default: mean, by their weights)",
    )  # fmt: skip
    how.add_argument(
        "--weights", choices=("depth", "stars", "equal"), default="depth",
        help="by the noise of the sky, the same and the seeing, or all alike (default: depth)",
    )  # fmt: skip
    how.add_argument(
        "--clip", type=_positive_or_zero, default=4.0, metavar="SIGMA",
        help="leave out pixels so far from the other images; 0 for never (default: 4)",
    )  # fmt: skip
    grid = parser.add_argument_group("the grid of the stack")
    grid.add_argument(
        "--fieldcenter", type=float, nargs=2, metavar=("RA", "DEC"), help="its middle, degrees"
    )
    grid.add_argument(
        "--out-size", type=_size, nargs=2, metavar=("NX", "NY"), help="columns and rows"
    )
    grid.add_argument("--pixel-scale", type=_positive, metavar="S", help="arcsec per pixel")
    grid.add_argument(
        "--north-up", action="store_true", help="north up, east left (default: as the images)"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Stack, and say what came of it."""
    config = existing_database(args)
    from daemon.work.bench import open_bench
    from daemon.work.stacks import NothingToStack, WantedStack, stack_target
    from reducers.errors import BadStackList
    from reducers.imaging.stack_list import parse_list
    from reducers.imaging.stack_members import StackSettings

    try:
        listed = parse_list(args.list.read_text("utf-8")) if args.list is not None else ()
    except (OSError, UnicodeDecodeError) as error:
        return refuse(f"the list cannot be read: {error}")
    except BadStackList as error:
        return refuse(f"{args.list.name}: {error}")
    wanted = WantedStack(
        target=args.target,
        filter=args.filter,
        nights=args.nights,
        listed=listed,
        settings=StackSettings(method=args.method, weights=args.weights, clip_sigma=args.clip),
        grid=_grid(args),
    )
    into = None if args.into is None else args.into.resolve()
    bench = open_bench(config)
    try:
        made = stack_target(bench, wanted, into)
    except NothingToStack as error:
        return refuse(clean(str(error), 600))
    finally:
        bench.engine.dispose()
    _tell(made)
    return 0


def _grid(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "centre_deg": tuple(args.fieldcenter) if args.fieldcenter else None,
        "size_px": tuple(args.out_size) if args.out_size else None,
        "scale_arcsec": args.pixel_scale,
        "north_up": args.north_up or args.fieldcenter is not None,
    }


def _positive_or_zero(text: str) -> float:
    return _number(text, 0.0, "a number from 0 on")


def _positive(text: str) -> float:
    return _number(text, 1e-3, "a positive number")


def _size(text: str) -> int:
    return int(_number(text, 1, "a number of pixels"))


def _number(text: str, least: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _tell(made: StackMade) -> None:
    done = made.stacked
    used = len(done.shares)
    print(
        f"{clean(made.target, 40)} {made.filter}: {used} of {len(made.choices)} images, "
        f"{done.exposure_s:.0f} s, {done.grid.shape[1]} x {done.grid.shape[0]} pixels"
    )
    if made.stars is not None:
        found = made.stars.measurements
        limit = found.get("limit_5_sigma_mag", math.nan)
        depth = f", 5 sigma at {limit:.2f} mag" if math.isfinite(limit) else ""
        print(
            f"  {found['sources']:.0f} sources, seeing {found['seeing_arcsec']:.2f} arcsec{depth}"
        )
    rejected = {share.choice.member.name: share.rejected for share in done.shares}
    for choice in made.choices:
        name = choice.member.name
        if choice.use:
            seeing = choice.member.seeing_arcsec
            said = f'  seeing {seeing:.2f}"' if math.isfinite(seeing) else ""
            print(
                f"  {name}  weight {choice.weight:.3f}{said}  {rejected[name]:.2%} of it left out"
            )
        else:
            print(f"  {name}  left out: {clean(choice.reason)}")
    for path in made.paths.values():
        print(f"  {path}")
    print(f"  to choose otherwise, edit {made.paths['combined_list'].name} and give it with --list")
