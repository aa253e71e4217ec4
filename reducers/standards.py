"""Recognise a spectrophotometric standard by its position and its names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reducers.instrument import Standard

Place = tuple[float, float]

#: A name that matches while the telescope points farther away than this is stale.
STALE_NAME_ARCSEC = 600.0
#: Shorter names must stand alone: a 'He 3-1357' is not He 3.
_LONG_ENOUGH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """Which standard a frame shows ('' for none), why, and how far the pointing is from it."""

    name: str = ""
    reason: str = ""
    off_arcsec: float | None = None


def recognise_standard(
    standards: Sequence[Standard],
    names: Iterable[str],
    position_deg: Place | None,
    radius_arcsec: float,
    *,
    year: float = 2000.0,
    catalogue_deg: Place | None = None,
) -> Recognition:
    """Return the standard; none when names and sky differ.

    Parameters
    ----------
    position_deg
        Where the telescope points (J2000); decides against any name.
    year
        Of the exposure: the stars have moved since 2000.
    catalogue_deg
        Coordinates of the telescope's catalogue entry, of 2000 or 1950 nobody knows; they
        stand in for a pointing that is not recorded.
    """
    named = list(dict.fromkeys(star.name for n in names for star in standards if is_named(star, n)))
    places, how = _places(position_deg, catalogue_deg)
    near, off, equinox = _nearest(standards, places, year)
    if near is not None and off <= radius_arcsec and (equinox == 0 or position_deg is None):
        if any(name != near.name for name in named):
            return Recognition(reason=f"named {named[0]} but pointing at {near.name}")
        note = how if equinox == 0 else f"{how}, read as of 1950"
        reason = f"{near.name} lies {off:.0f} arcsec from the {note}"
        return Recognition(name=near.name, reason=reason, off_arcsec=off)
    if not named:
        return Recognition()
    if len(named) > 1:
        return Recognition(reason="named as two different standards")
    if not places:
        return Recognition(name=named[0], reason=f"named {named[0]}")
    return _by_name(next(s for s in standards if s.name == named[0]), places, how, year)


def _by_name(star: Standard, places: Sequence[Place], how: str, year: float) -> Recognition:
    """Return what a name is worth beside a pointing that does not settle it."""
    offs = [_off(place, star, year, equinox) for equinox, place in enumerate(places)]
    if offs[0] > STALE_NAME_ARCSEC and min(offs) > STALE_NAME_ARCSEC:
        return Recognition(reason=f"named {star.name}, which is {offs[0] / 60:.0f} arcmin away")
    if offs[0] > STALE_NAME_ARCSEC:
        reason = f"named {star.name}, {min(offs):.0f} arcsec from the {how}, read as of 1950"
        return Recognition(name=star.name, reason=reason, off_arcsec=min(offs))
    reason = f"named {star.name}, {offs[0]:.0f} arcsec from the {how}"
    return Recognition(name=star.name, reason=reason, off_arcsec=offs[0])


def _places(position: Place | None, catalogue: Place | None) -> tuple[list[Place], str]:
    """Return the coordinates as they stand and as if they were of 1950."""
    known = position or catalogue
    if known is None:
        return [], ""
    how = "pointing" if position is not None else "catalogue coordinates"
    return [known, precess(known, 1950.0, 2000.0)], how


def is_named(star: Standard, name: str) -> bool:
    """Tell whether `name` holds one of the star's names, whatever its case and punctuation.

    'SP0946+139', '0946+139', 'std_hd 84937 5arcsec' all name HD 84937; 'HD 849370' does not.
    """
    return any(_pattern(known).search(name) for known in (star.name, *star.aliases))


@cache
def _pattern(known: str) -> re.Pattern[str]:
    parts = re.findall(r"[a-z]+|\d+", known.casefold())
    # The telescope's catalogue puts SP before what others write as bare coordinates.
    prefix = r"(?:sp)?[\W_]*" if parts[0] == "sp" else ""
    parts = parts[1:] if parts[0] == "sp" else parts
    body = prefix + r"[\W_]*d?".join(map(re.escape, parts))
    if sum(map(len, parts)) < _LONG_ENOUGH:
        return re.compile(rf"^[\W_]*{body}[\W_]*$", re.IGNORECASE)
    return re.compile(rf"(?<![a-z0-9]){body}(?![a-z]?\d|[a-z](?![a-z]))", re.IGNORECASE)


def place_of(star: Standard, year: float) -> Place:
    """Return where a star stands (J2000) in a year, its motion since 2000 added."""
    years = year - 2000.0
    dec = star.dec_deg + star.pm_dec_mas_yr * years / 3.6e6
    ra = star.ra_deg + star.pm_ra_mas_yr * years / 3.6e6 / math.cos(math.radians(star.dec_deg))
    return ra % 360.0, dec


def precess(place_deg: Place, from_year: float, to_year: float) -> Place:
    """Return coordinates of another equinox (Lieske et al. 1977, A&A 58, 1), good to 1 arcsec."""
    start, span = (from_year - 2000.0) / 100, (to_year - from_year) / 100
    first = (2306.2181 + 1.39656 * start) * span
    zeta = (first + (0.30188 - 0.000344 * start) * span**2 + 0.017998 * span**3) / 3600
    z = (first + (1.09468 + 0.000066 * start) * span**2 + 0.018203 * span**3) / 3600
    theta = (2004.3109 - 0.85330 * start) * span
    theta = (theta - (0.42665 + 0.000217 * start) * span**2 - 0.041833 * span**3) / 3600
    ra, dec = (math.radians(value) for value in place_deg)
    turned, tilt = ra + math.radians(zeta), math.radians(theta)
    a = math.cos(dec) * math.sin(turned)
    b = math.cos(tilt) * math.cos(dec) * math.cos(turned) - math.sin(tilt) * math.sin(dec)
    c = math.sin(tilt) * math.cos(dec) * math.cos(turned) + math.cos(tilt) * math.sin(dec)
    new_ra = (math.degrees(math.atan2(a, b)) + z) % 360.0
    return new_ra, math.degrees(math.asin(max(-1.0, min(1.0, c))))


def target_off_arcsec(position_deg: Place | None, catalogue_deg: Place | None) -> float | None:
    """Return how far the pointing is from the catalogue entry, read as of 2000 or of 1950."""
    if position_deg is None or catalogue_deg is None:
        return None
    readings = (catalogue_deg, precess(catalogue_deg, 1950.0, 2000.0))
    return min(separation_arcsec(position_deg, reading) for reading in readings)


def separation_arcsec(first_deg: Place, second_deg: Place) -> float:
    """Return the angle between two positions (RA, Dec in degrees)."""
    ra1, dec1, ra2, dec2 = (math.radians(value) for value in (*first_deg, *second_deg))
    half = math.sin((dec2 - dec1) / 2) ** 2
    half += math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(1.0, max(0.0, half))))) * 3600


def _nearest(
    standards: Sequence[Standard], places: Sequence[Place], year: float
) -> tuple[Standard | None, float, int]:
    """Return the nearest star, how far it is, and which of the places it is near to."""
    found = [
        (_off(place, star, year, which), which, number)
        for which, place in enumerate(places)
        for number, star in enumerate(standards)
    ]
    if not found:
        return None, math.inf, 0
    off, which, number = min(found)
    return standards[number], off, which


def _off(place: Place, star: Standard, year: float, which: int) -> float:
    """Return how far a star is; an entry of 1950 may hold where it stood then."""
    years = (year,) if which == 0 else (year, 1950.0)
    return min(separation_arcsec(place, place_of(star, y)) for y in years)
