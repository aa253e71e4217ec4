"""Three clocks against each other: the header's, the arrival's, and the running number."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.records import FrameRecord

#: Reading out and copying take less.
_LATE_S = 600.0
#: A frame cannot arrive before it was taken; clocks kept by NTP agree better than this.
_EARLY_S = 5.0
#: Frames that arrive as they are taken come one by one; more in so short a time were copied.
_FEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCheck:
    """What the clocks say of each other.

    Attributes
    ----------
    offset_s
        Median time from the end of the exposure, by the header, to the arrival; None without
        frames that arrived as they were taken.
    sentences
        Everything that is wrong, one sentence each.
    """

    frames: int
    offset_s: float | None
    sentences: tuple[str, ...] = ()


def check_clocks(frames: Sequence[FrameRecord]) -> ClockCheck:
    """Compare the times of frames of one night."""
    dated = [frame for frame in frames if frame.identity.observed_at is not None]
    offsets = {frame.stem: _offset_s(frame) for frame in dated}
    said = [
        f"{frame.stem}: its header has no usable time; ordered by its arrival"
        for frame in frames
        if frame.identity.observed_at is None
    ]
    said += _disorder(dated)
    early = [stem for stem, offset in offsets.items() if offset < -_EARLY_S]
    live = [offset for offset in offsets.values() if -_EARLY_S <= offset <= _LATE_S]
    if len(live) < _FEWEST:
        if len(early) >= _FEWEST:
            said.append(
                f"{len(early)} frames arrived before they were taken: this computer's clock is "
                f"slow by {-statistics.median(offsets[stem] for stem in early):.0f} s or more, "
                "or the instrument's is fast"
            )
        return ClockCheck(frames=len(frames), offset_s=None, sentences=tuple(said))
    said += [
        f"{stem}: taken {-offsets[stem]:.0f} s after it arrived, by its header: the header is wrong"
        for stem in early
    ]
    return ClockCheck(frames=len(frames), offset_s=statistics.median(live), sentences=tuple(said))


def _offset_s(frame: FrameRecord) -> float:
    taken = frame.identity.observed_at
    if taken is None:
        return float("nan")
    return (frame.arrived_at - taken).total_seconds() - frame.identity.exposure_s


def _disorder(frames: Sequence[FrameRecord]) -> list[str]:
    """Name the frames whose number says later and whose header says earlier."""
    by_name = sorted(frames, key=lambda frame: frame.stem)
    said = []
    for before, after in pairwise(by_name):
        first, second = before.identity.observed_at, after.identity.observed_at
        same_count = len(before.stem) == len(after.stem) and before.stem[:-4] == after.stem[:-4]
        if first is not None and second is not None and same_count and second < first:
            said.append(
                f"{after.stem} was taken {(first - second).total_seconds():.0f} s before "
                f"{before.stem}, by their headers: one of them is wrong"
            )
    return said
