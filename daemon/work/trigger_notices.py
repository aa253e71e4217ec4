"""The task that reads the notices in the spool and looks again at the images they are about."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.memory.messages import PRIORITY_URGENT, Message, Topic
from daemon.publish.words import clean
from daemon.triggers.matching import images_around, localisations_for
from daemon.triggers.spool import QUIET_S, take_spool
from daemon.work.alerts import Finding, announce, may_tell
from daemon.work.outcomes import TryLater
from daemon.work.references import MARGIN_ARCSEC, radius_deg
from reducers.transients.alert import Urgency, urgency_of
from reducers.transients.notices.standing import is_retracted, standing_localisations
from reducers.transients.vetting import held_against

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord, Job
    from daemon.work.bench import Bench
    from reducers.transients.localisation import Localisation
    from reducers.transients.notices.notice import TriggerNotice

log = logging.getLogger(__name__)


def read_triggers(bench: Bench, job: Job) -> None:
    """Take in every notice; what lies in a circle that is new or moved is told of now.

    Raises
    ------
    TryLater
        If a file is still being written.
    """
    taken = take_spool(bench.archive, bench.config.trigger_spool, bench.clock)
    frames = images_concerned(bench, taken.notices)
    log.info("notices=%d images=%d", len(taken.notices), len(frames))
    for frame in frames:
        with writing(bench.engine) as session:
            look_again(bench, frame, session)
    for subject in sorted({notice.subject for notice in taken.notices if notice.retraction}):
        with writing(bench.engine) as session:
            tell_of_retraction(bench, subject, session)
    if taken.unfinished:
        raise TryLater(f"{taken.unfinished} notices are still being written", after_s=QUIET_S)


def images_concerned(bench: Bench, notices: Sequence[TriggerNotice]) -> list[FrameRecord]:
    """Return the images of the last days for which these notices have changed something."""
    changed: set[Localisation] = set()
    for subject in {notice.subject for notice in notices}:
        said = bench.archive.notices_of(subject)
        before = [each for each in said if each not in notices]
        changed ^= set(standing_localisations(said)) ^ set(standing_localisations(before))
    return images_around(
        bench.archive, changed, _farthest_deg(bench), bench.clock.now(), bench.config.triggers
    )


def look_again(bench: Bench, frame: FrameRecord, within: Session) -> None:
    """Hold the new sources of an image against the circles of now, and tell what they say.

    The image is not searched again: where its sources are has not changed. What lies in no circle
    was told, or waits for the digest, since the image came.
    """
    own, archive = frame.identity, bench.archive
    product = archive.current_product(frame.id, within)
    if product is None or own.ra_deg is None or own.dec_deg is None:
        return
    circles = localisations_for(
        archive,
        (own.ra_deg, own.dec_deg),
        radius_deg(own, bench.instrument(own.instrument)),
        own.observed_at or frame.arrived_at,
        bench.config.triggers,
    )
    inside = []
    for kept in archive.candidates_of(frame.id, within):
        seen = held_against(kept.candidate, circles)
        archive.judge_candidate(kept.id, seen, within)
        if urgency_of(seen, circles) is not Urgency.DIGEST:
            inside.append(seen)
    plot = product.paths.get("new_sources_plot")
    finding = Finding(
        candidates=inside,
        localisations=circles,
        # Johnson's and Cousins' bands are written in capitals, and are Vega's.
        system="Vega" if any(one.band.isupper() for one in inside) else "AB",
        limit_mag=product.measurements.get("search_limit_mag", math.nan),
        pictures={one.number: (plot,) for one in inside if plot is not None},
    )
    announce(bench, frame, finding, within)


def tell_of_retraction(bench: Bench, subject: str, within: Session) -> None:
    """Tell those who were told of a source that the event it was told for is none."""
    if not is_retracted(bench.archive.notices_of(subject, within)):
        return
    for record in bench.archive.alerts(within=within):
        told = record.told_as is not Urgency.DIGEST and may_tell(bench, record.programme)
        if told and subject in (record.document.get("follow_up_event") or ()):
            text = (
                f"taken back: {clean(subject)} is no event, says its mission.\n"
                f"{record.headline} was told of as its counterpart; it is still a new source."
            )
            message = Message(
                key=f"alert-retracted:{record.name}:{subject}",
                topic=Topic.ALERT,
                text=text,
                night=record.night,
                programme=record.programme,
                priority=PRIORITY_URGENT,
            )
            bench.archive.queue_message(message, within)


def _farthest_deg(bench: Bench) -> float:
    """Return how far from its pointing an image of the largest instrument may reach."""
    detectors = [each.detector for each in bench.instruments.values()]
    sizes = [math.hypot(d.columns, d.rows) / 2 * d.pixel_scale_arcsec for d in detectors]
    return (max(sizes, default=0.0) + MARGIN_ARCSEC) / 3600
