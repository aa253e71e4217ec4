"""Where a message goes, by the settings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.config import Programme
from daemon.memory.messages import Topic

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.memory.messages import Message

#: (sink, address, why it is withheld or '').
Place = tuple[str, str, str]


def places_of(message: Message, config: Config) -> list[Place]:
    """Return where a message goes; an empty list when nobody listens.

    What concerns the whole telescope goes to the general channel and mailboxes. What shows the
    frames of a programme goes to the programme's own, and to the general ones if it is open; the
    programmes are closed by default, and what they keep back is recorded as withheld.
    """
    rules = programme_rules(message.programme, config)
    closed = "" if rules.open else _why_closed(message.programme)
    found: list[Place] = []
    if _wants(message, "slack", config.slack.topics):
        found += _slack(config, rules, closed)
    if _wants(message, "mail", config.mail.topics):
        found += _mail(config, message, rules, closed)
    for name, hook in config.webhook.items():
        if hook.url and _wants(message, f"webhook.{name}", hook.topics):
            found.append((f"webhook.{name}", hook.url, closed))
    # A person has asked for a report to go: no programme closes it.
    services = {"tns": config.alerts.tns_url, "skyportal": config.alerts.skyportal_url}
    found += [(name, url, "") for name, url in services.items() if name in message.to]
    if config.outbox.journal is not None and _wants(message, "journal", (message.topic,)):
        found.append(("journal", str(config.outbox.journal), ""))
    return list(dict.fromkeys(found))


def programme_rules(programme: str, config: Config) -> Programme:
    """Return what may be told of a programme: its own section, that of "*", or nothing."""
    if not programme:
        return Programme(open=True)
    rules = config.programmes
    return rules.get(programme) or rules.get("*") or Programme()


def is_heard(topic: Topic, config: Config) -> bool:
    """Tell whether anybody listens to a topic beside the folder of the night."""
    channels = [config.slack.channel, *(each.slack_channel for each in config.programmes.values())]
    slack = any(channels) and topic in config.slack.topics
    boxes = [*config.mail.recipients, *(box for p in config.programmes.values() for box in p.mail)]
    mail = bool(config.mail.host and boxes) and topic in config.mail.topics
    hooks = any(each.url and topic in each.topics for each in config.webhook.values())
    return slack or mail or hooks or config.outbox.journal is not None


def _wants(message: Message, sink: str, topics: tuple[str, ...]) -> bool:
    if sink in message.not_to:
        return False
    return sink in message.to if message.to else message.topic in topics


def _slack(config: Config, rules: Programme, closed: str) -> list[Place]:
    found: list[Place] = []
    if rules.slack_channel:
        found.append(("slack", rules.slack_channel, ""))
    # A programme with a channel of its own has not asked for the general one.
    silent = closed and rules.slack_channel
    if config.slack.channel and config.slack.channel != rules.slack_channel and not silent:
        found.append(("slack", config.slack.channel, closed))
    return found


def _mail(config: Config, message: Message, rules: Programme, closed: str) -> list[Place]:
    if not config.mail.host:
        return [("folder", message.night, "")]
    # What a programme is told of its own night is for nobody else.
    private = message.topic is Topic.REPORT and bool(message.programme)
    general = () if closed or private else config.mail.recipients
    found: list[Place] = [("mail", address, "") for address in (*rules.mail, *general)]
    if not found and closed and config.mail.recipients:
        found = [("mail", address, closed) for address in config.mail.recipients]
    return found


def _why_closed(programme: str) -> str:
    return (
        f"programme {programme} is closed; to tell of it set open = true "
        f'under [programmes."{programme}"]'
    )
