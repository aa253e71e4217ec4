"""Distances and neighbours on the sphere: right at every declination and across 0 h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector

ARCSEC = np.pi / 180 / 3600


def unit_vectors(ra_deg: Any, dec_deg: Any) -> NDArray[np.float64]:
    """Return positions as unit vectors, (n, 3); right ascension may be of any cycle."""
    ra, dec = np.radians(np.atleast_1d(ra_deg)), np.radians(np.atleast_1d(dec_deg))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def separation_arcsec(ra_deg: Any, dec_deg: Any, ra_to_deg: Any, dec_to_deg: Any) -> Vector:
    """Return the angle between positions (haversine formula, exact for small angles)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    ra_to, dec_to = np.radians(ra_to_deg), np.radians(dec_to_deg)
    half = np.sin((dec_to - dec) / 2) ** 2
    half = half + np.cos(dec) * np.cos(dec_to) * np.sin((ra_to - ra) / 2) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))) / ARCSEC)


def pairs_within(
    ra_deg: Vector, dec_deg: Vector, of_ra_deg: Vector, of_dec_deg: Vector, radius_arcsec: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], Vector]:
    """Return every pair of the two lists that is nearer than a radius.

    Returns
    -------
    first, second : (k,) int
        Index into each list; positions that are not finite have no pair.
    away_arcsec : (k,) float64
    """
    one = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    two = np.flatnonzero(np.isfinite(of_ra_deg) & np.isfinite(of_dec_deg))
    nothing = np.empty(0, np.intp)
    if not len(one) or not len(two):
        return nothing, nothing, np.empty(0)
    chord = 2 * np.sin(min(radius_arcsec * ARCSEC, np.pi) / 2)
    own = cKDTree(unit_vectors(ra_deg[one], dec_deg[one]))
    other = cKDTree(unit_vectors(of_ra_deg[two], of_dec_deg[two]))
    found = own.sparse_distance_matrix(other, chord, output_type="coo_matrix")
    away = 2 * np.arcsin(np.clip(found.data / 2, 0, 1)) / ARCSEC
    return one[found.row], two[found.col], away
