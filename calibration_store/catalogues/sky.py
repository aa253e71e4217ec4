"""Pieces of sky, and the HEALPix pixels (nested) that they touch or hold.

Three orders are used throughout: tiles are files (order 5, 1.8 degrees), cells are what a cone
reads (order 10, 3.4 arcmin), pixels are the grain of coverage and the sort key of rows (order 13,
26 arcsec).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from astropy import units
from astropy_healpix import HEALPix
from numpy.typing import NDArray

if TYPE_CHECKING:
    from reducers.frame import Vector

Pixels = NDArray[np.int64]

TILE_ORDER, CELL_ORDER, PIXEL_ORDER = 5, 10, 13
TILE_SHIFT = 2 * (PIXEL_ORDER - TILE_ORDER)
CELL_SHIFT = 2 * (PIXEL_ORDER - CELL_ORDER)
#: A pixel reaches no farther from its centre than this over NSIDE (radians): the largest, at the
#: edge of the polar caps, measures 1.07 (Gorski et al. 2005, ApJ 622, 759, section 5).
_REACH = 1.08
#: What lies within a region that was fetched this much wider lies in whole pixels of it.
MARGIN_DEG = 1 / 60


class Region(Protocol):
    """A piece of sky."""

    def margin_deg(self, ra_deg: Any, dec_deg: Any) -> Vector:
        """Return how far inside the border positions lie; negative outside."""
        ...


@dataclass(frozen=True, slots=True)
class Cone:
    """Everything within a radius of a position (ICRS)."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    def margin_deg(self, ra_deg: Any, dec_deg: Any) -> Vector:
        """Return how far inside the border positions lie; negative outside."""
        away = separation_deg(self.ra_deg, self.dec_deg, ra_deg, dec_deg)
        return np.asarray(self.radius_deg - away)


@dataclass(frozen=True, slots=True)
class Box:
    """Everything between two meridians (eastwards) and two parallels (ICRS)."""

    ra_from_deg: float = 0.0
    ra_to_deg: float = 360.0
    dec_from_deg: float = -90.0
    dec_to_deg: float = 90.0

    def margin_deg(self, ra_deg: Any, dec_deg: Any) -> Vector:
        """Return how far inside the border positions lie; negative outside."""
        ra, dec = np.asarray(ra_deg, float), np.asarray(dec_deg, float)
        south = np.where(self.dec_from_deg <= -90, np.inf, dec - self.dec_from_deg)
        north = np.where(self.dec_to_deg >= 90, np.inf, self.dec_to_deg - dec)
        inside: Vector = np.minimum(south, north)
        width = self.ra_to_deg - self.ra_from_deg
        if width >= 360:
            return inside
        width %= 360
        east = (ra - self.ra_from_deg) % 360
        # Degrees of right ascension to the nearer meridian, negative outside.
        across = np.where(east <= width, np.minimum(east, width - east), 0.0)
        beyond = np.minimum(east - width, 360 - east)
        across = np.where(east <= width, across, -beyond)
        reach = np.degrees(
            np.arcsin(np.cos(np.radians(dec)) * np.sin(np.radians(np.minimum(np.abs(across), 90))))
        )
        return np.asarray(np.minimum(inside, np.copysign(reach, across)))


