"""The equations of a point-spread fit: sources coupled through the pixels they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from reducers.frame import Vector
from reducers.imaging.stamps import Stamps


@dataclass(frozen=True, slots=True)
class Linearised:
    """The fit about the present state: derivatives, residuals and weights per source.

    Attributes
    ----------
    design : (4, n, size, size)
        Light of a unit star; derivatives of the source's light by x, y, ln(FWHM).
    """

    stamps: Stamps
    design: NDArray[np.float64]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    link_px: float
    x: Vector
    y: Vector

    @property
    def flux_noise(self) -> Vector:
        """Error of the flux of each source alone at its place."""
        power = np.einsum("nij,nij,nij->n", self.weight, self.design[0], self.design[0])
        return np.asarray(1 / np.sqrt(np.maximum(power, 1e-30)))

    @property
    def sky_area(self) -> Vector:
        """Return the change of each flux per unit of light below it, pixels."""
        light = np.einsum("nij,nij->n", self.weight, self.design[0])
        return np.asarray(light * self.flux_noise**2)

    def normal(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the (n, 3, 3) normal matrices and (n, 3) right sides of single sources."""
        columns = self.design[:3]
        weighted = columns * self.weight
        matrix = np.einsum("knij,lnij->nkl", weighted, columns)
        return matrix, np.einsum("knij,nij->nk", weighted, self.residual)

    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return both orders of all pairs near enough to share light."""
        tree = cKDTree(np.column_stack([self.x, self.y]))
        found = tree.query_pairs(self.link_px, output_type="ndarray")
        first, second = found[:, 0], found[:, 1]
        return np.concatenate([first, second]), np.concatenate([second, first])

    def coupling(self, first: Any, second: Any) -> NDArray[np.float64]:
        """Return sum(weight design_i design_j) over the square of i, for every pair."""
        size = self.residual.shape[1]
        step = np.arange(size)
        rows = step[None, :] + (self.stamps.y[first] - self.stamps.y[second])[:, None]
        columns = step[None, :] + (self.stamps.x[first] - self.stamps.x[second])[:, None]
        inside = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[
            :, None, :
        ]
        rows, columns = np.clip(rows, 0, size - 1), np.clip(columns, 0, size - 1)
        other = (
            self.design[:3, second[:, None, None], rows[:, :, None], columns[:, None, :]] * inside
        )
        weighted = self.design[:3, first] * self.weight[first]
        return np.asarray(np.einsum("knij,lnij->nkl", weighted, other))

    def system(self, held: NDArray[np.bool_]) -> tuple[Any, Vector]:
        """Return the sparse normal equations; held sources have only their flux."""
        count = len(self.x)
        matrix, side = self.normal()
        free = np.ones((count, 3), bool)
        free[held, 1:] = False
        first, second = self.pairs()
        blocks = np.concatenate([matrix, self.coupling(first, second)])
        block_row = np.concatenate([np.arange(count), first])
        block_column = np.concatenate([np.arange(count), second])
        blocks = blocks * (free[block_row][:, :, None] & free[block_column][:, None, :])
        rows = 3 * block_row[:, None, None] + np.arange(3)[None, :, None]
        columns = 3 * block_column[:, None, None] + np.arange(3)[None, None, :]
        rows, columns = (np.broadcast_to(each, blocks.shape).ravel() for each in (rows, columns))
        whole = sparse.csc_matrix((blocks.ravel(), (rows, columns)), shape=(3 * count, 3 * count))
        # A ridge keeps unseen sources solvable: they keep the flux they have.
        scale = np.maximum(whole.diagonal(), 1e-30)
        ridge = np.where(free.ravel() & (scale > 1e-20), 1e-6 * scale, 1.0)
        return whole + sparse.diags(ridge, format="csc"), np.where(free, side, 0).ravel()

    def solved(self, held: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the (n, 3) steps of flux, x and y."""
        system, side = self.system(held)
        return np.asarray(splu(system.tocsc()).solve(side)).reshape(-1, 3)


def groups(fit: Linearised) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the blend of every source (friends of friends) and how many are in it."""
    first, second = fit.pairs()
    count = len(fit.x)
    graph = sparse.coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels, np.bincount(labels, minlength=1)[labels].astype(np.int64)


def covariance_errors(
    fit: Linearised, held: NDArray[np.bool_], size: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the (n, 3) errors of flux, x, y: roots of the diagonal of the inverse.

    Single sources have their own 3 x 3 matrix; of blends the columns of the inverse of the whole
    system are computed.
    """
    matrix, _ = fit.normal()
    free = np.ones((len(held), 3), bool)
    free[held, 1:] = False
    matrix = matrix * (free[:, :, None] & free[:, None, :])
    diagonal = np.einsum("nii->ni", matrix)
    matrix = matrix + np.eye(3) * np.where(diagonal > 1e-20, 1e-9 * diagonal, 1e30)[:, :, None]
    errors = np.sqrt(np.maximum(np.einsum("nii->ni", np.linalg.inv(matrix)), 0))
    errors[~free] = 0
    blended = np.flatnonzero(size > 1)
    if len(blended):
        system, _ = fit.system(held)
        factors = splu(system.tocsc())
        wanted = (3 * blended[:, None] + np.arange(3)).ravel()
        for chunk in np.array_split(wanted, max(len(wanted) // 300, 1)):
            unit = np.zeros((system.shape[0], len(chunk)))
            unit[chunk, np.arange(len(chunk))] = 1
            inverse = factors.solve(unit)[chunk, np.arange(len(chunk))]
            errors[chunk // 3, chunk % 3] = np.sqrt(np.maximum(inverse, 0))
        errors[~free] = 0
    return np.asarray(errors)


def core_chi2(fit: Linearised) -> tuple[Vector, Vector]:
    """Return reduced chi2 of the cores and the share of light on usable pixels."""
    value = fit.design[0]
    core = value > 0.1 * value.max(axis=(1, 2), keepdims=True)
    counted = core & (fit.weight > 0)
    total = np.einsum("nij,nij->n", np.where(counted, fit.weight, 0), fit.residual**2)
    seen = np.einsum("nij,nij->n", value, fit.weight > 0) / value.sum(axis=(1, 2))
    return total / np.maximum(counted.sum(axis=(1, 2)) - 3, 1), seen


def excess_width(fit: Linearised, flux: Vector) -> tuple[Vector, Vector]:
    """Return the change of ln(FWHM) that the residuals ask for beyond one of flux."""
    value, width = fit.design[0], fit.design[3] / np.maximum(flux, 1.0)[:, None, None]
    weighted = fit.weight * value
    share = np.einsum("nij,nij->n", weighted, width) / np.maximum(
        np.einsum("nij,nij->n", weighted, value), 1e-30
    )
    template = width - share[:, None, None] * value
    power = np.maximum(np.einsum("nij,nij->n", fit.weight, template**2), 1e-30)
    change = np.einsum("nij,nij,nij->n", fit.weight, template, fit.residual) / power
    safe = np.where(flux > 0, flux, np.nan)
    return change / safe, 1 / np.sqrt(power) / safe
