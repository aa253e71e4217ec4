"""A candidate that people are told of, and the rules by which they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from reducers.transients.candidate import Candidate, Standing
from reducers.transients.localisation import Colour, Localisation

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Two candidates closer than this are one source.
SAME_PLACE_ARCSEC = 2.0
#: A source that is seen again is told of again after so long.
TOLD_FOR = timedelta(hours=24)
#: A flag of this quality keeps a candidate from being told, whatever its standing says.
_VETO = 3


class Urgency(StrEnum):
    """How soon people are told."""

    #: In a circle of arcseconds: somebody is woken.
    PAGE = "page"
    #: In a circle of arcminutes: told at once.
    AT_ONCE = "at once"
    #: No satellite has seen anything there: told in the morning.
    DIGEST = "digest"


class Change(StrEnum):
    """What is new about an alert."""

    NEW = "new"
    UPGRADE = "upgrade"
    AGAIN = "again"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What people were told of a place before."""

    name: str
    urgency: Urgency
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenOn:
    """The image on which a candidate was found.

    Attributes
    ----------
    programme : str
        PROPID; '' where the header tells none.
    system : str
        'AB' or 'Vega'.
    limit_mag : float
        Down to which the image was searched; NaN where not known.
    """

    stem: str
    night: str
    target: str
    programme: str
    telescope: str
    instrument: str
    filter: str
    observed_at: datetime | None
    exposure_s: float
    system: str = "AB"
    limit_mag: float = math.nan

    @property
    def middle(self) -> datetime | None:
        """The middle of the exposure (UTC)."""
        if self.observed_at is None:
            return None
        return self.observed_at + timedelta(seconds=self.exposure_s / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A candidate with everything that is told of it.

    Attributes
    ----------
    name : str
        The same for every later detection at its place.
    localisations : tuple of Localisation
        The circles that the image touches.
    change : Change
        Against what was told before.
    """

    name: str
    candidate: Candidate
    image: SeenOn
    urgency: Urgency
    localisations: tuple[Localisation, ...] = ()
    change: Change = Change.NEW


def why_not(candidate: Candidate) -> str:
    """Return why nobody is told of a candidate; '' where somebody is: nothing on a guess."""
    if candidate.standing is not Standing.NEW:
        return f"it is {candidate.standing}, not new"
    if not (math.isfinite(candidate.magnitude) and math.isfinite(candidate.magnitude_error)):
        return "it has no magnitude"
    if not all(map(math.isfinite, (candidate.ra_deg, candidate.dec_deg))):
        return "it has no place on the sky"
    grave = [flag.name for flag in candidate.vetoes if flag.quality >= _VETO]
    return f"flagged {', '.join(grave)}" if grave else ""


def urgency_of(candidate: Candidate, localisations: Sequence[Localisation]) -> Urgency:
    """Return how soon people are told; without a circle a colour means nothing."""
    if not localisations or candidate.colour is Colour.RED:
        return Urgency.DIGEST
    return Urgency.PAGE if candidate.colour is Colour.GREEN else Urgency.AT_ONCE


def change_of(before: Told | None, urgency: Urgency, now: datetime) -> Change:
    """Return what a detection adds to what people know of its place."""
    if before is None:
        return Change.NEW
    order = list(Urgency)
    if order.index(urgency) < order.index(before.urgency):
        return Change.UPGRADE
    return Change.AGAIN if now - before.told_at > TOLD_FOR else Change.NOTHING


def name_of(ra_deg: float, dec_deg: float) -> str:
    """Return the name of a place, 'ALF-J100028.61+021221.2': cut, not rounded, as the IAU asks."""
    hours = math.floor(round(ra_deg % 360 / 15 * 3600 * 100, 4))
    degrees = math.floor(round(abs(dec_deg) * 3600 * 10, 4))
    ra = f"{hours // 360000:02d}{hours // 6000 % 60:02d}{hours % 6000 / 100:05.2f}"
    dec = f"{degrees // 36000:02d}{degrees // 600 % 60:02d}{degrees % 600 / 10:04.1f}"
    return f"ALF-J{ra}{'-' if dec_deg < 0 else '+'}{dec}"
