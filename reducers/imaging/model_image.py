"""Draw the sources of an image from their point spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.imaging.plane import Plane
    from reducers.imaging.point_spread import PointSpread

#: Light per pixel, in sigma of the sky, below which a star is no longer drawn.
FAINTEST_SIGMA = 0.15
#: Half-widths in which bright stars are drawn, in units of that of the faint ones.
WIDER = (1.0, 2.5, 6.0)


def draw_sources(
    plane: Plane, psf: PointSpread, x: Vector, y: Vector, flux: Vector, half: int
) -> NDArray[np.float32]:
    """Return the (ny, nx) light of stars of the point spread at x, y, electrons.

    Faint ones are drawn within the half-width `half`, bright ones as far as they stand out of
    the noise of the sky.
    """
    rows, columns = plane.shape
    light = np.zeros(rows * columns, np.float32)
    halves = drawn_halves(plane, psf, flux, half)
    for reach in np.unique(halves):
        chosen = halves == reach
        stamps = stamps_around(x[chosen], y[chosen], int(reach), plane.shape)
        drawn = psf.values(stamps, x[chosen], y[chosen]) * flux[chosen, None, None]
        places = (stamps.rows * columns + stamps.columns)[stamps.inside]
        np.add.at(light, places, drawn[stamps.inside].astype(np.float32))
    return light.reshape(rows, columns)


def drawn_halves(plane: Plane, psf: PointSpread, flux: Vector, half: int) -> NDArray[np.intp]:
    """Return the half-width in which each source is drawn."""
    sample = plane.sky_variance[::9, ::9]
    sample = sample[np.isfinite(sample)]
    noise = float(np.sqrt(np.median(sample))) if len(sample) else 1.0
    reach = visible_radius(psf, np.maximum(flux, 0), FAINTEST_SIGMA * noise)
    edges = np.array([int(np.ceil(half * wider)) for wider in WIDER])
    return edges[np.searchsorted(edges[:-1], reach)]


def visible_radius(psf: PointSpread, flux: Vector, level: float) -> Vector:
    """Return the distance (pixels) at which a star falls below a level of light per pixel."""
    alpha_2 = (psf.fwhm_px / 2) ** 2 / (2 ** (1 / psf.beta) - 1)
    peak = flux * (psf.beta - 1) / (np.pi * alpha_2)
    ratio = np.maximum(peak / max(level, 1e-12), 1.0)
    return np.asarray(np.sqrt(alpha_2 * (ratio ** (1 / psf.beta) - 1)))
