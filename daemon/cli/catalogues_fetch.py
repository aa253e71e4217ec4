"""Fetch fields from the services, or load a file, and say how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration_store.catalogues.files import read_file
from calibration_store.catalogues.local import WHOLE
from calibration_store.catalogues.tiles import UnusableCatalogue
from daemon.cli.sky_words import region_of
from daemon.publish.words import clean
from daemon.work.sky_catalogues import open_catalogues

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from calibration_store.catalogues.online import Answers
    from calibration_store.catalogues.references import Catalogues
    from calibration_store.catalogues.sky import Cone
    from daemon.cli.sky_words import Target
    from daemon.config import Config

#: Fields one after the other without any answer, after which the link is taken to be down.
_PATIENCE = 3


def fetch_fields(config: Config, targets: Sequence[Target], args: argparse.Namespace) -> int:
    """Fetch every field, one line each; return 1 when something is missing at the end."""
    catalogues = open_catalogues(config)
    names = _chosen(catalogues, args.catalogue)
    missing = silent = 0
    tried = False
    for number, target in enumerate(targets, start=1):
        cone = target.cone
        begin = f"{number}/{len(targets)}  {clean(target.name, 24):<24}"
        print(f"{begin} {cone.ra_deg:9.4f} {cone.dec_deg:+9.4f}  ", end="", flush=True)
        due = _due(catalogues, names, cone, again=args.again)
        answers = None
        if due:
            # Who asks by hand wants it tried now; only what then fails is left in peace.
            first, tried = not tried, True
            answers = catalogues.fetch(due, cone, limit_s=args.limit, even_resting=first)
        left = _due(catalogues, names, cone, again=False)
        print(_outcome(catalogues, due, left, answers), flush=True)
        missing += bool(left)
        silent = silent + 1 if answers is not None and not answers.found else 0
        if silent == _PATIENCE and number < len(targets):
            print(f"no service answers; {len(targets) - number} fields left out. Try again later:")
            print("what is on disc already is not asked for again")
            return 1
    if missing:
        print(f"{missing} of {len(targets)} fields are not complete; the same command tries again")
    return 1 if missing else 0


def load_file(config: Config, args: argparse.Namespace) -> int:
    """Put the entries of a file on disc."""
    print(f"reading {args.source} ...", flush=True)
    catalogues = open_catalogues(config)
    brought = read_file(args.source)
    name = args.catalogue.strip() or brought.name
    if not name or "," in name:
        raise UnusableCatalogue("say with --catalogue what it is: gaia, ps1, or a name of its own")
    region = brought.cone if args.region is None else region_of(args.region)
    if region is None:
        raise UnusableCatalogue(
            f"{args.source}: say with --region which piece of sky it covers completely: "
            "RA,DEC,RADIUS or RA:RA,DEC:DEC in degrees, or all. Without that a field without "
            "stars could not be told from one that is not in the file"
        )
    columns = brought.columns(catalogues.known.by_name.get(name), _pairs(args.columns))
    count = len(columns["ra_deg"])
    print(f"{count} entries; writing below {config.catalogue_folder} ...", flush=True)
    release = args.release or brought.release
    kept = catalogues.write_cone(name, columns, region, release=release)
    print(f"{kept} entries of {catalogues.title(name)} are on disc", end="")
    print(f"; {count - kept} lie outside the region or on its border" if kept < count else "")
    if not kept:
        raise UnusableCatalogue("no entry lies in the region: is --region in degrees?")
    return 0


def _chosen(catalogues: Catalogues, wanted: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in wanted.split(",") if name.strip())
    unknown = [name for name in names if name not in catalogues.known.by_name]
    if unknown:
        known = ", ".join(catalogues.known.by_name)
        raise UnusableCatalogue(f"{', '.join(unknown)} is none of {known}")
    # Near infrared serves no filter of ALFOSC: only when asked for by name.
    return names or catalogues.known.usual()


def _due(catalogues: Catalogues, names: Sequence[str], cone: Cone, *, again: bool) -> list[str]:
    """Return the catalogues of which a field is not complete, or all that reach it."""
    reaching = [name for name in names if catalogues.known.by_name[name].reaches(cone)]
    if again:
        return reaching
    return [name for name in reaching if catalogues.tiles.read(name, cone).asked < WHOLE]


def _outcome(
    catalogues: Catalogues, due: Sequence[str], left: Sequence[str], answers: Answers | None
) -> str:
    if answers is None:
        return "on disc already"
    counts = {answer.catalogue: len(answer.rows) for answer in answers.found}
    cut = {answer.catalogue for answer in answers.found if answer.truncated}
    said = []
    for name in due:
        if name in cut:
            said.append(f"{name} has too many for one field: ask for a smaller radius")
        elif counts.get(name):
            said.append(f"{name} {counts[name]}")
        elif name in counts:
            said.append(f"{name} has not looked here")
        elif name in left:
            said.append(f"{name} missing")
    return ", ".join(said) + (f" ({answers.in_words})" if left and answers.in_words else "")


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for ours, equals, theirs in pairs:
        if not equals or not theirs.strip():
            raise UnusableCatalogue(f"--columns {ours.strip()}: write it as {ours.strip()}=COLUMN")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
