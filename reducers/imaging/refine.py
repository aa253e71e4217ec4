"""From a rough alignment to a fitted plate: pair, fit, pair anew with a smaller radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.imaging.plate_fit import Plate, PlateModel, fit_plate

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from reducers.imaging.match import Alignment
    from reducers.imaging.star_field import StarField

#: Fewer pairs than this are never a solution.
FEWEST = 6
#: Radii (arcsec) of the rounds after the first; the last two follow the errors.
_RADII = (2.0, 1.2, 0.8)
#: Pairs closer than this many sigma, or this many arcsec, are of one star.
_SIGMA, _LEAST_RADIUS = 5.0, 0.15
_CLIP_ROUNDS = 4
#: Times that a pair's weight follows its residual while the radius still shrinks.
_REWEIGHTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Sources paired with stars, and the plate through them.

    Attributes
    ----------
    plate : Plate
        From the turned points of the first guess to the plane.
    matrix : (2, 2) float64
        What turned them.
    star, source : (k,) int64
        Pairs that were kept.
    points : (k, 2) float64
        Their sources by the first guess, turned.
    error : (k,) float64
        Error of each pair per axis as expected, arcsec.
    residual : (k, 2) float64
        Star less plate, arcsec.
    excess : float
        Robust scatter of the residuals in units of the expected error, at least 1.
    radius : float
        Within which a pair counted, arcsec: root mean square over the pairs.
    """

    plate: Plate
    matrix: NDArray[np.float64]
    star: NDArray[np.int64]
    source: NDArray[np.int64]
    points: NDArray[np.float64]
    error: NDArray[np.float64]
    residual: NDArray[np.float64]
    excess: float
    radius: float

    def __len__(self) -> int:
        return len(self.star)

    def on_plane(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points of the first guess lie on the tangent plane (arcsec)."""
        return self.plate(points @ self.matrix.T)

    def error_at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the error per axis (n,) of the map itself at points of the first guess, arcsec."""
        return self.plate.error(points @ self.matrix.T)

    def left_out(self) -> NDArray[np.float64]:
        """Return the residuals (k, 2) that the stars would have, had the fit not known them."""
        return self.plate.left_out(self.points, self.residual, self.excess * self.error)


def refine(field: StarField, start: Alignment, first_radius: float) -> Solution | None:
    """Return the solution that grows from an alignment; None where it falls apart.

    Parameters
    ----------
    first_radius : float
        How far the alignment may be off, arcsec.
    """
    points = field.sources @ start.matrix.T
    places = points + start.offset
    plate: Plate | None = None
    for radius in (first_radius, *_RADII):
        source, star = _pairs(field.tree, places, np.full(len(points), radius))
        if len(star) < FEWEST:
            return None
        error = np.hypot(_error(field, source, star), radius / 3)
        plate = _robust_plate(points[source], field.stars[star], error, field.model)
        places = plate(points)
    for _ in range(2):
        reach = np.maximum(_SIGMA * field.source_error, _LEAST_RADIUS)
        source, star = _pairs(field.tree, places, reach, field.star_error * _SIGMA)
        if len(star) < FEWEST:
            return None
        solution = _clipped(field, points, start.matrix, source, star)
        if solution is None:
            return None
        places = solution.plate(points)
    return solution


def _robust_plate(
    points: NDArray[np.float64],
    stars: NDArray[np.float64],
    error: NDArray[np.float64],
    model: PlateModel,
) -> Plate:
    """Return a plate on which a chance pair among a few true ones has little weight (Cauchy's)."""
    plate = fit_plate(points, stars, error, model)
    for _ in range(_REWEIGHTED):
        residual = np.hypot(*plate.left_out(points, stars - plate(points), error).T)
        usual = max(float(np.median(residual)), 1e-3)
        plate = fit_plate(points, stars, error * np.hypot(1.0, residual / usual), model)
    return plate


def _error(
    field: StarField, source: NDArray[np.int64], star: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.hypot(field.source_error[source], field.star_error[star])


def _pairs(
    tree: cKDTree,
    places: NDArray[np.float64],
    radius: NDArray[np.float64],
    star_radius: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sources and the stars nearest to them; of several sources a star keeps one."""
    distance, nearest = tree.query(places)
    if star_radius is not None:
        radius = np.hypot(radius, star_radius[np.minimum(nearest, len(star_radius) - 1)])
    source = np.flatnonzero(distance < radius)
    source = source[np.argsort(distance[source], kind="stable")]
    star, first = np.unique(nearest[source], return_index=True)
    return source[first], star


def _clipped(
    field: StarField,
    points: NDArray[np.float64],
    matrix: NDArray[np.float64],
    source: NDArray[np.int64],
    star: NDArray[np.int64],
) -> Solution | None:
    """Return the fit without the pairs that stand out, with errors made to fit the scatter."""
    error = _error(field, source, star)
    kept = np.ones(len(star), bool)
    excess, radius = 1.0, 0.0
    for _ in range(_CLIP_ROUNDS):
        plate = fit_plate(
            points[source[kept]], field.stars[star[kept]], excess * error[kept], field.model
        )
        residual = field.stars[star] - plate(points[source])
        pull = np.hypot(*residual.T) / error
        free = max(0.2, 1 - _free_share(plate, points[source[kept]], excess * error[kept]))
        excess = max(1.0, float(np.median(pull[kept])) / (1.1774 * np.sqrt(free)))
        limit = 3.7 * excess * error  # one pair in a thousand lies beyond
        again = np.hypot(*residual.T) < limit
        if np.count_nonzero(again) < FEWEST:
            return None
        radius = float(np.sqrt(np.mean(limit[again] ** 2)))
        if np.array_equal(again, kept):
            break
        kept = again
    plate = fit_plate(
        points[source[kept]], field.stars[star[kept]], excess * error[kept], field.model
    )
    return Solution(
        plate=plate,
        matrix=matrix,
        star=star[kept],
        source=source[kept],
        points=points[source[kept]],
        error=error[kept],
        residual=field.stars[star[kept]] - plate(points[source[kept]]),
        excess=excess,
        radius=radius,
    )


def _free_share(plate: Plate, points: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    """Return which part of the stars' freedom the fit has used up."""
    return float(np.mean(plate.error(points) ** 2 / error**2))
