"""How a task ends other than by returning or failing."""

from __future__ import annotations


class TryLater(Exception):
    """The job cannot be done yet; it waits without counting an attempt."""

    def __init__(self, reason: str, *, after_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s
