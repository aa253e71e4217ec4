"""The sections of the configuration file about what leaves the machine.

No secret is ever a setting: tokens and passwords come as credentials of the service manager or
from the environment, see `daemon.outbox.secrets`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from daemon.setting import doc

#: Topics of `daemon.memory.messages.Topic`, as a setting lists them.
TOPICS = ("product", "report", "alert", "hint", "change", "trouble")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """How messages go out."""

    retry_h: float = field(
        default=24.0, metadata=doc("a delivery that keeps failing is given up", at_least=0)
    )
    digest_after_s: float = field(
        default=3600.0,
        metadata=doc("what has waited longer goes out together, in one digest", at_least=0),
    )
    digest_above: int = field(
        default=20, metadata=doc("so many waiting for one channel go out together", at_least=2)
    )
    storm_per_h: int = field(
        default=5, metadata=doc("alike messages beyond so many an hour are counted", at_least=1)
    )
    fresh_h: float = field(
        default=36.0,
        metadata=doc(
            "products of frames that were taken in longer ago are not announced", at_least=0
        ),
    )
    journal: Path | None = field(
        default=None, metadata=doc("append every message to this file too, one JSON line each")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """Where Slack messages go; the token is the credential `slack-token`."""

    channel: str = field(
        default="", metadata=doc('channel id, as "C0123ABCD"; empty posts nothing')
    )
    topics: tuple[str, ...] = field(
        default=("product", "report", "alert", "hint", "change", "trouble"),
        metadata=doc("what is posted"),
    )
    api_url: str = field(
        default="https://slack.com/api/", metadata=doc("another address serves tests")
    )
    timeout_s: float = field(
        default=30.0, metadata=doc("an answer is waited for so long", at_least=0.1)
    )
    pace_s: float = field(
        default=1.2, metadata=doc("time between two posts in a channel", at_least=0)
    )
    users: tuple[str, ...] = field(
        default=(), metadata=doc("ids of those who may accept, reject and redo in Slack")
    )
    interaction: Literal["off", "socket", "poll"] = field(
        default="off",
        metadata=doc(
            "how they are heard: off, socket (buttons and replies), poll (replies, now and then)"
        ),
    )
    poll_s: float = field(
        default=60.0, metadata=doc("time between two looks at the replies", at_least=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """Where mail goes; the password is the credential `smtp-password`."""

    host: str = field(
        default="",
        metadata=doc("SMTP server; empty writes .eml and .html into the night's folder"),
    )
    port: int = field(default=587, metadata=doc("its port", at_least=1))
    security: Literal["starttls", "tls", "none"] = field(
        default="starttls", metadata=doc("how the connection is protected: starttls, tls, none")
    )
    user: str = field(default="", metadata=doc("login; empty sends without one"))
    sender: str = field(default="alfoscd@localhost", metadata=doc("address in From"))
    recipients: tuple[str, ...] = field(
        default=(), metadata=doc("who gets what concerns the whole telescope")
    )
    topics: tuple[str, ...] = field(
        default=("report", "alert", "trouble"), metadata=doc("what is mailed")
    )
    timeout_s: float = field(
        default=60.0, metadata=doc("an answer is waited for so long", at_least=0.1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A service that gets messages as JSON; its token is the credential `webhook-NAME`."""

    url: str = field(default="", metadata=doc("where messages are posted"))
    topics: tuple[str, ...] = field(
        default=(), metadata=doc("what it gets; empty only what is addressed to it")
    )
    lookup_url: str = field(
        default="",
        metadata=doc("tells with 200 or 404 whether {key} has arrived; asked before repeating"),
    )
    timeout_s: float = field(
        default=30.0, metadata=doc("an answer is waited for so long", at_least=0.1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """What may be told of the frames of one PROPID; without a section nothing is."""

    open: bool = field(
        default=False, metadata=doc("tell of its products as of those of the telescope")
    )
    alerts: bool = field(
        default=False, metadata=doc("tell of new sources on its frames, at these same places")
    )
    slack_channel: str = field(
        default="", metadata=doc("a channel of its own, which gets them in any case")
    )
    mail: tuple[str, ...] = field(
        default=(), metadata=doc("who gets mail about its own frames, and only these")
    )
    users: tuple[str, ...] = field(
        default=(),
        metadata=doc("ids of those who may judge and redo its frames in Slack, and only these"),
    )


#: Sections that come once for each name: [webhook.NAME], [programmes."PROPID"].
NAMED: dict[str, tuple[type[Any], str]] = {
    "webhook": (Webhook, "NAME"),
    "programmes": (Programme, '"PROPID"'),
}
