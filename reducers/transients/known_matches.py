"""Which known thing a source may be: a minor planet, a variable, a star that moves fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector

if TYPE_CHECKING:
    from reducers.transients.ephemeris import Places

#: A place known worse than the first explains too many sources to name one, and than the second
#: too many to be worth telling.
_SURE_ARCSEC, _TOLD_ARCSEC = 15.0, 120.0
_SIGMAS = 4.0
#: Lightcurves, colours and poor absolute magnitudes together.
_MAGNITUDES_APART = 2.0
#: Positions of variables come from a century of catalogues.
_VARIABLE_RADIUS_ARCSEC = 2.0
#: Stars slower than this stay within the radius of any catalogue.
FAST_MAS = 50.0
_TRACK_RADIUS_ARCSEC = 0.7
#: Surveys that images are compared with have been made since.
_TRACK_FROM_YEAR = 1998.0
_TRACK_BEYOND_YEARS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMatch:
    """A known thing where a source was found.

    Attributes
    ----------
    kind : str
        'minor planet', 'variable' or 'fast star'.
    name : str
    separation_arcsec : float
        Between the source and where the thing is expected.
    sigma_arcsec : float
        Error of that distance, in its direction.
    expected_magnitude, magnitude_error : float
        NaN where not known; of a variable the middle and half of its range.
    sure : bool
        It explains this source; else it only may.
    """

    kind: str
    name: str
    separation_arcsec: float
    sigma_arcsec: float
    expected_magnitude: float
    magnitude_error: float
    sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """Known variables near a field; all arrays have one entry for each, NaN where not known.

    Attributes
    ----------
    name, type : (n,) bytes
    ra_deg, dec_deg : (n,) float64
        ICRS, J2000.
    brightest, faintest : (n,) float64
        Magnitudes at maximum and minimum, in the catalogue's bands.
    """

    name: NDArray[np.bytes_]
    type: NDArray[np.bytes_]
    ra_deg: Vector
    dec_deg: Vector
    brightest: Vector
    faintest: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FastStars:
    """Stars with a large proper motion.

    Attributes
    ----------
    ra_deg, dec_deg, epoch_year : (n,) float64
        ICRS.
    motion_ra_mas, motion_dec_mas, motion_error_mas : (n,) float64
        Per year; that in right ascension times cos(dec).
    magnitude : (n,) float64
    """

    ra_deg: Vector
    dec_deg: Vector
    epoch_year: Vector
    motion_ra_mas: Vector
    motion_dec_mas: Vector
    motion_error_mas: Vector
    magnitude: Vector


def minor_planet_at(
    ra_deg: float, dec_deg: float, error_arcsec: float, magnitude: float, known: Places
) -> KnownMatch | None:
    """Return the minor planet or comet that a source is, or may be; None where there is none.

    It must stand within four sigma of its place, along and across the line on which the body
    is unsure. It is sure when that place is known to 15 arcsec and the magnitudes agree to
    two; without a magnitude of the source the place decides.
    """
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)) or not len(known):
        return None
    east, north = offsets_arcsec(ra_deg, dec_deg, known.ra_deg, known.dec_deg)
    line = np.radians(known.line_angle_deg)
    along = east * np.sin(line) + north * np.cos(line)
    across = east * np.cos(line) - north * np.sin(line)
    error = error_arcsec if math.isfinite(error_arcsec) else 1.0
    sigma_along = np.hypot(known.sigma_along_arcsec, error)
    sigma_across = np.hypot(known.sigma_across_arcsec, error)
    off = np.hypot(along / sigma_along, across / sigma_across)
    near = np.flatnonzero((off < _SIGMAS) & (known.sigma_along_arcsec < _TOLD_ARCSEC))
    if not len(near):
        return None
    apart = np.abs(known.magnitude[near] - magnitude)
    alike = ~(apart > _MAGNITUDES_APART + known.magnitude_error[near])
    sure = alike & (known.sigma_along_arcsec[near] < _SURE_ARCSEC)
    best = near[np.lexsort((off[near], ~alike, ~sure))[0]]
    separation = float(np.hypot(east[best], north[best]))
    # The error in the direction of the source.
    parts = np.array([along[best] * sigma_along[best], across[best] * sigma_across[best]])
    toward = float(np.hypot(*parts)) / separation if separation > 0 else float(sigma_across[best])
    return KnownMatch(
        kind="minor planet",
        name=known.orbits["name"][best].decode("ascii", "replace"),
        separation_arcsec=separation,
        sigma_arcsec=toward,
        expected_magnitude=float(known.magnitude[best]),
        magnitude_error=float(known.magnitude_error[best]),
        sure=bool(sure[list(near).index(best)]),
    )


def variable_at(
    ra_deg: float, dec_deg: float, error_arcsec: float, known: Variables
) -> KnownMatch | None:
    """Return the known variable within two arcsec, or three sigma, of a source."""
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)) or not len(known.ra_deg):
        return None
    away = np.hypot(*offsets_arcsec(ra_deg, dec_deg, known.ra_deg, known.dec_deg))
    error = error_arcsec if math.isfinite(error_arcsec) else 0.3
    best = int(np.argmin(away))
    if not away[best] <= max(_VARIABLE_RADIUS_ARCSEC, 3 * error):
        return None
    ends = np.array([known.brightest[best], known.faintest[best]])
    told = ends[np.isfinite(ends)]
    said = known.type[best].decode("ascii", "replace")
    name = known.name[best].decode("ascii", "replace")
    return KnownMatch(
        kind="variable",
        name=f"{name} ({said})" if said else name,
        separation_arcsec=float(away[best]),
        sigma_arcsec=float(np.hypot(error, _VARIABLE_RADIUS_ARCSEC / 3)),
        expected_magnitude=float(told.mean()) if len(told) else math.nan,
        magnitude_error=float(np.ptp(told) / 2) if len(told) == 2 else math.nan,
        sure=True,
    )


def fast_star_at(
    ra_deg: float, dec_deg: float, error_arcsec: float, year: float, known: FastStars
) -> KnownMatch | None:
    """Return the fast star on whose track a source lies.

    The track runs from where the star stood in the first deep surveys to a year after the
    exposure: a source on it is the star, or what a template or a catalogue without motions has
    of it.
    """
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)) or not len(known.ra_deg):
        return None
    east, north = offsets_arcsec(known.ra_deg, known.dec_deg, ra_deg, dec_deg)
    speed = np.fmax(np.hypot(known.motion_ra_mas, known.motion_dec_mas) / 1000, 1e-9)
    unit_east = known.motion_ra_mas / 1000 / speed
    unit_north = known.motion_dec_mas / 1000 / speed
    first = (np.minimum(_TRACK_FROM_YEAR, year) - known.epoch_year) * speed
    last = (year + _TRACK_BEYOND_YEARS - known.epoch_year) * speed
    progress = np.clip(-(east * unit_east + north * unit_north), first, last)
    away = np.hypot(east + progress * unit_east, north + progress * unit_north)
    error = error_arcsec if math.isfinite(error_arcsec) else 0.3
    drift = np.nan_to_num(known.motion_error_mas) / 1000 * np.abs(year - known.epoch_year)
    sigma = np.hypot(error, drift)
    away = np.where(speed * 1000 >= FAST_MAS, away, np.inf)
    best = int(np.argmin(away - 3 * sigma))
    if not away[best] <= max(_TRACK_RADIUS_ARCSEC, 3 * float(sigma[best])):
        return None
    return KnownMatch(
        kind="fast star",
        name=f"a star that moves {speed[best]:.2f} arcsec a year",
        separation_arcsec=float(away[best]),
        sigma_arcsec=float(sigma[best]),
        expected_magnitude=float(known.magnitude[best]),
        magnitude_error=math.nan,
        sure=True,
    )


def offsets_arcsec(
    ra_deg: Vector | float,
    dec_deg: Vector | float,
    from_ra_deg: Vector | float,
    from_dec_deg: Vector | float,
) -> tuple[Vector, Vector]:
    """Return how far east and north positions lie of others, on the plane that touches there.

    More than half a right angle away they count as infinitely far.
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    ra0, dec0 = np.radians(from_ra_deg), np.radians(from_dec_deg)
    turn = ra - ra0
    depth = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(turn)
    near = depth > math.sqrt(0.5)
    depth = np.where(near, depth, 1.0) * math.pi / 180 / 3600
    east = np.cos(dec) * np.sin(turn) / depth
    rise = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(turn)
    return np.where(near, east, np.inf), np.where(near, rise / depth, np.inf)
