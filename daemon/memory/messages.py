"""What leaves the machine: a message, and its delivery to each place that wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Topic(StrEnum):
    """What a message is about; the settings say which sink gets which topic."""

    #: A science product with its verification plot.
    PRODUCT = "product"
    #: The report of a night, and its addenda.
    REPORT = "report"
    #: Something in the sky: a candidate, an answer to a trigger.
    ALERT = "alert"
    #: What to take or to check during the night.
    HINT = "hint"
    #: A redo, a verdict or an upgrade, told to those who watch.
    CHANGE = "change"
    #: The machine itself needs a person.
    TROUBLE = "trouble"


class DeliveryState(StrEnum):
    """Where one delivery stands."""

    #: Will be tried when it is due.
    WAITING = "waiting"
    #: Being sent now; found after a restart it is as good as unknown.
    SENDING = "sending"
    #: It may have arrived: nothing is repeated before a look.
    UNKNOWN = "unknown"
    SENT = "sent"
    #: Given up; the error says why and what to do.
    DEAD = "dead"
    #: Told in one message together with others.
    GATHERED = "gathered"
    #: Never sent, as a newer message says the same better.
    OVERTAKEN = "overtaken"
    #: The programme's data are closed; the error names the setting that opens them.
    WITHHELD = "withheld"


#: Smaller goes out first.
PRIORITY_URGENT = 10
PRIORITY_NORMAL = 50
PRIORITY_LATER = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to tell people or machines, once.

    Attributes
    ----------
    key
        One message per key is ever queued, whatever became of it.
    text
        Plain text, complete in itself; sinks escape it for their own markup.
    subject
        One line; by default the first line of the text.
    html
        The same for mail readers; '' sends plain text only.
    night, target
        The conversation it belongs to: with a night it is a reply below that night's post, with
        a target below the target's post of that night; without both it stands by itself.
    programme
        PROPID of the frames that it shows; '' when it concerns the whole telescope. What belongs
        to a programme goes only where `[programmes."PROPID"]` lets it.
    attachments
        Files as they are when it is delivered; what is gone by then is named in the text.
    blocks
        Slack blocks instead of the text, already escaped; the text is still needed.
    payload
        What webhooks and the journal get beside the text; JSON-able.
    to
        Names of the sinks ('slack', 'mail', 'webhook.NAME'); empty leaves it to the settings.
    not_to
        Sinks that must not carry it, as news of their own failure.
    slot
        Of the unsent messages with the same slot only the last one is delivered.
    storm
        A class of messages of which only a few an hour go out singly, the rest as a count;
        '' sends every one.
    not_before
        Not delivered earlier; None means at once.
    """

    key: str
    topic: Topic
    text: str
    subject: str = ""
    html: str = ""
    night: str = ""
    target: str = ""
    programme: str = ""
    attachments: tuple[Path, ...] = ()
    blocks: tuple[Mapping[str, Any], ...] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    not_to: tuple[str, ...] = ()
    slot: str = ""
    storm: str = ""
    priority: int = PRIORITY_NORMAL
    not_before: datetime | None = None

    @property
    def title(self) -> str:
        """The subject, or the first line of the text."""
        lines = (self.subject or self.text).strip().splitlines()
        return lines[0] if lines else str(self.topic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message in the outbox."""

    id: int
    message: Message
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way to one place.

    Attributes
    ----------
    sink, address
        'slack' and a channel, 'mail' and a mailbox, 'webhook.NAME' and a URL, ...
    remote
        What the other side calls it: a Slack time stamp, a Message-ID.
    prepared
        What had to be got ready there before it, as ids of uploaded files; JSON-able.
    began_at
        Since when it may have arrived; None while it certainly has not.
    gathered_in
        The delivery that tells it together with others.
    """

    id: int
    message: Message
    sink: str
    address: str
    state: DeliveryState
    attempts: int
    next_try: datetime
    created_at: datetime
    error: str = ""
    remote: str = ""
    prepared: Mapping[str, Any] = field(default_factory=dict)
    began_at: datetime | None = None
    sent_at: datetime | None = None
    gathered_in: int | None = None
