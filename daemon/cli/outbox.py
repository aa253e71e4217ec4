"""`alfoscd outbox`: what leaves the machine, and what could not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.clock import SystemClock
from daemon.memory.archive import Archive
from daemon.memory.database import open_database, open_read_only
from daemon.publish.words import clean, counted, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from daemon.memory.messages import Delivery

_MANY = 50


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "outbox",
        help="see what leaves the machine, send again what could not",
        description="Messages to Slack, mail and webhooks: what waits, and what was given up.",
    )
    parser.add_argument("--retry", action="store_true", help="send again what was given up")
    parser.add_argument("--sink", default="", metavar="S", help="only this: slack, mail, ...")
    parser.add_argument("--all", action="store_true", help="list the last ones sent, too")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List deliveries, or revive the dead ones."""
    config = configuration(args)
    opened = open_database if args.retry else open_read_only
    engine = opened(config.database)
    archive = Archive(engine, SystemClock())
    if args.retry:
        count = archive.revive(args.sink)
        print(f"{count} deliveries are tried again; what may have arrived is looked for first")
    else:
        _show(archive, args)
    engine.dispose()
    return 0


def _show(archive: Archive, args: argparse.Namespace) -> None:
    counts = archive.count_deliveries()
    print(f"OUTBOX  {counted({str(state): count for state, count in counts.items()})}")
    lines = archive.last_deliveries(_MANY, sink=args.sink, settled=args.all)
    rows = [
        (
            f"{each.created_at:%m-%d %H:%M}",
            str(each.state),
            clean(f"{each.sink} {each.address}", 28),
            str(each.message.topic),
            clean(each.message.title, 60),
        )
        for each in lines
    ]
    for text, each in zip(_table(rows), [None, *lines], strict=False):
        print(text)
        if each is not None and each.error:
            print(f"      {_why(each)}")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return table(("queued", "state", "to", "topic", "what"), rows, 120)


def _why(delivery: Delivery) -> str:
    tried = f"tried {delivery.attempts} times: " if delivery.attempts > 1 else ""
    return clean(tried + delivery.error, 300)
