"""`alfoscd verify`: walk through the products of a night and say what you think of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.main import complain
from daemon.cli.options import add_config

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord, ProductRecord

    Ask = Callable[[str], str]
    Pair = tuple[FrameRecord, ProductRecord]

_HELP = "a accept, r reject, n next, q leave"


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "verify",
        help="walk through a night's products and judge them",
        description="Show every product that nobody has judged, the worst first, and take your "
        "verdict: accept, reject, or leave it. Three questions are asked where you reject; your "
        "answers are kept, and tell how good the automatic checks are (--statistics).",
    )
    parser.add_argument("--night", metavar="N", help="observing night (default: the latest)")
    parser.add_argument("--all", action="store_true", help="also what was judged before")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with the plots and the commands"
    )
    parser.add_argument(
        "--statistics", action="store_true", help="precision and recall of every automatic check"
    )
    parser.add_argument("--user", metavar="NAME", help="who judges")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, list, or score; return 0, or 2 where nobody can be asked."""
    config = existing_database(args)
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_database, open_read_only
    from daemon.publish.verify_text import card, verify_page

    looking = args.list or args.statistics or args.html is not None
    engine = open_read_only(config.database) if looking else open_database(config.database)
    archive = Archive(engine, SystemClock())
    if args.statistics:
        print("\n".join(_statistics(archive)))
        return 0
    night = args.night or archive.latest_night()
    pairs = to_judge(archive, night, again=args.all)
    if args.html is not None:
        args.html.write_text(verify_page(pairs, night), "utf8")
        print(f"{args.html}: {len(pairs)} products of night {night}")
    elif args.list:
        print("\n".join(line for pair in pairs for line in card(*pair)) or "all are judged")
    elif not sys.stdin.isatty():
        return complain("nobody can be asked here: `alfoscd verify --list`, or --html FILE")
    else:
        from daemon.cli.redo import user

        judged = walk(archive, pairs, user(args), input)
        print(f"{judged} of {len(pairs)} judged")
    return 0


def to_judge(archive: Archive, night: str, *, again: bool = False) -> list[Pair]:
    """Return the products of a night without a verdict, the worst quality first."""
    found = []
    for product in archive.products(night):
        frame = archive.frame(product.frame_id)
        if frame is not None and (again or product.verdict is None):
            found.append((frame, product))
    return sorted(found, key=lambda pair: (-pair[1].quality, pair[0].stem))


def walk(archive: Archive, pairs: list[Pair], user: str, ask: Ask) -> int:
    """Show one product after the other and note each verdict; return how many were given."""
    from daemon.cli.verdict import judge
    from daemon.publish.verify_text import QUESTIONS, card

    judged = 0
    for frame, product in pairs:
        print("\n".join(card(frame, product)))
        viewer = _show(product.paths.get("plot"))
        said = _one_of(ask, f"{_HELP} > ", "arnq")
        if viewer is not None:
            viewer.terminate()
        if said == "q":
            break
        if said == "n":
            continue
        answers, remark = {}, ""
        if said == "r":
            for question in QUESTIONS.get(product.recipe, ()):
                yes = _one_of(ask, f"  {question} y/n > ", "yn") == "y"
                answers[question] = "yes" if yes else "no"
            remark = ask("  what is wrong (one line, may be empty) > ").strip()
        judge(
            archive,
            frame,
            accept=said == "a",
            version=None,
            user=user,
            answers=answers,
            remark=remark,
        )
        judged += 1
    return judged


def _one_of(ask: Ask, question: str, keys: str) -> str:
    """Ask until one of the keys is given; an end of input leaves."""
    while True:
        try:
            said = ask(question).strip().casefold()[:1]
        except EOFError:
            return keys[-1]
        if said and said in keys:
            return said


def _show(plot: Path | None) -> subprocess.Popen[bytes] | None:
    """Open a plot where there is a screen and a viewer; its path is printed in any case."""
    viewer = shutil.which("display") or shutil.which("eog") or shutil.which("xdg-open")
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if plot is None or not plot.is_file() or viewer is None or not screen:
        return None
    return subprocess.Popen(
        [viewer, str(plot)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _statistics(archive: Archive) -> list[str]:
    from daemon.account.check_statistics import score_checks
    from daemon.publish.verify_text import score_lines
    from reducers.quality import load_limits

    judgements = archive.judgements()
    checks = [rule.name for of in ("spectra", "images") for rule in load_limits(of).rules]
    return score_lines(score_checks(judgements, checks), len(judgements))
