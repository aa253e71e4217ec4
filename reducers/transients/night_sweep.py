"""Which of a million orbits may be in a field: all of them once a night, a few for each field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reducers.transients.ephemeris import places
from reducers.transients.orbits import Orbits, states
from reducers.transients.perturbations import perturbed_states
from reducers.transients.solar_system import solar_system, terrestrial_time

if TYPE_CHECKING:
    from reducers.transients.ephemeris import Places
    from reducers.transients.solar_system import Observer

#: Where a body is seen at the middle of the night: its row among the orbits, a unit vector, its
#: change in a day, how far from there it may be, and V.
SWEPT = np.dtype(
    [
        ("orbit", "i4"),
        ("toward", "f4", 3),
        ("drift", "f4", 3),
        ("reach_deg", "f4"),
        ("magnitude", "f4"),
        ("slow", "?"),
    ]
)
Swept = NDArray[Any]

_AT_ONCE = 20_000
#: What planets do to an orbit in 200 days, degrees at a distance of one AU: more than 99.9 % of
#: integrated main-belt and near-Earth orbits; those that come near Jupiter are moved more.
_PULLED_DEG, _PULLED_OUTER_DEG, _OUTER_AU = 0.35, 0.9, 3.6
_BY_JUPITER_AU = 2.0
_PULLED_DAYS = 200.0
_LEAST_REACH_DEG, _WIDEST_REACH_DEG = 0.02, 5.0
#: A body whose own uncertainty is larger is lost: it explains no source.
_LOST_DEG = 1.0
_SIGMAS = 3.0
#: Of the longest night, from its middle.
_HALF_NIGHT_DAYS = 0.35
#: What stays so near its declination is looked for in a slice of the sky.
_SLICE_DEG = 1.0
_BOTH = np.array([-1.0, 1.0])
#: Fainter than what the telescope reaches, by the error of the magnitudes.
FAINTEST = 25.0


def sweep(orbits: Orbits, mjd_utc: float, observer: Observer, faintest: float = FAINTEST) -> Swept:
    """Return where every body that is not too faint or lost stands, by two-body motion.

    Sorted by declination, those that may be far from it before all. `reach_deg` bounds what the
    planets, the curvature of the path over half a night and the uncertainty of the orbit may make
    of it.

    Parameters
    ----------
    mjd_utc : float
        Middle of the night.
    """
    parts = [
        _swept(orbits[start : start + _AT_ONCE], start, mjd_utc, observer, faintest)
        for start in range(0, len(orbits), _AT_ONCE)
    ]
    found = np.concatenate(parts) if parts else np.empty(0, SWEPT)
    return found[np.lexsort((found["toward"][:, 2], found["slow"]))]


def _swept(
    orbits: Orbits, start: int, mjd_utc: float, observer: Observer, faintest: float
) -> Swept:
    position, velocity = states(orbits, terrestrial_time(mjd_utc))
    seen = places(orbits, position, velocity, mjd_utc, observer)
    rate = np.radians(seen.motion_arcsec_h * 24 / 3600)
    span = (terrestrial_time(mjd_utc) - orbits["epoch"]) / _PULLED_DAYS
    outer = orbits["perihelion_au"] > _OUTER_AU * (1 - orbits["eccentricity"])
    pulled = np.where(outer, _PULLED_OUTER_DEG, _PULLED_DEG) * span**2 / seen.distance_au
    jupiter = solar_system(np.floor(mjd_utc), np.ceil(mjd_utc) + 1).jupiter(mjd_utc)
    near = np.linalg.norm(position - jupiter[:, None], axis=0)
    pulled *= np.maximum(1.0, (_BY_JUPITER_AU / np.maximum(near, 0.1)) ** 2)
    unsure = _SIGMAS * seen.sigma_along_arcsec / 3600
    # The path bends by about its own length for a body as near as the Moon, less farther away.
    moved = np.degrees(rate) * _HALF_NIGHT_DAYS
    bent = moved * np.clip(0.02 / seen.distance_au, 0.02, 1.0)
    reach = np.clip(pulled + unsure + bent, _LEAST_REACH_DEG, _WIDEST_REACH_DEG)
    bright = ~(seen.magnitude - seen.magnitude_error > faintest)
    kept = np.flatnonzero(bright & (unsure < _LOST_DEG * _SIGMAS))
    found = np.empty(len(kept), SWEPT)
    ra, dec = np.radians(seen.ra_deg[kept]), np.radians(seen.dec_deg[kept])
    sa, ca, sd, cd = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    found["toward"] = np.stack([ca * cd, sa * cd, sd], axis=1)
    angle = np.radians(seen.motion_angle_deg[kept])
    east, north = rate[kept] * np.sin(angle), rate[kept] * np.cos(angle)
    found["drift"] = np.stack(
        [-sa * east - ca * sd * north, ca * east - sa * sd * north, cd * north], axis=1
    )
    found["orbit"] = kept + start
    found["reach_deg"] = reach[kept]
    found["magnitude"] = seen.magnitude[kept]
    found["slow"] = np.degrees(np.abs(north)) * _HALF_NIGHT_DAYS + found["reach_deg"] < _SLICE_DEG
    return found


def passing(
    swept: Swept,
    swept_mjd: float,
    ra_deg: float,
    dec_deg: float,
    radius_deg: float,
    mjd_utc: float,
    faintest: float = FAINTEST,
) -> NDArray[np.intp]:
    """Return the rows of bodies that may be in a circle at a time of the night."""
    days = mjd_utc - swept_mjd
    ra, dec = np.radians([ra_deg, dec_deg])
    centre = np.array([np.cos(ra) * np.cos(dec), np.sin(ra) * np.cos(dec), np.sin(dec)], "f4")
    first = int(np.searchsorted(swept["slow"], True))  # noqa: FBT003
    edges = np.sin(np.radians(np.clip(dec_deg + _SLICE_DEG * _BOTH + radius_deg * _BOTH, -90, 90)))
    low, high = first + np.searchsorted(swept["toward"][first:, 2], edges.astype("f4"))
    rows = np.concatenate([np.arange(first), np.arange(low, high)])
    kept = swept[rows]
    at = kept["toward"] + kept["drift"] * np.float32(days)
    at /= np.linalg.norm(at, axis=1, keepdims=True)
    apart = np.degrees(2 * np.arcsin(np.minimum(np.linalg.norm(at - centre, axis=1) / 2, 1)))
    inside = apart <= radius_deg + kept["reach_deg"]
    inside &= ~(kept["magnitude"] - 1.0 > faintest)
    return np.asarray(rows[inside])


def exact_places(orbits: Orbits, mjd_utc: float, observer: Observer) -> Places:
    """Return the places of a few bodies with the pull of the planets."""
    position, velocity = perturbed_states(orbits, terrestrial_time(mjd_utc))
    return places(orbits, position, velocity, mjd_utc, observer)
