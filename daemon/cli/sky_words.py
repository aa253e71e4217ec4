"""Positions, regions and lists of targets as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration_store.catalogues.sky import Box, Cone

if TYPE_CHECKING:
    from pathlib import Path

_REGION = "a region is RA,DEC,RADIUS in degrees (150.1,2.2,0.2), RA:RA,DEC:DEC, or all"
#: Radius of a field when a list names none: the diagonal of ALFOSC and room for the pointing.
FIELD_RADIUS_DEG = 10 / 60


class NotUnderstood(ValueError):
    """A position or a region is not written as one."""


@dataclass(frozen=True, slots=True)
class Target:
    """A name and a field."""

    name: str
    cone: Cone


def region_of(text: str) -> Cone | Box:
    """Return the piece of sky that a text names.

    Raises
    ------
    NotUnderstood
        With the sentence to show.
    """
    if text.strip().lower() == "all":
        return Box()
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 3:
        ra, dec = right_ascension(parts[0]), declination(parts[1])
        radius = _number(parts[2])
        if not 0 < radius <= 90:
            raise NotUnderstood(f"the radius {parts[2]} is not between 0 and 90 degrees")
        return Cone(ra, dec, radius)
    if len(parts) == 2 and all(part.count(":") == 1 for part in parts):
        ra_from, ra_to = (_number(part) for part in parts[0].split(":"))
        dec_from, dec_to = (_number(part) for part in parts[1].split(":"))
        if not -90 <= dec_from < dec_to <= 90:
            raise NotUnderstood(f"{parts[1]} is not a range of declinations: {_REGION}")
        return Box(ra_from, ra_to, dec_from, dec_to)
    raise NotUnderstood(f"'{text}' is not understood: {_REGION}")


def targets_in(path: Path) -> list[Target]:
    """Return the targets of a list, one a line: name, right ascension, declination, radius.

    Separated by commas, or by blanks where the name has none; positions in degrees or as
    10:00:28.6 +02:12:21. The radius (degrees) may be left out, the name too. Empty lines, what
    follows a # and a heading are skipped.

    Raises
    ------
    NotUnderstood
        With the number of the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotUnderstood(f"{path}: cannot be read: {error}") from error
    found: list[Target] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        words = [word.strip() for word in text.split(",")] if "," in text else text.split()
        is_heading = not found and not any(_is_coordinate(word) for word in words)
        if not words or is_heading:
            continue
        try:
            found.append(_target(words))
        except NotUnderstood as error:
            raise NotUnderstood(f"{path}, line {number}: {error}") from error
    if not found:
        raise NotUnderstood(f"{path}: names no target")
    return found


def right_ascension(text: str) -> float:
    """Return degrees of '150.1' (degrees) or '10:00:28.6' (hours)."""
    ra = 15 * _sexagesimal(text) if ":" in text else _number(text)
    if not 0 <= ra <= 360:
        raise NotUnderstood(f"the right ascension {text} is not between 0 and 360 degrees")
    return ra % 360


def declination(text: str) -> float:
    """Return degrees of '-2.2' or '-02:12:21'."""
    dec = _sexagesimal(text) if ":" in text else _number(text)
    if not -90 <= dec <= 90:
        raise NotUnderstood(f"the declination {text} is not between -90 and 90 degrees")
    return dec


def _target(words: list[str]) -> Target:
    named = len(words) == 4 or (len(words) == 3 and not _is_coordinate(words[0]))
    place = words[1:] if named else words
    if len(place) not in (2, 3):
        raise NotUnderstood(
            "name, right ascension, declination and radius are expected, with commas between them"
        )
    radius = _number(place[2]) if len(place) == 3 else FIELD_RADIUS_DEG
    if not 0 < radius <= 5:
        raise NotUnderstood(f"the radius {place[2]} is not between 0 and 5 degrees")
    cone = Cone(right_ascension(place[0]), declination(place[1]), radius)
    return Target(words[0] if named else f"{cone.ra_deg:.4f} {cone.dec_deg:+.4f}", cone)


def _is_coordinate(word: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.:]*\d[\d.:]*", word))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise NotUnderstood(f"'{text}' is not a number") from None


def _sexagesimal(text: str) -> float:
    match = re.fullmatch(r"([+-]?)(\d{1,3}):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?", text)
    if match is None or int(match[3]) > 59 or float(match[4] or 0) >= 60:
        raise NotUnderstood(f"'{text}' is not an angle: 10:00:28.6 or -02:12:21")
    size = int(match[2]) + int(match[3]) / 60 + float(match[4] or 0) / 3600
    return -size if match[1] == "-" else size
