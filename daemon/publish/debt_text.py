"""The board of calibrations owed, as text for a terminal, a post or the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.publish.words import clean, table
from daemon.status_words import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.account.debt import Debt, Hint

WIDTH = 90


def board_lines(debts: Sequence[Debt], width: int = WIDTH) -> list[str]:
    """Return every role of every set-up on one line, with its age."""
    rows = [
        (
            clean(item.setup, 40),
            item.role,
            item.standing.value.upper() if item.is_owed else item.standing.value,
            "-" if item.age_h is None else duration(item.age_h * 3600),
            str(item.frames),
        )
        for item in debts
    ]
    return table(("set-up", "role", "standing", "age", "frames"), rows, width)


def owed_lines(debts: Sequence[Debt]) -> list[str]:
    """Return what to take, one line each; what several set-ups need is asked for once."""
    wanted: dict[str, list[str]] = {}
    for item in debts:
        if item.is_owed:
            wanted.setdefault(item.take, []).append(item.setup)
    return [f"take {clean(take, 160)}" for take in wanted]


def hint_lines(hints: Sequence[Hint]) -> list[str]:
    """Return one line for every target."""
    return [f"{clean(item.about, 40)}: {item.sentence}" for item in hints]


def debt_post(debts: Sequence[Debt], hints: Sequence[Hint], title: str) -> str:
    """Return what is told to the observer; '' when nothing is owed and nothing to hint at."""
    owed, told = owed_lines(debts), hint_lines(hints)
    if not owed and not told:
        return ""
    lacking = [
        f"{item.setup}: {item.role} {item.standing}"
        + (f" ({duration(item.age_h * 3600)})" if item.age_h is not None else "")
        for item in debts
        if item.is_owed
    ]
    return "\n".join([title, *lacking, *owed, *told])
