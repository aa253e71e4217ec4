"""Send a report on a source to a service once, whatever the service answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from daemon.publish.alert_services import Answer, Arrival

if TYPE_CHECKING:
    from daemon.memory.archive import Archive
    from daemon.memory.archive_alerts import AlertRecord
    from daemon.publish.alert_reports import Report
    from daemon.publish.alert_services import Service

#: A service may take so long until a report that it took can be found.
TAKES = timedelta(minutes=2)
_SENDING = "sending"


def send_once(
    archive: Archive, record: AlertRecord, name: str, service: Service, report: Report
) -> Answer:
    """Send a report unless it is there already, or may still turn up.

    The attempt is noted before it is made: after a kill or an unclear answer the next call looks
    before it repeats.
    """
    before = record.reports.get(name, {})
    state = before.get("state", "")
    if state == Arrival.SENT:
        return Answer(Arrival.SENT, before.get("remote", ""), "it was sent before")
    if state in (_SENDING, Arrival.UNKNOWN):
        seen = service.find(record.name)
        if seen.arrival is Arrival.SENT:
            return _noted(archive, record, name, seen)
        tried_at = datetime.fromisoformat(before["at"])
        if seen.arrival is Arrival.UNKNOWN or archive.clock.now() - tried_at < TAKES:
            words = seen.words or "it may still turn up there"
            return Answer(Arrival.UNKNOWN, words=f"{words}: ask again in two minutes")
    _note(archive, record, name, _SENDING)
    answer = service.send(report)
    if answer.arrival is Arrival.UNKNOWN:
        seen = service.find(record.name)
        answer = seen if seen.arrival is Arrival.SENT else answer
    return _noted(archive, record, name, answer)


def _noted(archive: Archive, record: AlertRecord, name: str, answer: Answer) -> Answer:
    _note(archive, record, name, answer.arrival.value, answer.remote, answer.words)
    return answer


def _note(
    archive: Archive, record: AlertRecord, name: str, state: str, remote: str = "", error: str = ""
) -> None:
    at = archive.clock.now().isoformat()
    said = {"state": state, "remote": remote, "error": error, "at": at}
    archive.record_report(record.name, name, said)
