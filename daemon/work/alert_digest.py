"""The digest of a night: new sources that lie in no circle, and what nothing proves to be new."""

from __future__ import annotations

import hashlib
import math
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from daemon.clock import twilights
from daemon.memory.messages import PRIORITY_LATER, Message, Topic
from daemon.publish.alert_words import digest_of, unproved_line
from reducers.transients.alert import SAME_PLACE_ARCSEC, SeenOn, Urgency
from reducers.transients.candidate import Standing
from reducers.transients.known_matches import offsets_arcsec
from reducers.transients.sphere import separation_arcsec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from daemon.memory.archive_alerts import AlertRecord
    from daemon.memory.candidate_records import CandidateRecord
    from daemon.work.bench import Bench

#: Programme of frames whose header names none: closed like every other.
NO_PROGRAMME = "none"
#: A digest of an earlier night waits so long for the rest of its sources.
_GATHER = timedelta(minutes=10)
#: Part of its way by which a body may be off its line.
_MOTION_ERROR = 0.1


def queue_digest(bench: Bench, image: SeenOn, within: Session) -> None:
    """Queue the digest of a night and programme in place of the one that waits."""
    rows = bench.archive.alerts(image.night, image.programme, within=within)
    waiting = [row for row in rows if row.told_as is Urgency.DIGEST]
    moved = _moved(bench, image.night, waiting, within)
    lines = sorted(
        (row for row in waiting if row.name not in moved),
        key=lambda row: (-(row.score if row.score is not None else -1.0), row.name),
    )
    unproved = [unproved_line(each) for each in _unproved(bench, image, rows, within)]
    text = digest_of([row.headline for row in lines], unproved, image.night, len(moved))
    if not text:
        return
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    site = bench.instrument(image.instrument)
    sunrise = twilights(date.fromisoformat(image.night), site).sunrise
    soonest = bench.clock.now() + _GATHER
    bench.archive.queue_message(
        Message(
            key=f"alert-digest:{image.night}:{image.programme}:{digest}",
            topic=Topic.ALERT,
            text=text,
            night=image.night,
            programme=image.programme,
            slot=f"alert-digest:{image.night}:{image.programme}",
            priority=PRIORITY_LATER,
            not_before=soonest if sunrise is None else max(sunrise, soonest),
        ),
        within,
    )


def _moved(bench: Bench, night: str, rows: list[AlertRecord], within: Session) -> frozenset[str]:
    """Return the names of those that a later exposure has shown to move: no new sources."""
    movers = [
        each
        for each in bench.archive.candidates(night, standings=[Standing.VETOED], within=within)
        if each.candidate.measurements.get("moves", 0.0) > 0 and each.observed_at is not None
    ]
    return frozenset(row.name for row in rows for each in movers if _was_there(each, row.document))


def _was_there(mover: CandidateRecord, said: Mapping[str, Any]) -> bool:
    """Tell whether a body that moves stood where an alert says at the time of the alert's image."""
    begun, own = said.get("observation_start"), mover.candidate
    if not isinstance(begun, str) or mover.observed_at is None:
        return False
    exposure_s = float(said.get("observation_livetime") or 0.0)
    middle = datetime.fromisoformat(begun) + timedelta(seconds=exposure_s / 2)
    hours = (middle - mover.observed_at).total_seconds() / 3600
    way_arcsec = own.measurements.get("rate_arcsec_h", math.nan) * hours
    angle = math.radians(own.measurements.get("motion_angle_deg", math.nan))
    east, north = offsets_arcsec(float(said["ra"]), float(said["dec"]), own.ra_deg, own.dec_deg)
    off = math.hypot(
        float(east) - way_arcsec * math.sin(angle), float(north) - way_arcsec * math.cos(angle)
    )
    return off <= max(SAME_PLACE_ARCSEC, _MOTION_ERROR * abs(way_arcsec))


def _unproved(
    bench: Bench, image: SeenOn, told: list[AlertRecord], within: Session
) -> list[CandidateRecord]:
    """Return the best detection of each source of a night that was not called new, best first."""
    found: dict[int, CandidateRecord] = {}
    for kept in bench.archive.candidates(image.night, standings=[Standing.UNVETTED], within=within):
        if kept.source_id in found or not math.isfinite(kept.candidate.magnitude):
            continue
        frame = bench.archive.frame(kept.frame_id, within)
        programme = (frame.identity.programme if frame else "") or NO_PROGRAMME
        if programme == image.programme and not _is_told(kept, told):
            found[kept.source_id] = kept
    return list(found.values())


def _is_told(kept: CandidateRecord, told: list[AlertRecord]) -> bool:
    own = kept.candidate
    return any(
        float(separation_arcsec(own.ra_deg, own.dec_deg, one.ra_deg, one.dec_deg))
        <= SAME_PLACE_ARCSEC
        for one in told
    )
