"""Which frame a person means by a name, a number, a time or a target."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from daemon.publish.words import clean
from daemon.work.roles import MEASURED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord

_TIME = re.compile(r"(\d\d)[_:](\d\d)[_:](\d\d)")
_SHOWN = 6


def find(archive: Archive, name: str, night: str | None = None) -> list[FrameRecord]:
    """Return the frames that may be meant, by the first of these that gives any.

    Stem, file name or path; number; UT of the start, HH_MM_SS; target, without regard to case.
    """
    found = archive.find_frames(name)
    if not found and name.isdecimal():
        one = archive.frame(int(name))
        found = [] if one is None else [one]
    if not found:
        found = [frame for frame in _science(archive, night) if _is_called(frame, name)]
    return [frame for frame in found if night in (None, frame.night)]


def which(archive: Archive, name: str, found: Sequence[FrameRecord]) -> str:
    """Return in words why a name is not one frame, with the names that would be."""
    said = clean(name, 60)
    if len({frame.stem for frame in found}) == 1:
        nights = ", ".join(frame.night for frame in found)
        return f"'{said}' was taken in several nights ({nights}): add --night"
    if found:
        stems = ", ".join(frame.stem for frame in found[-_SHOWN:])
        return f"'{said}' is {len(found)} frames: say which of {stems}"
    known = sorted({frame.stem for frame in archive.current_frames()})
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[-3:]
    return f"no frame '{said}'; nearest: {', '.join(near) or 'none, the archive is empty'}"


def _science(archive: Archive, night: str | None) -> list[FrameRecord]:
    return [frame for kind in sorted(MEASURED) for frame in archive.current_frames(kind, night)]


def _is_called(frame: FrameRecord, name: str) -> bool:
    own, time = frame.identity, _TIME.fullmatch(name)
    if time is not None:
        return own.observed_at is not None and f"{own.observed_at:%H%M%S}" == "".join(time.groups())
    wanted = name.casefold().replace(" ", "")
    return wanted in {
        text.casefold().replace(" ", "") for text in (own.target, own.object_name) if text
    }
