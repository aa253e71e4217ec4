"""`alfoscd report`: the night as plain text, in 90 columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.publish.report import render_report
from daemon.status import read_status
from reducers.quality import load_limits

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config

_ALL = 100_000


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "report",
        help="print the report of a night",
        description="Print the report of a night so far: verdict, actions, spectra, calibrations.",
    )
    parser.add_argument("--night", metavar="N", help="observing night (default: the latest)")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    print(text_of(configuration(args), args.night), end="")
    return 0


def text_of(config: Config, night: str | None = None) -> str:
    """Return the report of a night as text."""
    now = datetime.now(UTC)
    status = read_status(config.database, now=now, raw=config.raw, night=night, recent=_ALL)
    advice = {rule.name: rule.advice for rule in load_limits("images").rules}
    advice |= {rule.name: rule.advice for rule in load_limits().rules}
    return render_report(status, advice)
