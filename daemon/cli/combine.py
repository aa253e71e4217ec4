"""`alfoscd combine`: one spectrum of a target from several nights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.asked import existing_database
from daemon.cli.options import add_config, nights_of
from daemon.cli.redo import refuse
from daemon.publish.words import clean

if TYPE_CHECKING:
    import argparse

    from daemon.memory.records import CombinationRecord


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "combine",
        help="combine a target's spectra over several nights",
        description="Combine the current spectra of one target and set-up, quality 0 to 2 and "
        "not rejected, over several nights. Each is calibrated with its own night. Within one "
        "night the daemon combines by itself.",
    )
    parser.add_argument("target", metavar="TARGET", help="name of the target as status shows it")
    parser.add_argument(
        "--nights", metavar="A,B", type=nights_of, default=(),
        help="these nights, as 2026-11-20,2026-11-23 (default: every night)",
    )  # fmt: skip
    parser.add_argument("--grism", metavar="G", default="", help="which grism, as 4 or Grism_#4")
    parser.add_argument("--slit", metavar="W", default="", help="which slit, as 1.0 or Slit_1.0")
    parser.add_argument(
        "--into", type=Path, metavar="DIR",
        help="write here and leave the archive alone (default: the newest night's folder)",
    )  # fmt: skip
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Combine, and say what came of it."""
    config = existing_database(args)
    from daemon.work.across_nights import NothingToCombine, Wanted, combine_nights
    from daemon.work.bench import open_bench
    from daemon.work.outcomes import TryLater

    wanted = Wanted(
        target=args.target,
        nights=args.nights,
        grism=args.grism,
        slit=args.slit,
    )
    into = None if args.into is None else args.into.resolve()
    bench = open_bench(config)
    try:
        record = combine_nights(bench, wanted, into)
    except NothingToCombine as error:
        return refuse(clean(str(error), 400))
    except TryLater as error:
        return refuse(f"{error.reason} by the daemon: ask again when `alfoscd status` is idle")
    finally:
        bench.engine.dispose()
    _tell(record)
    return 0


def _tell(record: CombinationRecord) -> None:
    found = record.measurements
    print(
        f"{clean(record.target, 40)} {record.setup}: {len(record.members)} exposures, "
        f"{record.exposure_s:.0f} s, quality {record.quality}, S/N {found['snr']:.1f}, "
        f"chi2 {found['chi2']:.2f}"
    )
    for member in record.members:
        said = f"  {clean(member.remark)}" if member.remark else ""
        print(f"  {member.stem}  factor {member.factor:.3f}  weight {member.weight:.3f}{said}")
    for stem, reason in record.excluded:
        print(f"  {stem}  left out: {clean(reason)}")
    if "velocity_spread_km_s" not in found:
        print("  a header tells no position or time: wavelengths stay as observed, not barycentric")
    for path in record.paths.values():
        print(f"  {path}")
