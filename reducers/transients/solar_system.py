"""Where the planets and the observer are: astropy's built-in series, no file and no network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from astropy.coordinates import get_body_barycentric
from astropy.time import Time
from scipy.interpolate import CubicSpline

if TYPE_CHECKING:
    from reducers.frame import Vector

#: Body -> mass of the Sun over its own (IAU 2009 best estimates; the Earth without the Moon).
_SUN_OVER_MASS = {
    "mercury": 6.0236e6,
    "venus": 4.08523719e5,
    "earth": 3.3294605e5,
    "moon": 2.7068703e7,
    "mars": 3.09870359e6,
    "jupiter": 1.047348644e3,
    "saturn": 3.4979018e3,
    "uranus": 2.2902951e4,
    "neptune": 1.941226e4,
}
MASSES: Vector = 1 / np.array(list(_SUN_OVER_MASS.values()))
_EARTH, _JUPITER = (list(_SUN_OVER_MASS).index(name) for name in ("earth", "jupiter"))
#: TT - UTC since 2017. A leap second more or less shifts nothing that matters here.
_TT_UTC_DAYS = 69.184 / 86400
_AU_KM = 149597870.7
_RADIUS_AU, _FLATTENING = 6378.137 / _AU_KM, 1 / 298.257223563
_HEIGHT_AU = 2.4 / _AU_KM  # of a mountain: 0.06 arcsec at the distance of 0.05 AU
_NODE_DAYS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Where on Earth the telescope stands (geodetic, east positive)."""

    longitude_deg: float
    latitude_deg: float

    def geocentric(self, mjd_utc: float) -> Vector:
        """Return the place (3,) from the centre of the Earth, equator of J2000, AU.

        Mean sidereal time (Meeus, Astronomical Algorithms, 12.4) and precession (21.3); nutation
        and UT1 - UTC would move it by half a kilometre.
        """
        days = mjd_utc - 51544.5
        angle = np.radians(280.46061837 + 360.98564736629 * days + self.longitude_deg)
        latitude = np.radians(self.latitude_deg)
        squashed = (1 - _FLATTENING) ** 2
        normal = _RADIUS_AU / np.hypot(np.cos(latitude), (1 - _FLATTENING) * np.sin(latitude))
        out = (normal + _HEIGHT_AU) * np.cos(latitude)
        up = (normal * squashed + _HEIGHT_AU) * np.sin(latitude)
        centuries = days / 36525
        zeta, z, theta = np.radians(np.array([2306.2181, 2306.2181, 2004.3109]) * centuries / 3600)
        of_date = np.array([out * np.cos(angle), out * np.sin(angle), up])
        return np.asarray(_about_z(zeta) @ _about_y(-theta) @ _about_z(z) @ of_date)


class SolarSystem:
    """Heliocentric places of Sun-circling perturbers between two dates.

    Parameters
    ----------
    first_mjd, last_mjd : float
        TT; a day is added at either end.
    """

    def __init__(self, first_mjd: float, last_mjd: float) -> None:
        nodes = np.arange(np.floor(first_mjd) - 2, np.ceil(last_mjd) + 3, _NODE_DAYS)
        when = Time(nodes, format="mjd", scale="tdb")  # within 2 ms of TT
        sun = _barycentric("sun", when)
        places = np.stack([_barycentric(body, when) - sun for body in _SUN_OVER_MASS])
        self._spline = CubicSpline(nodes, np.moveaxis(places, 2, 0))

    def perturbers(self, mjd: Vector) -> Vector:
        """Return (m, 9, 3) heliocentric places in AU; `mjd` (m,) is TT."""
        return np.asarray(self._spline(mjd))

    def earth(self, mjd: float) -> Vector:
        """Return the heliocentric place (3,) of the centre of the Earth, AU."""
        return np.asarray(self._spline(mjd)[_EARTH])

    def jupiter(self, mjd: float) -> Vector:
        """Return the heliocentric place (3,) of Jupiter, AU."""
        return np.asarray(self._spline(mjd)[_JUPITER])

    def observer(self, observer: Observer, mjd_utc: float) -> Vector:
        """Return the heliocentric place (3,) of a telescope, AU."""
        return self.earth(terrestrial_time(mjd_utc)) + observer.geocentric(mjd_utc)


@lru_cache(maxsize=16)
def solar_system(first_mjd: float, last_mjd: float) -> SolarSystem:
    """Return the planets between two dates; the latest ones are remembered."""
    return SolarSystem(first_mjd, last_mjd)


def terrestrial_time(mjd_utc: float) -> float:
    """Return TT for UTC, both as MJD."""
    return mjd_utc + _TT_UTC_DAYS


def _barycentric(body: str, when: Time) -> Vector:
    found = get_body_barycentric(body, when, ephemeris="builtin")
    return np.asarray(found.xyz.to_value("au"), float)


def _about_z(angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_y(angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
