"""Fit the night sky on unrectified pixels.

Kelson (2003, PASP 115, 688): the sky is a spline in the wavelength coordinate times a low
polynomial along the slit, fitted to pixels where they were recorded, so that tilted lines
are sampled more finely than the detector does and no noise is resampled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import LinAlgError, solveh_banded
from scipy.sparse import csr_array, diags_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dispersion_coordinate(wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for every pixel, the row at which its wavelength falls in the middle column.

    Parameters
    ----------
    wavelengths : (ny, nx) Angstrom
        Monotonic along the rows of the middle column.
    """
    middle = wavelengths[:, wavelengths.shape[1] // 2]
    rows = np.arange(middle.size, dtype=np.float64)
    order = np.argsort(middle)
    inner = np.interp(wavelengths, middle[order], rows[order])
    # np.interp clamps: outside the middle column's range follow the local slope instead.
    slope = np.gradient(middle)
    for index in (0, -1):
        beyond = (wavelengths - middle[index]) / slope[index]
        out = beyond < 0 if index == 0 else beyond > 0
        inner = np.where(out, rows[index] + beyond, inner)
    return inner


def fit_sky(
    data: NDArray[np.float64],
    variance: NDArray[np.float64],
    use: NDArray[np.bool_],
    coordinate: NDArray[np.float64],
    *,
    knot_px: float = 0.7,
    slit_degree: int = 2,
    clip_sigma: float = 4.0,
    rounds: int = 3,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit sky as cubic B-spline x Legendre polynomial and evaluate it everywhere.

    Parameters
    ----------
    data, variance : (ny, nx) electrons, electrons^2
        The variance should be a model's, not the data's own.
    use : (ny, nx)
        Pixels of sky: good and away from objects.
    coordinate : (ny, nx)
        From `dispersion_coordinate`.
    knot_px
        Spacing of the spline's knots, rows.
    slit_degree
        Degree of the polynomial along the slit.

    Returns
    -------
    sky : (ny, nx) electrons
    kept : (ny, nx)
        Pixels that survived the clipping.
    """
    columns = data.shape[1]
    along = np.linspace(-1, 1, columns)
    slit = np.polynomial.legendre.legvander(along, slit_degree)
    # The middle column has coordinate = row; tilted columns see between the rows.
    spacing = knot_px if np.ptp(coordinate - np.arange(data.shape[0])[:, None]) > 0.8 else 1.0
    basis = _spline_basis(coordinate, spacing)
    design = _interleave(basis, np.broadcast_to(slit, (data.shape[0], columns, slit_degree + 1)))
    kept = use.copy()
    sky = np.zeros_like(data)
    for _ in range(rounds):
        sky = _solve(design, data, variance, kept, slit_degree).reshape(data.shape)
        deviation = np.abs(data - sky) / np.sqrt(np.maximum(variance, 1e-6))
        scale = max(1.0, 1.4826 * float(np.median(deviation[kept]))) if kept.any() else 1.0
        survivors = use & (deviation < clip_sigma * scale)
        if (survivors == kept).all():
            break
        kept = survivors
    return sky, kept


def _spline_basis(coordinate: NDArray[np.float64], spacing: float) -> csr_array:
    low, high = float(coordinate.min()) - 1e-6, float(coordinate.max()) + 1e-6
    inner = np.linspace(low, high, max(round((high - low) / spacing) + 1, 6))
    step = inner[1] - inner[0]
    knots = np.concatenate([low - step * np.arange(3, 0, -1), inner, high + step * np.arange(1, 4)])
    return csr_array(BSpline.design_matrix(coordinate.ravel(), knots, 3))


def _interleave(basis: csr_array, slit: NDArray[np.float64]) -> csr_array:
    """Return the design matrix with the slit terms of one knot side by side."""
    terms = slit.shape[2]
    pixels, splines = basis.shape
    values = basis.data.reshape(pixels, 4)
    first = basis.indices.reshape(pixels, 4)
    weights = slit.reshape(pixels, terms)
    data = values[:, :, None] * weights[:, None, :]
    indices = first[:, :, None] * terms + np.arange(terms)[None, None, :]
    pointers = np.arange(pixels + 1) * 4 * terms
    return csr_array((data.ravel(), indices.ravel(), pointers), shape=(pixels, splines * terms))


def _solve(
    design: csr_array,
    data: NDArray[np.float64],
    variance: NDArray[np.float64],
    kept: NDArray[np.bool_],
    slit_degree: int,
) -> NDArray[np.float64]:
    """Solve the banded normal equations and return the model at every pixel."""
    weight = np.where(kept, 1 / np.maximum(variance, 1e-6), 0.0).ravel()
    weighted = diags_array(weight) @ design
    normal = (design.T @ weighted).todia()
    width = 4 * (slit_degree + 1)
    size = normal.shape[0]
    banded = np.zeros((width, size))
    for offset, diagonal in zip(normal.offsets, normal.data, strict=True):
        if 0 <= offset < width:
            banded[width - 1 - offset] = diagonal[:size]
    # Knots without data (a masked row) take a negligible ridge instead of failing.
    banded[-1] += 1e-8 * max(float(banded[-1].max()), 1e-12)
    right = np.asarray(weighted.T @ data.ravel())
    try:
        coefficients = solveh_banded(banded, right, check_finite=False)
    except LinAlgError:
        banded[-1] += 1e-4 * float(banded[-1].max())
        coefficients = solveh_banded(banded, right, check_finite=False)
    return np.asarray(design @ coefficients)


def rough_sky(data: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median of every row, spread over the row: enough to find objects."""
    level = (
        np.nanmedian(np.where(good, data, np.nan), axis=1)
        if good.any()
        else np.zeros(data.shape[0])
    )
    return np.broadcast_to(np.nan_to_num(level)[:, None], data.shape).copy()
