"""`alfoscd redo`: reduce one frame again, with a hint from a person; accept or reject it."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.image_options import add_image_options, image_settings_of
from daemon.cli.options import add_config, configuration
from daemon.publish.words import clean
from daemon.status import SILENT_AFTER_S

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord
    from daemon.work.redo import Redo

#: Options that are settings of the reduction.
_SETTINGS = (
    "centroid_px",
    "region_px",
    "aperture_px",
    "method",
    "wavelengths",
    "background_px",
    "mask_angstrom",
    "seeing_arcsec",
    "cosmic_sigma",
    "clean_cosmics",
)
#: Those of images; `cosmic_sigma` they share.
_IMAGE_SETTINGS = (
    "cosmic_sigma",
    "subtract_sky",
    "divide_flat",
    "find_cosmics",
    "use_catalogues",
    "stop_after",
)


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "redo",
        help="reduce one frame again, with a hint",
        description="Reduce one frame again. The earlier product is kept; the new one gets the "
        "next version and says who asked for it, when and how. Better calibrations that come "
        "later keep to the hint; what was accepted they leave alone.",
    )
    parser.add_argument(
        "frame",
        metavar="FRAME",
        help="stem, number or file name of the raw frame, its target, or its time HH_MM_SS",
    )
    _add_hints(parser)
    add_image_options(parser)
    _add_calibrations(parser)
    _add_verdicts(parser)
    parser.add_argument("--night", metavar="N", help="which night, when the stem is ambiguous")
    parser.add_argument(
        "--user", metavar="NAME", help="who asks (default: $ALFOSCD_USER, else the login name)"
    )
    parser.add_argument(
        "--local", type=Path, metavar="DIR",
        help="reduce here and now into DIR; the daemon and its database are left alone",
    )  # fmt: skip
    add_config(parser)
    parser.set_defaults(run=run)


def _add_hints(parser: argparse.ArgumentParser) -> None:
    hints = parser.add_argument_group("how to reduce it")
    hints.add_argument(
        "--center", "--centroid", dest="centroid_px", type=float, metavar="PX",
        help="extract at this image column instead of where an object is found",
    )  # fmt: skip
    hints.add_argument(
        "--display", action="store_true", help="choose the column in a window, on the slit profile"
    )
    hints.add_argument(
        "--region", dest="region_px", type=one_range, metavar="LOW,HIGH",
        help="look for the object between these image columns",
    )  # fmt: skip
    hints.add_argument(
        "--aperture", dest="aperture_px", type=float, metavar="PX",
        help="half-width of the plain sum, image columns",
    )  # fmt: skip
    hints.add_argument(
        "--method", choices=("optimal", "boxcar"), help="which extraction is published"
    )
    hints.add_argument(
        "--wavelengths", choices=("vacuum", "air"), help="in what the products tell wavelengths"
    )
    hints.add_argument(
        "--background", dest="background_px", type=ranges, metavar="RANGES",
        help="columns that show the sky, as 90:120,180:210",
    )  # fmt: skip
    hints.add_argument(
        "--mask", dest="mask_angstrom", type=ranges, metavar="RANGES",
        help="vacuum wavelengths to leave out, as 5570:5585,6295:6305",
    )  # fmt: skip
    hints.add_argument(
        "--ab", metavar="FRAME",
        help="subtract this exposure, in which the target was elsewhere on the slit",
    )  # fmt: skip
    hints.add_argument(
        "--seeing", dest="seeing_arcsec", type=float, metavar="ARCSEC",
        help="width that the object finder expects",
    )  # fmt: skip
    hints.add_argument(
        "--cosmic-sigma", type=float, metavar="S", help="threshold of the cosmic-ray search"
    )
    hints.add_argument(
        "--keep-cosmics", dest="clean_cosmics", action="store_false", default=None,
        help="do not search cosmic rays",
    )  # fmt: skip


def _add_calibrations(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with which calibrations")
    group.add_argument(
        "--calibration", action="append", default=[], metavar="ROLE=MASTER",
        help="use this master (file name or key) as BIAS, FLAT, ARC, RESPONSE, SKY_FLAT, ...",
    )  # fmt: skip
    group.add_argument(
        "--exclude", action="append", default=[], metavar="MASTER|FRAME",
        help="do not use this master, nor any that holds this raw frame",
    )  # fmt: skip


def _add_verdicts(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what you think of it")
    only = group.add_mutually_exclusive_group()
    only.add_argument(
        "--accept", action="store_true", help="it is good: nothing automatic replaces it any more"
    )
    only.add_argument(
        "--reject", action="store_true", help="it is bad: go back to the version before it"
    )
    only.add_argument(
        "--recover", action="store_true",
        help="reduce it again with quality 1, because you have looked and it is usable",
    )  # fmt: skip
    group.add_argument(
        "--version", type=int, metavar="V",
        help="which version to accept or reject (default: the current one)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Find the frame, then judge it, reduce it here, or let the daemon reduce it."""
    config = configuration(args)
    if not config.database.is_file():
        return refuse(f"no database at {config.database}: give --config or --root of the daemon")
    from daemon.clock import SystemClock
    from daemon.memory.archive import Archive
    from daemon.memory.database import open_database, open_read_only

    engine = open_read_only(config.database) if args.local else open_database(config.database)
    archive = Archive(engine, SystemClock())
    from daemon.cli.find_frame import find, which

    found = find(archive, args.frame, args.night)
    if len(found) != 1:
        return refuse(which(archive, args.frame, found))
    frame = found[0]
    from daemon.work.roles import MEASURED

    if frame.identity.kind not in MEASURED:
        return refuse(
            f"{frame.stem} is {frame.identity.kind}: only images and spectra of objects and "
            "standards are reduced; a new calibration frame remakes its master by itself"
        )
    if args.accept or args.reject:
        from daemon.cli.verdict import judge

        return judge(archive, frame, accept=args.accept, version=args.version, user=user(args))
    return _ask(args, config, archive, frame)


