"""Write any smooth map of pixels onto a tangent plane as TAN-SIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.wcs import Sip

from reducers.imaging.tangent_plane import from_plane, onto_plane, sky_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from reducers.imaging.sky_map import SkyMap

#: Points per axis at which the map is taken; they reach this part of the image beyond its edges.
_NODES, _BEYOND = 16, 0.05
#: Each round puts the tangent point where the polynomial's constant is zero.
_ROUNDS = 3


def as_tan_sip(
    on_plane: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    tangent_deg: tuple[float, float],
    centre_px: tuple[float, float],
    shape: tuple[int, int],
    order: int = 3,
) -> SkyMap:
    """Return the map with its tangent point at `centre_px`.

    Parameters
    ----------
    on_plane
        Returns standard coordinates (n, 2), arcsec about `tangent_deg`, of 0-based pixels x, y.
    shape : tuple of int
        Rows and columns of the image.
    order : int
        Of the polynomial; terms beyond it are lost.

    Notes
    -----
    Shupe et al. 2005 (ASP Conf. 347, 491): with the polynomial c_pq of the plane in offsets from
    the centre, CD is its linear part and A, B are CD^-1 c_pq. AP, BP are fitted one order higher,
    since the inverse of a polynomial is none; readers that iterate do not need them.
    """
    rows, columns = shape
    along = np.linspace(-_BEYOND, 1 + _BEYOND, _NODES)
    x, y = (axis.ravel() for axis in np.meshgrid(along * (columns - 1), along * (rows - 1)))
    places = on_plane(x, y)
    sky = from_plane(places[:, 0], places[:, 1], tangent_deg)
    offset = np.column_stack([x, y]) - centre_px
    for _ in range(_ROUNDS):
        terms = _fit(offset, np.column_stack(onto_plane(*sky, tangent_deg)) / 3600, order)
        left = terms[(0, 0)] * 3600
        ra, dec = from_plane(left[0], left[1], tangent_deg)
        tangent_deg = float(ra), float(dec)
    matrix = np.column_stack([terms[(1, 0)], terms[(0, 1)]])
    unlinear = np.linalg.inv(matrix)
    forward = {pq: unlinear @ value for pq, value in terms.items() if sum(pq) > 1}
    ideal = np.column_stack(onto_plane(*sky, tangent_deg)) / 3600 @ unlinear.T
    inverse = _fit(ideal, offset - ideal, order + 1)
    distortion = Sip(
        *_planes(forward, order),
        *_planes(inverse, order + 1),
        (centre_px[0] + 1, centre_px[1] + 1),
    )
    return sky_map(tangent_deg, centre_px, matrix, shape, distortion)


def _fit(
    points: NDArray[np.float64], values: NDArray[np.float64], order: int
) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Return the coefficients (both axes) of every power p, q of the points."""
    powers = [(p, q) for p in range(order + 1) for q in range(order + 1 - p)]
    size = float(np.abs(points).max())
    s, t = points.T / size
    design = np.column_stack([s**p * t**q for p, q in powers])
    found = np.linalg.lstsq(design, values, rcond=None)[0]
    return {pq: row / size ** sum(pq) for pq, row in zip(powers, found, strict=True)}


def _planes(
    terms: dict[tuple[int, int], NDArray[np.float64]], order: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    planes = np.zeros((2, order + 1, order + 1))
    for (p, q), value in terms.items():
        planes[:, p, q] = value
    return planes[0], planes[1]
