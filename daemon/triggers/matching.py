"""Which circles an image overlaps, and which images a circle."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.sections import Triggers
from reducers.identity import FrameKind
from reducers.transients.notices.standing import standing_localisations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord
    from reducers.transients.localisation import Localisation

#: Of the sources of a circle 99.7 % lie within so many r90: what touches that is looked at.
_REACH = 1.6
_USUAL = Triggers()


def localisations_for(
    archive: Archive,
    position: tuple[float, float],
    radius_deg: float,
    when: datetime,
    settings: Triggers = _USUAL,
) -> tuple[Localisation, ...]:
    """Return the circles that an image may show, at most one per event and kind.

    Parameters
    ----------
    position
        Right ascension and declination of the middle of the image, degrees.
    radius_deg
        From there to its farthest corner.
    when
        When it was taken.
    """
    first = when - timedelta(days=settings.after_d)
    last = when + timedelta(hours=settings.before_h)
    standing = standing_localisations(archive.notices_between(first, last))
    return tuple(
        each
        for each in standing
        if each.happened_at is not None
        and first <= each.happened_at <= last
        and is_telling(each, settings)
        and overlaps(each, position, radius_deg)
    )


def is_telling(localisation: Localisation, settings: Triggers = _USUAL) -> bool:
    """Tell whether a circle is small enough to say something about one source on an image."""
    return localisation.r90_arcsec <= 60 * settings.largest_arcmin


def overlaps(localisation: Localisation, position: tuple[float, float], radius_deg: float) -> bool:
    """Tell whether a circle reaches into the disc around a position (degrees)."""
    apart = separation_deg(position, (localisation.ra_deg, localisation.dec_deg))
    return apart <= radius_deg + _REACH * localisation.r90_arcsec / 3600


def separation_deg(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the angle between two places (degrees), exact at any distance (Vincenty 1975)."""
    (ra1, dec1), (ra2, dec2) = (map(math.radians, place) for place in (one, other))
    apart = ra2 - ra1
    across = math.cos(dec2) * math.sin(apart)
    along = math.cos(dec1) * math.sin(dec2) - math.sin(dec1) * math.cos(dec2) * math.cos(apart)
    inward = math.sin(dec1) * math.sin(dec2) + math.cos(dec1) * math.cos(dec2) * math.cos(apart)
    return math.degrees(math.atan2(math.hypot(across, along), inward))


def images_around(
    archive: Archive,
    localisations: Iterable[Localisation],
    radius_deg: float,
    now: datetime,
    settings: Triggers = _USUAL,
) -> list[FrameRecord]:
    """Return the images of the last days that a circle reaches into, the newest first."""
    circles = [each for each in localisations if is_telling(each, settings)]
    found = [
        frame
        for night in _nights(now, settings.after_d)
        for frame in (archive.current_frames(FrameKind.IMG_OBJECT, night) if circles else ())
        if any(_shows(frame, circle, radius_deg, settings) for circle in circles)
    ]
    return sorted(found, key=lambda frame: frame.arrived_at, reverse=True)


def _shows(frame: FrameRecord, circle: Localisation, radius_deg: float, settings: Triggers) -> bool:
    own, happened = frame.identity, circle.happened_at
    if own.ra_deg is None or own.dec_deg is None or happened is None:
        return False
    when = own.observed_at or frame.arrived_at
    in_time = -timedelta(hours=settings.before_h) <= when - happened
    in_time = in_time and when - happened <= timedelta(days=settings.after_d)
    return in_time and overlaps(circle, (own.ra_deg, own.dec_deg), radius_deg)


def _nights(now: datetime, days: float) -> list[str]:
    """Return the observing nights of the last days by date, one more at either end."""
    return [(now - timedelta(days=n - 1)).date().isoformat() for n in range(math.ceil(days) + 3)]
