"""Which images of a night show the target of a spectrum, and which spectra an image bears on."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.memory.records import JobKind, JobState
from daemon.work.outcomes import TryLater
from daemon.work.plan import PRIORITY_UPGRADE, Step, reduce_request
from daemon.work.roles import IMAGED
from reducers.errors import UnreadableFile
from reducers.identity import FrameKind
from reducers.imaging.phot_reading import source_at
from reducers.reduced import TargetMagnitude
from reducers.standards import separation_arcsec

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord, ProductRecord
    from daemon.work.bench import Bench
    from reducers.identity import Identity

log = logging.getLogger(__name__)

#: A source so near to the coordinates of the target is the target.
SAME_SOURCE_ARCSEC = 1.5
#: An entry further from the pointing is stale, or of another equinox.
_STALE_ARCSEC = 120.0
#: An image whose pointing is further away does not show the target.
_ON_IMAGE_ARCSEC = 420.0
_LOOK_AGAIN_S = 0.5
_MANY = 10_000


def target_magnitudes(bench: Bench, frame: FrameRecord) -> tuple[TargetMagnitude, ...]:
    """Return the target's magnitudes on images of its night: one a filter, the nearest first."""
    place, when = target_place(frame.identity), _middle(frame)
    if place is None or when is None:
        return ()
    found: dict[str, TargetMagnitude] = {}
    for apart_h, image, product in _calibrated_images(bench, frame, place, when):
        filter_name = image.identity.setup.filter
        if filter_name in found:
            continue
        try:
            seen = source_at(product.paths["phot"], *place, SAME_SOURCE_ARCSEC)
        except UnreadableFile as error:
            log.warning("the flux of %s is not tied to %s: %s", frame.stem, image.stem, error)
            continue
        if seen is not None:
            found[filter_name] = TargetMagnitude(
                stem=image.stem,
                filter_name=filter_name,
                magnitude=seen.magnitude,
                error=seen.error,
                band=seen.band,
                system=seen.system,
                colour_term=seen.colour_term,
                reference_colour=seen.reference_colour,
                apart_h=apart_h,
                off_arcsec=seen.off_arcsec,
            )
    return tuple(found.values())


def digest_of_magnitudes(magnitudes: tuple[TargetMagnitude, ...]) -> list[list[object]]:
    """Return what of them makes another product: not a change below a thousandth."""
    return [
        [one.stem, one.filter_name, round(one.magnitude, 3), round(one.error, 3),
         one.band, round(one.colour_term, 3)]
        for one in magnitudes
    ]  # fmt: skip


def after_calibration(
    bench: Bench, image: FrameRecord, within: Session | None = None
) -> list[Step]:
    """Return the jobs that a newly calibrated image asks for: spectra of what it shows.

    They do nothing where the image says nothing new; spectra ask images for nothing, so that
    this ends.
    """
    own, now = image.identity, bench.clock.now()
    spectra = bench.archive.current_frames(
        FrameKind.SPEC_OBJECT, image.night, own.instrument, within=within
    )
    return [
        Step(request=reduce_request(frame, priority=PRIORITY_UPGRADE, now=now))
        for frame in spectra
        if (place := target_place(frame.identity)) is not None and _shows(own, place)
    ]


def wait_for_images(bench: Bench, frame: FrameRecord) -> None:
    """Let the job wait while images that show the target are due or being calibrated.

    Raises
    ------
    TryLater
        If there are any.
    """
    place, counts = target_place(frame.identity), bench.queue.counts()
    states = (JobState.RUNNING, JobState.WAITING)
    if place is None or not any(counts.get((JobKind.IMAGE, state)) for state in states):
        return
    soon = bench.clock.now() + timedelta(seconds=2 * _LOOK_AGAIN_S)
    for job in (job for state in states for job in bench.queue.jobs(state, _MANY)):
        due = job.kind is JobKind.IMAGE and job.not_before <= soon
        if not due or job.payload.get("night") != frame.night:
            continue
        image = bench.archive.frame(int(job.payload["frame_id"]))
        if image is not None and _shows(image.identity, place):
            raise TryLater(f"waits for the image {image.stem}", after_s=_LOOK_AGAIN_S)


def target_place(identity: Identity) -> tuple[float, float] | None:
    """Return where a target is (J2000) by its entry; None where that does not fit the pointing."""
    ra, dec = identity.target_ra_deg, identity.target_dec_deg
    if identity.kind is not FrameKind.SPEC_OBJECT or ra is None or dec is None:
        return None
    pointed = identity.ra_deg, identity.dec_deg
    if pointed[0] is None or pointed[1] is None:
        return None
    off = separation_arcsec((pointed[0], pointed[1]), (ra, dec))
    return (ra, dec) if off <= _STALE_ARCSEC else None


def _calibrated_images(
    bench: Bench, frame: FrameRecord, place: tuple[float, float], when: datetime
) -> list[tuple[float, FrameRecord, ProductRecord]]:
    """Return the images that may show a place, with the hours between, the nearest first."""
    found = []
    for kind in sorted(IMAGED):
        for image in bench.archive.current_frames(kind, frame.night, frame.identity.instrument):
            middle = _middle(image)
            if middle is None or not _shows(image.identity, place):
                continue
            product = bench.archive.current_product(image.id)
            if product is None or "phot" not in product.paths:
                continue
            if "zero_point_mag" in product.measurements:
                apart_h = (middle - when).total_seconds() / 3600
                found.append((apart_h, image, product))
    return sorted(found, key=lambda item: (abs(item[0]), item[1].stem))


def _shows(image: Identity, place: tuple[float, float]) -> bool:
    if image.ra_deg is None or image.dec_deg is None:
        return False
    return separation_arcsec((image.ra_deg, image.dec_deg), place) <= _ON_IMAGE_ARCSEC


def _middle(frame: FrameRecord) -> datetime | None:
    own = frame.identity
    if own.observed_at is None:
        return None
    return own.observed_at + timedelta(seconds=own.exposure_s / 2)
