"""`alfoscd trigger`: notices of events, dropped by hand, listed, or taken from GCN."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.publish.words import clean, table

if TYPE_CHECKING:
    import argparse

    from daemon.memory.archive_triggers import TriggerRecord
    from reducers.transients.notices.notice import TriggerNotice

#: A circle given by hand is one of arcseconds up to here.
_ARCSECONDS_UP_TO = 60.0


def add_parser(subparsers: Any) -> None:
    """Add the sub-command, its own sub-commands and their options."""
    parser = subparsers.add_parser(
        "trigger",
        help="notices of events: drop one, list them, listen to GCN",
        description="New sources are compared with the error circles of gamma-ray bursts and "
        "X-ray transients. Any tool may drop a notice (VOEvent or JSON) into [triggers] spool.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="drop a notice, or a circle given by hand")
    add.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a VOEvent or JSON notice")
    add.add_argument("--ra", metavar="RA", help="degrees, or hh:mm:ss")
    add.add_argument("--dec", metavar="DEC", help="degrees, or dd:mm:ss; --dec=-02:12:21")
    add.add_argument("--r90", type=float, metavar="ARCSEC", help="radius that holds it with 90 %%")
    add.add_argument("--event", metavar="NAME", default="", help="name of the event")
    add.add_argument("--time", metavar="T", default="", help="when it happened, UT (default: now)")
    add.set_defaults(run=_add)
    retract = actions.add_parser("retract", help="take back a circle that was given by hand")
    retract.add_argument("event", metavar="NAME", help="of the event, as it was given")
    retract.set_defaults(run=_retract)
    shown = actions.add_parser("list", help="what came in, the newest first")
    shown.set_defaults(run=_list)
    listening = actions.add_parser(
        "listen", help="write what GCN's Kafka service sends into the spool, until Ctrl-C"
    )
    listening.set_defaults(run=_listen)
    for action in (add, retract, shown, listening):
        add_config(action)


def _add(args: argparse.Namespace) -> int:
    """Drop a notice into the spool after a look at it; return 2 when it cannot be read."""
    from daemon.triggers.spool import drop
    from reducers.errors import BadNotice
    from reducers.transients.notices.reading import read_notice

    by_hand = [args.ra, args.dec, args.r90]
    if (args.file is None) == all(value is None for value in by_hand):
        return _refuse("give a FILE, or --ra, --dec and --r90")
    if args.file is None and None in by_hand:
        return _refuse("a circle has --ra, --dec and --r90")
    try:
        name, content = _content(args)
        notice = read_notice(content)
    except (BadNotice, ValueError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{args.file}: {error.strerror}")
    path = drop(configuration(args).trigger_spool, name, content)
    print(f"{_described(notice)}\ndropped as {path}")
    return 0


def _content(args: argparse.Namespace) -> tuple[str, bytes]:
    """Return the file, or the notice that says what the options say."""
    from daemon.cli.sky_words import declination, right_ascension

    if args.file is not None:
        return args.file.name, args.file.read_bytes()
    now = datetime.now(UTC)
    return "by-hand.json", _by_hand(
        args.event or f"{now:%Y-%m-%dT%H:%M:%S}",
        "XRT" if args.r90 <= _ARCSECONDS_UP_TO else "BAT",
        ra=right_ascension(args.ra),
        dec=declination(args.dec),
        ra_dec_error=args.r90 / 3600,
        containment_probability=0.9,
        systematic_included=True,
        trigger_time=args.time or now.isoformat(),
        alert_type="initial",
    )


def _by_hand(event: str, instrument: str, **said: object) -> bytes:
    notice = {
        "mission": "person",
        "instrument": instrument,
        "id": [event],
        "alert_datetime": datetime.now(UTC).isoformat(),
        "alert_tense": "current",
        **said,
    }
    return json.dumps(notice, indent=1).encode()


def _retract(args: argparse.Namespace) -> int:
    from daemon.triggers.spool import drop

    content = _by_hand(args.event, "XRT", alert_type="retraction")
    path = drop(configuration(args).trigger_spool, "by-hand.json", content)
    print(f"what was said of {clean(args.event, 80)} no longer counts; dropped as {path}")
    return 0


def _list(args: argparse.Namespace) -> int:
    """Print what came in; return 1 when the newest could not be read."""
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_read_only

    config = configuration(args)
    engine = open_read_only(config.database)
    came = Archive(engine, SystemClock()).triggers()
    engine.dispose()
    if not came:
        print(f"no notices yet; drop them into {config.trigger_spool}")
        return 0
    head = ("received", "event", "instrument", "RA", "Dec", "r90", "what it is")
    print("\n".join(table(head, [_line(each) for each in came], width=120)))
    return 1 if came[0].notice is None else 0


def _line(record: TriggerRecord) -> tuple[str, ...]:
    when, notice = f"{record.received_at:%Y-%m-%d %H:%M:%S}", record.notice
    if notice is None:
        return when, "-", "-", "-", "-", "-", f"unread, {record.file}: {record.reason}"
    place = ("-", "-", "-")
    if notice.circle is not None:
        here = notice.circle
        place = (f"{here.ra_deg:.5f}", f"{here.dec_deg:+.5f}", _radius(here.r90_arcsec))
    what = "retraction" if notice.retraction else "position" if notice.circle else "no position"
    drill = ", a test: not used" if notice.role == "test" else ""
    instrument = f"{notice.mission} {notice.instrument}"
    return when, clean(notice.event, 30), instrument, *place, f"{what}{drill}"


def _described(notice: TriggerNotice) -> str:
    what, here = "retraction" if notice.retraction else "no position", notice.circle
    if here is not None and not notice.retraction:
        what = f"within {_radius(here.r90_arcsec)} of {here.ra_deg:.5f} {here.dec_deg:+.5f}"
    return clean(f"{notice.mission} {notice.instrument} {notice.event}: {what}")


def _radius(arcsec: float) -> str:
    """Return a radius in the unit that people use for its size."""
    if arcsec < 120:
        return f'{arcsec:.1f}"'
    return f"{arcsec / 60:.1f}'" if arcsec < 7200 else f"{arcsec / 3600:.1f} deg"


def _listen(args: argparse.Namespace) -> int:
    from daemon.triggers.listen import listen, open_consumer

    config = configuration(args)
    names = ("ALFOSCD_GCN_CLIENT_ID", "ALFOSCD_GCN_CLIENT_SECRET")
    given = [os.environ.get(name, "") for name in names]
    if not config.triggers.topics:
        return _refuse("nothing to listen to: set [triggers] topics")
    if not all(given):
        return _refuse(f"set {' and '.join(names)} in the environment; gcn.nasa.gov gives them out")
    try:
        consumer = open_consumer(*given)
    except ImportError:
        return _refuse("gcn-kafka is not installed: `.venv/bin/pip install gcn-kafka`")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    leaving: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda which, _: leaving.append(which))
    print(f"listening; notices go to {config.trigger_spool}", flush=True)
    listen(consumer, config.triggers.topics, config.trigger_spool, lambda: not leaving)
    return 0


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
