"""The task that reads the notices in the spool and looks again at the images they are about."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.triggers.matching import images_around
from daemon.triggers.spool import QUIET_S, take_spool
from daemon.work.outcomes import TryLater
from daemon.work.references import MARGIN_ARCSEC
from reducers.transients.notices.standing import standing_localisations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from daemon.memory.records import FrameRecord, Job, JobRequest
    from daemon.work.bench import Bench
    from reducers.transients.localisation import Localisation
    from reducers.transients.notices.notice import TriggerNotice

    #: Returns the job that looks for new sources on an image again.
    LookAgain = Callable[[Bench, FrameRecord], JobRequest]

log = logging.getLogger(__name__)


def read_triggers(bench: Bench, job: Job, look_again: LookAgain | None = None) -> None:
    """Take in every notice; where a circle is new, moved or gone, its images are looked at again.

    Raises
    ------
    TryLater
        If a file is still being written.
    """
    taken = take_spool(bench.archive, bench.config.trigger_spool, bench.clock)
    frames = images_concerned(bench, taken.notices)
    log.info("notices=%d images=%d", len(taken.notices), len(frames))
    if look_again is not None and frames:
        with writing(bench.engine) as session:
            for frame in frames:
                bench.queue.submit(look_again(bench, frame), within=session)
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


def _farthest_deg(bench: Bench) -> float:
    """Return how far from its pointing an image of the largest instrument may reach."""
    detectors = [each.detector for each in bench.instruments.values()]
    sizes = [math.hypot(d.columns, d.rows) / 2 * d.pixel_scale_arcsec for d in detectors]
    return (max(sizes, default=0.0) + MARGIN_ARCSEC) / 3600
