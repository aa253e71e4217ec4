"""Plain tables and colours for texts that people read."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

#: Puts a colour around text, or leaves it alone.
Paint = Callable[[str, str], str]

_CODES = {"red": "31", "green": "32", "amber": "33", "bold": "1", "dim": "2"}
VERDICT_COLOURS = {"ok": "green", "degraded": "amber", "down": "red"}


def no_paint(text: str, colour: str) -> str:
    """Return the text as it is."""
    return text


def terminal_paint(text: str, colour: str) -> str:
    """Return the text in a colour that terminals understand."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def clean(text: object, limit: int = 200) -> str:
    """Return text on one line without anything a terminal would obey, cut to the limit."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))
    return line if len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def argument(text: object, limit: int = 80) -> str:
    """Return text as one word of a command that people copy into a shell; '' stays visible."""
    return shlex.quote(clean(text, limit))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], width: int = 100) -> list[str]:
    """Return aligned lines; the last column is cut so that none is wider than `width`."""
    cells = [list(head), *([clean(cell) for cell in row] for row in rows)]
    if len(cells) == 1:
        return []
    wide = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        line = "  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip()
        lines.append("  " + clean_end(line, width - 2))
    return lines


def clean_end(line: str, width: int) -> str:
    """Return the line cut to the width, with an ellipsis where something was lost."""
    return line if len(line) <= width else line[: width - 1] + "…"


def clock(when: datetime | None) -> str:
    """Return the time of day in UT, or 'unknown'."""
    return "unknown" if when is None else f"{when:%H:%M:%S}"


def number(value: float | None, form: str) -> str:
    """Return the number in this form, or '-'."""
    return "-" if value is None or value != value else format(value, form)


def counted(counts: dict[str, int] | Iterable[tuple[str, int]]) -> str:
    """Return 'BIAS 11, ARC 3', or 'none'."""
    pairs = counts.items() if isinstance(counts, dict) else counts
    return ", ".join(f"{name} {count}" for name, count in pairs) or "none"


def last_line(error: str) -> str:
    """Return the last line of an error, where its sentence is."""
    lines = error.strip().splitlines()
    return lines[-1] if lines else "no reason recorded"
