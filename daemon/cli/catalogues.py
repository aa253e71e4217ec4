"""`alfoscd catalogues`: which stars of reference catalogues are on disc, and how they get there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.catalogues_known import add_parsers
from daemon.cli.options import add_config, configuration
from daemon.publish.words import clean

if TYPE_CHECKING:
    import argparse

_REGION = "RA,DEC,RADIUS in degrees, or hh:mm:ss,dd:mm:ss,RADIUS"


def add_parser(subparsers: Any) -> None:
    """Add the sub-command, its own sub-commands and their options."""
    parser = subparsers.add_parser(
        "catalogues",
        help="fetch reference catalogues before the night, and see what is on disc",
        description="Images are placed on the sky and calibrated with stars of Gaia, Pan-STARRS, "
        "SDSS, SkyMapper and ATLAS-REFCAT2. What is on disc needs no network.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_fetch(actions)
    status = actions.add_parser("status", help="what is on disc, how old, and what is missing")
    status.add_argument("--region", metavar="R", help=f"how well one field is covered: {_REGION}")
    status.set_defaults(run=_status)
    wanted = actions.add_parser("wanted", help="fields that images needed and did not get")
    wanted.add_argument("--fetch", action="store_true", help="try now to fetch them")
    wanted.add_argument("--forget", action="store_true", help="empty the list")
    wanted.set_defaults(run=_wanted)
    remove = actions.add_parser("remove", help="remove catalogues from disc")
    remove.add_argument("names", nargs="+", metavar="NAME", help="gaia, ps1, ...")
    remove.set_defaults(run=_remove)
    for action in (status, wanted, remove):
        add_config(action)
    add_parsers(actions)


def _add_fetch(actions: Any) -> None:
    fetch = actions.add_parser(
        "fetch", help="put catalogues on disc, from the services or from a file"
    )
    add = fetch.add_argument
    add("--region", metavar="R", help=f"this field: {_REGION}; with --from also A:B,C:D or all")
    add("--schedule", type=Path, metavar="F", help="the fields of a list: name, RA, DEC, radius")
    add(
        "--from",
        dest="source",
        type=Path,
        metavar="F",
        help="a FITS, CSV, ECSV or VOTable file instead of the services; --region says what it "
        "covers",
    )
    add(
        "--catalogue",
        metavar="A,B",
        default="",
        help="which (default: all that reach the field); with --from the name of the one",
    )
    add(
        "--columns",
        metavar="OURS=THEIRS,...",
        default="",
        help="with --from: names of columns, as ra_deg=RA,dec_deg=DEC,g=gmag,g_error=e_gmag",
    )
    add("--release", metavar="R", default="", help="with --from: which release it is")
    add("--again", action="store_true", help="fetch also what is on disc already")
    add(
        "--limit",
        type=float,
        metavar="S",
        default=60.0,
        help="wait no longer than this for one field (default: 60 s)",
    )
    add_config(fetch)
    fetch.set_defaults(run=_fetch)


def _fetch(args: argparse.Namespace) -> int:
    """Fill the disc; return 0 when everything is there, 1 when something is missing."""
    from calibration_store.catalogues.sky import Cone
    from calibration_store.catalogues.tiles import UnusableCatalogue
    from daemon.cli.catalogues_fetch import fetch_fields, load_file
    from daemon.cli.sky_words import NotUnderstood, Target, region_of, targets_in

    if args.source is None and (args.region is None) == (args.schedule is None):
        return _refuse("say which fields: --region RA,DEC,RADIUS or --schedule FILE")
    config = configuration(args)
    try:
        if args.source is not None:
            return load_file(config, args)
        if args.schedule is not None:
            return fetch_fields(config, targets_in(args.schedule), args)
        region = region_of(args.region)
        if not isinstance(region, Cone) or region.radius_deg > 2:
            return _refuse("services give RA,DEC,RADIUS up to 2 degrees; for more: --from FILE")
        return fetch_fields(config, [Target(clean(args.region, 40), region)], args)
    except (NotUnderstood, UnusableCatalogue) as error:
        return _refuse(str(error))


def _status(args: argparse.Namespace) -> int:
    """Print what is on disc."""
    from calibration_store.catalogues.sky import Cone
    from daemon.cli.catalogue_words import coverage_lines, status_lines
    from daemon.cli.sky_words import NotUnderstood, region_of
    from daemon.work.sky_catalogues import open_catalogues

    config = configuration(args)
    catalogues = open_catalogues(config)
    if args.region is None:
        print("\n".join(status_lines(catalogues, config.catalogue_folder)))
        return 0
    try:
        region = region_of(args.region)
    except NotUnderstood as error:
        return _refuse(str(error))
    if not isinstance(region, Cone):
        return _refuse("a field is RA,DEC,RADIUS in degrees")
    print("\n".join(coverage_lines(catalogues, region)))
    return 0


def _wanted(args: argparse.Namespace) -> int:
    """Print, fetch or forget what is missing; return 1 while something is."""
    from daemon.cli.catalogue_words import wanted_lines
    from daemon.work.sky_catalogues import open_catalogues

    catalogues = open_catalogues(configuration(args))
    if args.forget:
        wishes = catalogues.wanted.everything()
        for wish in wishes:
            catalogues.wanted.forget(wish)
        print(f"forgotten: {len(wishes)}")
        return 0
    if args.fetch:
        waiting = len(catalogues.wanted.everything())
        print(f"fetching what is wanted, {waiting} in all ...", flush=True)
        came = catalogues.fetch_wanted(limit_s=60.0, most=waiting, by_hand=True)
        print(f"now on disc: {len(came)} of {waiting}")
    print("\n".join(wanted_lines(catalogues)))
    return 1 if catalogues.wanted.everything() else 0


def _remove(args: argparse.Namespace) -> int:
    """Remove catalogues; what images were calibrated with does not change."""
    from daemon.work.sky_catalogues import open_catalogues

    catalogues = open_catalogues(configuration(args))
    held = catalogues.tiles.names()
    unknown = [name for name in args.names if name not in held]
    if unknown:
        return _refuse(f"{', '.join(unknown)} is not on disc; there is {', '.join(held) or 'none'}")
    for name in args.names:
        catalogues.tiles.remove(name)
        print(f"{name} removed")
    return 0


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
