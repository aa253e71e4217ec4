"""What somebody did in a conversation, as it is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One button or reply, once.

    Attributes
    ----------
    key
        No second one with this key ever does anything.
    user
        Id of the person over there.
    channel, mark
        Where it happened, and the time stamp that the other side gave it.
    said
        The words, or which button.
    done
        Whether it was carried out; False when it was refused.
    answer
        What was said to it.
    """

    key: str
    user: str
    channel: str
    mark: str
    said: str
    done: bool
    answer: str
    at: datetime
