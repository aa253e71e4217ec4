"""What was never seen before, and names that look misspelt."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

from daemon.report.night_report import Oddity
from reducers.identity import FrameKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from daemon.memory.records import FrameRecord
    from reducers.instrument import Standard

_CALLED = {
    "kind": "frame kind",
    "grism": "grism",
    "slit": "slit",
    "filter": "filter",
    "readout": "readout",
    "lamps": "lamps",
}
#: A value that comes back after so long is new to everybody's memory.
_LONG_DAYS = 90
_ALIKE = 0.85
_SHORTEST = 5
_SLIT_KINDS = (FrameKind.SPEC_OBJECT, FrameKind.SPEC_STD, FrameKind.ACQUISITION)


def oddities_of(
    frames: Sequence[FrameRecord],
    seen: Mapping[tuple[str, str], str],
    standards: Iterable[Standard],
    night: str,
) -> tuple[Oddity, ...]:
    """Return first-ever values, values that come back after long, and misspelt standards.

    Parameters
    ----------
    seen
        (key, value) -> the last night before that showed it; empty in the first night of all.
    """
    found = [] if not seen else [Oddity(sentence=said) for said in _first(frames, seen, night)]
    return (*found, *_misspelt(frames, list(standards)))


def values_of(frame: FrameRecord) -> dict[str, str]:
    """Return what is looked at of one frame; '' where its header does not say."""
    own = frame.identity
    return {
        "kind": own.kind.value,
        "grism": own.setup.grism,
        "slit": own.setup.slit,
        "filter": own.setup.filter,
        "readout": own.setup.readout,
        "lamps": " ".join(own.lamps),
    }


def _first(
    frames: Sequence[FrameRecord], seen: Mapping[tuple[str, str], str], night: str
) -> list[str]:
    counts = Counter((key, v) for f in frames for key, v in values_of(f).items() if v)
    example = {(k, v): f.stem for f in reversed(frames) for k, v in values_of(f).items()}
    said = []
    for (key, value), count in sorted(counts.items()):
        where = f"{count} frame{'s' * (count > 1)}, first {example[key, value]}"
        last = seen.get((key, value))
        if last is None:
            said.append(f"first {_CALLED[key]} '{value}' ever ({where})")
            continue
        days = (date.fromisoformat(night) - date.fromisoformat(last)).days
        if days > _LONG_DAYS:
            said.append(f"first {_CALLED[key]} '{value}' in {days} d ({where})")
    return said


def _misspelt(frames: Sequence[FrameRecord], standards: Sequence[Standard]) -> list[Oddity]:
    """Name the targets that are no standard and are written almost like one."""
    names = {
        _plain(name): _called(name, star)
        for star in standards
        for name in (star.name, *star.aliases)
    }
    said: dict[str, Oddity] = {}
    for frame in frames:
        own = frame.identity
        text = own.object_name or own.target
        plain = _plain(text)[:60]
        if own.kind not in _SLIT_KINDS or own.standard or len(plain) < _SHORTEST or text in said:
            continue
        near = difflib.get_close_matches(plain, names, n=1, cutoff=_ALIKE)
        if near and near[0] != plain and not _is_another(plain, near[0]):
            sentence = f"OBJECT '{text[:60]}' ({frame.stem}) is no standard: {names[near[0]]}?"
            said[text] = Oddity(sentence=sentence, programme=own.programme)
    return list(said.values())


def _called(name: str, star: Standard) -> str:
    return name if name == star.name else f"{name} ({star.name})"


def _is_another(plain: str, name: str) -> bool:
    """Tell whether the difference is one of a survey's many numbers, not a slip of the hand."""
    return sorted(plain) != sorted(name) and bool(re.search(r"\d{6}", plain))


def _plain(text: str) -> str:
    return re.sub(r"[^A-Z0-9+-]", "", text.upper())
