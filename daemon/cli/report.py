"""`alfoscd report`: a night as text, page, JSON or table, and sent to those who get it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.main import complain
from daemon.cli.options import add_config
from daemon.status import read_status

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config
    from daemon.report.night_report import NightReport

_UNREAD = 1


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "report",
        help="print the report of a night",
        description="Print the report of a night so far: verdict, actions, the proof that nothing "
        "was lost, science, calibrations against their history. The daemon sends it at dawn.",
    )
    parser.add_argument(
        "--night", metavar="N", type=_night, help="observing night (default: the latest)"
    )
    parser.add_argument(
        "--final", action="store_true", help="read every product again and compare its hash"
    )
    parser.add_argument("--comment", default="", metavar="TEXT", help="say this in the report")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--html", type=Path, metavar="FILE", help="write it as one page")
    how.add_argument("--json", action="store_true", help="print it for programs")
    how.add_argument(
        "--csv", nargs="?", const="products", choices=("products", "masters"),
        help="print the table of products, or of masters",
    )  # fmt: skip
    how.add_argument(
        "--send", action="store_true", help="write its files and send it, as a new version"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tell the report as it is asked for; return 1 when the memory could not be read."""
    config = existing_database(args)
    if args.send:
        return _send(config, args)
    report = report_of(config, args.night, final=args.final, comment=args.comment)
    if args.html is not None:
        from daemon.layout import write_atomically
        from daemon.report.page import PAGE_BYTES, TEXT_BYTES, render_page
        from daemon.report.thumbnails import thumbnails_of

        page = render_page(report, thumbnails_of(report, PAGE_BYTES - TEXT_BYTES))
        write_atomically(args.html.absolute(), page.encode("utf-8", "replace"))
        print(args.html)
    else:
        print(_told(report, args), end="")
    return _UNREAD if "COMPLETENESS" in report.unknown else 0


def text_of(config: Config, night: str | None = None) -> str:
    """Return the report of a night as text."""
    from daemon.report.text import render_text

    return render_text(report_of(config, night))


def report_of(
    config: Config, night: str | None = None, *, final: bool = False, comment: str = ""
) -> NightReport:
    """Return the report of a night; of the newest with science when none is named.

    A memory that cannot be read for now gives a report that says so.

    Raises
    ------
    SchemaTooNew, SchemaTooOld
        If another version wrote it.
    """
    from daemon.memory.database import open_read_only
    from daemon.memory.errors import SchemaTooNew, SchemaTooOld, StoreError
    from daemon.report.gather import gather
    from daemon.report.night_report import NightReport
    from daemon.work.bench import open_bench

    now = datetime.now(UTC)
    status = read_status(config.database, now=now, night=night, recent=0)
    shown = status.night or status.newest_night
    try:
        bench = open_bench(config, engine=open_read_only(config.database))
        if not shown:
            shown = _tonight(next(iter(bench.instruments.values())).longitude_deg, now)
        return gather(bench, shown, final=final, comment=comment)
    except (SchemaTooNew, SchemaTooOld):
        raise
    except StoreError as error:
        why = str(error) or "the database cannot be read"
        return NightReport(
            night=shown or "unknown", at=now, status=status, comment=comment,
            unknown={"COMPLETENESS": why},
        )  # fmt: skip


def _send(config: Config, args: argparse.Namespace) -> int:
    from daemon.report.changes import state_of
    from daemon.report.gather import gather
    from daemon.report.send import last_sent, last_version, publish
    from daemon.work.bench import open_bench

    bench = open_bench(config)
    night = args.night or read_status(config.database, now=datetime.now(UTC), recent=0).night
    if not night:
        return complain("there is no night yet: name one with --night")
    state = state_of(bench.archive.products(night))
    version, before = last_version(bench, night), last_sent(bench, night)
    same = before is not None and before.message.payload.get("state") == state
    if same and not args.comment and not args.final:
        return complain(
            f"report v{version} of {night} was sent and nothing has changed since: "
            "give --comment or --final to send it again"
        )
    report = gather(bench, night, final=args.final, version=version + 1, comment=args.comment)
    publish(bench, report, state)
    print(f"report v{version + 1} of {night} is written to {bench.layout.report(night)} and queued")
    return 0


def _told(report: NightReport, args: argparse.Namespace) -> str:
    from daemon.report.documents import masters_csv, products_csv, report_json
    from daemon.report.text import render_text

    if args.json:
        return report_json(report)
    if args.csv:
        return products_csv(report) if args.csv == "products" else masters_csv(report)
    return render_text(report)


def _tonight(longitude_deg: float, now: datetime) -> str:
    from daemon.clock import observing_night

    return observing_night(now, longitude_deg).isoformat()


def _night(text: str) -> str:
    return date.fromisoformat(text).isoformat()
