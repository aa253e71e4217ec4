"""Tell people of the new sources on an image, once and only where its programme allows it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.config import Programme
from daemon.layout import slug, write_atomically
from daemon.memory.archive_alerts import AlertRecord
from daemon.memory.messages import PRIORITY_URGENT, Message, Topic
from daemon.publish.alert_documents import json_bytes, voevent_of
from daemon.publish.alert_words import (
    blocks_of,
    headline_of,
    html_of,
    subject_of,
    text_of,
)
from daemon.work.alert_digest import NO_PROGRAMME, queue_digest
from reducers.transients.alert import (
    Alert,
    Change,
    SeenOn,
    Urgency,
    change_of,
    name_of,
    urgency_of,
    why_not,
)
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.localisation import Localisation

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the search of one image found.

    Attributes
    ----------
    system
        Of the magnitudes: 'AB' or 'Vega'.
    limit_mag
        Down to which was searched; NaN where not known.
    pictures
        Number of a candidate -> its stamps and finding chart.
    """

    candidates: Sequence[Candidate]
    localisations: tuple[Localisation, ...] = ()
    system: str = "AB"
    limit_mag: float = math.nan
    pictures: Mapping[int, tuple[Path, ...]] = field(default_factory=dict)


def announce(
    bench: Bench, frame: FrameRecord, finding: Finding, within: Session
) -> tuple[Alert, ...]:
    """Queue what there is to tell of an image's new sources; return it.

    It happens in the caller's transaction: two workers with two images of one source must not
    both be the first to tell of it.
    """
    telling = [each for each in finding.candidates if not why_not(each)]
    limit = bench.config.alerts.most_per_frame
    if len(telling) > limit:
        _warn_of_frame(bench, frame, len(telling), within)
        return ()
    image = seen_on(bench, frame, finding)
    best = sorted(telling, key=lambda each: -(each.score if math.isfinite(each.score) else -1.0))
    told = tuple(
        alert for each in best if (alert := _tell(bench, each, image, finding, within)) is not None
    )
    unproved = (each for each in finding.candidates if each.standing is Standing.UNVETTED)
    if any(math.isfinite(each.magnitude) for each in unproved) and may_tell(bench, image.programme):
        queue_digest(bench, image, within)
    return told


def take_back_movers(bench: Bench, frame: FrameRecord, finding: Finding, within: Session) -> None:
    """Write the digest of a night anew when something on an image moves that seemed new before."""
    image = seen_on(bench, frame, finding)
    waiting = bench.archive.alerts(image.night, image.programme, within=within)
    if may_tell(bench, image.programme) and any(each.told_as is Urgency.DIGEST for each in waiting):
        queue_digest(bench, image, within)


def seen_on(bench: Bench, frame: FrameRecord, finding: Finding) -> SeenOn:
    """Return the image as an alert tells of it."""
    own = frame.identity
    return SeenOn(
        stem=frame.stem,
        night=frame.night,
        target=own.target or own.object_name,
        programme=own.programme or NO_PROGRAMME,
        telescope=bench.instrument(own.instrument).telescope,
        instrument=own.instrument,
        filter=own.setup.filter,
        observed_at=own.observed_at,
        exposure_s=own.exposure_s,
        system=finding.system,
        limit_mag=finding.limit_mag,
    )


def _tell(
    bench: Bench, candidate: Candidate, image: SeenOn, finding: Finding, within: Session
) -> Alert | None:
    archive, now = bench.archive, bench.clock.now()
    before = archive.told_at_place(candidate.ra_deg, candidate.dec_deg, within)
    urgency = urgency_of(candidate, finding.localisations)
    change = change_of(before, urgency, now)
    name = before.name if before else name_of(candidate.ra_deg, candidate.dec_deg)
    if change is Change.NOTHING:
        archive.record_detection(name, within)
        _show_difference(bench, name, candidate, image, finding, within)
        return None
    highest = min(urgency, before.urgency if before else urgency, key=list(Urgency).index)
    alert = Alert(
        name=name,
        candidate=candidate,
        image=image,
        urgency=urgency,
        localisations=finding.localisations,
        change=change,
    )
    told_as = _calmed(bench, urgency, now, within)
    document = write_files(bench, alert, now)
    record = AlertRecord(
        name=name,
        ra_deg=candidate.ra_deg,
        dec_deg=candidate.dec_deg,
        urgency=highest,
        told_as=told_as,
        headline=headline_of(alert),
        night=image.night,
        programme=image.programme,
        first_at=now,
        last_at=now,
        told_at=now,
        detections=1,
        score=candidate.score if math.isfinite(candidate.score) else None,
        document=json.loads(document),
        reports={},
    )
    archive.record_alert(record, within)
    _queue(bench, alert, told_as, finding.pictures.get(candidate.number, ()), within)
    return alert


