"""What earlier images say of a place: whether something was seen there, and how bright."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.transients.known_matches import offsets_arcsec

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Two measurements of one source lie within so many sigma, and never farther than this.
_SIGMAS, _FARTHEST_ARCSEC = 4.0, 2.0
#: What was there so long before, as bright as now, is not new.
OLD_DAYS = 30.0
_STEADY_MAG, _STEADY_SIGMAS = 0.3, 3.0
#: A source this much above the limit of an image would have been found on it.
_CERTAIN_MAG = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What one earlier image has of a piece of sky: a source, or how deep it would have shown one.

    Attributes
    ----------
    mjd : float
        Middle of the exposure, UTC.
    band : str
    ra_deg, dec_deg, error_arcsec : float
        Of the source; NaN for an image without one there.
    magnitude, magnitude_error : float
    limit_mag : float
        Down to which the image was searched; NaN where not known.
    centre_ra_deg, centre_dec_deg, radius_deg : float
        A circle that lies wholly on an image without a source; NaN where it holds every place.
    vetoed : bool
        What was seen may be no light of the sky: it proves neither that a source was there nor
        that none was.
    image : str
        Which it is, for people.
    """

    mjd: float
    band: str
    ra_deg: float = math.nan
    dec_deg: float = math.nan
    error_arcsec: float = math.nan
    magnitude: float = math.nan
    magnitude_error: float = math.nan
    limit_mag: float = math.nan
    centre_ra_deg: float = math.nan
    centre_dec_deg: float = math.nan
    radius_deg: float = math.nan
    vetoed: bool = False
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of a place before an exposure.

    Attributes
    ----------
    seen : int
        Earlier images with a source there, in any band.
    first_days, last_days : float
        How long before the exposure it was first and last seen; NaN if never.
    change_mag : float
        Magnitude now less the weighted mean of the earlier ones in the same band; NaN if none.
    steady : bool
        It was there long before, as bright as now.
    deepest_limit : float
        Of the images in the same band that do not show it; NaN if there is none.
    last_limit_days : float
        How long before the exposure the latest of those was taken that would have shown it.
    """

    seen: int = 0
    first_days: float = math.nan
    last_days: float = math.nan
    change_mag: float = math.nan
    steady: bool = False
    deepest_limit: float = math.nan
    last_limit_days: float = math.nan


def history_of(
    ra_deg: float,
    dec_deg: float,
    error_arcsec: float,
    magnitude: float,
    magnitude_error: float,
    band: str,
    mjd: float,
    earlier: Sequence[Earlier],
) -> History:
    """Return what earlier images say of a source; those taken later say nothing."""
    past = [one for one in earlier if one.mjd < mjd]
    at_place = [one for one in past if _at(ra_deg, dec_deg, error_arcsec, one)]
    seen = [one for one in at_place if not one.vetoed]
    showing = {one.image for one in at_place if one.image}
    alike = [one for one in seen if one.band == band and math.isfinite(one.magnitude)]
    change, sigma = _change(magnitude, magnitude_error, alike)
    days = [mjd - one.mjd for one in seen]
    old = any(mjd - one.mjd > OLD_DAYS for one in alike)
    without = [
        one
        for one in past
        if one.band == band
        and one.image not in showing
        and math.isfinite(one.limit_mag)
        and not math.isfinite(one.ra_deg)
        and _covers(one, ra_deg, dec_deg)
    ]
    deeper = [mjd - one.mjd for one in without if one.limit_mag > magnitude + _CERTAIN_MAG]
    return History(
        seen=len(seen),
        first_days=max(days, default=math.nan),
        last_days=min(days, default=math.nan),
        change_mag=change,
        steady=old and abs(change) < max(_STEADY_MAG, _STEADY_SIGMAS * sigma),
        deepest_limit=max((one.limit_mag for one in without), default=math.nan),
        last_limit_days=min(deeper, default=math.nan),
    )


def _at(ra_deg: float, dec_deg: float, error_arcsec: float, one: Earlier) -> bool:
    if not (math.isfinite(one.ra_deg) and math.isfinite(ra_deg)):
        return False
    away = float(np.hypot(*offsets_arcsec(one.ra_deg, one.dec_deg, ra_deg, dec_deg)))
    errors = [error if math.isfinite(error) else 0.3 for error in (error_arcsec, one.error_arcsec)]
    return away < min(max(_SIGMAS * math.hypot(*errors), 0.5), _FARTHEST_ARCSEC)


def _covers(one: Earlier, ra_deg: float, dec_deg: float) -> bool:
    if not math.isfinite(one.radius_deg):
        return True
    away = offsets_arcsec(ra_deg, dec_deg, one.centre_ra_deg, one.centre_dec_deg)
    return float(np.hypot(*away)) <= one.radius_deg * 3600


def _change(magnitude: float, error: float, alike: Sequence[Earlier]) -> tuple[float, float]:
    """Return how much fainter a source is than it was, and the error of that."""
    if not alike or not math.isfinite(magnitude):
        return math.nan, math.nan
    own = [one.magnitude_error if one.magnitude_error > 0 else 0.1 for one in alike]
    weight = np.array(own) ** -2.0
    mean = float(weight @ [one.magnitude for one in alike] / weight.sum())
    now = error if math.isfinite(error) else 0.1
    return magnitude - mean, math.hypot(now, float(weight.sum() ** -0.5))
