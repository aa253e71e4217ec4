"""Who knows something of what is found on an image: lists on disc, and what was found before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from calibration_store.catalogues.sky import Cone
from daemon.work.field_memory import SAME_VISIT, FieldMemory, searched_to
from daemon.work.known_sky import known_sky, observer_of
from daemon.work.references import MARGIN_ARCSEC, radius_deg
from reducers.transients.known_sky import OtherExposures, seen_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.candidate_records import CandidateRecord
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.transients.moving import Snapshot
    from reducers.transients.witness import Witness

#: Only exposures of one sequence say that a source flashed: over hours it may have come to stay.
SAME_SEQUENCE = timedelta(minutes=30)
#: Exposures that are compared with one; the nearest in time come first.
_MOST_EXPOSURES = 6
#: Pointings nearer to each other than this part of the field's radius are of one field.
_ALIKE = 0.7
#: Part of half the diagonal that lies on the image although the pointing is some arcsec off.
_INSIDE = 0.65
_METHOD = "catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another exposure of a field.

    Attributes
    ----------
    centre : tuple of float
        Right ascension and declination, degrees.
    radius_deg : float
        Of a circle about it that lies on the exposure.
    limit_mag : float
        Down to which it would show a source; NaN where that says nothing of this exposure.
    """

    frame_id: int
    middle: datetime
    centre: tuple[float, float]
    radius_deg: float
    limit_mag: float


def witnesses_of(bench: Bench, frame: FrameRecord) -> tuple[Witness, ...]:
    """Return what is known of the field of an image; less where a file cannot be read."""
    own = frame.identity
    if own.ra_deg is None or own.dec_deg is None or own.observed_at is None:
        return ()
    instrument = bench.instrument(own.instrument)
    field = Cone(own.ra_deg, own.dec_deg, radius_deg(own, instrument))
    observer = observer_of(instrument)
    middle = own.observed_at + timedelta(seconds=own.exposure_s / 2)
    near = bench.archive.candidates_near(field.ra_deg, field.dec_deg, field.radius_deg * 3600)
    others = [one for one in near if one.frame_id != frame.id and one.candidate.method == _METHOD]
    visit = exposures_of_visit(bench, frame, field, middle)
    return (
        known_sky(bench.config, field, middle, observer, frame.stem),
        OtherExposures(snapshots=tuple(snapshot(one, others) for one in visit)),
        FieldMemory(bench=bench, frame=frame, candidates=tuple(others), middle=middle),
    )


def exposures_of_visit(
    bench: Bench, frame: FrameRecord, field: Cone, middle: datetime
) -> list[Other]:
    """Return the searched exposures of a field within hours, the nearest in time first."""
    found = []
    for one in bench.archive.current_frames(
        frame.identity.kind, frame.night, frame.identity.instrument
    ):
        own = one.identity
        if own.observed_at is None or own.ra_deg is None or own.dec_deg is None:
            continue
        when = own.observed_at + timedelta(seconds=own.exposure_s / 2)
        inside = float(field.margin_deg(own.ra_deg, own.dec_deg))
        if (
            one.id == frame.id
            or abs(when - middle) > SAME_VISIT
            or inside < field.radius_deg * (1 - _ALIKE)
        ):
            continue
        product = bench.archive.current_product(one.id)
        if product is None or not product.measurements.get("search_suspicious", 1.0) < 0.5:
            continue
        soon = abs(when - middle) < SAME_SEQUENCE
        found.append(
            Other(
                frame_id=one.id,
                middle=when,
                centre=(own.ra_deg, own.dec_deg),
                radius_deg=max(field.radius_deg - MARGIN_ARCSEC / 3600, 0.01) * _INSIDE,
                limit_mag=searched_to(product) if soon else math.nan,
            )
        )
    return sorted(found, key=lambda one: abs(one.middle - middle))[:_MOST_EXPOSURES]


def snapshot(exposure: Other, candidates: Sequence[CandidateRecord]) -> Snapshot:
    """Return the candidates of one exposure."""
    return seen_at(
        exposure.middle,
        [one.candidate for one in candidates if one.frame_id == exposure.frame_id],
        centre_deg=exposure.centre,
        radius_deg=exposure.radius_deg,
        limit_mag=exposure.limit_mag,
    )
