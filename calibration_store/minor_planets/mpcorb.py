"""Read orbits in the formats of the Minor Planet Center.

`MPCORB.DAT` and its parts (`NEA.txt`, `PHA.txt`, `Distant.txt`, `Unusual.txt`, the extended
variants with columns of their own at the end): minorplanetcenter.net/iau/info/MPOrbitFormat.html.
Comets (`CometEls.txt`): minorplanetcenter.net/iau/info/CometOrbitFormat.html.
"""

from __future__ import annotations

import gzip
import math
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_store.minor_planets.designations import BadDesignation, unpacked
from reducers.transients.orbits import GAUSS, ORBIT, Orbits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from calibration_store.brought_lists import BadLines

_MJD_OF_ORDINAL = -678576
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CENTURIES = {"I": 1800, "J": 1900, "K": 2000}
_AT_ONCE = 50_000


def read_orbits(path: Path, bad: BadLines) -> Iterator[Orbits]:
    """Yield the orbits of a file, some ten thousand at a time; a bad line never ends it.

    Raises
    ------
    OSError, EOFError
        If the file cannot be read to its end.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="ascii", errors="replace") as file:
        rows = _rows(file, bad)
        while batch := list(islice(rows, _AT_ONCE)):
            yield np.array(batch, ORBIT)


def _rows(lines: Iterable[str], bad: BadLines) -> Iterator[tuple[Any, ...]]:
    """Yield one record for each orbit; what stands before the line of dashes is a preface."""
    preface: list[tuple[int, str]] | None = []
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if preface is not None and text.startswith("-----"):
            preface = None  # what stood before was prose
            continue
        if not text.strip() or text.startswith("#"):
            continue
        try:
            row = read_line(text)
        except (ValueError, BadDesignation) as error:
            why = str(error) or "not an orbit"
            if preface is not None and len(preface) < 200:
                preface.append((number, why))
            else:
                bad.note(number, why)
            continue
        yield row
    for number, why in preface or ():  # no line of dashes: there was no preface
        bad.note(number, why)


def read_line(text: str) -> tuple[Any, ...]:
    """Return one record of type ORBIT.

    Raises
    ------
    ValueError, BadDesignation
        If a column is not what it should be.
    """
    if len(text) >= 103 and text[29] == ".":
        return _minor_planet(text)
    if len(text) >= 79 and text[24:25] == ".":
        return _comet(text)
    raise ValueError("neither a minor planet nor a comet in the format of the MPC")


def _minor_planet(text: str) -> tuple[Any, ...]:
    epoch = packed_date(text[20:25])
    a, e = _number(text[92:103], "semimajor axis"), _number(text[70:79], "eccentricity")
    if not (a > 0 and 0 <= e < 1):
        raise ValueError(f"a = {a}, e = {e} is no ellipse")
    mean = (_number(text[26:35], "mean anomaly") + 180) % 360 - 180
    name = text[166:194].strip() or unpacked(text[:7].strip())
    return (
        name.encode("ascii", "replace"),
        epoch,
        epoch - math.radians(mean) * a**1.5 / GAUSS,
        a * (1 - e),
        e,
        _angle(text[59:68], "inclination"),
        _angle(text[48:57], "node"),
        _angle(text[37:46], "argument of perihelion"),
        _or_nan(text[8:13]),
        _or_nan(text[14:19]),
        int(text[105]) if text[105:106].isdigit() else -1,
        False,
        _last_seen(text),
    )


def _comet(text: str) -> tuple[Any, ...]:
    q, e = _number(text[30:39], "perihelion distance"), _number(text[41:49], "eccentricity")
    if not (q > 0 and e >= 0):
        raise ValueError(f"q = {q}, e = {e} is no orbit")
    year, month, day = int(text[14:18]), int(text[19:21]), _number(text[22:29], "day")
    perihelion = date(year, month, 1).toordinal() + _MJD_OF_ORDINAL + day - 1
    stated = text[81:89].strip()
    epoch = _day(stated) if len(stated) == 8 else perihelion
    return (
        text[102:130].strip().encode("ascii", "replace"),
        epoch,
        perihelion,
        q,
        e,
        _angle(text[71:79], "inclination"),
        _angle(text[61:69], "node"),
        _angle(text[51:59], "argument of perihelion"),
        _or_nan(text[91:95]),
        _or_nan(text[96:100]),
        0,
        True,
        np.nan,
    )


def packed_date(text: str) -> float:
    """Return the MJD of a packed date, 'K25BL' for 2025 November 21.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        year = _CENTURIES[text[0]] + int(text[1:3])
        day = date(year, _DIGITS.index(text[3]), _DIGITS.index(text[4]))
    except (KeyError, ValueError, IndexError):
        raise ValueError(f"'{text}' is no packed date") from None
    return float(day.toordinal() + _MJD_OF_ORDINAL)


def _last_seen(text: str) -> float:
    """Return the MJD of the last observation; NaN where it is not told."""
    stated = text[194:202].strip()
    try:
        return _day(stated) if len(stated) == 8 else math.nan
    except ValueError:
        return math.nan


def _day(text: str) -> float:
    day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    return float(day.toordinal() + _MJD_OF_ORDINAL)


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text.strip()}' is no {what}")
    return value


def _angle(text: str, what: str) -> float:
    value = _number(text, what)
    if not 0 <= value <= 360:
        raise ValueError(f"{value} degrees is no {what}")
    return value


def _or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
