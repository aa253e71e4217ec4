"""Carry osculating orbits to another date with the pull of the planets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import solve_ivp

from reducers.transients.orbits import SUN_GM, Orbits, states
from reducers.transients.solar_system import MASSES, SolarSystem, solar_system

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector

_LIGHT_AU_DAY = 173.1446327
_SPAN = 10.0
_PULLS = SUN_GM * MASSES[:, None]
#: Orbits that come near the inner planets take short steps, and are carried by themselves.
_INNER_AU = 1.4
#: AU and AU/day of one step; what remains after 400 days is below 0.005 arcsec.
_RELATIVE, _ABSOLUTE = 1e-10, 1e-12


def perturbed_states(orbits: Orbits, mjd: float) -> tuple[Vector, Vector]:
    """Return where each body is under the Sun, the planets, the Moon and relativity.

    Cowell's method (Danby, Celestial Mechanics, 9.5) with heliocentric coordinates, the
    Schwarzschild term of the Sun, and the order 8 method of Dormand and Prince.

    Parameters
    ----------
    orbits : (n,) ORBIT
    mjd : float
        TT.

    Returns
    -------
    position, velocity : (3, n) float64
        Heliocentric, equator of J2000; AU and AU a day.
    """
    found = np.empty((6, len(orbits)))
    for group in _groups(orbits):
        found[:, group] = _carried(orbits[group], mjd)
    return found[:3], found[3:]


def _groups(orbits: Orbits) -> list[NDArray[np.intp]]:
    """Return which orbits are carried together: inner or outer, of the usual epoch or another."""
    if not len(orbits):
        return []
    epochs, counts = np.unique(orbits["epoch"], return_counts=True)
    usual = orbits["epoch"] == epochs[np.argmax(counts)]
    inner = orbits["perihelion_au"] < _INNER_AU
    every = [usual & inner, usual & ~inner, ~usual & inner, ~usual & ~inner]
    return [np.flatnonzero(group) for group in every if group.any()]


def _carried(orbits: Orbits, mjd: float) -> Vector:
    epochs = orbits["epoch"].astype(float)
    start = np.concatenate(states(orbits, epochs))
    if (epochs == epochs[0]).all():
        epochs = epochs[:1]
    spans = mjd - epochs
    if not spans.any():
        return start
    # Whole spans, so that the next exposure finds the planets made.
    first, last = min(epochs.min(), mjd), max(epochs.max(), mjd)
    planets = solar_system(_SPAN * np.floor(first / _SPAN), _SPAN * np.ceil(last / _SPAN))

    def slope(part: float, flat: Vector) -> Vector:
        """Return the change per part of each body's own span of time."""
        state = flat.reshape(6, -1)
        rate = np.concatenate([state[3:], _pull(planets, epochs + part * spans, state)])
        return np.asarray((rate * spans).ravel())

    solved = solve_ivp(
        slope, (0.0, 1.0), start.ravel(), method="DOP853", rtol=_RELATIVE, atol=_ABSOLUTE
    )
    return np.asarray(solved.y[:, -1].reshape(6, -1))


def _pull(planets: SolarSystem, mjd: Vector, state: Vector) -> Vector:
    """Return the acceleration (3, n); `mjd` has one date for all, or one for each."""
    position, velocity = state[:3], state[3:]
    squared = (position**2).sum(axis=0)
    distance = np.sqrt(squared)
    pull = -SUN_GM * position / (squared * distance)
    places = np.moveaxis(planets.perturbers(mjd), 0, 2)  # (9, 3, m)
    apart = places - position
    near = _PULLS / np.einsum("bxn,bxn->bn", apart, apart) ** 1.5
    far = _PULLS / np.einsum("bxm,bxm->bm", places, places) ** 1.5
    pull += np.einsum("bxn,bn->xn", apart, near) - np.einsum("bxm,bm->xm", places, far)
    curved = 4 * SUN_GM / distance - (velocity**2).sum(axis=0)
    curved = curved * position + 4 * (position * velocity).sum(axis=0) * velocity
    pull += SUN_GM / (_LIGHT_AU_DAY**2 * squared * distance) * curved
    return np.asarray(pull)
