"""What an image through the slit, taken before a spectrum, tells of the target's place."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from astropy.coordinates import angular_separation

from daemon.work.calibrations import read_exposure
from reducers.errors import ReductionError
from reducers.identity import FrameKind
from reducers.imaging.acquisition import measure_slit_image

if TYPE_CHECKING:
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.reduced import SpectrumCalibrations

log = logging.getLogger(__name__)

#: An older image says nothing of where the target stands now.
_OLDEST = timedelta(minutes=45)
#: Pointings further apart than this are of different acquisitions, degrees.
_SAME_POINTING_DEG = 5 / 3600


def acquired(given: SpectrumCalibrations, bench: Bench, frame: FrameRecord) -> SpectrumCalibrations:
    """Return the calibrations with what the last image through the same slit shows."""
    image = last_slit_image(bench, frame)
    if image is None:
        return given
    instrument = bench.instrument(frame.identity.instrument)
    try:
        seen = measure_slit_image(read_exposure(bench, image), instrument)
    except ReductionError as failed:
        log.warning("slit image %s is left out: %s", image.stem, failed)
        return given
    if seen.why:
        log.info("slit image %s tells nothing of %s: %s", image.stem, frame.stem, seen.why)
    return replace(given, facts={**given.facts, **seen.measurements})


def last_slit_image(bench: Bench, frame: FrameRecord) -> FrameRecord | None:
    """Return the newest image through the frame's slit at its pointing, if there is one."""
    own = frame.identity
    if own.observed_at is None:
        return None
    taken = bench.archive.current_frames(FrameKind.SLIT_IMAGE, frame.night, own.instrument)
    fitting = [
        image
        for image in taken
        if image.identity.setup.slit == own.setup.slit
        and image.identity.observed_at is not None
        and timedelta(0) <= own.observed_at - image.identity.observed_at <= _OLDEST
        and _same_pointing(image, frame)
    ]
    return fitting[-1] if fitting else None


def _same_pointing(one: FrameRecord, other: FrameRecord) -> bool:
    """Tell whether two exposures look at the same place: a nod moves the target along the slit."""
    places = [(each.identity.ra_deg, each.identity.dec_deg) for each in (one, other)]
    (ra, dec), (other_ra, other_dec) = places
    if ra is None or dec is None or other_ra is None or other_dec is None:
        return False
    separation = angular_separation(*np.radians((ra, dec, other_ra, other_dec)))
    return bool(np.degrees(separation) <= _SAME_POINTING_DEG)
