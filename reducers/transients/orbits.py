"""Orbits of minor planets and comets, and where two bodies alone would bring them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from reducers.frame import Vector

#: One orbit: heliocentric osculating elements, J2000 ecliptic and equinox, times as MJD (TT).
#: Perihelion distance and time serve ellipses, parabolas and hyperbolas alike.
ORBIT = np.dtype(
    [
        ("name", "S28"),
        ("epoch", "f8"),
        ("perihelion_time", "f8"),
        ("perihelion_au", "f8"),
        ("eccentricity", "f8"),
        ("inclination_deg", "f8"),
        ("node_deg", "f8"),
        ("argument_deg", "f8"),
        ("absolute_magnitude", "f4"),
        ("slope", "f4"),
        ("uncertainty", "i1"),
        ("comet", "?"),
        ("last_seen", "f4"),
    ]
)
Orbits = NDArray[Any]

#: Gauss' constant (AU^1.5 / day), and what it makes of the mass of the Sun.
GAUSS = 0.01720209895
SUN_GM = GAUSS**2
#: Obliquity of the ecliptic of J2000 in which the Minor Planet Center gives elements (IAU 1976).
_OBLIQUITY = np.radians(84381.448 / 3600)
#: From here on Kepler's equation in eccentric anomalies loses digits near perihelion.
_NEARLY_PARABOLIC = 0.95
_ENOUGH = 1e-13


def states(orbits: Orbits, mjd: Vector | float) -> tuple[Vector, Vector]:
    """Return where each body is when only the Sun acts on it.

    Parameters
    ----------
    orbits : (n,) ORBIT
    mjd : float or (n,) float64
        TT.

    Returns
    -------
    position, velocity : (3, n) float64
        Heliocentric, equator of J2000; AU and AU a day.
    """
    q, e = orbits["perihelion_au"], orbits["eccentricity"]
    since = np.broadcast_to(np.asarray(mjd, float), q.shape) - orbits["perihelion_time"]
    plane = np.empty((4, len(q)))
    open_ = e >= _NEARLY_PARABOLIC
    for which, solve in ((~open_, _ellipse), (open_, _any_conic)):
        if which.any():
            plane[:, which] = solve(q[which], e[which], since[which])
    along, across = _axes(orbits)
    return plane[0] * along + plane[1] * across, plane[2] * along + plane[3] * across


def eccentric_anomaly(mean: Vector, e: Vector) -> Vector:
    """Return the solution of Kepler's equation for ellipses (Halley's iteration).

    Parameters
    ----------
    mean : (n,) float64
        Mean anomaly, radians.
    """
    mean = (mean + np.pi) % (2 * np.pi) - np.pi
    anomaly = mean + 0.85 * e * np.sign(mean)
    for _ in range(20):
        sine, cosine = np.sin(anomaly), np.cos(anomaly)
        off, slope = anomaly - e * sine - mean, 1 - e * cosine
        step = off / (slope - 0.5 * off * e * sine / slope)
        anomaly = anomaly - step
        if np.abs(step).max(initial=0.0) < _ENOUGH:
            break
    return np.asarray(anomaly)


def _ellipse(q: Vector, e: Vector, since: Vector) -> Vector:
    """Return x, y, vx, vy in the plane of the orbit, x towards perihelion."""
    a = q / (1 - e)
    motion = GAUSS / a**1.5
    anomaly = eccentric_anomaly(motion * since, e)
    sine, cosine = np.sin(anomaly), np.cos(anomaly)
    flat = np.sqrt(1 - e * e)
    speed = motion * a / (1 - e * cosine)
    return np.stack([a * (cosine - e), a * flat * sine, -speed * sine, speed * flat * cosine])


def _any_conic(q: Vector, e: Vector, since: Vector) -> Vector:
    """Return x, y, vx, vy through universal variables (Danby, Celestial Mechanics, 6.9).

    From perihelion the equation is q s + GM e s^3 c3 = t, which grows steadily with s.
    """
    alpha = SUN_GM * (1 - e) / q
    # Whole revolutions are taken off first, so that s stays small.
    period = 2 * np.pi * SUN_GM / np.maximum(alpha, 1e-12) ** 1.5
    since = since - np.where(alpha > 0, np.round(since / period), 0.0) * period
    # Barker's equation starts it: exact for the parabola.
    half = 1.5 * since * np.sqrt(SUN_GM / (2 * q**3))
    root = np.cbrt(half + np.sqrt(half**2 + 1))
    s = np.sqrt(2 * q / SUN_GM) * (root - 1 / root)
    for _ in range(60):
        _, c1, c2, c3 = _stumpff(alpha * s * s)
        off = q * s + SUN_GM * e * s**3 * c3 - since
        radius = q + SUN_GM * e * s**2 * c2
        curve = SUN_GM * e * s * c1
        # Laguerre-Conway, of degree five: it finds its way from any start.
        root_of = np.sqrt(np.abs(16 * radius**2 - 20 * off * curve))
        step = 5 * off / (radius + np.copysign(root_of, radius))
        s = s - step
        if (np.abs(step) <= _ENOUGH * (1 + np.abs(s))).all():
            break
    _, c1, c2, c3 = _stumpff(alpha * s * s)
    radius = q + SUN_GM * e * s**2 * c2
    start = np.sqrt(SUN_GM * (1 + e) / q)  # speed at perihelion, along y
    x = q - SUN_GM * s**2 * c2
    y = start * (since - SUN_GM * s**3 * c3)
    return np.stack([x, y, -SUN_GM * s * c1 / radius, start * (1 - SUN_GM * s**2 * c2 / radius)])


def _stumpff(z: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """Return Stumpff's functions c0 to c3 (Danby, 6.9)."""
    small = np.abs(z) < 0.1
    root = np.sqrt(np.abs(np.where(small, 1.0, z)))
    with np.errstate(over="ignore", invalid="ignore"):
        cosine = np.where(z > 0, np.cos(root), np.cosh(np.minimum(root, 700)))
        sine = np.where(z > 0, np.sin(root), np.sinh(np.minimum(root, 700)))
    safe = np.where(small, 1.0, z)
    c2, c3 = (1 - cosine) / safe, (root - sine) / (safe * root)
    w = np.where(small, z, 0.0)
    s2 = 1 / 2 - w / 24 * (1 - w / 30 * (1 - w / 56 * (1 - w / 90)))
    s3 = 1 / 6 - w / 120 * (1 - w / 42 * (1 - w / 72 * (1 - w / 110)))
    c2, c3 = np.where(small, s2, c2), np.where(small, s3, c3)
    return 1 - z * c2, 1 - z * c3, c2, c3


def _axes(orbits: Orbits) -> tuple[Vector, Vector]:
    """Return the directions to perihelion and a quarter turn ahead of it, equator of J2000."""
    tilt, node, argument = (
        np.radians(orbits[name]) for name in ("inclination_deg", "node_deg", "argument_deg")
    )
    ci, si, cn, sn = np.cos(tilt), np.sin(tilt), np.cos(node), np.sin(node)
    cw, sw = np.cos(argument), np.sin(argument)
    along = np.stack([cn * cw - sn * sw * ci, sn * cw + cn * sw * ci, sw * si])
    across = np.stack([-cn * sw - sn * cw * ci, -sn * sw + cn * cw * ci, cw * si])
    return to_equator(along), to_equator(across)


def to_equator(ecliptic: Vector) -> Vector:
    """Turn vectors (3, n) from the ecliptic to the equator of J2000."""
    cosine, sine = np.cos(_OBLIQUITY), np.sin(_OBLIQUITY)
    x, y, z = ecliptic
    return np.stack([x, cosine * y - sine * z, sine * y + cosine * z])
