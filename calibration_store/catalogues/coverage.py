"""Which pixels of a tile are known, since when and from which release."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration_store.catalogues.sky import in_ranges

if TYPE_CHECKING:
    from calibration_store.catalogues.sky import Pixels

#: One range of known pixels: [start, stop), the day they left the service (days since 1970), and
#: which of the catalogue's releases they are of.
COVER = np.dtype([("start", "i8"), ("stop", "i8"), ("day", "i4"), ("release", "i4")])
Cover = NDArray[Any]
NOTHING: Cover = np.empty(0, COVER)
UNKNOWN_DAY = -1
#: In place of a release: the service was asked, and the catalogue has not looked there.
OUTSIDE = -1
_FIRST_DAY = date(1970, 1, 1)


def day_of(retrieved: str) -> int:
    """Return the number of an ISO date; `UNKNOWN_DAY` where there is none."""
    return (date.fromisoformat(retrieved) - _FIRST_DAY).days if retrieved else UNKNOWN_DAY


def date_of(day: int) -> str:
    """Return the ISO date of a day's number; '' where it is not known."""
    return "" if day < 0 else date.fromordinal(_FIRST_DAY.toordinal() + int(day)).isoformat()


def ranges_of(cover: Cover) -> Pixels:
    """Return the ranges alone, (n, 2)."""
    return np.stack([cover["start"], cover["stop"]], axis=1)


def overlaid(cover: Cover, ranges: Pixels, day: int, release: int) -> Cover:
    """Return the coverage after `ranges` were made known anew."""
    fresh = np.empty(len(ranges), COVER)
    fresh["start"], fresh["stop"] = ranges.T
    fresh["day"], fresh["release"] = day, release
    edges = np.unique(
        np.concatenate([cover["start"], cover["stop"], fresh["start"], fresh["stop"]])
    )
    starts = edges[:-1]
    pieces = np.empty(len(starts), COVER)
    pieces["start"], pieces["stop"] = starts, edges[1:]
    known = np.zeros(len(starts), bool)
    for layer in (cover, fresh):
        inside = in_ranges(ranges_of(layer), starts)
        owner = layer[np.searchsorted(layer["start"], starts[inside], side="right") - 1]
        pieces["day"][inside], pieces["release"][inside] = owner["day"], owner["release"]
        known |= inside
    return _joined(pieces[known])


def _joined(pieces: Cover) -> Cover:
    if not len(pieces):
        return pieces
    before, after = pieces[:-1], pieces[1:]
    opens = np.concatenate(
        [
            [True],
            (after["start"] != before["stop"])
            | (after["day"] != before["day"])
            | (after["release"] != before["release"]),
        ]
    )
    whole: Cover = pieces[opens]
    last = np.concatenate([np.flatnonzero(opens)[1:] - 1, [len(pieces) - 1]])
    whole["stop"] = pieces["stop"][last]
    return whole
