"""What a person restricts a batch to."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """Which frames are reduced; calibrations are taken all the same, unless a list leaves them out.

    Attributes
    ----------
    target
        Part of the target's name, without regard to case; '' for every one.
    first, last
        Numbers at the end of the frame's name, inclusive; None leaves the end open.
    files
        Names of the raw files that are taken in at all; None takes every one.
    lenient
        Files that were quarantined are tried again, and those that end in zeros are taken.
    """

    target: str = ""
    first: int | None = None
    last: int | None = None
    files: frozenset[str] | None = None
    lenient: bool = False

    def wants(self, stem: str, target: str) -> bool:
        """Tell whether a frame of this name and target is to be reduced."""
        if self.target and self.target.casefold() not in target.casefold():
            return False
        if self.first is None and self.last is None:
            return True
        number = number_of(stem)
        if number is None:
            return False
        low = number if self.first is None else self.first
        high = number if self.last is None else self.last
        return low <= number <= high


def number_of(stem: str) -> int | None:
    """Return the number at the end of a frame's name: 205 of 'ALDc200205' is 200205."""
    found = _NUMBER.search(stem)
    return int(found[1]) if found else None
