"""The list of a stack's members as text that a person may edit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reducers.errors import BadStackList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.imaging.stack_members import Choice

HEAD = """\
# The images of one stack. Edit 'use' (yes or no) and 'weight' (any positive numbers, relative to
# each other; - lets alfoscd weigh), then run: alfoscd stack {again} --list THIS_FILE
# A line may be taken out or begin with #; the other columns are for you to judge by.
"""
COLUMNS = (
    "use",
    "weight",
    "image",
    "seeing_arcsec",
    "ellipt",
    "exposure_s",
    "zero_point",
    "sky_e_s",
)
_WIDTHS = (4, 8, 24, 14, 7, 11, 11, 8)


@dataclass(frozen=True, slots=True)
class Listed:
    """A person's word about one image; `weight` is None where alfoscd is to weigh."""

    name: str
    use: bool
    weight: float | None


def format_list(choices: Sequence[Choice], again: str = "TARGET") -> str:
    """Return the list of a stack, a line for each image, with the reason where it is left out.

    `again` is what `alfoscd stack` was asked for.
    """
    names = max([_WIDTHS[2], *(len(choice.member.name) for choice in choices)])
    widths = (*_WIDTHS[:2], names, *_WIDTHS[3:])
    lines = ["# " + _row(COLUMNS, widths) + "  why not"]
    for choice in choices:
        member = choice.member
        rate = member.sky_e / member.exposure_s if member.exposure_s > 0 else math.nan
        cells = (
            "yes" if choice.use else "no",
            f"{choice.weight:.4f}" if choice.use else "-",
            member.name,
            *(
                f"{value:.{digits}f}" if math.isfinite(value) else "-"
                for value, digits in (
                    (member.seeing_arcsec, 2),
                    (member.ellipticity, 2),
                    (member.exposure_s, 1),
                    (member.zero_point_mag, 3),
                    (rate, 2),
                )
            ),
        )
        lines.append("  " + _row(cells, widths) + (f"  {choice.reason}" if choice.reason else ""))
    return HEAD.format(again=again) + "\n".join(line.rstrip() for line in lines) + "\n"


def parse_list(text: str) -> tuple[Listed, ...]:
    """Return what a list says.

    Raises
    ------
    BadStackList
        Naming the line that cannot be understood, or an image that is listed twice.
    """
    found: dict[str, Listed] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split()
        if not cells or cells[0].startswith("#"):
            continue
        if len(cells) < 3:
            raise BadStackList(f"line {number} needs at least: yes or no, a weight or -, an image")
        use, weight, name = cells[:3]
        if use.lower() not in ("yes", "no"):
            raise BadStackList(f"line {number} begins with {use!r}; it must be yes or no")
        if name in found:
            raise BadStackList(f"line {number} lists {name} a second time")
        found[name] = Listed(name, use.lower() == "yes", _weight(weight, number))
    if not found:
        raise BadStackList("the list holds no image")
    return tuple(found.values())


def _weight(text: str, number: int) -> float | None:
    if text == "-":
        return None
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise BadStackList(f"line {number} has the weight {text!r}; give a positive number or -")
    return weight


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
