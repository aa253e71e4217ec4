"""The task that fetches the catalogues which images missed, and calibrates these images again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from calibration_store.catalogues.sky import separation_deg
from daemon.memory.database import writing
from daemon.memory.records import PRIORITY_BACKLOG
from daemon.work.outcomes import TryLater
from daemon.work.plan import FETCH_AGAIN_S, Step, reduce_request
from daemon.work.roles import IMAGED
from daemon.work.sky_catalogues import open_catalogues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibration_store.catalogues.wanted import Wanted
    from daemon.memory.records import FrameRecord, Job
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)

#: Fields tried at one time, and how long each may take: a worker is away from the night so long.
_FIELDS, _LIMIT_S = 3, 20.0


def fetch_missing(bench: Bench, job: Job) -> None:
    """Fetch a few of the wanted fields and submit their images again.

    An image that would come out the same is left as it is by its own task.

    Raises
    ------
    TryLater
        While fields are still wanted.
    """
    catalogues = open_catalogues(bench.config)
    came = catalogues.fetch_wanted(limit_s=_LIMIT_S, most=_FIELDS)
    steps = [
        Step(request=reduce_request(frame, priority=PRIORITY_BACKLOG, now=bench.clock.now()))
        for frame in _images_in(bench, came)
    ]
    with writing(bench.engine) as session:
        bench.submit(steps, session)
    if came:
        log.info("%d fields came: %d images are calibrated again", len(came), len(steps))
    if catalogues.wanted.everything():
        raise TryLater("catalogues are still missing for some fields", after_s=FETCH_AGAIN_S)


def _images_in(bench: Bench, fields: Sequence[Wanted]) -> list[FrameRecord]:
    """Return the current images whose pointing lies in one of the fields."""
    if not fields:
        return []
    frames = [frame for kind in sorted(IMAGED) for frame in bench.archive.current_frames(kind)]
    return [frame for frame in frames if any(_lies_in(frame, field) for field in fields)]


def _lies_in(frame: FrameRecord, field: Wanted) -> bool:
    own = frame.identity
    if own.ra_deg is None or own.dec_deg is None:
        return False
    away = separation_deg(own.ra_deg, own.dec_deg, field.ra_deg, field.dec_deg)
    return bool(away <= field.radius_deg)
