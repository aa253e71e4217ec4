"""Every source alone on its own tile: the neighbours, and what hides under a mask, modelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector
from reducers.imaging.model_image import drawn_halves
from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from reducers.imaging.plane import Plane
    from reducers.imaging.point_spread import PointSpread
    from reducers.imaging.psf_photometry import PsfPhotometry


@dataclass(frozen=True, slots=True)
class Tiles:
    """One image with a source on each of its tiles.

    Attributes
    ----------
    light : (tiles * size, size) float32
        Tiles one above the other.
    x, y : (n,) float64
        Place of each source on that image.
    size : int
        Width of a tile, pixels.
    """

    light: NDArray[np.float32]
    x: Vector
    y: Vector
    size: int


def clean_tiles(
    plane: Plane, psf: PointSpread, fit: PsfPhotometry, chosen: NDArray[np.intp], half: int
) -> Tiles:
    """Return tiles of half-width `half` with the chosen sources, freed of all others.

    A tile is what the point-spread fit left of the image plus the source's own model: the source
    itself with all that the model misses, and the model alone where pixels are masked.
    """
    size = 2 * half + 1
    x, y = fit.x[chosen], fit.y[chosen]
    stamps = stamps_around(x, y, half, plane.shape)
    tiles = np.where(stamps.inside, stamps.of(fit.residual), 0.0)
    flux = fit.drawn_flux[chosen]
    halves = drawn_halves(plane, psf, flux, fit.half_px)
    for reach in np.unique(halves):
        members = np.flatnonzero(halves == reach)
        own = stamps_around(x[members], y[members], int(reach), plane.shape)
        light = psf.values(own, x[members], y[members]) * flux[members, None, None]
        inner, outer = max(int(reach) - half, 0), max(half - int(reach), 0)
        cut = slice(inner, light.shape[1] - inner)
        place = slice(outer, size - outer)
        tiles[members[:, None, None], _line(place)[:, None], _line(place)[None, :]] += light[
            :, cut, cut
        ]
    return Tiles(
        light=np.ascontiguousarray(tiles.reshape(-1, size), np.float32),
        x=x - stamps.x + half,
        y=y - stamps.y + half + size * np.arange(len(x)),
        size=size,
    )


def _line(part: slice) -> NDArray[np.intp]:
    """Return the indices of a slice."""
    return np.arange(part.start, part.stop)
