"""Reports on sources to the Transient Name Server or a SkyPortal, as messages of the outbox."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from daemon.outbox.report_services import Arrival, SkyPortal, Tns
from daemon.outbox.secrets import credential, variable_of
from daemon.outbox.sink import Absent, Prepared, Refused, Sent, TryAgain, Unclear

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.outbox.report_services import Service
    from daemon.outbox.sink import Letter, Outcome
    from daemon.sections import Alerts

#: A service may take so long until a report that it took can be found.
TAKES_S = 120.0
_TNS = ("tns-key", "tns-bot-id", "tns-bot-name")
_SKYPORTAL = ("skyportal-token",)


class ReportSink:
    """Sends the parts of a report, and looks for the source by our name after an unclear answer.

    Parameters
    ----------
    missing
        Variables of credentials that nobody gave.
    monotonic
        Seconds, for the patience with which a report is looked for.
    """

    has_threads = False
    pace_s = 0.0

    def __init__(
        self,
        name: str,
        service: Service,
        missing: tuple[str, ...] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._service = service
        self._missing = missing
        self._monotonic = monotonic
        self._absent_since: dict[str, float] = {}

    def prepare(self, letter: Letter) -> Prepared | Refused:
        """Need nothing but the credentials."""
        if self._missing:
            return Refused(
                reason=f"{self._name} needs credentials that the daemon has not",
                advice=f"give it {', '.join(self._missing)}, then `alfoscd outbox --retry`",
            )
        return Prepared()

    def send(self, letter: Letter) -> Outcome:
        """Send the report."""
        answer = self._service.send(letter.message.payload["parts"])
        if answer.arrival is Arrival.SENT:
            return Sent(answer.remote)
        words = f"{self._name} answered {answer.words}".strip()
        if answer.arrival is Arrival.UNKNOWN:
            return Unclear(words)
        if answer.arrival is Arrival.ABSENT:
            return TryAgain(reason=words)
        advice = "correct [alerts] and send it again with `alfoscd alert send`"
        return Refused(reason=words, advice=advice)

    def find(self, letter: Letter) -> Sent | Absent | TryAgain:
        """Look for the source; only what stays away for two minutes has not arrived."""
        seen = self._service.find(str(letter.message.payload["name"]))
        if seen.arrival is Arrival.SENT:
            return Sent(seen.remote)
        if seen.arrival is not Arrival.ABSENT:
            return TryAgain(reason=seen.words)
        now = self._monotonic()
        if now - self._absent_since.setdefault(letter.marker, now) < TAKES_S:
            return TryAgain(reason="it may still turn up there")
        del self._absent_since[letter.marker]
        return Absent()


def report_sinks(
    settings: Alerts,
    environment: Mapping[str, str] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, ReportSink]:
    """Return the sinks of the services that the settings name."""
    given = {name: credential(name, environment) for name in (*_TNS, *_SKYPORTAL)}
    found: dict[str, ReportSink] = {}
    if settings.tns_group:
        tns = Tns(
            url=settings.tns_url,
            key=given["tns-key"],
            bot_id=given["tns-bot-id"],
            bot_name=given["tns-bot-name"],
        )
        found["tns"] = ReportSink("TNS", tns, _without(_TNS, given), monotonic)
    if settings.skyportal_url:
        portal = SkyPortal(url=settings.skyportal_url, token=given["skyportal-token"])
        missing = _without(_SKYPORTAL, given)
        found["skyportal"] = ReportSink("SkyPortal", portal, missing, monotonic)
    return found


def _without(names: tuple[str, ...], given: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(variable_of(name) for name in names if not given[name])
