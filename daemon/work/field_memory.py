"""What earlier images of a field tell: what was there, and what they would have shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from calibration_store.catalogues.sky import Cone
from daemon.memory.candidate_records import CandidateRecord
from daemon.memory.records import FrameRecord
from daemon.work.bench import Bench
from daemon.work.references import radius_deg
from reducers.julian_date import mjd_of
from reducers.transients.candidate import Standing
from reducers.transients.earlier import Earlier
from reducers.transients.known_sky import EarlierImages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.records import ProductRecord
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.transients.candidate import Candidate
    from reducers.transients.search_image import SearchImage
    from reducers.transients.witness import Statement

#: Exposures so near in time show what moves; older ones what was there.
SAME_VISIT = timedelta(hours=6)
#: How deep an image shows sources, and how deep it was searched; the search asks for the last.
_LIMITS = ("psf_limit_5_sigma_mag", "search_limit_mag")
#: A pointing in a header is right to this.
_POINTING_ARCSEC = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMemory:
    """A witness that remembers the images of a field before this visit.

    The archive is asked only where there is a candidate to ask about.

    Attributes
    ----------
    candidates
        Of other exposures in the field.
    middle
        Of the exposure.
    """

    bench: Bench
    frame: FrameRecord
    candidates: tuple[CandidateRecord, ...]
    middle: datetime

    def __call__(self, candidates: Sequence[Candidate], image: SearchImage) -> Sequence[Statement]:
        """Return for each candidate whether it was seen before, and which images lack it."""
        if not candidates:
            return ()
        found = earlier_images(self.candidates, self.middle).earlier
        limits = limits_before(self.bench, self.frame, self.middle, image.band)
        return EarlierImages(earlier=(*found, *limits))(candidates, image)


def limits_before(
    bench: Bench, frame: FrameRecord, middle: datetime, band: str
) -> tuple[Earlier, ...]:
    """Return how deep earlier images of a field in the same filter were searched."""
    own = frame.identity
    if own.ra_deg is None or own.dec_deg is None:
        return ()
    instrument = bench.instrument(own.instrument)
    field = Cone(own.ra_deg, own.dec_deg, radius_deg(own, instrument))
    low, high = field.dec_deg - field.radius_deg, field.dec_deg + field.radius_deg
    there = []
    for one in bench.archive.frames_of_zone(own.kind, own.instrument, low, high):
        other = one.identity
        if other.setup.filter != own.setup.filter or other.observed_at is None:
            continue
        when = other.observed_at + timedelta(seconds=other.exposure_s / 2)
        if other.ra_deg is None or other.dec_deg is None or middle - when <= SAME_VISIT:
            continue
        reach = inner_radius_deg(other, instrument)
        if reach > 0 and float(field.margin_deg(other.ra_deg, other.dec_deg)) >= 0:
            there.append((one, when, other.ra_deg, other.dec_deg, reach))
    products = bench.archive.current_products([one.id for one, *_ in there])
    return tuple(
        Earlier(
            mjd=mjd_of(when), band=band, limit_mag=limit, image=one.stem,
            centre_ra_deg=ra_deg, centre_dec_deg=dec_deg, radius_deg=reach,
        )
        for one, when, ra_deg, dec_deg, reach in there
        if math.isfinite(limit := searched_to(products.get(one.id)))
    )  # fmt: skip


def searched_to(product: ProductRecord | None) -> float:
    """Return down to which an image would have told of a source; NaN where it says nothing."""
    if product is None or not product.measurements.get("search_suspicious", 1.0) < 0.5:
        return math.nan
    limits = [product.measurements.get(name, math.nan) for name in _LIMITS]
    return min(limits) if all(map(math.isfinite, limits)) else math.nan


def inner_radius_deg(identity: Identity, instrument: Instrument) -> float:
    """Return the radius of a circle about the pointing that lies wholly on a window."""
    x1, x2, y1, y2 = identity.setup.window
    detector = instrument.detector
    x, y = (detector.columns + 1) / 2, (detector.rows + 1) / 2
    least = min(x - x1, x2 - x, y - y1, y2 - y) * detector.pixel_scale_arcsec
    return (least - _POINTING_ARCSEC) / 3600


def earlier_images(candidates: Sequence[CandidateRecord], middle: datetime) -> EarlierImages:
    """Return what was found before this visit.

    What a veto held back may be an artefact of the detector: it proves nothing of the place. A
    minor planet has moved on.
    """
    return EarlierImages(
        earlier=tuple(
            _earlier(one.candidate, one.observed_at, one.stem)
            for one in candidates
            if one.observed_at is not None
            and middle - one.observed_at > SAME_VISIT
            and not one.candidate.measurements.get("minor_planet", 0.0) > 0
        )
    )


def _earlier(one: Candidate, when: datetime, stem: str) -> Earlier:
    return Earlier(
        mjd=mjd_of(when),
        band=one.band,
        ra_deg=one.ra_deg,
        dec_deg=one.dec_deg,
        error_arcsec=one.position_error_arcsec,
        magnitude=one.magnitude,
        magnitude_error=one.magnitude_error,
        vetoed=one.standing is Standing.VETOED,
        image=stem,
    )
