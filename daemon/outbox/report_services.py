"""Send a report to the Transient Name Server or to SkyPortal, and look before it is sent again.

Both have taken reports and answered 504: a report that may have arrived is looked for by its name
before anything is repeated.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from daemon.outbox.harmless import one_line

_TIMEOUT_S = 30.0
_MOST_BYTES = 5_000_000
_BREAKS = (URLError, OSError, http.client.HTTPException)


#: What is posted where below the address of a service, in this order.
Parts = Sequence[tuple[str, Mapping[str, Any]]]


class Arrival(StrEnum):
    """Where a report stands."""

    #: It is there.
    SENT = "sent"
    #: It may be there: look before anything is repeated.
    UNKNOWN = "unknown"
    #: It is certainly not there.
    ABSENT = "absent"
    #: The service does not want it as it is.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a report; `remote` is the other side's name of it."""

    arrival: Arrival
    remote: str = ""
    words: str = ""


class Service(Protocol):
    """A place that takes reports on sources."""

    def send(self, parts: Parts) -> Answer:
        """Send it."""
        ...

    def find(self, name: str) -> Answer:
        """Look whether the report on the source of this name has arrived."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tns:
    """The Transient Name Server (TNS API manual 2.0)."""

    url: str
    key: str
    bot_id: str
    bot_name: str

    def send(self, parts: Parts) -> Answer:
        """Send the bulk report."""
        ((path, content),) = parts
        status, said = _ask(self._request(path, data=json.dumps(content)))
        if status == 200:
            return Answer(Arrival.SENT, f"report {_dig(said, 'data', 'report_id')}")
        return _failed(status, said)

    def find(self, name: str) -> Answer:
        """Look for the source by the name that we gave it."""
        query = json.dumps({"internal_name": name, "internal_name_exact_match": "1"})
        status, said = _ask(self._request("get/search", data=query))
        if status != 200:
            return Answer(Arrival.UNKNOWN, words=f"looking for it gave {_words(status, said)}")
        found = said.get("data")
        found = found.get("reply", found) if isinstance(found, dict) else found
        if not isinstance(found, list) or not found:
            return Answer(Arrival.ABSENT)
        return Answer(Arrival.SENT, str(_dig(found[0], "objname")))

    def _request(self, path: str, **values: str) -> Request:
        marker = json.dumps({"tns_id": self.bot_id, "type": "bot", "name": self.bot_name})
        return Request(
            f"{self.url.rstrip('/')}/{path}",
            data=urlencode({"api_key": self.key, **values}).encode(),
            headers={"User-Agent": f"tns_marker{marker}"},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPortal:
    """A SkyPortal."""

    url: str
    token: str

    def send(self, parts: Parts) -> Answer:
        """Send the candidate, then its photometry; the candidate counts."""
        for path, content in parts:
            status, said = _ask(self._request(path, json.dumps(content).encode()))
            if status != 200:
                return _failed(status, said)
        return Answer(Arrival.SENT, str(_dig(parts[0][1], "id")))

    def find(self, name: str) -> Answer:
        """Look for photometry of the candidate: what is sent last."""
        status, said = _ask(self._request(f"sources/{quote(name, safe='')}/photometry", None))
        if status in (400, 404):
            return Answer(Arrival.ABSENT)
        if status != 200:
            return Answer(Arrival.UNKNOWN, words=f"looking for it gave {_words(status, said)}")
        return Answer(Arrival.SENT, name) if said.get("data") else Answer(Arrival.ABSENT)

    def _request(self, path: str, content: bytes | None) -> Request:
        return Request(
            f"{self.url.rstrip('/')}/api/{path}",
            data=content,
            headers={
                "Authorization": f"token {self.token}",
                "Content-Type": "application/json",
            },
        )


def _ask(request: Request) -> tuple[int, Mapping[str, Any]]:
    """Return status and JSON of an answer; status 0 when none came back."""
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            return answer.status, _json(answer.read(_MOST_BYTES))
    except HTTPError as error:
        with error:
            return error.code, {"message": error.reason}
    except _BREAKS as error:
        refused = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
        return (-1 if refused else 0), {"message": str(getattr(error, "reason", error))}


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _failed(status: int, said: Mapping[str, Any]) -> Answer:
    """Return what an answer other than 200 means."""
    words = _words(status, said)
    if status in (-1, 429):
        return Answer(Arrival.ABSENT, words=words)
    if status == 0 or status == 408 or status >= 500:
        return Answer(Arrival.UNKNOWN, words=words)
    return Answer(Arrival.REFUSED, words=words)


def _words(status: int, said: Mapping[str, Any]) -> str:
    message = one_line(str(said.get("message") or said.get("id_message") or ""), 120)
    return f"{message or 'no answer'}" if status <= 0 else f"{status} {message}".strip()


def _dig(said: object, *names: str) -> object:
    for name in names:
        said = said.get(name, "") if isinstance(said, dict) else ""
    return said
