"""`alfoscd trends`: how the instrument fares, from night to night."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.options import add_config
from daemon.config import ConfigError

if TYPE_CHECKING:
    import argparse

_WIDTH = 110


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "trends",
        help="show how the instrument fares from night to night",
        description="Bias, read noise, gain, lamps, arcs, flexure, throughput, zero points, seeing "
        "and latency: every night by the band of its own day, with changes.",
    )
    parser.add_argument("--night", metavar="N", help="seen from this night (default: the latest)")
    parser.add_argument("--nights", type=int, default=30, metavar="N", help="how many (default 30)")
    parser.add_argument("--series", metavar="NAME", help="only series with this in their name")
    parser.add_argument(
        "--plot", type=Path, metavar="PATH",
        help="draw them: into a .png file, or into a folder with trends.html",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print them for machines")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the trends; return 0 when all lie in their bands, 1 when one does not."""
    config = existing_database(args)
    from daemon.clock import SystemClock
    from daemon.health.condition import health_of
    from daemon.health.lines import condition_json, condition_lines
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_read_only
    from daemon.publish.page import as_json
    from daemon.work.health import bending, save_trends

    if args.nights < 1:
        raise ConfigError("--nights must be 1 or more")
    if args.night and not _is_night(args.night):
        raise ConfigError(f"--night is a date as 2026-11-20, not {args.night!r}")
    archive = Archive(open_read_only(config.database), SystemClock())
    night = args.night or archive.latest_night()
    found = health_of(archive, night) if night else ()
    wanted = (args.series or "").casefold()
    shown = [item for item in found if wanted in item.series.name.casefold()]
    remarks = bending(archive, night) if night else []
    if args.json:
        facts = [condition_json(item, args.nights) for item in shown]
        print(as_json({"night": night, "series": facts, "flexure": remarks}).decode(), end="")
    else:
        print(f"trends up to night {night or 'unknown'}, {len(shown)} series")
        for item in shown:
            for line in condition_lines(item, args.nights):
                print(line[:_WIDTH])
        print("\n".join(f"  {line}" for line in remarks), end="\n" if remarks else "")
    if args.plot is not None:
        for path in save_trends(args.plot, shown, remarks, args.nights):
            if not args.json:
                print(f"wrote {path}")
    return int(any(item.wants_attention for item in shown))


def _is_night(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
