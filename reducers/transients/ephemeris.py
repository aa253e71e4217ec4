"""Where minor planets stand in the sky of a telescope, how bright, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Vector
from reducers.transients.orbits import Orbits
from reducers.transients.solar_system import Observer, solar_system, terrestrial_time

if TYPE_CHECKING:
    from reducers.transients.solar_system import SolarSystem

_LIGHT_DAY_AU = 1 / 173.1446327
#: Step over which the apparent motion is taken, days.
_STEP = 0.01
#: Error of the orbit's own plane and shape, arcsec as seen from the Sun, and of what is not
#: modelled (asteroids that pull, rounded elements), arcsec as seen from the Earth.
_ORBIT_ARCSEC, _FLOOR_ARCSEC = 0.1, 0.4
#: Part of the error along the orbit that may lie across it.
_ACROSS = 0.03
#: Absolute magnitudes and rotation together.
_MAGNITUDE_ERROR, _COMET_MAGNITUDE_ERROR = 0.5, 1.5
_COMET_ARCSEC = 5.0  # their jets push them
_UNKNOWN_CODE = 9
_DECADE_DAYS = 3652.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Minor planets and comets as seen at one time; all arrays have one entry for each.

    Attributes
    ----------
    orbits : (n,) ORBIT
    ra_deg, dec_deg : (n,) float64
        ICRS, as stars on the same image have them (no aberration).
    magnitude, magnitude_error : (n,) float64
        V; NaN where no absolute magnitude is known.
    motion_arcsec_h : (n,) float64
    motion_angle_deg : (n,) float64
        Direction of the motion, from north through east.
    sigma_along_arcsec, sigma_across_arcsec : (n,) float64
        Error along and across the line on which the body must lie.
    line_angle_deg : (n,) float64
        Direction of that line, from north through east.
    distance_au : (n,) float64
    """

    orbits: Orbits
    ra_deg: Vector
    dec_deg: Vector
    magnitude: Vector
    magnitude_error: Vector
    motion_arcsec_h: Vector
    motion_angle_deg: Vector
    sigma_along_arcsec: Vector
    sigma_across_arcsec: Vector
    line_angle_deg: Vector
    distance_au: Vector

    def __len__(self) -> int:
        return len(self.ra_deg)


def places(
    orbits: Orbits, position: Vector, velocity: Vector, mjd_utc: float, observer: Observer
) -> Places:
    """Return the apparent places of bodies whose heliocentric states are known.

    Parameters
    ----------
    position, velocity : (3, n) float64
        At `mjd_utc`; heliocentric, equator of J2000, AU and AU a day.
    """
    planets = solar_system(np.floor(mjd_utc), np.ceil(mjd_utc) + 1)
    seen, seen_from = _seen(position, velocity, mjd_utc, planets, observer)
    later, _ = _seen(position + velocity * _STEP, velocity, mjd_utc + _STEP, planets, observer)
    distance = np.linalg.norm(seen, axis=0)
    toward = seen / distance
    east, north = _east_north(toward)
    drift = later / np.linalg.norm(later, axis=0) - toward
    sun_distance = np.linalg.norm(position, axis=0)
    speed = np.linalg.norm(velocity, axis=0)
    # A body early or late on its orbit: displaced along its velocity, seen from the same place.
    runoff = np.radians(_runoff_arcsec(orbits, terrestrial_time(mjd_utc)) / 3600)
    slip = velocity / speed * sun_distance * runoff / distance
    along = np.hypot((slip * east).sum(0), (slip * north).sum(0))
    own = np.hypot(_FLOOR_ARCSEC, _ORBIT_ARCSEC * sun_distance / distance)
    own = np.where(orbits["comet"], np.hypot(own, _COMET_ARCSEC / distance), own)
    along_arcsec = np.degrees(along) * 3600
    magnitude = _magnitudes(orbits, sun_distance, distance, seen_from)
    comets = np.where(orbits["comet"], _COMET_MAGNITUDE_ERROR, _MAGNITUDE_ERROR)
    ra, dec = _sky(toward)
    return Places(
        orbits=orbits,
        ra_deg=ra,
        dec_deg=dec,
        magnitude=magnitude,
        magnitude_error=np.where(np.isfinite(magnitude), comets, np.nan),
        motion_arcsec_h=np.degrees(np.linalg.norm(drift, axis=0)) * 3600 / (24 * _STEP),
        motion_angle_deg=_angle((drift * east).sum(0), (drift * north).sum(0)),
        sigma_along_arcsec=np.hypot(along_arcsec, own),
        sigma_across_arcsec=np.hypot(_ACROSS * along_arcsec, own),
        line_angle_deg=_angle((slip * east).sum(0), (slip * north).sum(0)),
        distance_au=distance,
    )


