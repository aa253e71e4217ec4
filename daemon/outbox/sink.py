"""What every sink answers: the seam between the courier and the world outside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from daemon.memory.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message ready to go to one address.

    Attributes
    ----------
    thread
        What the other side calls the conversation that it is a reply in; '' outside of any.
    prepared
        What an earlier attempt got ready there.
    since
        It cannot have arrived before.
    """

    message: Message
    address: str
    since: datetime
    thread: str = ""
    prepared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def marker(self) -> str:
        """The idempotency key in a form that any header, file name or field can carry."""
        return f"alfoscd-{hashlib.sha256(self.message.key.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is ready on the other side, seen by nobody yet."""

    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """It has arrived, and the other side calls it so."""

    remote: str


@dataclass(frozen=True, slots=True)
class Absent:
    """A look has shown that it has not arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryAgain:
    """It has certainly not arrived; a later attempt may do better.

    Attributes
    ----------
    after_s
        What the other side asked to wait; None leaves it to the courier.
    alone
        Only this message is refused for now, others may go on.
    afresh
        What was prepared is void.
    """

    reason: str
    after_s: float | None = None
    alone: bool = False
    afresh: bool = False


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may have arrived."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It will never arrive this way.

    Attributes
    ----------
    advice
        What a person can do.
    closed
        Nothing else will either: the token or the channel is no good.
    """

    reason: str
    advice: str
    closed: bool = False


Outcome = Sent | TryAgain | Unclear | Refused


class Sink(Protocol):
    """A way out of the machine. None of its methods raises for what the world does.

    `prepare` may be repeated at will and shows nothing to anybody; `send` does the one visible
    act; `find` tells after an unclear answer whether that act took place.
    """

    @property
    def has_threads(self) -> bool:
        """Whether conversations are opened there."""
        ...

    @property
    def pace_s(self) -> float:
        """Least time between two messages to one address."""
        ...

    def prepare(self, letter: Letter) -> Prepared | TryAgain | Refused:
        """Get ready what the message needs over there."""
        ...

    def send(self, letter: Letter) -> Outcome:
        """Deliver it."""
        ...

    def find(self, letter: Letter) -> Sent | Absent | TryAgain | Refused:
        """Look whether it has arrived."""
        ...
