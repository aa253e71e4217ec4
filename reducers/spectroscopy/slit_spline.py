"""A function of wavelength and place along the slit: cubic B-spline times Legendre polynomial.

Kelson (2003, PASP 115, 688), section 2. Uniform knots make a cubic B-spline, within one knot
interval, a polynomial in the distance t from the interval's start. The normal equations therefore
need only the sums of w, w t, ..., w t^6 in every cell (interval, column); what the columns share
follows from these by matrix products, without a row per pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded, solve_banded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector

#: Row a: the polynomial in t of the a-th cubic B-spline that reaches into an interval.
_CUBIC = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6
#: Polynomial in t of the product of two of them: (4, 4, 7).
_PRODUCTS = np.array([[np.convolve(a, b) for b in _CUBIC] for a in _CUBIC])
#: Share of its own weight with which a coefficient is drawn towards a straight line through its
#: neighbours: it decides only what no pixel decides (the gaps between the rows of straight lines).
_STIFFNESS = 1e-6


#: Where only noise is seen, the true bend is taken to be this share of the noise's (squared).
_LEAST_BEND = 0.01
#: By how much the brightness of a line may vary along the slit.
_ALONG_SLIT = 0.1
#: Image rows that are taken together: their cells stay in the processor's cache.
_SLAB = 64


@dataclass(frozen=True, slots=True)
class Sums:
    """What a set of pixels says about the coefficients.

    Attributes
    ----------
    weights : (7, intervals, pairs) float64
        Sums of w t^m P_k P_l over each interval, for every pair k <= l of Legendre terms.
    values : (4, intervals, terms) float64
        Sums of w t^m P_k times the data.
    """

    weights: NDArray[np.float64]
    values: NDArray[np.float64]

    def without(self, other: Sums) -> Sums:
        """Return the sums over the pixels that are not in `other`."""
        return Sums(self.weights - other.weights, self.values - other.values)

    def plus(self, other: Sums) -> Sums:
        """Return the sums over the pixels of both."""
        return Sums(self.weights + other.weights, self.values + other.values)


@dataclass(frozen=True, slots=True)
class Solution:
    """A fit: its (intervals + 3, degree + 1) coefficients, and the Cholesky factor behind them."""

    coefficients: NDArray[np.float64]
    factor: NDArray[np.float64]


class SlitSpline:
    """The basis on the pixels of one image.

    Parameters
    ----------
    coordinate : (ny, nx) rows
        Wavelength of every pixel as a row number, rising along the rows.
    knot_px
        Spacing of the knots, rows.
    slit_degree
        Degree of the polynomial along the slit.
    """

    def __init__(
        self, coordinate: NDArray[np.float64], *, knot_px: float, slit_degree: int
    ) -> None:
        rows, columns = self.shape = coordinate.shape
        self.legendre = legendre.legvander(np.linspace(-1, 1, columns), slit_degree)
        terms = slit_degree + 1
        self._pairs = [(k, other) for k in range(terms) for other in range(k, terms)]
        products = [self.legendre[:, k] * self.legendre[:, other] for k, other in self._pairs]
        self._paired = np.stack(products, axis=1)
        place = coordinate - coordinate.min()
        place /= knot_px
        # Rows that may share a cell are summed one after the other.
        slabs = (place[first : first + _SLAB + 1] for first in range(0, rows, _SLAB))
        step = min((float(np.diff(slab, axis=0).min(initial=1.0)) for slab in slabs), default=1.0)
        # A detector has far fewer cells than 32 bits can count.
        cell = place.astype(np.int32)
        self.intervals = int(cell.max()) + 1
        place -= cell
        cell *= np.int32(columns)
        cell += np.arange(columns, dtype=np.int32)
        self._t, self._cell = place, cell
        self._layers = max(1, math.ceil(1 / max(step, 0.05)))

    def sums(self, data: NDArray[np.float64], weight: NDArray[np.float64]) -> Sums:
        """Return the sums over all pixels of nonzero weight."""
        total = Sums(
            np.zeros((7, self.intervals, len(self._pairs))),
            np.zeros((4, self.intervals, self.legendre.shape[1])),
        )
        rows = self.shape[0]
        for first in range(0, rows, _SLAB):
            for layer in range(self._layers):
                chosen = slice(first + layer, min(first + _SLAB, rows), self._layers)
                if chosen.start < rows:
                    self._add_rows(total, data[chosen], weight[chosen], chosen)
        return total

    def _add_rows(
        self, total: Sums, data: NDArray[np.float64], weight: NDArray[np.float64], rows: slice
    ) -> None:
        """Add rows of which no two share a cell."""
        low, high, cell = self._local_cells(rows)
        w, v, t = (np.zeros((high - low, self.shape[1])) for _ in range(3))
        w.ravel()[cell] = weight
        v.ravel()[cell] = weight * data
        t.ravel()[cell] = self._t[rows]
        for m in range(7):
            total.weights[m, low:high] += w @ self._paired
            w *= t
        for m in range(4):
            total.values[m, low:high] += v @ self.legendre
            v *= t

    def _local_cells(self, rows: slice) -> tuple[int, int, NDArray[np.int32]]:
        """Return the first interval of these rows, the one after the last, and their cells."""
        cell, columns = self._cell[rows], self.shape[1]
        low, high = int(cell.min()) // columns, int(cell.max()) // columns + 1
        return low, high, cell - low * columns

    def sums_of(
        self, data: NDArray[np.float64], weight: NDArray[np.float64], only: NDArray[np.bool_]
    ) -> Sums:
        """Return the sums over a few pixels."""
        where = np.nonzero(only)
        t, w, d = self._t[where], weight[where], data[where]
        interval, column = self._cell[where] // self.shape[1], where[1]

        def summed(values: Vector) -> Vector:
            return np.bincount(interval, values, self.intervals).astype(np.float64)

        pairs, terms = self._paired[column].T, self.legendre[column].T
        weights = [[summed(w * t**m * pair) for pair in pairs] for m in range(7)]
        values = [[summed(w * d * t**m * term) for term in terms] for m in range(4)]
        return Sums(np.moveaxis(np.array(weights), 1, 2), np.moveaxis(np.array(values), 1, 2))

    def solve(self, sums: Sums, restraint: NDArray[np.float64] | None = None) -> Solution:
        """Return the least-squares fit.

        Parameters
        ----------
        restraint : (intervals + 1, degree + 1)
            From `restraint_for`: how strongly each coefficient is drawn to its neighbours' line.
        """
        terms = self.legendre.shape[1]
        size = (self.intervals + 3) * terms
        band = np.zeros((4 * terms, self.intervals + 3, terms))
        right = np.zeros((self.intervals + 3, terms))
        for k in range(terms):
            by_spline = _CUBIC @ sums.values[:, :, k]
            for a in range(4):
                right[a : a + self.intervals, k] += by_spline[a]
        for n, (k, other) in enumerate(self._pairs):
            self._add_pair(band, sums.weights[:, :, n], k, other)
            if k != other:
                self._add_pair(band, sums.weights[:, :, n], other, k)
        self._stiffen(band, restraint)
        # Upper form of LAPACK's banded matrices: row -1 is the diagonal.
        matrix = band[::-1].reshape(4 * terms, size)
        try:
            factor = cholesky_banded(matrix, check_finite=False)
        except LinAlgError:
            matrix[-1] += 1e-4 * matrix[-1].max()
            factor = cholesky_banded(matrix, check_finite=False)
        found = cho_solve_banded((factor, False), right.ravel(), check_finite=False)
        return Solution(np.asarray(found).reshape(-1, terms), factor)

    def restraint_for(self, solution: Solution) -> NDArray[np.float64]:
        """Return how strongly coefficients may be drawn together where they show only noise.

        The bend of the spline, averaged over a line's width, is compared with what noise alone
        makes of it: where it is no larger, the true sky is taken to bend far less, as a Wiener
        filter would. Lines keep their freedom; the continuum between them loses most of its noise.
        """
        bends = np.diff(solution.coefficients, 2, axis=0)
        noise = np.diff(self._draws(solution), 2, axis=0).var(axis=2)
        noise = ndimage.uniform_filter1d(noise, 15, axis=0)
        seen = ndimage.uniform_filter1d(bends**2, 5, axis=0)
        expected = np.maximum(seen - 2 * noise, _LEAST_BEND * noise)
        expected = ndimage.maximum_filter1d(expected, 9, axis=0)
        # A line may vary along the slit by some tenth of itself.
        expected[:, 1:] = np.maximum(expected[:, 1:], _ALONG_SLIT**2 * expected[:, :1])
        return np.asarray(1 / np.maximum(expected, 1e-30))

    def variance_along(
        self, solution: Solution, columns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the variance of the function at one column of every row.

        Parameters
        ----------
        columns : (ny,) or (paths, ny)
            Where to look, for one path along the rows or several.
        """
        draws = self._draws(solution)
        paths = [self._variance_on(draws, path) for path in np.atleast_2d(columns)]
        return paths[0] if columns.ndim == 1 else np.array(paths)

    def _variance_on(self, draws: NDArray[np.float64], columns: Vector) -> Vector:
        rows = np.arange(self.shape[0])
        column = np.clip(np.rint(columns), 0, self.shape[1] - 1).astype(np.intp)
        interval, t = self._cell[rows, column] // self.shape[1], self._t[rows, column]
        powers = np.stack([t**m for m in range(4)])
        values = np.zeros((rows.size, draws.shape[2]))
        for a in range(4):
            here = np.einsum("nkd,nk->nd", draws[interval + a], self.legendre[column])
            values += (_CUBIC[a] @ powers)[:, None] * here
        return np.asarray(ndimage.uniform_filter1d(values.var(axis=1), 5))

    def _draws(self, solution: Solution, count: int = 48) -> NDArray[np.float64]:
        """Return deviations of the coefficients as the noise makes them, (n, terms, count).

        With A = U'U, U^-1 times independent unit normals has the covariance A^-1 of the fit.
        """
        factor = solution.factor
        unit = np.random.default_rng(0).standard_normal((factor.shape[1], count))
        drawn = solve_banded((0, factor.shape[0] - 1), factor, unit, check_finite=False)
        return np.asarray(drawn).reshape(self.intervals + 3, -1, count)

    def _add_pair(
        self, band: NDArray[np.float64], moments: NDArray[np.float64], k: int, other: int
    ) -> None:
        """Add the products of term `k` and term `other` of all splines to the upper band."""
        terms = self.legendre.shape[1]
        for a in range(4):
            for b in range(a, 4):
                offset = (b - a) * terms + other - k
                if offset >= 0:
                    band[offset, b : b + self.intervals, other] += _PRODUCTS[a, b] @ moments

    def _stiffen(self, band: NDArray[np.float64], restraint: NDArray[np.float64] | None) -> None:
        weight = band[0, :, :].max(axis=1)
        floor = max(1e-3 * float(np.median(weight)), 1e-9)
        strength = (_STIFFNESS * np.maximum(weight, floor)[1:-1])[:, None]
        if restraint is not None:
            strength = strength + restraint
        terms = self.legendre.shape[1]
        bends: Sequence[float] = (1.0, -2.0, 1.0)
        for a in range(3):
            for b in range(a, 3):
                place = slice(b, b + len(strength))
                band[(b - a) * terms, place, :] += strength * bends[a] * bends[b]
        band[0] += 1e-6 * _STIFFNESS * floor + 1e-12 * weight[:, None]

    def evaluate(self, solution: Solution) -> NDArray[np.float64]:
        """Return the function at every pixel, (ny, nx)."""
        per_column = solution.coefficients @ self.legendre.T
        total = np.empty(self.shape)
        for first in range(0, self.shape[0], _SLAB):
            rows = slice(first, first + _SLAB)
            total[rows] = self._evaluate_rows(per_column, rows)
        return total

    def _evaluate_rows(self, per_column: NDArray[np.float64], rows: slice) -> NDArray[np.float64]:
        low, high, cell = self._local_cells(rows)
        t = self._t[rows]
        splines = [per_column[low + a : high + a] for a in range(4)]
        value = np.zeros(t.shape)
        # Horner in t; the coefficient of each power belongs to the cell.
        for power in (3, 2, 1, 0):
            table = splines[0] * _CUBIC[0, power]
            for a in (1, 2, 3):
                if _CUBIC[a, power]:
                    table += _CUBIC[a, power] * splines[a]
            value *= t
            value += table.ravel().take(cell)
        return value
