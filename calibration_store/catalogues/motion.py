"""Carry catalogue positions to the epoch of an exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reducers.frame import Vector

#: What an entry without a measured motion may have moved, per axis.
UNKNOWN_MOTION_MAS = 10.0
#: The fastest star moves 10.4 arcsec a year (Barnard's; Gaia DR3).
FASTEST_ARCSEC = 10.5
_MAS = np.pi / 180 / 3600e3


def moved(
    ra_deg: Vector, dec_deg: Vector, motion_ra_mas: Vector, motion_dec_mas: Vector, years: Vector
) -> tuple[Vector, Vector]:
    """Return positions after `years` of uniform motion in space.

    Rigorous on the sphere (The Hipparcos and Tycho Catalogues, 1997, vol. 1, section 1.5.5) for
    stars without radial velocity.

    Parameters
    ----------
    motion_ra_mas, motion_dec_mas : (n,) float64
        Per year; that in right ascension times cos(declination).
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    east = motion_ra_mas * _MAS * years
    north = motion_dec_mas * _MAS * years
    # The position and the two directions, east and north of it, as unit vectors.
    x = np.cos(dec) * np.cos(ra) - np.sin(ra) * east - np.sin(dec) * np.cos(ra) * north
    y = np.cos(dec) * np.sin(ra) + np.cos(ra) * east - np.sin(dec) * np.sin(ra) * north
    z = np.sin(dec) + np.cos(dec) * north
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def position_error_mas(
    at_epoch_mas: Vector, motion_error_mas: Vector, years: Vector, motion_known: Vector
) -> Vector:
    """Return the error of a position after `years`, that of the motion included.

    Where no motion was measured `UNKNOWN_MOTION_MAS` stands for its error.
    """
    per_year = np.where(motion_known, np.nan_to_num(motion_error_mas), UNKNOWN_MOTION_MAS)
    error: Vector = np.hypot(at_epoch_mas, per_year * np.abs(years))
    return error
