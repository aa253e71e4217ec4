"""Give a report on a source to the outbox once, and tell what became of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.memory.messages import PRIORITY_URGENT, DeliveryState, Message, Topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.memory.archive import Archive
    from daemon.memory.archive_alerts import AlertRecord
    from daemon.publish.alert_reports import Report

#: Report -> what its delivery is called.
SINKS = {"TNS": "tns", "SkyPortal": "skyportal"}
_ON_ITS_WAY = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.UNKNOWN)


def queue_report(archive: Archive, record: AlertRecord, service: str, report: Report) -> str:
    """Queue a report unless it is on its way or has arrived; return what is so, in words."""
    before = state_of(archive, record, service)
    if before.get("state") == DeliveryState.SENT:
        return f"it was sent before ({before['remote']})"
    if before.get("state") in ("queued", *_ON_ITS_WAY):
        return "it is on its way already"
    parts = [list(part) for part in report.parts]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    key = f"alert-report:{service}:{record.name}:{digest}"
    message = Message(
        key=key,
        topic=Topic.ALERT,
        text=f"report on {record.headline} to {service}",
        payload={"name": record.name, "parts": parts},
        to=(SINKS[service],),
        priority=PRIORITY_URGENT,
    )
    said = {"state": "queued", "key": key, "at": archive.clock.now().isoformat()}
    with writing(archive.engine) as session:
        if not archive.queue_message(message, session):
            return "this same report was given up before: `alfoscd outbox --retry` sends it again"
        archive.record_report(record.name, service, said, session)
    return "queued"


def with_states(archive: Archive, record: AlertRecord) -> AlertRecord:
    """Return an alert whose reports say what became of their deliveries."""
    reports = {name: state_of(archive, record, name) for name in record.reports}
    return replace(record, reports=reports)


def state_of(archive: Archive, record: AlertRecord, service: str) -> Mapping[str, str]:
    """Return 'state', 'remote' and 'error' of a report; empty where none was ever queued."""
    said = {"remote": "", "error": "", **record.reports.get(service, {})}
    deliveries = archive.deliveries_of(said["key"]) if "key" in said else []
    if not deliveries:
        return said if "state" in said else {}
    last = deliveries[-1]
    return {**said, "state": last.state.value, "remote": last.remote, "error": last.error}
