"""The task that shows an image at once, before anything else is done with it."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from daemon.layout import write_fits_atomically
from daemon.work.calibrations import provenance_of, read_exposure, read_image_calibrations
from daemon.work.pictures import SAFE_MODE_ATTEMPT, notes_of, save_picture
from daemon.work.product_files import target_of
from daemon.work.references import references_for
from daemon.work.roles import SHOWN
from daemon.work.selecting import select_masters
from reducers.errors import ReductionError
from reducers.imaging.quick_look import quick_look
from reducers.imaging.quick_products import quick_hdus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from daemon.memory.records import Job
    from daemon.publish.page import Picture
    from daemon.work.bench import Bench
    from reducers.imaging.quick_look import QuickLook
    from reducers.reduced import Exposure

    #: Draws the page of a quick look.
    DrawLook = Callable[[QuickLook, Exposure, Sequence[str]], Picture]

log = logging.getLogger(__name__)


def show_image(bench: Bench, job: Job, draw: DrawLook) -> None:
    """Write a small image and its picture with whatever masters there are now.

    It is no product: nothing is published from it, and it is never made again.
    """
    frame = bench.archive.frame(int(job.payload["frame_id"]))
    if frame is None or frame.identity.kind not in SHOWN or not bench.wants(frame):
        return
    exposure = read_exposure(bench, frame)
    selections = select_masters(bench, frame, "IMAGE")
    instrument = bench.instrument(frame.identity.instrument)
    given = read_image_calibrations(bench, selections, frame.identity.setup)
    known = references_for(bench, frame, at_hand=True)
    try:
        seen = quick_look(exposure, given, instrument, known)
    except ReductionError as error:
        # Whoever needs the image is told by its reduction; nobody needs the look at it.
        log.info("%s is not shown: %s", frame.stem, error)
        bench.queue.finish(job, remark=f"not shown: {error}")
        return
    path = bench.layout.quick_look(frame.night, frame.stem, target_of(frame))
    write_fits_atomically(path, quick_hdus(seen, exposure, provenance_of([frame], selections)))
    if job.attempts < SAFE_MODE_ATTEMPT:
        save_picture(path.with_suffix(".png"), partial(draw, seen, exposure, notes_of(selections)))
