"""Where the Sun stands, and what else an hour angle needs: plain numbers, no ephemeris."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def sidereal_deg(when: datetime, longitude_deg: float) -> float:
    """Return the local mean sidereal time in degrees (Meeus, Astronomical Algorithms, 12.4)."""
    days = when.timestamp() / 86400 + 2440587.5 - 2451545.0
    return (280.46061837 + 360.98564736629 * days + longitude_deg) % 360.0


def sun_position_deg(when: datetime) -> tuple[float, float]:
    """Return right ascension and declination of the Sun, good to 0.02 deg (Almanac, C5)."""
    days = when.timestamp() / 86400 + 2440587.5 - 2451545.0
    anomaly = math.radians(357.528 + 0.9856003 * days)
    longitude = math.radians(
        280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 4e-7 * days)
    ra = math.atan2(math.cos(tilt) * math.sin(longitude), math.cos(longitude))
    dec = math.asin(math.sin(tilt) * math.sin(longitude))
    return math.degrees(ra) % 360.0, math.degrees(dec)


def altitude_deg(
    ra_deg: float, dec_deg: float, when: datetime, longitude_deg: float, latitude_deg: float
) -> float:
    """Return the altitude above the horizon, without refraction."""
    h = math.radians(sidereal_deg(when, longitude_deg) - ra_deg)
    d, phi = math.radians(dec_deg), math.radians(latitude_deg)
    return math.degrees(
        math.asin(math.sin(phi) * math.sin(d) + math.cos(phi) * math.cos(d) * math.cos(h))
    )


def sun_altitude_deg(when: datetime, longitude_deg: float, latitude_deg: float) -> float:
    """Return the altitude of the Sun."""
    return altitude_deg(*sun_position_deg(when), when, longitude_deg, latitude_deg)
