"""One grid for several images, and the place of those that no catalogue could place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import astroalign
import numpy as np
from scipy.spatial import cKDTree

from reducers.frame import UNUSABLE
from reducers.imaging.resample_image import Grid
from reducers.imaging.sip import as_tan_sip
from reducers.imaging.tangent_plane import onto_plane, sky_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.imaging.sky_map import SkyMap
    from reducers.imaging.sources import Detections

#: Brightest stars whose triangles are compared, and pairs that make a match.
CONTROL_STARS, FEWEST_PAIRS = 60, 5
#: How far apart a pair may lie, pixels, in the first and in the last fit.
NEAR_PX, CLOSE_PX, ROUNDS = 4.0, 1.5, 3
#: No star is centred better.
LEAST_ERROR_PX = 0.05
#: A grid larger than this is a mistake: its members lie far apart.
MOST_PX = 8192


def common_grid(
    maps: Sequence[SkyMap],
    shapes: Sequence[tuple[int, int]],
    *,
    centre_deg: tuple[float, float] | None = None,
    size_px: tuple[int, int] | None = None,
    scale_arcsec: float | None = None,
    north_up: bool = False,
) -> Grid:
    """Return a tangent plane that takes in all images, turned as the first one is.

    Parameters
    ----------
    maps, shapes
        Of the images: where they lie, their rows and columns.
    centre_deg
        Right ascension and declination of the grid's middle; else that of the images.
    size_px
        Columns and rows; else what holds all images.
    scale_arcsec
        Per pixel; else the median of the images.
    north_up
        North up and east to the left, however the images are turned.

    Raises
    ------
    ValueError
        If the images lie so far apart that a grid would be absurdly large, or there is none.
    """
    if not maps:
        raise ValueError("there is no image to make a grid for")
    outlines = [_outline(one, shape) for one, shape in zip(maps, shapes, strict=True)]
    tangent = centre_deg or _middle(outlines)
    scale = scale_arcsec or float(np.median([one.pixel_scale_arcsec for one in maps]))
    axes = np.diag([-1.0, 1.0]) if north_up else _axes(maps[0], tangent)
    plane = np.concatenate([onto_plane(*outline, tangent) for outline in outlines], axis=1)
    if not np.isfinite(plane).all():
        raise ValueError("the images lie on different parts of the sky")
    # The axes are orthonormal: their transpose is their inverse.
    x, y = axes.T @ plane / scale
    middle = (
        (0.0, 0.0) if centre_deg else (float(x.max() + x.min()) / 2, float(y.max() + y.min()) / 2)
    )
    if size_px is None:
        width = 2 * math.ceil(np.abs(x - middle[0]).max())
        height = 2 * math.ceil(np.abs(y - middle[1]).max())
    else:
        width, height = size_px
    if max(width, height) > MOST_PX:
        raise ValueError(f"a grid of {width} x {height} pixels would be needed to hold the images")
    centre = (width - 1) / 2 - middle[0], (height - 1) / 2 - middle[1]
    place = sky_map(tangent, centre, axes * scale / 3600, (height, width))
    return Grid(sky_map=place, shape=(height, width))


def _axes(sky: SkyMap, tangent: tuple[float, float]) -> NDArray[np.float64]:
    """Return the directions of an image's x and y on the plane, made orthonormal."""
    x, y = sky.pixels(*tangent)
    steps = np.array([[0.0, 50.0, 0.0], [0.0, 0.0, 50.0]])
    plane = np.array(onto_plane(*sky.sky(x + steps[0], y + steps[1]), tangent))
    left, _, right = np.linalg.svd(plane[:, 1:] - plane[:, :1])
    return np.asarray(left @ right)


