"""`alfoscd lightcurve`: what every image says of a watched target."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.clock import SystemClock
from daemon.layout import slug, write_atomically
from daemon.memory.archive import Archive
from daemon.memory.database import open_read_only
from daemon.publish.light_curve import brightness, light_curve_csv, light_curve_picture
from daemon.work.watched import watched_targets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from daemon.memory.archive_differences import LightRecord


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "lightcurve",
        help="the light curve of a watched target",
        description="Print the light curve of a target of [differences] watch and write it as "
        "lightcurve_<name>.csv and .png below the root.",
    )
    parser.add_argument("name", nargs="?", help="its name; without it the targets are listed")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the light curve and write its files."""
    config = configuration(args)
    if not config.database.is_file():
        print("Nothing has been reduced here yet.", file=sys.stderr)
        return 1
    archive = Archive(open_read_only(config.database), SystemClock())
    known = archive.watched()
    if args.name is None:
        print("\n".join(known) or "No target has a light curve yet: see [differences] watch.")
        return 0
    points = archive.light_curve(args.name)
    if not points:
        listed = any(each.name == args.name for each in watched_targets(config))
        why = (
            "it is watched, but no image of it has been reduced since"
            if listed
            else f"add it to [differences] watch; with light curves: {', '.join(known) or 'none'}"
        )
        print(f"{args.name} has no light curve: {why}.", file=sys.stderr)
        return 1
    print("\n".join(_lines(points)))
    for ending, content in (
        ("csv", light_curve_csv(points).encode()),
        ("png", light_curve_picture(args.name, points)),
    ):
        path = config.root / f"lightcurve_{slug(args.name)}.{ending}"
        write_atomically(path, content)
        print(path)
    return 0


def _lines(points: Sequence[LightRecord]) -> list[str]:
    lines = ["UTC (middle)         band        on          magnitude          5 sigma  frame"]
    for one in points:
        seen = brightness(one)
        when = f"{one.observed_at:%Y-%m-%d %H:%M:%S}" if one.observed_at else "unknown"
        if seen.magnitude == seen.magnitude:
            said = f"{seen.magnitude:7.3f} +- {seen.error:.3f}"
        elif seen.limit_3 == seen.limit_3:
            said = f"> {seen.limit_3:.2f} (3 sigma)"
        else:
            said = one.why
        limit = f"{seen.limit_5:8.2f}" if seen.limit_5 == seen.limit_5 else " " * 8
        lines.append(f"{when:<20} {one.band:<11} {one.method:<11} {said:<18} {limit}  {one.stem}")
    return lines
