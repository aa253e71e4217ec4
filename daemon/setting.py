"""What is said of a setting where it is declared: its sentence, and the least it may be."""

from __future__ import annotations

from typing import Any


def doc(sentence: str, *, at_least: float | None = None) -> dict[str, Any]:
    """Return the metadata of a setting's field, for the example file and for the checks.

    Parameters
    ----------
    at_least
        Smaller values are refused; None takes every one.
    """
    return {"doc": sentence, "at_least": at_least}
