"""`alfoscd alert`: the new sources that were told of, and reports on them for a person to send."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.publish.words import clean, table

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config
    from daemon.memory.archive_alerts import AlertRecord
    from daemon.publish.alert_reports import Report

SERVICES = ("TNS", "SkyPortal")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command, its own sub-commands and their options."""
    parser = subparsers.add_parser(
        "alert",
        help="new sources that were told of, and reports on them",
        description="Reports to the Transient Name Server and to SkyPortal are prepared, "
        "and sent only by a person who says --really.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shown = actions.add_parser("list", help="what was told, the newest first")
    shown.add_argument("--night", metavar="N", help="of one night only")
    shown.set_defaults(run=_list)
    one = actions.add_parser("show", help="everything about one of them, as JSON")
    one.add_argument("name", metavar="NAME", help="its name, or the beginning of it")
    one.set_defaults(run=_show)
    send = actions.add_parser("send", help="show a report, and with --really queue it")
    send.add_argument("service", choices=SERVICES, metavar="SERVICE", help="TNS or SkyPortal")
    send.add_argument("name", metavar="NAME", help="its name, or the beginning of it")
    send.add_argument(
        "--really",
        action="store_true",
        help="let the daemon send it; without this it is shown",
    )
    send.set_defaults(run=_send)
    for action in (shown, one, send):
        add_config(action)


def _list(args: argparse.Namespace) -> int:
    """Print what was told."""
    records = _records(configuration(args), args.night)
    head = ("last seen", "name, magnitude, image", "class", "n", "programme", "reports")
    rows = [
        (
            f"{each.last_at:%m-%d %H:%M}",
            each.headline,
            f"{each.urgency}",
            f"{each.detections}",
            each.programme,
            ", ".join(f"{name} {said['state']}" for name, said in each.reports.items()) or "-",
        )
        for each in records
    ]
    print("\n".join(table(head, rows, width=150)) or "nothing was told of yet")
    return 0


def _show(args: argparse.Namespace) -> int:
    """Print the document of one alert."""
    record = _one(configuration(args), args.name)
    if record is None:
        return 2
    print(json.dumps(dict(record.document), indent=1))
    for name, said in record.reports.items():
        print(clean(f"{name}: {said['state']} {said['remote']} {said['error']}"))
    return 0


def _send(args: argparse.Namespace) -> int:
    """Print a report, or queue it; return 1 when there is nothing to queue."""
    config = configuration(args)
    record = _one(config, args.name)
    if record is None:
        return 2
    report = _report(config, args.service, record)
    if not args.really:
        print(json.dumps(dict(report.parts), indent=1))
        print("\n".join(f"before it can go: {each}" for each in report.lacking))
        print(f"nothing was sent; `alfoscd alert send {args.service} {record.name} --really`")
        return 0
    if report.lacking:
        return _refuse("; ".join(report.lacking))
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_database
    from daemon.work.alert_sending import queue_report

    engine = open_database(config.database)
    try:
        said = queue_report(Archive(engine, SystemClock()), record, args.service, report)
    finally:
        engine.dispose()
    print(clean(f"{args.service}: {said}"))
    if said != "queued":
        return 1
    print("the daemon sends it; `alfoscd alert list` shows what became of it")
    return 0


def _report(config: Config, service: str, record: AlertRecord) -> Report:
    from daemon.publish.alert_reports import skyportal_report, tns_report

    make = tns_report if service == "TNS" else skyportal_report
    return make(record, config.alerts)


def _records(config: Config, night: str | None = None) -> list[AlertRecord]:
    """Return the alerts.

    Raises
    ------
    StoreError
        If there is no database, or none that can be read.
    """
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_read_only
    from daemon.work.alert_sending import with_states

    engine = open_read_only(config.database)
    try:
        archive = Archive(engine, SystemClock())
        return [with_states(archive, each) for each in archive.alerts(night, limit=1000)]
    finally:
        engine.dispose()


def _one(config: Config, name: str) -> AlertRecord | None:
    """Return the alert that a name begins; None, with a sentence, for none or several."""
    records = _records(config)
    found = [each for each in records if each.name == name]
    found = found or [each for each in records if each.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} alerts begin" if found else "no alert begins"
    _refuse(f"{many} with '{clean(name, 60)}'; see `alfoscd alert list`")
    return None


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