def separation_deg(ra_deg: Any, dec_deg: Any, ra_to_deg: Any, dec_to_deg: Any) -> Vector:
    """Return the angle between positions (haversine formula, exact for small angles)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    ra_to, dec_to = np.radians(ra_to_deg), np.radians(dec_to_deg)
    half = (
        np.sin((dec_to - dec) / 2) ** 2
        + np.cos(dec) * np.cos(dec_to) * np.sin((ra_to - ra) / 2) ** 2
    )
    angle: Vector = np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
    return angle


def pixels_of(ra_deg: Any, dec_deg: Any) -> Pixels:
    """Return the pixel (order 13) of each position."""
    grid = HEALPix(2**PIXEL_ORDER, order="nested")
    ra, dec = np.asarray(ra_deg, float) % 360, np.asarray(dec_deg, float)
    return np.asarray(grid.lonlat_to_healpix(ra * units.deg, dec * units.deg), np.int64)


def centres_of(pixels: Pixels, order: int = PIXEL_ORDER) -> tuple[Vector, Vector]:
    """Return right ascension and declination (deg) of the middle of pixels."""
    ra, dec = HEALPix(2**order, order="nested").healpix_to_lonlat(pixels)
    return np.asarray(ra.deg), np.asarray(dec.deg)


def cells_touched(cone: Cone) -> Pixels:
    """Return the cells (order 10) that a cone touches, and few others, sorted."""
    grid = HEALPix(2**CELL_ORDER, order="nested")
    # The search misses some cells at the border of small cones: it is asked for wider ones.
    reach = np.degrees(_REACH / 2**CELL_ORDER)
    found = grid.cone_search_lonlat(
        (cone.ra_deg % 360) * units.deg,
        cone.dec_deg * units.deg,
        (cone.radius_deg + reach) * units.deg,
    )
    cells = np.sort(np.asarray(found, np.int64))
    touching: Pixels = cells[cone.margin_deg(*centres_of(cells, CELL_ORDER)) >= -reach]
    return touching


def pixels_inside(cone: Cone, cells: Pixels) -> Pixels:
    """Return the pixels of some cells whose middle lies in the cone; at least the central one."""
    below = np.arange(1 << CELL_SHIFT)
    pixels = ((cells << CELL_SHIFT)[:, None] + below).ravel()
    inside = pixels[cone.margin_deg(*centres_of(pixels)) >= 0]
    return inside if len(inside) else pixels_of([cone.ra_deg], [cone.dec_deg])


def ranges_held(region: Region) -> Pixels:
    """Return the pixels (order 13) that lie wholly inside a region.

    Returns
    -------
    (n, 2) int64
        First pixel and the one after the last of each range, ascending, not touching. A pixel
        counts as inside when the largest circle about one of its order does.
    """
    found = []
    candidates = np.arange(12, dtype=np.int64)
    for order in range(PIXEL_ORDER + 1):
        reach = np.degrees(_REACH / 2**order)
        margin = region.margin_deg(*centres_of(candidates, order))
        shift = 2 * (PIXEL_ORDER - order)
        whole = candidates[margin >= reach]
        found.append(np.stack([whole << shift, (whole + 1) << shift], axis=1))
        partly = candidates[(margin < reach) & (margin > -reach)]
        candidates = ((partly << 2)[:, None] + np.arange(4)).ravel()
    return joined(np.concatenate(found))


def joined(ranges: Pixels) -> Pixels:
    """Return ranges sorted, those that touch made one."""
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    if not len(ranges):
        return ranges
    opens = np.concatenate([[True], ranges[1:, 0] > ranges[:-1, 1]])
    last = np.concatenate([np.flatnonzero(opens)[1:] - 1, [len(ranges) - 1]])
    return np.stack([ranges[opens, 0], ranges[last, 1]], axis=1)


def in_ranges(ranges: Pixels, pixels: Pixels) -> NDArray[np.bool_]:
    """Tell which pixels lie in sorted ranges that do not overlap."""
    if not len(ranges):
        return np.zeros(len(pixels), bool)
    place = np.searchsorted(ranges[:, 0], pixels, side="right") - 1
    return np.asarray((place >= 0) & (pixels < ranges[place, 1]))


def common(some: Pixels, others: Pixels) -> Pixels:
    """Return what two sets of ranges share."""
    edges = np.unique(np.concatenate([some.ravel(), others.ravel()]))
    starts, stops = edges[:-1], edges[1:]
    both = in_ranges(some, starts) & in_ranges(others, starts)
    return joined(np.stack([starts[both], stops[both]], axis=1))


def without(some: Pixels, others: Pixels) -> Pixels:
    """Return what of a set of ranges lies in none of the others."""
    edges = np.unique(np.concatenate([some.ravel(), others.ravel()]))
    starts, stops = edges[:-1], edges[1:]
    left = in_ranges(some, starts) & ~in_ranges(others, starts)
    return joined(np.stack([starts[left], stops[left]], axis=1))


def cells_as_ranges(pixels: Pixels) -> Pixels:
    """Return the cells (order 10) that hold at least one of some pixels."""
    cells = np.unique(np.asarray(pixels, np.int64) >> CELL_SHIFT)
    return joined(np.stack([cells, cells + 1], axis=1) << CELL_SHIFT)


def split_by_tile(ranges: Pixels) -> dict[int, Pixels]:
    """Return the part of sorted ranges that lies in each tile."""
    parts: dict[int, Pixels] = {}
    for start, stop in ranges:
        for tile in range(start >> TILE_SHIFT, ((stop - 1) >> TILE_SHIFT) + 1):
            part = (max(start, tile << TILE_SHIFT), min(stop, (tile + 1) << TILE_SHIFT))
            parts[tile] = np.array([*parts.get(tile, ()), part], np.int64)
    return parts
