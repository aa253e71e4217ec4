"""A service that takes messages as JSON."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote

from daemon.outbox.connection import CONNECTION_ERRORS, meaning_of_break
from daemon.outbox.sink import Absent, Prepared, Refused, Sent, TryAgain, Unclear

if TYPE_CHECKING:
    from daemon.config import Webhook
    from daemon.outbox.sink import Letter, Outcome

#: A later attempt may do better: too early, in conflict with itself, too many.
_LATER = (409, 425, 429)


class WebhookSink:
    """Posts one JSON object per message.

    The header `Idempotency-Key` is the same in every attempt. After an unclear answer it asks
    `lookup_url`; where there is none the message goes out again under its key, by which the
    service can tell.
    """

    has_threads = False
    pace_s = 0.0

    def __init__(self, name: str, settings: Webhook, token: str) -> None:
        self._name = name
        self._settings = settings
        self._token = token

    def prepare(self, letter: Letter) -> Prepared | Refused:
        """Need nothing but an address that is one."""
        if not letter.address.startswith(("http://", "https://")):
            return Refused(
                reason=f"'{letter.address}' is no HTTP address",
                advice=f"correct [webhook.{self._name}] url",
            )
        return Prepared()

    def send(self, letter: Letter) -> Outcome:
        """Post it."""
        body = json.dumps(envelope(letter)).encode()
        return self._ask(letter, letter.address, body)

    def find(self, letter: Letter) -> Sent | Absent | TryAgain | Refused:
        """Ask the service whether it has the key."""
        if not self._settings.lookup_url:
            return Absent()
        url = self._settings.lookup_url.replace("{key}", quote(letter.marker))
        answer = self._ask(letter, url, None)
        if isinstance(answer, Unclear):
            return TryAgain(reason=answer.reason)
        return Absent() if answer == _GONE else answer

    def _ask(self, letter: Letter, url: str, body: bytes | None) -> Outcome:
        headers = {"Content-Type": "application/json", "Idempotency-Key": letter.marker}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_s):
                return Sent(letter.marker)
        except HTTPError as error:
            with error:
                return self._meaning(error, looking=body is None)
        except CONNECTION_ERRORS as error:
            return meaning_of_break(error, self._name)

    def _meaning(self, error: HTTPError, *, looking: bool) -> Outcome:
        if looking and error.code == 404:
            return _GONE
        if error.code in _LATER:
            asked = error.headers.get("Retry-After", "")
            after_s = float(asked) if asked.isdigit() else None
            return TryAgain(reason=f"{self._name} answered {error.code}", after_s=after_s)
        if error.code == 408 or error.code >= 500:
            return Unclear(f"{self._name} answered {error.code}")
        closed = error.code in (401, 403, 404, 410)
        return Refused(
            reason=f"{self._name} refused the message with {error.code}",
            advice=f"check [webhook.{self._name}] and the credential `webhook-{self._name}`",
            closed=closed,
        )


_GONE = Refused(reason="not there", advice="")


def envelope(letter: Letter) -> dict[str, Any]:
    """Return a message as machines get it."""
    message = letter.message
    return {
        "key": letter.marker,
        "topic": message.topic.value,
        "subject": message.title,
        "text": message.text,
        "night": message.night,
        "target": message.target,
        "programme": message.programme,
        "attachments": [str(path) for path in message.attachments],
        "payload": dict(message.payload),
        "queued_at": letter.since.isoformat(),
    }
