"""Read lists of variable stars: the AAVSO's VSX, Gaia's variables, and lists of one's own."""

from __future__ import annotations

import csv
import gzip
import math
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_store.catalogues.files import read_file
from calibration_store.catalogues.sky import pixels_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration_store.brought_lists import BadLines

#: One variable: J2000, magnitudes in the list's own bands, NaN where not told.
VARIABLE = np.dtype(
    [
        ("ra", "f8"),
        ("dec", "f8"),
        ("pixel", "i4"),
        ("brightest", "f4"),
        ("faintest", "f4"),
        ("name", "S30"),
        ("type", "S16"),
    ]
)

#: VSX as the CDS hands it out (B/vsx/vsx.dat): number, name of 30 letters, flag, position; the
#: number has become longer over the years, what follows it is found by its form.
_VSX = re.compile(
    r"^ *\d+ (?P<name>.{30}) (?P<flag>[0-3]) +(?P<ra>\d+\.\d+) +(?P<dec>[-+]?\d+\.\d+) "
    r"(?P<type>.{0,30})(?P<rest>.*)$"
)
_VSX_MAGNITUDE = re.compile(
    r"(?P<amplitude>\(?)[<>]? *(?<![\d.])(?P<value>-?\d{1,2}\.\d{1,3})(?!\d)"
)
#: Constant after all, or a duplicate.
_NOT_VARIABLE = ("2", "3")

#: What columns are called, compared without regard to case; the first that is there counts.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "source_id", "source", "designation", "id", "oid"),
    "ra": ("ra", "ra_deg", "raj2000", "ra_icrs", "radeg", "_raj2000"),
    "dec": ("dec", "dec_deg", "dej2000", "de_icrs", "dedeg", "_dej2000", "decj2000"),
    "brightest": ("max", "brightest", "maxmag", "magmax", "gmagmax", "phot_g_mean_mag", "gmag"),
    "faintest": ("min", "faintest", "minmag", "magmin", "gmagmin", "phot_g_mean_mag", "gmag"),
    "type": ("type", "vartype", "best_class_name", "class", "var_type"),
}
_AT_ONCE = 100_000


def read_variables(path: Path, bad: BadLines) -> Iterator[NDArray[Any]]:
    """Yield rows of type VARIABLE, many at a time; a bad line never ends it.

    `.dat` is VSX's own format, `.csv` and `.tsv` may be of any origin with a line of names, all
    also as `.gz`; FITS and VOTable are read whole.

    Raises
    ------
    OSError, EOFError
        If the file cannot be read to its end.
    UnusableCatalogue
        If a table cannot be read as one.
    """
    ending = path.name.removesuffix(".gz").rpartition(".")[2].casefold()
    if ending in ("dat", "txt", "csv", "tsv"):
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            rows = _of_vsx(file, bad) if ending in ("dat", "txt") else _of_csv(file, bad)
            while batch := list(islice(rows, _AT_ONCE)):
                yield _packed(batch)
        return
    rows = _of_mappings(enumerate(_of_table(path), start=1), bad)
    while batch := list(islice(rows, _AT_ONCE)):
        yield _packed(batch)


def _packed(rows: list[tuple[Any, ...]]) -> NDArray[Any]:
    found = np.array(rows, VARIABLE)
    found["pixel"] = pixels_of(found["ra"], found["dec"])
    return found


def _of_vsx(lines: Iterable[str], bad: BadLines) -> Iterator[tuple[Any, ...]]:
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n").replace("\0", " ")
        if not text.strip():
            continue
        found = _VSX.match(text)
        if found is None:
            bad.note(number, "not a line of VSX")
            continue
        if found["flag"] in _NOT_VARIABLE:
            continue
        brightest = faintest = math.nan
        told = list(_VSX_MAGNITUDE.finditer(found["rest"][:40]))
        if told:
            brightest = faintest = float(told[0]["value"])
        if len(told) > 1:
            faintest = float(told[1]["value"]) + (brightest if told[1]["amplitude"] else 0.0)
        try:
            yield _row(found["name"], found["ra"], found["dec"], brightest, faintest, found["type"])
        except ValueError as error:
            bad.note(number, str(error))


def _of_csv(lines: Iterable[str], bad: BadLines) -> Iterator[tuple[Any, ...]]:
    told = (line.replace("\0", " ") for line in lines if line.strip() and not line.startswith("#"))
    try:
        head = next(told)
    except StopIteration:
        return
    mark = max(",;\t|", key=head.count)
    names = [name.strip().strip('"') for name in head.split(mark)]
    read = csv.reader(told, delimiter=mark)

    def entries() -> Iterator[tuple[int, Mapping[str, Any]]]:
        while True:
            try:
                cells = next(read)
            except StopIteration:
                return
            except csv.Error as error:
                bad.note(read.line_num + 1, str(error))
                continue
            yield read.line_num + 1, dict(zip(names, cells, strict=False))

    yield from _of_mappings(entries(), bad)


def _of_table(path: Path) -> Iterator[Mapping[str, Any]]:
    table = read_file(path).table
    for row in table:
        yield {name: row[name] for name in table.colnames}


def _of_mappings(
    entries: Iterable[tuple[int, Mapping[str, Any]]], bad: BadLines
) -> Iterator[tuple[Any, ...]]:
    """Yield rows from values by the file's own names of columns."""
    columns: dict[str, str] | None = None
    for number, entry in entries:
        if columns is None:
            columns = _columns(entry)
        missing = [name for name in ("ra", "dec") if name not in columns]
        if missing:
            bad.note(number, f"no column for {' and '.join(missing)}")
            continue
        said = {ours: entry.get(theirs, "") for ours, theirs in columns.items()}
        try:
            yield _row(
                str(said.get("name", "")) or f"variable at line {number}",
                said["ra"],
                said["dec"],
                _or_nan(said.get("brightest")),
                _or_nan(said.get("faintest")),
                str(said.get("type", "")),
            )
        except (ValueError, TypeError) as error:
            bad.note(number, str(error))


def _columns(entry: Mapping[str, Any]) -> dict[str, str]:
    theirs = {name.casefold(): name for name in entry}
    return {
        ours: theirs[next(name for name in names if name in theirs)]
        for ours, names in _NAMES.items()
        if any(name in theirs for name in names)
    }


def _row(
    name: str, ra: Any, dec: Any, brightest: float, faintest: float, kind: str
) -> tuple[Any, ...]:
    ra_deg, dec_deg = float(ra), float(dec)
    if not (-360 <= ra_deg <= 360 and -90 <= dec_deg <= 90):
        raise ValueError(f"{ra_deg}, {dec_deg} is no position in degrees")
    text = " ".join(name.split()).encode("ascii", "replace")
    return (
        ra_deg % 360,
        dec_deg,
        0,
        brightest,
        faintest,
        text,
        kind.strip().encode("ascii", "replace"),
    )


def _or_nan(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if -5 < number < 40 else math.nan
