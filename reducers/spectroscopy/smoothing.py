"""A smooth curve through scattered points: penalised splines, stiffness by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from reducers.frame import Vector

_CUBIC = 3
#: Beyond this many standard deviations a point pulls no harder (Huber).
_HUBER = 2.5
#: Weight of the squared second differences (mag) against points of `_UNIT`.
_STIFFNESS = np.geomspace(1e-5, 1e2, 8)
_UNIT = 0.01
#: Rounds of robust weighting that suffice to compare curves; their covariance is not asked for.
_QUICK = 3
_BLOCK, _FOLDS, _FARTHEST, _AS_GOOD = 3, 4, 8.0, 1.1
_FLOORS = (0.004, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothCurve:
    """A cubic spline with its covariance.

    Attributes
    ----------
    scatter : float
        Robust rms of the points about the curve.
    cross_validation : float
        Robust rms of points about curves that were fitted without their neighbourhood.
    """

    knots: Vector
    coefficients: Vector
    covariance: NDArray[np.float64]
    start: float
    stop: float
    scatter: float
    cross_validation: float

    def at(self, x: Vector) -> Vector:
        """Return the curve; NaN outside the points."""
        inside = (x >= self.start) & (x <= self.stop)
        values = np.full(x.shape, np.nan)
        values[inside] = self._basis(x[inside]) @ self.coefficients
        return values

    def error(self, x: Vector) -> Vector:
        """Return the standard error of the curve; NaN outside the points."""
        inside = (x >= self.start) & (x <= self.stop)
        values = np.full(x.shape, np.nan)
        basis = self._basis(x[inside])
        values[inside] = np.sqrt(np.einsum("ij,jk,ik->i", basis, self.covariance, basis))
        return values

    def _basis(self, x: Vector) -> NDArray[np.float64]:
        return _design(self.knots, x)


def smooth_curve(x: Vector, y: Vector, sigma: Vector, spacing: float) -> SmoothCurve:
    """Fit a penalised cubic spline (Eilers & Marx 1996, Stat. Sci. 11, 89).

    Parameters
    ----------
    x, y, sigma : (n,)
        Points, x rising, and their standard errors.
    spacing
        Between knots; the stiffness, chosen by leaving out contiguous blocks, does the rest.

    Notes
    -----
    The stiffness may differ along x: a second pass lets the curve bend where the first one
    bent (a cut-off filter is steeper than everything else). It is kept when it predicts
    left-out blocks better. The covariance is the Bayesian one (Wahba 1983, JRSS B 45, 133),
    which holds what the stiffness may have hidden.
    """
    knots = _knots(x[0], x[-1], spacing)
    basis = _design(knots, x)
    curvature = np.diff(np.eye(basis.shape[1]), 2, axis=0)
    even = np.ones(curvature.shape[0])
    plain_score, stiffness = _best_stiffness(basis, y, sigma, curvature, even)
    coefficients, _, _ = _fit(basis, y, sigma, curvature, stiffness * even)
    local = _local(curvature @ coefficients)
    local_score, local_stiffness = _best_stiffness(basis, y, sigma, curvature, local)
    score = plain_score
    penalty = stiffness * even
    if local_score < _AS_GOOD * plain_score:
        score, penalty = local_score, local_stiffness * local
    coefficients, covariance, scatter = _fit(basis, y, sigma, curvature, penalty)
    return SmoothCurve(
        knots=knots, coefficients=coefficients, covariance=covariance,
        start=float(x[0]), stop=float(x[-1]), scatter=scatter, cross_validation=score,
    )  # fmt: skip


def _knots(start: float, stop: float, spacing: float) -> Vector:
    count = max(4, round((stop - start) / spacing))
    step = (stop - start) / count
    return np.asarray(start + step * np.arange(-_CUBIC, count + _CUBIC + 1), dtype=np.float64)


def _design(knots: Vector, x: Vector) -> NDArray[np.float64]:
    if x.size == 0:
        return np.zeros((0, knots.size - _CUBIC - 1))
    inside = np.clip(x, knots[_CUBIC], knots[-_CUBIC - 1] - 1e-9)
    return np.asarray(BSpline.design_matrix(inside, knots, _CUBIC).toarray())


def _local(bend: Vector) -> Vector:
    """Return how stiff the curve may be along x, given how it bends; 1 on average."""
    power = np.convolve(np.pad(bend**2, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    stiff = 1 / (power + np.median(power) + 1e-12)
    return np.asarray(stiff / np.exp(np.mean(np.log(stiff))))


def _fit(
    basis: NDArray[np.float64],
    y: Vector,
    sigma: Vector,
    curvature: NDArray[np.float64],
    penalty: Vector,
    rounds: int = 6,
) -> tuple[Vector, NDArray[np.float64], float]:
    """Return coefficients, covariance and robust scatter; the points set their own floor."""
    roughness = curvature.T @ (penalty[:, None] * curvature)
    hold = np.ones(y.size)
    # Where there are no points at all the curve is as good as unknown.
    roughness += 1e-9 * np.eye(basis.shape[1])
    floor = _UNIT
    for _ in range(rounds):
        weight = hold * _UNIT**2 / (sigma**2 + floor**2)
        normal = (basis * weight[:, None]).T @ basis + roughness
        coefficients = np.asarray(np.linalg.solve(normal, basis.T @ (weight * y)), np.float64)
        off = y - basis @ coefficients
        scatter = 1.4826 * float(np.median(np.abs(off)))
        floor = float(np.clip(scatter, *_FLOORS))
        pull = np.abs(off) / np.sqrt(sigma**2 + floor**2)
        hold = np.minimum(1.0, _HUBER / np.maximum(pull, 1e-9))
        hold[_in_runs(off, hold < 1)] = 1.0
    covariance = np.linalg.inv(normal) * _UNIT**2 if rounds > _QUICK else normal
    return coefficients, np.asarray(covariance, dtype=np.float64), scatter


def _in_runs(off: Vector, far: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the far points that have two neighbours far on the same side: shape, no outlier."""
    side = np.where(far, np.sign(off), 0)
    inner = (side[:-2] == side[1:-1]) & (side[1:-1] == side[2:]) & (side[1:-1] != 0)
    runs = np.zeros(off.size, bool)
    for shift in range(3):
        runs[shift : shift + inner.size] |= inner
    return runs


