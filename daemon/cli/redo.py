"""`alfoscd redo`: reduce one frame again, with a hint from a person."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.publish.words import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord

#: Option -> setting of the reduction.
_SETTINGS = ("centroid_px", "seeing_arcsec", "cosmic_sigma", "clean_cosmics")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "redo",
        help="reduce one frame again, with a hint",
        description="Reduce one frame again. The earlier product is kept; the new one gets the "
        "next version and carries the flag HUMAN when its place was chosen by hand.",
    )
    parser.add_argument("frame", metavar="FRAME", help="stem, number or file name of the raw frame")
    parser.add_argument(
        "--centroid", dest="centroid_px", type=float, metavar="PX",
        help="extract at this image column instead of where an object is found",
    )  # fmt: skip
    parser.add_argument(
        "--seeing", dest="seeing_arcsec", type=float, metavar="ARCSEC",
        help="width that the object finder expects",
    )  # fmt: skip
    parser.add_argument(
        "--cosmic-sigma", type=float, metavar="S", help="threshold of the cosmic-ray search"
    )
    parser.add_argument(
        "--keep-cosmics", dest="clean_cosmics", action="store_false", default=None,
        help="do not search cosmic rays",
    )  # fmt: skip
    parser.add_argument("--night", metavar="N", help="which night, when the stem is ambiguous")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Submit the job, and say what will happen."""
    config = configuration(args)
    if not config.database.is_file():
        return _refuse(f"no database at {config.database}: give --config or --root of the daemon")
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_database
    from daemon.work.jobs import JobQueue

    clock = SystemClock()
    engine = open_database(config.database)
    archive = Archive(engine, clock)
    found = find(archive, args.frame, args.night)
    if len(found) != 1:
        return _refuse(_which(archive, args.frame, found))
    frame = found[0]
    settings = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    return _submit(JobQueue(engine, clock), frame, settings, archive, clock)


def _submit(
    queue: Any, frame: FrameRecord, settings: dict[str, Any], archive: Archive, clock: Any
) -> int:
    from dataclasses import replace

    from daemon.memory.records import PRIORITY_SCIENCE
    from daemon.work.plan import REDUCED, reduce_request

    if frame.identity.kind not in REDUCED:
        return _refuse(
            f"{frame.stem} is {frame.identity.kind}: only spectra of objects and standards are "
            "reduced; a new calibration frame remakes its master by itself"
        )
    request = reduce_request(frame, priority=PRIORITY_SCIENCE - 5, now=clock.now(), redo=True)
    request = replace(request, payload={**request.payload, "settings": settings})
    before = archive.current_product(frame.id)
    queue.submit(request)
    hints = (
        ", ".join(f"{name} = {value}" for name, value in settings.items()) or "the same settings"
    )
    print(f"{frame.stem} ({clean(frame.identity.target, 40)}, night {frame.night}): {hints}")
    if before is not None:
        print(f"the product of quality {before.quality} stays beside the new one")
    alive = any(beat.who == "supervisor" for beat in archive.heartbeats())
    print("the daemon does it now; see `alfoscd status`" if alive else
          "the daemon is not running: it is done when the daemon starts")  # fmt: skip
    return 0


def find(archive: Archive, name: str, night: str | None) -> list[FrameRecord]:
    """Return the frames that a person means by a stem, number or file name."""
    found = archive.find_frames(name)
    if not found and name.isdecimal():
        one = archive.frame(int(name))
        found = [] if one is None else [one]
    return [frame for frame in found if night in (None, frame.night)]


def _which(archive: Archive, name: str, found: Sequence[FrameRecord]) -> str:
    if found:
        nights = ", ".join(frame.night for frame in found)
        return f"'{clean(name, 60)}' was taken in several nights ({nights}): add --night"
    stems = sorted({frame.stem for frame in archive.current_frames()})
    near = difflib.get_close_matches(name, stems, n=3, cutoff=0.5) or stems[-3:]
    return (
        f"no frame '{clean(name, 60)}'; nearest: {', '.join(near) or 'none, the archive is empty'}"
    )


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
