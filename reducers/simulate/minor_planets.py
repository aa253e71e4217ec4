"""Minor planets that stand where they are wanted, with their orbits as the MPC would print them.

Truth by a route of its own: barycentric coordinates, the Sun one body among the planets, LSODA,
the observer from astropy, elements by vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation, get_body_barycentric, get_body_barycentric_posvel
from astropy.time import Time
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

from reducers.earth_rotation import tables_at_hand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_K2 = 0.01720209895**2
_C_AU_DAY = 173.144632674
_INVERSE_MASS = {
    "sun": 1.0,
    "mercury": 6023600.0,
    "venus": 408523.71,
    "earth-moon-barycenter": 328900.56,
    "mars": 3098708.0,
    "jupiter": 1047.3486,
    "saturn": 3497.898,
    "uranus": 22902.98,
    "neptune": 19412.24,
}
_TILT = np.radians(23.4392911)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinorPlanet:
    """One body as it is wanted on an image.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Astrometric place for the telescope at the time.
    magnitude : float
        V at the time.
    distance_au : float
        From the telescope.
    stretch, radial, tilt : float
        Its speed in units of that of a circular orbit at its distance from the Sun, the part of
        it away from the Sun, and the part towards the north of the ecliptic.
    """

    number: int
    ra_deg: float
    dec_deg: float
    magnitude: float
    distance_au: float
    stretch: float = 1.0
    radial: float = 0.05
    tilt: float = 0.1


def mpcorb_lines(
    bodies: Sequence[MinorPlanet],
    mjd_utc: float,
    epoch_mjd: float,
    *,
    longitude_deg: float,
    latitude_deg: float,
    uncertainty: str = "0",
    slope: float = 0.15,
) -> list[str]:
    """Return the lines of MPCORB.DAT for bodies seen at one time.

    Parameters
    ----------
    epoch_mjd : float
        TT, of the elements; a whole day.
    """
    seen = Time(mjd_utc, format="mjd", scale="utc")
    site = _site(seen, longitude_deg, latitude_deg)
    states, absolute = [], []
    for body in bodies:
        state, magnitude = _seen_at(body, seen, site, slope)
        states.append(state)
        absolute.append(magnitude)
    left = seen.tt.mjd - np.array([body.distance_au for body in bodies]) / _C_AU_DAY
    carried = _integrated(np.array(states).T, left, epoch_mjd)
    return [
        _line(body, _elements(carried[:, n]), epoch_mjd, absolute[n], slope, uncertainty)
        for n, body in enumerate(bodies)
    ]


def _site(seen: Time, longitude_deg: float, latitude_deg: float) -> NDArray[np.float64]:
    place = EarthLocation.from_geodetic(longitude_deg * u.deg, latitude_deg * u.deg, 2382 * u.m)
    with tables_at_hand():
        local, _ = place.get_gcrs_posvel(seen)
    earth = get_body_barycentric("earth", seen, ephemeris="builtin")
    return np.asarray((earth + local).xyz.to_value("au"))


def _seen_at(
    body: MinorPlanet, seen: Time, site: NDArray[np.float64], slope: float
) -> tuple[NDArray[np.float64], float]:
    """Return the barycentric state when the light left, and the absolute magnitude."""
    ra, dec = np.radians([body.ra_deg, body.dec_deg])
    toward = np.array([np.cos(ra) * np.cos(dec), np.sin(ra) * np.cos(dec), np.sin(dec)])
    place = site + body.distance_au * toward
    sun, sun_speed = (
        part.xyz.to_value(unit)
        for part, unit in zip(
            get_body_barycentric_posvel("sun", seen, ephemeris="builtin"),
            ("au", "au/d"),
            strict=True,
        )
    )
    out = place - sun
    r = np.linalg.norm(out)
    outward = out / r
    pole = np.array([0.0, -np.sin(_TILT), np.cos(_TILT)])
    ahead = np.cross(pole, outward)
    ahead /= np.linalg.norm(ahead)
    way = ahead + body.radial * outward + body.tilt * np.cross(outward, ahead)
    speed = body.stretch * np.sqrt(_K2 / r)
    state = np.concatenate([place, sun_speed + speed * way / np.linalg.norm(way)])
    phase = np.arccos(np.clip(outward @ toward, -1, 1))
    dimming = _phase_law(phase, slope)
    return state, body.magnitude - 5 * np.log10(r * body.distance_au) + 2.5 * np.log10(dimming)


def _phase_law(phase: float, slope: float) -> float:
    """Return the light at a phase angle, the full form of Bowell et al. (1989), A4."""
    sine, half = np.sin(phase), np.tan(phase / 2)
    near = np.exp(-90.56 * half**2)
    laws = []
    for a, b, c in ((3.332, 0.631, 0.986), (1.862, 1.218, 0.238)):
        smooth = 1 - c * sine / (0.119 + 1.341 * sine - 0.754 * sine**2)
        laws.append(near * smooth + (1 - near) * np.exp(-a * half**b))
    return float((1 - slope) * laws[0] + slope * laws[1])


def _integrated(
    start: NDArray[np.float64], from_mjd: NDArray[np.float64], to_mjd: float
) -> NDArray[np.float64]:
    """Carry barycentric states (6, n) to one date; return them from the Sun."""
    first, last = min(from_mjd.min(), to_mjd) - 3, max(from_mjd.max(), to_mjd) + 3
    nodes = np.arange(first, last, 0.5)
    when = Time(nodes, format="mjd", scale="tt")
    masses = _K2 / np.array(list(_INVERSE_MASS.values()))
    paths = []
    for name in _INVERSE_MASS:
        place, speed = get_body_barycentric_posvel(name, when, ephemeris="builtin")
        paths.append(
            CubicHermiteSpline(nodes, place.xyz.to_value("au").T, speed.xyz.to_value("au/d").T)
        )
    spans = to_mjd - from_mjd

    def rates(part: float, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        now = flat.reshape(6, -1)
        pulls = np.zeros((3, now.shape[1]))
        for mass, path in zip(masses, paths, strict=True):
            apart = path(from_mjd + part * spans).T - now[:3]
            pulls += mass * apart / np.linalg.norm(apart, axis=0) ** 3
        return np.asarray((np.concatenate([now[3:], pulls]) * spans).ravel())

    solved = solve_ivp(rates, (0, 1), start.ravel(), method="LSODA", rtol=1e-11, atol=1e-13)
    end = solved.y[:, -1].reshape(6, -1)
    sun = get_body_barycentric_posvel(
        "sun", Time(to_mjd, format="mjd", scale="tt"), ephemeris="builtin"
    )
    own = np.concatenate([sun[0].xyz.to_value("au"), sun[1].xyz.to_value("au/d")])
    return np.asarray(end - own[:, None])


def _elements(state: NDArray[np.float64]) -> tuple[float, ...]:
    """Return a, e, i, node, argument and mean anomaly (AU, degrees) of an ellipse."""
    c, s = np.cos(_TILT), np.sin(_TILT)
    turn = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    r, v = turn @ state[:3], turn @ state[3:]
    spin = np.cross(r, v)
    pointing = np.cross(v, spin) / _K2 - r / np.linalg.norm(r)
    e = float(np.linalg.norm(pointing))
    a = 1 / (2 / np.linalg.norm(r) - v @ v / _K2)
    node = np.arctan2(spin[0], -spin[1])
    knot = np.array([np.cos(node), np.sin(node), 0.0])
    side = np.cross(spin / np.linalg.norm(spin), knot)
    argument = np.arctan2(pointing @ side, pointing @ knot)
    anomaly = np.arctan2((r @ v) / np.sqrt(_K2 * a), 1 - np.linalg.norm(r) / a)
    mean = anomaly - e * np.sin(anomaly)
    tilt = np.arccos(spin[2] / np.linalg.norm(spin))
    return (float(a), e, *(float(np.degrees(x) % 360) for x in (tilt, node, argument, mean)))


def _line(
    body: MinorPlanet,
    elements: tuple[float, ...],
    epoch_mjd: float,
    absolute: float,
    slope: float,
    uncertainty: str,
) -> str:
    a, e, tilt, node, argument, mean = elements
    day = Time(epoch_mjd, format="mjd", scale="tt").datetime
    packed = f"{'JK'[day.year // 100 - 19]}{day.year % 100:02d}"
    packed += _DIGITS[day.month] + _DIGITS[day.day]
    number = f"{_DIGITS[body.number // 10000]}{body.number % 10000:04d}"
    motion = np.degrees(np.sqrt(_K2 / a**3))
    return (
        f"{number:<7} {absolute:5.2f} {slope:5.2f} {packed} {mean:9.5f}  {argument:9.5f}  "
        f"{node:9.5f}  {tilt:9.5f}  {e:9.7f} {motion:11.8f} {a:11.7f}  {uncertainty} "
        f"{'MPO000001':<9} {1000:5d} {20:3d} 1990-2026 0.60 M-v 30h {'MPCLINUX':<10} 0000 "
        f"{f'({body.number}) Simulated {body.number}':>27} 20260101"
    )
