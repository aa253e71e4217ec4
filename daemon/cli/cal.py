"""`alfoscd cal`: list the masters, ban one, or have one used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database, master_named
from daemon.cli.main import complain
from daemon.cli.options import add_config
from daemon.publish.words import clean, clock, table

if TYPE_CHECKING:
    import argparse

    from calibration_store.records import MasterRecord
    from daemon.work.bench import Bench

_HEAD = ("role", "master", "night", "UT", "n", "v", "state", "pinned for", "reason")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its actions."""
    parser = subparsers.add_parser(
        "cal",
        help="list master calibrations, ban one, or have one used",
        description="What is banned is used by nothing any more, and everything made with it is "
        "made anew. What is pinned serves every frame of a night that it fits, whatever the "
        "rules would choose. What people accepted is left alone.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shown = actions.add_parser("list", help="list the masters")
    shown.add_argument("--night", metavar="N", help="only of this night")
    shown.add_argument("--role", metavar="ROLE", help="only BIAS, FLAT, ARC, RESPONSE, ...")
    shown.add_argument("--all", action="store_true", help="superseded ones too")
    for name, summary in (
        ("ban", "let nothing use a master any more"),
        ("unban", "let a banned master be used again"),
        ("pin", "have a master used in a night"),
        ("unpin", "let the rules choose again"),
    ):
        action = actions.add_parser(name, help=summary)
        action.add_argument("master", metavar="MASTER", help="file name, key or its beginning")
        if name in ("ban", "pin"):
            action.add_argument("--reason", required=True, metavar="TEXT", help="why")
        if name == "pin":
            action.add_argument("--night", metavar="N", help="for this night (default: its own)")
        action.add_argument("--user", metavar="NAME", help="who says so")
        add_config(action)
    add_config(shown)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what is asked; return 0, or 2 when it cannot be done."""
    config = existing_database(args)
    from daemon.memory.database import open_read_only
    from daemon.work.bench import open_bench

    if args.action == "list":
        bench = open_bench(config, engine=open_read_only(config.database))
        print("\n".join(_list(bench, args)))
        return 0
    bench = open_bench(config)
    master = master_named(bench.store, args.master)
    if master is None:
        return complain(f"no master '{clean(args.master, 60)}': see `alfoscd cal list`")
    if master.instrument not in bench.instruments:
        return complain(f"no profile of {master.instrument} is configured")
    return _act(bench, master, args)


def _act(bench: Bench, master: MasterRecord, args: argparse.Namespace) -> int:
    from calibration_store.records import MasterState
    from daemon.cli.redo import user
    from daemon.work import master_verdicts as verdicts

    name, who = master.path.stem, user(args)
    if args.action == "ban":
        again = verdicts.ban(bench, master, user=who, reason=clean(args.reason, 200))
        print(f"{name} is banned by {who}; looked at again: {again} products and masters")
    elif args.action == "unban":
        if master.state is not MasterState.BANNED:
            return complain(f"{name} is {master.state}, not banned")
        verdicts.unban(bench, master)
        print(f"{name} may be used again; its night is looked at again")
    elif args.action == "pin":
        if master.state is not MasterState.CURRENT:
            return complain(f"{name} is {master.state}: only a current master can be pinned")
        night = args.night or master.night
        verdicts.pin(bench, master, night, user=who, reason=clean(args.reason, 200))
        print(f"{name} serves night {night} wherever it fits, {who} says")
    else:
        nights = verdicts.unpin(bench, master)
        print(f"{name} was pinned for {', '.join(nights)}; the rules choose again"
              if nights else f"{name} was not pinned")  # fmt: skip
    return 0


def _list(bench: Bench, args: argparse.Namespace) -> list[str]:
    from calibration_store.records import MasterState

    pins: dict[str, list[str]] = {}
    for each in bench.pins.every():
        pins.setdefault(each.master_key, []).append(f"{each.night} ({each.user}: {each.reason})")
    shown = [
        item
        for item in bench.store.everything()
        if (args.all or item.state is not MasterState.SUPERSEDED)
        and args.night in (None, item.night)
        and (args.role is None or item.role == args.role.upper())
    ]
    rows = [
        (
            item.role,
            item.path.stem,
            item.night,
            clock(item.observed_at),
            str(len(item.inputs)),
            str(item.version),
            item.state.value,
            ", ".join(pins.get(item.key, ())) or "-",
            clean(item.reason, 80),
        )
        for item in shown
    ]
    return table(_HEAD, rows, 160) or ["no master yet"]
