"""PyNOT's file classification table: one line per frame, grouped by type; `#` is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daemon.publish.words import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.memory.records import FrameRecord

_HEAD = ("FILENAME", "TYPE", "OBJECT", "EXPTIME", "GRISM", "SLIT", "FILTER", "SHAPE", "BINNING")
_TITLE = "## PyNOT File Classification Table"
_COLUMNS = re.compile(r"\s{2,}|\t")
#: What our kinds are called there, where the names differ.
_THEIRS = {"SPEC_STD": "SPEC_FLUX-STD", "ACQUISITION": "ACQ_IMG", "SLIT_IMAGE": "SLIT_IMG"}
_OURS = {theirs: ours for ours, theirs in _THEIRS.items()}


def pfc_text(frames: Iterable[FrameRecord]) -> str:
    """Return the table of these frames, as PyNOT writes and reads it."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for frame in frames:
        groups.setdefault(type_of(frame), []).append(_row(frame))
    lines = [_TITLE, ""]
    for name in sorted(groups):
        rows = [_HEAD, *sorted(groups[name])]
        wide = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
        lines.append(f"## {name}:")
        for row in rows:
            line = "  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip()
            lines.append(f"## {line}" if row is _HEAD else f" {line}")
        lines.append("")
    return "\n".join(lines) + "\n"


def type_of(frame: FrameRecord) -> str:
    """Return the type of a frame in PyNOT's words; arcs name their lamps."""
    kind = frame.identity.kind.value
    if kind == "ARC" and frame.identity.lamps:
        return f"ARC_{''.join(frame.identity.lamps)}"
    return _THEIRS.get(kind, kind)


def read_pfc(text: str) -> list[tuple[str, str]]:
    """Return (file name, kind in our words) of every active line of a table."""
    found = []
    for line in text.splitlines():
        # Two blanks part the columns as written; by hand one may have been typed.
        words = _COLUMNS.split(line.strip())
        words = words if len(words) > 1 else line.split()
        if len(words) > 1 and not words[0].startswith("#"):
            found.append((words[0], _kind_of(words[1].upper())))
    return found


def _kind_of(theirs: str) -> str:
    return "ARC" if theirs.startswith("ARC_") else _OURS.get(theirs, theirs)


def _row(frame: FrameRecord) -> tuple[str, ...]:
    own, setup = frame.identity, frame.identity.setup
    x1, x2, y1, y2 = setup.window
    shape = f"{(x2 - x1 + 1) // setup.x_binning}x{(y2 - y1 + 1) // setup.y_binning}"
    return (
        str(frame.path),
        type_of(frame),
        _word(own.object_name),
        f"{own.exposure_s:.1f}",
        _word(setup.grism),
        _word(setup.slit),
        _word(setup.filter),
        shape,
        f"{setup.x_binning}x{setup.y_binning}",
    )


def _word(text: str) -> str:
    """Return text as one word: the columns of the table are parted by blanks."""
    return clean(text, 40).replace(" ", "_").replace("#", "") or "-"
