"""`alfoscd why`: which calibrations a frame was reduced with and why, and what its flags mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.cli.asked import Unusable, existing_database, one_frame
from daemon.cli.main import complain
from daemon.cli.options import add_config
from daemon.publish.words import argument, clean, last_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "why",
        help="explain how a frame was reduced",
        description="Print what a frame is and why, every candidate calibration with the reason "
        "why it was chosen or not, and every flag with its number, limit and advice. Also takes "
        "the name of a file that was not taken in.",
    )
    parser.add_argument("frame", metavar="FRAME", help="stem, number, file name, target or time")
    parser.add_argument("--night", metavar="N", help="which night, when the stem is ambiguous")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain one frame; return 0, or 2 when there is no such frame."""
    config = existing_database(args)
    from daemon.memory.database import open_read_only
    from daemon.work.bench import open_bench

    bench = open_bench(config, engine=open_read_only(config.database))
    try:
        frame = one_frame(bench.archive, args.frame, args.night)
    except Unusable as error:
        said = _file_lines(bench.archive, args.frame)
        if not said:
            return complain(str(error))
        print("\n".join(said))
        return 0
    print("\n".join(explain(bench, frame)))
    return 0


def explain(bench: Bench, frame: FrameRecord) -> list[str]:
    """Return everything that is known about how a frame was dealt with."""
    from daemon.publish.explanation import (
        choice_lines,
        flag_lines,
        frame_lines,
        product_lines,
    )

    lines = frame_lines(frame, bench.archive.kind_changes(frame.sha256))
    names = names_of_masters(bench)
    product = bench.archive.current_product(frame.id)
    lines += ["", *_masters_of(bench, frame)]
    if product is None:
        return [*lines, *_why_no_product(bench, frame)]
    lines += [*product_lines(product), "", *choice_lines(product.choices, names)]
    lines += _would_change(bench, frame, names)
    return [*lines, "", *flag_lines(product.flags, _rules())]


def names_of_masters(bench: Bench) -> Mapping[str, str]:
    """Return the name of every master by its key."""
    return {master.key: master.path.stem for master in bench.store.everything()}


def _rules() -> Mapping[str, Any]:
    from reducers.quality import load_limits

    return {rule.name: rule for of in ("images", "spectra") for rule in load_limits(of).rules}


def _would_change(bench: Bench, frame: FrameRecord, names: Mapping[str, str]) -> list[str]:
    """Return what would be chosen now where that differs from what was."""
    from daemon.publish.explanation import difference_lines
    from daemon.work.redo import carried_over
    from daemon.work.roles import product_of
    from daemon.work.selecting import select_masters

    product = bench.archive.current_product(frame.id)
    kind = product_of(frame.identity)
    if product is None or not kind or frame.identity.instrument not in bench.instruments:
        return []
    today = select_masters(bench, frame, kind, carried_over(product))
    changed = difference_lines(product.choices, today, names)
    if not changed:
        return []
    kept = " (kept: a person has accepted the product)" if product.is_accepted else ""
    return [f"TODAY IT WOULD BE{kept}", *changed]


def _masters_of(bench: Bench, frame: FrameRecord) -> list[str]:
    """Return the masters that the frame is in."""
    holders = [
        master
        for master in bench.store.everything()
        if frame.sha256 in {sha256 for sha256, _ in master.inputs}
    ]
    if not holders:
        return []
    lines = ["IN THESE MASTERS"]
    for master in holders:
        reason = f": {master.reason}" if master.reason else ""
        lines.append(f"  {master.role:<12} {master.path.stem}  {master.state}{clean(reason, 120)}")
    return [*lines, ""]


def _why_no_product(bench: Bench, frame: FrameRecord) -> list[str]:
    """Return why there is no product: not wanted, waiting, or failed with its error."""
    from daemon.memory.records import JobState
    from daemon.work.roles import MEASURED

    if frame.identity.kind not in MEASURED:
        return [f"NO PRODUCT: a frame of kind {frame.identity.kind} has none of its own"]
    key = f"reduce:{frame.sha256}"
    for state in (JobState.RUNNING, JobState.WAITING, JobState.BLOCKED, JobState.FAILED):
        for job in bench.queue.jobs(state, 10_000):
            if job.key == key:
                said = clean(last_line(job.error), 200) if job.error else "nothing went wrong yet"
                todo = (
                    f"; alfoscd quarantine retry {argument(frame.stem)}"
                    if state == "failed"
                    else ""
                )
                return [f"NO PRODUCT: its reduction is {state} ({said}){todo}"]
    return ["NO PRODUCT: its reduction gave none; the log of the daemon says why"]


def _file_lines(archive: Archive, name: str) -> list[str]:
    """Return how a file of this name ended that is no frame."""
    wanted = name.rsplit("/", 1)[-1]
    return [
        f"{clean(record.path, 200)}\n  {record.state}: {clean(record.reason, 200)}"
        for record in archive.files()
        if wanted in (record.path.name, record.path.name.split(".")[0])
    ]