def _show_difference(
    bench: Bench, name: str, candidate: Candidate, image: SeenOn, finding: Finding, within: Session
) -> None:
    """Send the stamps and the chart of a source that was told of before its difference was made."""
    pictures = finding.pictures.get(candidate.number, ())
    told = bench.archive.alert(name, within)
    if candidate.method != "difference" or not pictures or told is None:
        return
    if told.told_as is Urgency.DIGEST or not may_tell(bench, image.programme):
        return
    text = f"{name} is on the difference too: {' '.join(candidate.reasons)}\n{told.headline}"
    message = Message(
        key=f"alert-difference:{name}:{image.night}",
        topic=Topic.ALERT,
        text=text,
        night=image.night,
        target=image.target,
        programme=image.programme,
        attachments=pictures,
        priority=PRIORITY_URGENT,
    )
    bench.archive.queue_message(message, within)


def _calmed(bench: Bench, urgency: Urgency, now: datetime, within: Session) -> Urgency:
    """Return how a source is told of: beyond so many in an hour only in the digest."""
    if urgency is Urgency.DIGEST:
        return urgency
    told = bench.archive.told_since(now - timedelta(hours=1), within)
    most = bench.config.alerts.most_per_h
    if told < most:
        return urgency
    text = (
        f"{told} new sources were told of within an hour: the others wait for the digest.\n"
        "Look at the last images before you believe any of them: `alfoscd alert list`."
    )
    bench.archive.queue_message(
        Message(key=f"alert-storm:{now:%Y-%m-%dT%H}", topic=Topic.TROUBLE, text=text), within
    )
    return Urgency.DIGEST


def write_files(bench: Bench, alert: Alert, now: datetime) -> bytes:
    """Write the JSON and the VOEvent of an alert, whoever may be told of it; return the JSON."""
    folder = bench.layout.alerts(alert.image.night)
    document = json_bytes(alert, now)
    write_atomically(folder / f"{slug(alert.name)}.json", document)
    write_atomically(folder / f"{slug(alert.name)}.xml", voevent_of(alert, now))
    return document


def may_tell(bench: Bench, programme: str) -> bool:
    """Tell whether a programme lets its new sources be told of: none does unless it says so."""
    rules = bench.config.programmes
    return (rules.get(programme) or rules.get("*") or Programme()).alerts


def _queue(
    bench: Bench, alert: Alert, told_as: Urgency, pictures: tuple[Path, ...], within: Session
) -> None:
    image, now = alert.image, bench.clock.now()
    if not may_tell(bench, image.programme):
        log.info("alert=%s programme %s is closed: nobody is told", alert.name, image.programme)
        return
    if told_as is Urgency.DIGEST:
        queue_digest(bench, image, within)
        return
    bench.archive.queue_message(
        Message(
            key=f"alert:{alert.name}:{alert.change}:{alert.urgency}:{now:%Y-%m-%d}",
            topic=Topic.ALERT,
            subject=subject_of(alert),
            text=text_of(alert),
            html=html_of(alert),
            night=image.night,
            target=image.target,
            programme=image.programme,
            attachments=pictures,
            blocks=blocks_of(alert),
            payload=json.loads(json_bytes(alert, now)),
            priority=PRIORITY_URGENT,
        ),
        within,
    )


def _warn_of_frame(bench: Bench, frame: FrameRecord, many: int, within: Session) -> None:
    """Say once that an image has more new sources than can be true."""
    programme = frame.identity.programme or NO_PROGRAMME
    log.warning("%s: %d new sources, no alert", frame.stem, many)
    text = (
        f"{frame.stem} shows {many} new sources, more than can be true: nobody is told of any.\n"
        "Usually the place on the sky is wrong or a catalogue is missing: see its page and "
        f"`alfoscd findnew {frame.stem}`."
    )
    bench.archive.queue_message(
        Message(
            key=f"alert-doubt:{frame.sha256}",
            topic=Topic.TROUBLE,
            text=text,
            night=frame.night,
            programme=programme,
        ),
        within,
    )
