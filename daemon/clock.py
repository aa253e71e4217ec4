"""Time as the daemon sees it; tests put their own clock in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from reducers.sun import sun_altitude_deg

#: Altitude of the Sun's centre when its upper limb is on the horizon, with refraction.
SUNRISE_DEG = -0.833
CIVIL_TWILIGHT_DEG = -6.0
ASTRONOMICAL_TWILIGHT_DEG = -18.0
#: Halvings of twelve hours that leave less than a second.
_HALVINGS = 16


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the aware UTC time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


def observing_night(when: datetime, longitude_deg: float = 0.0) -> date:
    """Return the date on which the night of `when` began, turning over at local mean noon.

    Parameters
    ----------
    when
        Aware time.
    longitude_deg
        East longitude of the telescope; 0 turns over at 12 UTC.
    """
    local = when.astimezone(UTC) + timedelta(hours=longitude_deg / 15)
    return (local - timedelta(hours=12)).date()


class Site(Protocol):
    """A place on Earth; an instrument's profile is one."""

    @property
    def longitude_deg(self) -> float:
        """East longitude."""
        ...

    @property
    def latitude_deg(self) -> float:
        """Geographic latitude."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Twilights:
    """The turns of one night; None where the Sun does not cross that altitude.

    Attributes
    ----------
    sunset
        The Sun's upper limb sets.
    evening
        End of evening civil twilight: the Sun sinks below -6 degrees.
    dark, dawn
        Astronomical night: the Sun sinks below -18 degrees, and rises above.
    sunrise
        The Sun's upper limb rises.
    noon
        Local mean noon, at which the next night begins.
    """

    sunset: datetime | None
    evening: datetime | None
    dark: datetime | None
    dawn: datetime | None
    sunrise: datetime | None
    noon: datetime


def twilights(night: date, site: Site) -> Twilights:
    """Return the turns of one observing night."""
    noon = datetime(night.year, night.month, night.day, 12, tzinfo=UTC) - timedelta(
        hours=site.longitude_deg / 15
    )
    midnight, end = noon + timedelta(hours=12), noon + timedelta(hours=24)
    return Twilights(
        sunset=_crossing(noon, midnight, SUNRISE_DEG, site),
        evening=_crossing(noon, midnight, CIVIL_TWILIGHT_DEG, site),
        dark=_crossing(noon, midnight, ASTRONOMICAL_TWILIGHT_DEG, site),
        dawn=_crossing(end, midnight, ASTRONOMICAL_TWILIGHT_DEG, site),
        sunrise=_crossing(end, midnight, SUNRISE_DEG, site),
        noon=end,
    )


def next_twilight(when: datetime, site: Site) -> datetime:
    """Return the first of evening twilight's end, sunrise and noon that comes after `when`."""
    found = twilights(observing_night(when, site.longitude_deg), site)
    times = (found.evening, found.sunrise, found.noon)
    return min(moment for moment in times if moment is not None and moment > when)


def _crossing(
    by_day: datetime, by_night: datetime, altitude_deg: float, site: Site
) -> datetime | None:
    """Return when the Sun crosses an altitude between a noon and a midnight; None if never."""
    if not (_sun_deg(by_day, site) > altitude_deg >= _sun_deg(by_night, site)):
        return None
    for _ in range(_HALVINGS):
        middle = by_day + (by_night - by_day) / 2
        if _sun_deg(middle, site) > altitude_deg:
            by_day = middle
        else:
            by_night = middle
    return by_night


def _sun_deg(when: datetime, site: Site) -> float:
    return sun_altitude_deg(when, site.longitude_deg, site.latitude_deg)
