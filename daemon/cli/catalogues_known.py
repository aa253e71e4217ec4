"""Put orbits and variable stars on disc, and say what of them is in a field."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.publish.words import clean, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from calibration_store.brought_lists import BadLines
    from calibration_store.minor_planets.collection import MinorPlanets
    from calibration_store.variables.collection import VariableStars
    from daemon.config import Config

_NAMED = 5
#: Planets pull orbits away from their elements; with older ones every field takes longer.
_OLD_DAYS = 400


def add_parsers(actions: Any) -> None:
    """Add `minor-planets`, `variables` and `known`."""
    planets = actions.add_parser(
        "minor-planets",
        help="put the orbits of a file of the Minor Planet Center on disc, or say what is there",
        description="MPCORB.DAT, NEA.txt and their like, CometEls.txt; also as .gz. A file of the "
        "same name replaces the earlier one; of a body in several files the newest file counts.",
    )
    planets.set_defaults(run=_minor_planets)
    variables = actions.add_parser(
        "variables",
        help="put known variable stars on disc, or say what is there",
        description="VSX as the CDS hands it out (vsx.dat), Gaia's variables or a list of one's "
        "own as CSV, FITS or VOTable with columns name, ra, dec, max, min, type; also as .gz.",
    )
    variables.set_defaults(run=_variables)
    for action in (planets, variables):
        action.add_argument(
            "files", nargs="*", type=Path, metavar="FILE",
            help="to be taken in; without one, what is on disc is listed",
        )  # fmt: skip
        action.add_argument("--name", default="", help="keep it under this name, not the file's")
        action.add_argument("--remove", metavar="NAME", help="remove what a file brought")
    known = actions.add_parser("known", help="minor planets and variables in a field at a time")
    known.add_argument("region", metavar="RA,DEC,RADIUS", help="degrees, or hh:mm:ss,dd:mm:ss,R")
    known.add_argument("--time", metavar="T", help="UTC, as 2026-11-21T23:10 (default: now)")
    known.add_argument("--faintest", type=float, default=22.0, help="V of what is listed (22)")
    known.set_defaults(run=_known)
    for action in (planets, variables, known):
        add_config(action)


def _minor_planets(args: argparse.Namespace) -> int:
    """Take files of orbits; return 1 when one could not be taken."""
    from calibration_store.minor_planets.collection import NoOrbits
    from daemon.work.known_sky import minor_planets

    held = minor_planets(configuration(args))
    code = _taken(held, args, "orbits", NoOrbits)
    rows = []
    for one in held.sets():
        epoch = datetime.fromtimestamp((one.epoch_mjd - 40587) * 86400, UTC).date()
        rows.append((one.name, str(one.count), str(epoch), one.file_date, one.source))
        if abs((held.now().date() - epoch).days) > _OLD_DAYS:
            print(f"the elements of {one.name} are for {epoch}: fetch a newer file")
    _print(rows, ("name", "orbits", "elements for", "file of", "file"), "no orbits are on disc")
    return code


def _variables(args: argparse.Namespace) -> int:
    """Take files of variables; return 1 when one could not be taken."""
    from calibration_store.variables.collection import NoVariables
    from daemon.work.known_sky import variable_stars

    held = variable_stars(configuration(args))
    code = _taken(held, args, "variables", NoVariables)
    rows = [(one.name, str(one.count), one.file_date, one.source) for one in held.sets()]
    _print(rows, ("name", "variables", "file of", "file"), "no variables are on disc")
    return code


def _taken(
    held: MinorPlanets | VariableStars,
    args: argparse.Namespace,
    what: str,
    nothing: type[Exception],
) -> int:
    from calibration_store.brought_lists import BadLines
    from calibration_store.catalogues.tiles import UnusableCatalogue

    if args.remove and not held.remove(args.remove):
        return _refuse(f"'{clean(args.remove, 40)}' is not on disc")
    if args.name and len(args.files) > 1:
        return _refuse("--name is for one file")
    code = 0
    for path in args.files:
        bad = BadLines()
        print(f"reading {path} ...", flush=True)
        try:
            brought = held.take(path, bad, args.name)
        except (nothing, UnusableCatalogue, OSError, EOFError) as error:
            _refuse(str(error))
            code = 1
            continue
        finally:
            _tell(bad)
        print(f"{brought.name} is on disc, {what}: {brought.count}")
    return code


def _tell(bad: BadLines) -> None:
    """Say which lines were left out."""
    if not bad.count:
        return
    print(f"{bad.count} lines left out" if bad.count > 1 else "1 line left out")
    for number, why in bad.first[:_NAMED]:
        print(f"  line {number}: {clean(why, 90)}")
    if bad.count > _NAMED:
        print(f"  and {bad.count - _NAMED} more")


def _known(args: argparse.Namespace) -> int:
    """List what moves and varies in a field."""
    from calibration_store.catalogues.sky import Cone
    from daemon.cli.sky_words import NotUnderstood, region_of
    from daemon.work.known_sky import known_in_field

    config: Config = configuration(args)
    try:
        region = region_of(args.region)
        when = datetime.fromisoformat(args.time) if args.time else datetime.now(UTC)
    except (NotUnderstood, ValueError) as error:
        return _refuse(str(error))
    if not isinstance(region, Cone):
        return _refuse("a field is RA,DEC,RADIUS in degrees")
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    for line in known_in_field(config, region, when, args.faintest):
        print(line)
    return 0


def _print(rows: Sequence[tuple[str, ...]], head: tuple[str, ...], empty: str) -> None:
    print("\n".join(table(head, rows, width=110)) if rows else empty)


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