def place_by_stars(
    detections: Detections,
    shape: tuple[int, int],
    reference: Detections,
    reference_map: SkyMap,
) -> tuple[SkyMap, int, float] | None:
    """Return where an image lies, by the stars that it shares with one that has its place.

    Parameters
    ----------
    detections, reference
        Of the image and of the one with a place.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    tuple or None
        The map, the pairs of stars and the scatter of the bright ones (arcsec per axis); None
        without a match.

    Notes
    -----
    Triangles by astroalign (Beroiz et al. 2020, Astronomy and Computing 32, 100384), then a
    linear fit to all pairs on the tangent plane, where the distortion, which is the same for
    both, is taken out.
    """
    (own, own_px), (other, other_px) = _pixels(detections), _pixels(reference)
    if min(len(own), len(other)) < FEWEST_PAIRS:
        return None
    try:
        similarity, _ = astroalign.find_transform(own, other, max_control_points=CONTROL_STARS)
    except (astroalign.MaxIterError, ValueError, TypeError):
        return None
    tangent = (float(reference_map.wcs.wcs.crval[0]), float(reference_map.wcs.wcs.crval[1]))
    mine, theirs = (_on_plane(reference_map, places, tangent) for places in (own, other))
    scale = reference_map.pixel_scale_arcsec
    one, two = _pairs(similarity(own), other, NEAR_PX)
    for _ in range(ROUNDS):
        if one.size < FEWEST_PAIRS:
            return None
        weight = 1 / np.sqrt(LEAST_ERROR_PX**2 + own_px[one] ** 2 + other_px[two] ** 2)[:, None]
        design = _with_one(mine[one]) * weight
        terms = np.linalg.lstsq(design, theirs[two] * weight, rcond=None)[0]
        moved = _with_one(mine) @ terms
        one, two = _pairs(moved, theirs, CLOSE_PX * scale)
    if one.size < FEWEST_PAIRS:
        return None

    def on_plane(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return _with_one(_on_plane(reference_map, np.column_stack([x, y]), tangent)) @ terms

    centre = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    weight = 1 / (LEAST_ERROR_PX**2 + own_px[one] ** 2 + other_px[two] ** 2)
    off = np.mean((moved[one] - theirs[two]) ** 2, axis=1)
    scatter = float(np.sqrt(np.average(off, weights=weight)))
    return as_tan_sip(on_plane, tangent, centre, shape), int(one.size), scatter


def _pixels(detections: Detections) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x, y and their error of detections that no bad pixel spoils, brightest first."""
    clean = (detections.mask_bits & np.uint16(UNUSABLE)) == 0
    error = np.hypot(detections.x_error, detections.y_error)[clean] / math.sqrt(2)
    return np.column_stack([detections.x[clean], detections.y[clean]]), error


def _on_plane(
    reference: SkyMap, places: NDArray[np.float64], tangent: tuple[float, float]
) -> NDArray[np.float64]:
    """Return standard coordinates (n, 2), arcsec, of pixels as if they were the reference's."""
    return np.column_stack(onto_plane(*reference.sky(*places.T), tangent))


def _pairs(
    moved: NDArray[np.float64], others: NDArray[np.float64], near: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of those that are each other's nearest, and near enough."""
    there, back = cKDTree(others), cKDTree(moved)
    distance, two = there.query(moved)
    _, one = back.query(others)
    own = np.arange(len(moved))
    paired = (distance < near) & (one[two] == own)
    return own[paired], two[paired]


def _with_one(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(places)), places])


def _outline(
    sky: SkyMap, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right ascension and declination of points along an image's edges."""
    along = np.linspace(0, 1, 9)
    edge = np.concatenate([along, along * 0 + 1, along[::-1], along * 0])
    side = np.concatenate([along * 0, along, along * 0 + 1, along[::-1]])
    ra, dec = sky.sky(edge * shape[1] - 0.5, side * shape[0] - 0.5)
    return np.asarray(ra), np.asarray(dec)


def _middle(
    outlines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[float, float]:
    """Return the direction of the mean of all points, safe at 0 h and at the poles."""
    ra, dec = (np.radians(np.concatenate(axis)) for axis in zip(*outlines, strict=True))
    x, y, z = (
        (np.cos(dec) * np.cos(ra)).mean(),
        (np.cos(dec) * np.sin(ra)).mean(),
        np.sin(dec).mean(),
    )
    return math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y)))