def _best_stiffness(
    basis: NDArray[np.float64],
    y: Vector,
    sigma: Vector,
    curvature: NDArray[np.float64],
    local: Vector,
) -> tuple[float, float]:
    """Return (score, stiffness) of the curve that predicts left-out blocks best."""
    # Three points to a block: neighbouring bands share pixels and their errors, and a line
    # that was stepped over must be bridged. Two ways to lay the blocks, so that luck evens out.
    folds = []
    for first in (1, 2):
        starts = range(first, y.size - 1, _BLOCK)
        blocks = [np.arange(i, min(i + _BLOCK, y.size - 1)) for i in starts]
        folds += [np.concatenate(blocks[k::_FOLDS]) for k in range(_FOLDS) if blocks[k::_FOLDS]]
    scores = {}
    for stiffness in _STIFFNESS:
        reach = []
        for fold in folds:
            rest = np.setdiff1d(np.arange(y.size), fold)
            found, _, _ = _fit(
                basis[rest], y[rest], sigma[rest], curvature, stiffness * local, _QUICK
            )
            off = np.abs(y[fold] - basis[fold] @ found)
            reach.append(off / np.sqrt(sigma[fold] ** 2 + _UNIT**2))
        # A few outliers must not choose the stiffness; a bad end must.
        squares = np.minimum(np.concatenate(reach), _FARTHEST) ** 2
        scores[float(stiffness)] = _UNIT * float(np.sqrt(np.mean(squares)))
    lowest = min(scores.values())
    # Of curves that predict as well the stiffest is the one that the points ask for.
    best = max(s for s in scores if scores[s] <= _AS_GOOD * lowest)
    return scores[best], best
