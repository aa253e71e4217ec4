"""Measure the fringes that thin silicon makes of red light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from reducers.detector.start import clipped_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from reducers.frame import Frame, Image, Vector

#: Redward of this the detector fringes.
FROM_ANGSTROM = 7500.0
#: Neighbouring columns share a fringe.
GROUP_COLUMNS = 5
#: Fringes are narrower than this along the dispersion (unbinned pixels, sigma).
SMOOTH_PX = 30.0


def flat_fringe_rms(flat: Frame, row_wavelength: Vector, lit: NDArray[np.bool_]) -> float:
    """Return the relative amplitude (rms) of fringes in a normalised flat, noise taken off.

    NaN where the flat has fewer than 20 lit rows redward of 7500 Angstrom.
    """
    rows = np.flatnonzero((row_wavelength > FROM_ANGSTROM) & lit)
    if rows.size < 20:
        return float("nan")
    data = flat.data[rows] / np.median(flat.data, axis=0)
    ripple = _ripple(_grouped(data), SMOOTH_PX / flat.geometry.y_binning)
    noise = float(np.median(flat.variance[rows] / np.maximum(flat.data[rows], 0.2) ** 2))
    power = clipped_mean(ripple.ravel())[1] ** 2 - noise / GROUP_COLUMNS
    return float(np.sqrt(max(power, 0.0)))


def residual_fringe_rms(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    wavelengths: NDArray[np.float64],
    objects: Iterable[tuple[float, float]],
) -> float:
    """Return the scatter of the sky residual beyond 7500 Angstrom in units of its noise.

    Parameters
    ----------
    residual, variance : (ny, nx)
        Data less sky, and the model of its noise.
    objects
        (column, reach) of every object, which are left out.

    Returns
    -------
    float
        1 for pure noise; fringes that the flat did not take out raise it. NaN without red rows.
    """
    rows = np.flatnonzero(np.median(wavelengths, axis=1) > FROM_ANGSTROM)
    columns = np.arange(residual.shape[1])
    free = np.ones(columns.size, bool)
    for column, reach in objects:
        free &= np.abs(columns - column) > reach
    if rows.size < 20 or free.sum() < 10 * GROUP_COLUMNS:
        return float("nan")
    cut = np.ix_(rows, np.flatnonzero(free))
    pull = np.where(good[cut], residual[cut] / np.sqrt(variance[cut]), 0.0)
    weight = np.maximum(_grouped(good[cut].astype(np.float64)), 1 / GROUP_COLUMNS)
    # Columns have offsets of their own (dust on the slit); fringes change along them.
    means = _grouped(pull) * np.sqrt(GROUP_COLUMNS / weight)
    return clipped_mean((means - np.median(means, axis=0)).ravel(), 5.0)[1]


def _grouped(data: Image | NDArray[np.float64]) -> NDArray[np.float64]:
    groups = data.shape[1] // GROUP_COLUMNS
    cube = data[:, : groups * GROUP_COLUMNS].reshape(data.shape[0], groups, GROUP_COLUMNS)
    return np.asarray(cube.mean(axis=2, dtype=np.float64))


def _ripple(data: NDArray[np.float64], sigma_rows: float) -> NDArray[np.float64]:
    return np.asarray(data - gaussian_filter1d(data, sigma_rows, axis=0, mode="nearest"))
