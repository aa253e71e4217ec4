"""The gnomonic projection, and sky maps made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS, Sip

from reducers.imaging.sky_map import SkyMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector

_ARCSEC = 3600.0
#: Stars further than this from the tangent point have no useful place in the plane.
_FARTHEST_COSINE = 0.2


def onto_plane(
    ra_deg: Any, dec_deg: Any, tangent_deg: tuple[float, float]
) -> tuple[Vector, Vector]:
    """Return standard coordinates (arcsec; xi to the east, eta to the north).

    NaN for positions far from the tangent point. Right ascension may be of any cycle.

    References
    ----------
    Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3.
    """
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    ra_0, dec_0 = np.radians(tangent_deg)
    cosine = np.sin(dec_0) * np.sin(dec) + np.cos(dec_0) * np.cos(dec) * np.cos(ra - ra_0)
    cosine = np.where(cosine > _FARTHEST_COSINE, cosine, np.nan)
    xi = np.cos(dec) * np.sin(ra - ra_0) / cosine
    eta = (np.cos(dec_0) * np.sin(dec) - np.sin(dec_0) * np.cos(dec) * np.cos(ra - ra_0)) / cosine
    return np.degrees(xi) * _ARCSEC, np.degrees(eta) * _ARCSEC


def from_plane(xi: Any, eta: Any, tangent_deg: tuple[float, float]) -> tuple[Vector, Vector]:
    """Return right ascension (0 to 360) and declination (deg) of standard coordinates (arcsec)."""
    x, y = (np.radians(np.asarray(value, float) / _ARCSEC) for value in (xi, eta))
    ra_0, dec_0 = np.radians(tangent_deg)
    depth = np.cos(dec_0) - y * np.sin(dec_0)
    ra = np.degrees(ra_0 + np.arctan2(x, depth)) % 360.0
    dec = np.degrees(np.arctan2(np.sin(dec_0) + y * np.cos(dec_0), np.hypot(x, depth)))
    return ra, dec


def moved_tangent(
    tangent_deg: tuple[float, float], matrix: NDArray[np.float64], offset_px: tuple[float, float]
) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """Return tangent point and matrix of the same linear map about a pixel `offset_px` away.

    The turn of north between the two points is included: close to a pole it is large.
    """
    at = np.array(offset_px)[:, None] + np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    xi, eta = matrix @ at * _ARCSEC
    ra, dec = from_plane(xi, eta, tangent_deg)
    tangent = float(ra[0]), float(dec[0])
    plane = np.array(onto_plane(ra, dec, tangent)) / _ARCSEC
    return tangent, plane[:, 1:] - plane[:, :1]


def sky_map(
    tangent_deg: tuple[float, float],
    centre_px: tuple[float, float],
    matrix: NDArray[np.float64],
    shape: tuple[int, int],
    distortion: Sip | None = None,
) -> SkyMap:
    """Return the map with the given tangent point.

    Parameters
    ----------
    tangent_deg : tuple of float
        Right ascension and declination (ICRS) of the tangent point.
    centre_px : tuple of float
        Its 0-based image pixel x, y.
    matrix : (2, 2) float64
        Degrees of xi, eta per pixel of x, y (the CD matrix).
    shape : tuple of int
        Rows and columns of the image.
    """
    wcs = WCS(naxis=2)
    suffix = "-SIP" if distortion is not None else ""
    wcs.wcs.ctype = [f"RA---TAN{suffix}", f"DEC--TAN{suffix}"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [tangent_deg[0] % 360.0, tangent_deg[1]]
    wcs.wcs.crpix = [centre_px[0] + 1, centre_px[1] + 1]
    wcs.wcs.cd = matrix
    wcs.wcs.radesys = "ICRS"
    wcs.sip = distortion
    wcs.wcs.set()
    wcs.pixel_shape = (shape[1], shape[0])
    return SkyMap(wcs=wcs)
