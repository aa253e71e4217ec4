"""Fit the plate: a map from the first guess to the sky, with what is known of distortion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: One sigma of what scale, and the two kinds of shear, may differ from the first guess.
_SCALE_WIDTH = 0.01
_SHEAR_WIDTH = 0.003

#: Powers of (s, t) beyond the linear ones, each free for both axes.
_CURVED = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
_LINEAR = 3
_TERMS = _LINEAR + len(_CURVED)
_RADIAL = 2 * _TERMS
_UNKNOWNS = 2 * _TERMS + 1
#: Keeps what no star and no prior tells from being divided by.
_RIDGE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateModel:
    """What may differ between the first guess and the sky, and by how much.

    Attributes
    ----------
    radius : float
        Distance from the optical axis at which the widths hold (the detector's corner), arcsec.
    radial, other : float
        One sigma of the cubic radial term and of every other curved term there, arcsec.
    turn : float
        One sigma of the rotation (rad); infinite where the stars alone shall tell it.
    """

    radius: float
    radial: float
    other: float
    turn: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A fitted plate.

    Attributes
    ----------
    coefficients : (21,) float64
        Polynomial of xi, polynomial of eta, cubic radial term; arcsec, for points in units of
        `model.radius`.
    covariance : (21, 21) float64
        Of the coefficients, for the errors as given.
    """

    model: PlateModel
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points (n, 2) of the first guess lie on the tangent plane (arcsec)."""
        return np.asarray(_design(points / self.model.radius) @ self.coefficients)

    def error(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the error per axis of the map itself at points (n, 2), arcsec."""
        design = _design(points / self.model.radius)
        variance = np.einsum("aij,jk,aik->a", design, self.covariance, design, optimize=True)
        return np.asarray(np.sqrt(variance / 2))

    def left_out(
        self, points: NDArray[np.float64], residual: NDArray[np.float64], error: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the residual (n, 2) that each star would have if the fit had not known it."""
        design = _design(points / self.model.radius)
        leverage = np.einsum("aij,jk,alk->ail", design, self.covariance, design, optimize=True)
        left = (1 + _RIDGE) * np.eye(2) - leverage / error[:, None, None] ** 2
        return np.linalg.solve(left, residual[:, :, None])[:, :, 0]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The linear part: 1 where the first guess had the right scale and rotation."""
        c, radius = self.coefficients, self.model.radius
        return np.array([[c[1], c[2]], [c[_TERMS + 1], c[_TERMS + 2]]]) / radius


def fit_plate(
    points: NDArray[np.float64],
    stars: NDArray[np.float64],
    error: NDArray[np.float64],
    model: PlateModel,
) -> Plate:
    """Return the most probable plate.

    Parameters
    ----------
    points, stars : (n, 2) float64
        Sources by the first guess, already turned the right way, and where the catalogue has
        them; arcsec.
    error : (n,) float64
        Error of the difference per axis, arcsec.

    Notes
    -----
    Offset and rotation are free (the latter unless the model knows it); scale, shear and every
    curved term are drawn to the first guess as far as their widths say. Few stars hence give a
    linear map with a radial term, many stars a full cubic, without a switch; and the covariance
    contains what the stars leave open.
    """
    unit = points / model.radius
    design = _design(unit) / error[:, None, None]
    target = stars / error[:, None]
    rows, wanted = _prior(model)
    normal = np.einsum("aij,aik->jk", design, design, optimize=True) + rows.T @ rows
    right = np.einsum("aij,ai->j", design, target, optimize=True) + rows.T @ wanted
    size = np.sqrt(np.diag(normal))
    scaled = normal / np.outer(size, size) + _RIDGE * np.eye(_UNKNOWNS)
    inverse = np.linalg.inv(scaled)
    covariance = inverse / np.outer(size, size)
    return Plate(model=model, coefficients=covariance @ right, covariance=covariance)


def _design(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the design (n, 2, 21) of points in units of the radius."""
    s, t = unit.T
    terms = np.column_stack([np.ones_like(s), s, t, *(s**p * t**q for p, q in _CURVED)])
    design = np.zeros((len(unit), 2, _UNKNOWNS))
    design[:, 0, :_TERMS] = terms
    design[:, 1, _TERMS:_RADIAL] = terms
    design[:, :, _RADIAL] = unit * (s**2 + t**2)[:, None]
    return design


def _prior(model: PlateModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and values of what is known before any star is seen, in their sigma."""
    rows = np.zeros((2 * len(_CURVED) + 5, _UNKNOWNS))
    wanted = np.zeros(len(rows))
    xx, xy, yx, yy = 1, 2, _TERMS + 1, _TERMS + 2
    rows[0, [xx, yy]] = 0.5 / (_SCALE_WIDTH * model.radius)
    wanted[0] = 1 / _SCALE_WIDTH
    rows[1, [xx, yy]] = np.array([0.5, -0.5]) / (_SHEAR_WIDTH * model.radius)
    rows[2, [xy, yx]] = 0.5 / (_SHEAR_WIDTH * model.radius)
    rows[3, _RADIAL] = 1 / model.radial
    rows[4, [xy, yx]] = np.array([0.5, -0.5]) / (model.turn * model.radius)
    for number in range(len(_CURVED)):
        for axis in (0, 1):
            row = 5 + 2 * number + axis
            rows[row, axis * _TERMS + _LINEAR + number] = 1 / model.other
    return rows, wanted
