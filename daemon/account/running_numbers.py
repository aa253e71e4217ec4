"""Gaps in the running numbers: frames that were taken and never arrived."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: More numbers than this missing in a row are no lost frames but another way of counting.
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The frames of one count.

    Attributes
    ----------
    prefix
        What their names share, 'ALDc20'.
    first, last
        Lowest and highest number that is known.
    missing
        Names between them that no file bears.
    """

    prefix: str
    first: int
    last: int
    width: int
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The count and its gaps, in one line."""
        head = (
            f"running numbers {self.prefix}{self.first:0{self.width}d}..{self.last:0{self.width}d}"
        )
        if not self.missing:
            return f"{head}, none missing"
        shown = ", ".join(self.missing[:8])
        more = f" and {len(self.missing) - 8} more" if len(self.missing) > 8 else ""
        return f"{head}, never arrived: {shown}{more}"


def runs_of(stems: Iterable[str], running_number: str) -> list[Run]:
    """Return the counts that the names of files belong to, with their gaps.

    Parameters
    ----------
    stems
        Of every file that arrived, whatever became of it: a quarantined one is not missing.
    running_number
        Regular expression with the groups 'prefix' and 'number', from the profile; '' for an
        instrument whose names carry no count.
    """
    if not running_number:
        return []
    pattern = re.compile(running_number)
    found: dict[str, dict[int, int]] = {}
    for stem in stems:
        match = pattern.fullmatch(stem)
        if match is not None:
            number = match["number"]
            found.setdefault(match["prefix"], {})[int(number)] = len(number)
    return [_run(prefix, numbers) for prefix, numbers in sorted(found.items())]


def _run(prefix: str, numbers: dict[int, int]) -> Run:
    first, last, width = min(numbers), max(numbers), max(numbers.values())
    missing: list[str] = []
    known = sorted(numbers)
    for before, after in pairwise(known):
        if after - before - 1 <= _MOST:
            missing += (f"{prefix}{n:0{width}d}" for n in range(before + 1, after))
    return Run(prefix=prefix, first=first, last=last, width=width, missing=tuple(missing))
