"""Write simulated frames into a directory the way data really arrive: whole, in pieces, renamed.

Every way of delivery is a sequence of steps; between two steps it says how long to wait, so that
tests can look at the directory between them without sleeping.
"""

from __future__ import annotations

import heapq
import os
import zlib
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

CARD, BLOCK = 80, 2880
CHUNKS = 6
#: The control system keeps a frame open for about as long as the detector is read.
CHUNK_PAUSE_S = 0.4
EDIT_AFTER_S = 6.0
COMPLETE_AFTER_S = 5.0


class Style(StrEnum):
    """How one file comes to be in the directory."""

    WHOLE = "whole"
    SLOW = "slow"
    RENAMED = "renamed"
    MOVED_IN = "moved-in"
    RSYNC = "rsync"
    LINKED = "linked"
    EDITED = "edited"
    TRUNCATED = "truncated"
    NEVER_COMPLETED = "never-completed"


#: Styles after which the file holds the frame as it was given.
FAITHFUL = tuple(s for s in Style if s not in (Style.EDITED, Style.NEVER_COMPLETED))


def delivery_steps(
    name: str, content: bytes, directory: Path, style: Style, staging: Path
) -> Iterator[float]:
    """Deliver one file step by step; yield the seconds to wait before the next step.

    Parameters
    ----------
    directory
        Where the file is to appear.
    staging
        A directory on the same file system that nobody watches; used by 'moved-in' and 'linked'.
    """
    target = directory / name
    if style is Style.WHOLE:
        target.write_bytes(content)
    elif style is Style.SLOW:
        yield from _write_in_chunks(target, content)
    elif style is Style.RENAMED:
        yield from _write_then_rename(directory / f"{name}.tmp", target, content)
    elif style is Style.MOVED_IN:
        staging.mkdir(parents=True, exist_ok=True)
        yield from _write_then_rename(staging / name, target, content)
    elif style is Style.RSYNC:
        yield from _write_then_rename(directory / _rsync_name(name), target, content)
    elif style is Style.LINKED:
        staging.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(content)
        os.link(staging / name, target)
    elif style is Style.EDITED:
        yield from _write_then_edit(target, content)
    elif style is Style.TRUNCATED:
        target.write_bytes(content[: _cut(content)])
        yield COMPLETE_AFTER_S
        with target.open("ab") as file:
            file.write(content[_cut(content) :])
    else:
        target.write_bytes(content[: _cut(content)])


def deliver(
    frames: Iterable[tuple[str, bytes]],
    directory: Path,
    *,
    style_of: Callable[[str], Style],
    staging: Path,
    pace_s: float,
    sleep: Callable[[float], None],
    report: Callable[[str, Style], None],
) -> int:
    """Deliver frames, each one `pace_s` after the one before; return how many were begun.

    A delivery that takes long does not hold up those that follow. Frames are asked for one at a
    time, so a whole night never has to be in memory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    pending: list[tuple[float, int, Iterator[float]]] = []
    order, now, begun = count(), 0.0, 0
    for begun, (name, content) in enumerate(frames, start=1):
        now = _run_until(pending, now, (begun - 1) * pace_s, sleep)
        style = style_of(name)
        steps = delivery_steps(name, content, directory, style, staging)
        heapq.heappush(pending, (now, next(order), steps))
        report(name, style)
        now = _run_until(pending, now, now, sleep)
    _run_until(pending, now, None, sleep)
    return begun


def _run_until(
    pending: list[tuple[float, int, Iterator[float]]],
    now: float,
    until: float | None,
    sleep: Callable[[float], None],
) -> float:
    while pending and (until is None or pending[0][0] <= until):
        due, order, steps = heapq.heappop(pending)
        now = _wait(now, due, sleep)
        for pause_s in steps:
            heapq.heappush(pending, (now + pause_s, order, steps))
            break
    return now if until is None else _wait(now, until, sleep)


def _wait(now: float, until: float, sleep: Callable[[float], None]) -> float:
    if until > now:
        sleep(until - now)
    return max(now, until)


def _write_in_chunks(target: Path, content: bytes) -> Iterator[float]:
    size = len(content) // CHUNKS + 1
    with target.open("wb", buffering=0) as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            if start + size < len(content):
                yield CHUNK_PAUSE_S


def _write_then_rename(temporary: Path, target: Path, content: bytes) -> Iterator[float]:
    yield from _write_in_chunks(temporary, content)
    yield CHUNK_PAUSE_S
    temporary.replace(target)


def _write_then_edit(target: Path, content: bytes) -> Iterator[float]:
    target.write_bytes(content)
    yield EDIT_AFTER_S
    place = content.index(b"OBSERVER= ")
    card = f"{'OBSERVER= ' + repr('Corrected later'):<30} / Observer name"
    with target.open("r+b") as file:
        file.seek(place)
        file.write(f"{card:<{CARD}}".encode("ascii"))


def _rsync_name(name: str) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    number = zlib.crc32(name.encode())
    suffix = "".join(letters[number // 62**n % 62] for n in range(6))
    return f".{name}.{suffix}"


def _cut(content: bytes) -> int:
    # At a block boundary: only the header can tell that something is missing.
    return len(content) * 6 // 10 // BLOCK * BLOCK
