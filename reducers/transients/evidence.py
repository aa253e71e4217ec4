"""What it takes to call a source new that no catalogue lists.

Surveys leave out one star in a hundred for no reason that anybody could see: on an image of a
hundred stars an unlisted one is more likely forgotten than new. Something else has to speak for
it: a satellite's circle, an image on which it was not there yet or was not as bright, or so
many catalogues that all of them together forget nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reducers.transients.localisation import Colour
from reducers.transients.settings import search_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.transients.candidate import Candidate
    from reducers.transients.localisation import Localisation

#: Reasons that leave in doubt what a source is, or how bright: counts of such stars say nothing.
_DOUBTFUL = frozenset({"BY_NEIGHBOUR", "FAINT_SOURCE", "SATURATED_CORE", "LISTED_COMPANION"})
#: Obliquity of the ecliptic, J2000.
_SIN_TILT, _COS_TILT = math.sin(math.radians(23.4393)), math.cos(math.radians(23.4393))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for a source, and what is missing where that is not enough; sentences.

    Attributes
    ----------
    proof : str
        '' where nothing proves it new.
    lacking : tuple of str
        Why it is not called new; empty where it is.
    """

    proof: str = ""
    lacking: tuple[str, ...] = ()


def evidence_for(
    candidate: Candidate, shallow: Sequence[str], localisations: Sequence[Localisation]
) -> Evidence:
    """Return whether an unlisted source that no veto holds back is to be called new, and why.

    Parameters
    ----------
    shallow
        Why no catalogue reaches so deep here; empty where one does.
    """
    if not math.isfinite(candidate.magnitude):
        return Evidence(lacking=tuple(shallow))
    inside = bool(localisations) and candidate.colour is not Colour.RED
    if inside and not shallow:
        return Evidence(proof="It lies where a satellite saw something.")
    changed = _changed(candidate)
    if changed:
        return Evidence(proof=changed)
    proof = _not_there_before(candidate) or ("" if shallow else _nothing_forgotten(candidate))
    if not proof:
        return Evidence(lacking=tuple(shallow) or (_forgotten(candidate),))
    moving = _may_move(candidate)
    return Evidence(lacking=(moving,)) if moving else Evidence(proof=proof)


def _changed(candidate: Candidate) -> str:
    change = candidate.measurements.get("change_mag", math.nan)
    if not abs(change) >= search_numbers()["evidence"]["changed_mag"]:
        return ""
    days = candidate.measurements.get("first_seen_days", math.nan)
    how = "brighter" if change < 0 else "fainter"
    return f"It is {abs(change):.1f} mag {how} than {_ago(days)}."


def _not_there_before(candidate: Candidate) -> str:
    told = candidate.measurements
    days = told.get("last_limit_days", math.nan)
    if not math.isfinite(days) or told.get("seen_before", 0) > 0:
        return ""
    limit = told.get("earlier_limit_mag", math.nan)
    return f"An image that shows {candidate.band} = {limit:.1f} did not show it {_ago(days)}."


def _nothing_forgotten(candidate: Candidate) -> str:
    expected = candidate.measurements.get("unlisted_expected", math.nan)
    if not expected < search_numbers()["evidence"]["forgotten"]:
        return ""
    host = candidate.measurements.get("brightened_mag", math.nan)
    if math.isfinite(host):
        # Its magnitude is all that tells it from its entry.
        if candidate.vetoes:
            return ""
        return f"What is listed at its place is {host:.1f} mag fainter: its host, or itself."
    if _doubts(candidate):
        return ""
    return "The catalogues of this field together forget less than one such source in 200 images."


def _forgotten(candidate: Candidate) -> str:
    host = candidate.measurements.get("brightened_mag", math.nan)
    if math.isfinite(host):
        return (
            f"What is listed at its place is {host:.1f} mag fainter: its host, or itself; its "
            "magnitude is not sure enough to tell."
        )
    doubts = _doubts(candidate)
    if doubts:
        return f"{doubts[0]} That no catalogue lists it does not prove it new."
    expected = candidate.measurements.get("unlisted_expected", math.nan)
    if not math.isfinite(expected):
        return "Nobody knows how many such stars the catalogues forget here."
    one = 1 / expected if expected > 0 else math.inf
    often = f"one such star in {one:.0f} images" if one >= 2 else "a star on every image or two"
    return (
        f"The catalogues forget about {often} like this, and no earlier image or difference "
        "shows that it was not there."
    )


def _doubts(candidate: Candidate) -> tuple[str, ...]:
    """Return why the source may be something else than a star of its magnitude."""
    doubts = tuple(flag.sentence for flag in candidate.vetoes if flag.name in _DOUBTFUL)
    if doubts or math.isfinite(candidate.measurements.get("concentration_sigma", 0.0)):
        return doubts
    return ("No star of this image tells whether the source has the shape of one.",)


def _may_move(candidate: Candidate) -> str:
    """Return why it may be a minor planet; '' where it stood still, or planets are known."""
    told = candidate.measurements
    if told.get("exposures", 0) >= 2 and not told.get("moves", 0) > 0:
        return ""
    if told.get("minor_planet_maybe", 0) > 0:
        return "A minor planet may stand here, and no second exposure shows that it does not move."
    latitude = ecliptic_latitude_deg(candidate.ra_deg, candidate.dec_deg)
    near = abs(latitude) < search_numbers()["evidence"]["ecliptic_deg"]
    if near and told.get("orbits_missing", 0) > 0:
        return (
            f"It may be a minor planet ({latitude:+.0f} degrees from the ecliptic): no orbits are "
            "on disc, and no second exposure shows that it does not move."
        )
    return ""


def ecliptic_latitude_deg(ra_deg: float, dec_deg: float) -> float:
    """Return the ecliptic latitude of a place, J2000."""
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    sine = math.sin(dec) * _COS_TILT - math.cos(dec) * _SIN_TILT * math.sin(ra)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def _ago(days: float) -> str:
    if not math.isfinite(days):
        return "before"
    return f"{days:.0f} days before" if days >= 2 else f"{days * 24:.0f} hours before"