def _seen(
    position: Vector,
    velocity: Vector,
    mjd_utc: float,
    planets: SolarSystem,
    observer: Observer,
) -> tuple[Vector, Vector]:
    """Return where bodies were when the light left them, from the telescope; and that from Sun."""
    site = planets.observer(observer, mjd_utc)[:, None]
    was = position
    for _ in range(3):
        was = position - velocity * np.linalg.norm(was - site, axis=0) * _LIGHT_DAY_AU
    return was - site, np.broadcast_to(site, position.shape)


def _magnitudes(orbits: Orbits, r: Vector, distance: Vector, site: Vector) -> Vector:
    """Return V by H and G (Bowell et al. 1989, Asteroids II, appendix); comets by total light."""
    sun = np.linalg.norm(site, axis=0)
    cosine = np.clip((r**2 + distance**2 - sun**2) / (2 * r * distance), -1, 1)
    half = np.tan(np.arccos(cosine) / 2)
    slope = orbits["slope"].astype(float)
    slope = np.where(np.isfinite(slope), slope, 0.15)
    bright = (1 - slope) * np.exp(-3.33 * half**0.63) + slope * np.exp(-1.87 * half**1.22)
    absolute = orbits["absolute_magnitude"].astype(float)
    both = absolute + 5 * np.log10(distance)
    asteroid = both + 5 * np.log10(r) - 2.5 * np.log10(np.maximum(bright, 1e-9))
    comet = both + 2.5 * slope * np.log10(r)
    return np.asarray(np.where(orbits["comet"], comet, asteroid))


def _runoff_arcsec(orbits: Orbits, mjd_tt: float) -> Vector:
    """Return how far a body may have run off along its orbit, seen from the Sun.

    The uncertainty code U of the Minor Planet Center stands for less than
    exp(U ln(648000) / 9) arcsec in ten years; that limit is taken as one sigma. It grows from the
    last observation or from the epoch, whichever is longer ago.
    """
    code = np.where(orbits["uncertainty"] < 0, _UNKNOWN_CODE, orbits["uncertainty"])
    since = np.abs(mjd_tt - orbits["epoch"])
    last = orbits["last_seen"].astype(float)
    since = np.fmax(since, np.abs(mjd_tt - last))
    return np.asarray(np.exp(code * np.log(648000) / 9) * np.maximum(since, 30.0) / _DECADE_DAYS)


def _east_north(toward: Vector) -> tuple[Vector, Vector]:
    flat = np.hypot(toward[0], toward[1])
    east = np.stack([-toward[1], toward[0], np.zeros_like(flat)]) / flat
    return east, np.cross(toward, east, axis=0)


def _sky(toward: Vector) -> tuple[Vector, Vector]:
    ra = np.degrees(np.arctan2(toward[1], toward[0])) % 360
    return ra, np.degrees(np.arcsin(np.clip(toward[2], -1, 1)))


def _angle(east: Vector, north: Vector) -> Vector:
    return np.asarray(np.degrees(np.arctan2(east, north)) % 360)