def _ask(args: argparse.Namespace, config: Config, archive: Archive, frame: FrameRecord) -> int:
    from daemon.cli.asked import Unusable
    from daemon.work.redo_request import request_of

    try:
        settings = _settings(args, frame)
        if args.display:
            from daemon.cli.pick import pick

            settings["centroid_px"] = pick(archive.current_product(frame.id))
        redo = request_of(
            archive,
            frame,
            user=user(args),
            settings=settings,
            pins=args.calibration,
            exclude=args.exclude,
            partner=args.ab,
            recover=args.recover,
        )
    except Unusable as error:
        return refuse(str(error))
    if args.local:
        from daemon.cli.local import reduce_here

        return reduce_here(config, frame, redo, args.local, Path(args.frame))
    return _submit(archive, frame, redo)


def _settings(args: argparse.Namespace, frame: FrameRecord) -> dict[str, Any]:
    """Return the settings that a person gives for this kind of frame.

    Raises
    ------
    Unusable
        If some are for the other kind.
    """
    from daemon.cli.asked import Unusable
    from daemon.work.roles import IMAGED

    image = frame.identity.kind in IMAGED
    given = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    given |= image_settings_of(args)
    foreign = sorted(given.keys() - set(_IMAGE_SETTINGS if image else _SETTINGS))
    if foreign or (image and (args.display or args.ab)):
        what = "an image" if image else "a spectrum"
        named = ", ".join(foreign) or "a place along the slit"
        raise Unusable(f"{frame.stem} is {what}: it has no setting {named}")
    return given


def one_range(text: str) -> tuple[float, float]:
    """Return '90,120' or '90:120' as numbers, the smaller first.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is no range.
    """
    try:
        low, high = sorted(float(word) for word in text.replace(",", ":").split(":"))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise argparse.ArgumentTypeError(f"'{text}' is no range: write 90:120")
    return low, high


def ranges(text: str) -> tuple[tuple[float, float], ...]:
    """Return '90:120,180:210' as ranges."""
    return tuple(one_range(part) for part in text.split(","))


def _submit(archive: Archive, frame: FrameRecord, redo: Redo) -> int:
    from daemon.work.redo_request import submit_redo

    clock = archive.clock
    before = archive.current_product(frame.id)
    is_new = submit_redo(archive, frame, redo)
    target = clean(frame.identity.target, 40)
    print(f"{frame.stem} ({target}, night {frame.night}): {redo.in_words}")
    if not is_new:
        print("it takes the place of the request that waited for this frame")
    if before is not None:
        print(f"the product of quality {before.quality} stays beside the new one")
    alive = any(
        beat.who == "supervisor" and (clock.now() - beat.at).total_seconds() < SILENT_AFTER_S
        for beat in archive.heartbeats()
    )
    later = "the daemon is not running: it is done when that, or `alfoscd reduce`, starts"
    print("the daemon does it now; see `alfoscd status`" if alive else later)
    return 0


def user(args: argparse.Namespace) -> str:
    """Return who asks, as the product will name them."""
    named = args.user or os.environ.get("ALFOSCD_USER")
    if not named:
        try:
            named = getpass.getuser()
        except (KeyError, OSError):  # no such user, as in a bare container
            named = f"user {os.getuid()}"
    return "".join(c for c in clean(named, 40) if c.isascii()) or "unknown"


def refuse(sentence: str) -> int:
    """Say why not; return the exit code for it."""
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
