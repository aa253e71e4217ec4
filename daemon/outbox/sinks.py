"""The sinks that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.outbox.folder import FolderSink
from daemon.outbox.journal import JournalSink
from daemon.outbox.mail import MailSink
from daemon.outbox.report_sink import report_sinks
from daemon.outbox.secrets import credential
from daemon.outbox.webhook import WebhookSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.config import Config
    from daemon.outbox.sink import Sink


def open_sinks(config: Config, environment: Mapping[str, str] | None = None) -> dict[str, Sink]:
    """Return the sinks by name; nothing is connected yet."""
    found: dict[str, Sink] = {"folder": FolderSink(config.root, config.mail.sender)}
    if config.outbox.journal is not None:
        found["journal"] = JournalSink()
    if config.mail.host:
        found["mail"] = MailSink(config.mail, credential("smtp-password", environment))
    for name, hook in config.webhook.items():
        token = credential(f"webhook-{name}", environment)
        found[f"webhook.{name}"] = WebhookSink(name, hook, token)
    found |= report_sinks(config.alerts, environment)
    channels = [each.slack_channel for each in config.programmes.values()]
    if any((config.slack.channel, *channels)):
        from daemon.outbox.slack import SlackSink

        found["slack"] = SlackSink(config.slack, credential("slack-token", environment))
    return found
