"""The frozen shape of a grism's dispersion, and the little that a night may change about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre, polynomial
from numpy.typing import NDArray

from reducers.errors import PoorWavelengthFit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.instrument import Grism

Array = NDArray[np.float64]

#: Extent (px) beyond the measured range of the first guess where lines may still be used.
MARGIN_PX = 30.0
#: Relative change of the dispersion at which the shape is continued straight.
MOST_BENT = 0.5


def guess_wavelength(grism: Grism, ideal_row: Array) -> Array:
    """Return vacuum Angstrom of the grism's shape.

    Beyond its measured range the shape goes on with the curvature of its end, until that has
    changed the dispersion by `MOST_BENT`: a straight line would be 16 A off at 3400 A in grism 4.
    """
    low, high = grism.valid_px[0] - MARGIN_PX, grism.valid_px[1] + MARGIN_PX
    row = np.clip(ideal_row, low, high)
    u = np.asarray((row - grism.reference_px) / grism.scale_px)
    beyond = np.asarray((ideal_row - row) / grism.scale_px)
    shape = np.array(grism.first_guess)
    value = np.asarray(polynomial.polyval(u, shape))
    outside = beyond != 0
    if outside.any():
        u, beyond = u[outside], beyond[outside]
        slope = polynomial.polyval(u, polynomial.polyder(shape))
        curvature = polynomial.polyval(u, polynomial.polyder(shape, 2))
        reach = MOST_BENT * np.abs(slope) / np.maximum(np.abs(curvature), 1e-9)
        bent = np.clip(beyond, -reach, reach)
        value[outside] += slope * beyond + curvature * bent * (beyond - bent / 2)
    return value


def guess_row(grism: Grism, wavelength: Array) -> Array:
    """Return the detector y at which the first guess puts vacuum `wavelength` (Angstrom)."""
    row = np.arange(grism.valid_px[0] - 800.0, grism.valid_px[1] + 800.0, 0.5)
    guess = guess_wavelength(grism, row)
    order = np.argsort(guess)
    found = np.interp(wavelength, guess[order], row[order])
    for _ in range(3):
        slope = guess_wavelength(grism, found + 0.5) - guess_wavelength(grism, found - 0.5)
        found = found - (guess_wavelength(grism, found) - wavelength) / slope
    return np.asarray(found)


def evaluate_correction(
    coefficients: Sequence[float], domain_px: tuple[float, float], detector_y: Array
) -> Array:
    """Return the correction (px) at `detector_y`: constant beyond the ends of `domain_px`."""
    low, high = domain_px
    scaled = 2 * (np.clip(detector_y, low, high) - low) / max(high - low, 1.0) - 1
    return np.asarray(legendre.legval(scaled, np.array(coefficients)))


def fit_correction(
    centre: Array, ideal: Array, good: NDArray[np.bool_]
) -> tuple[tuple[float, ...], NDArray[np.bool_], tuple[float, float]]:
    """Return Legendre coefficients of (ideal - centre) over the lines' domain, and lines kept.

    The shape of the dispersion belongs to the grism; the night may move, stretch and bend it, each
    only where the Bayesian information criterion (Schwarz 1978, Ann. Stat. 6, 461) asks for it.
    """
    kept = good.copy()
    if kept.sum() < 3:
        raise PoorWavelengthFit(f"only {int(kept.sum())} arc lines could be centred")
    for _ in range(8):
        domain = (float(centre[kept].min()), float(centre[kept].max()))
        scaled = 2 * (centre - domain[0]) / max(domain[1] - domain[0], 1.0) - 1
        coefficients = _least_bent(scaled[kept], (ideal - centre)[kept])
        miss = (ideal - centre) - legendre.legval(scaled, coefficients)
        scatter = max(1.4826 * float(np.median(np.abs(miss[kept]))), 0.03)
        again = good & (np.abs(miss) < 4 * scatter)
        if again.sum() < 3 or (again == kept).all():
            break
        kept = again
    return tuple(float(c) for c in coefficients), kept, domain


def _least_bent(scaled: Array, miss: Array) -> Array:
    """Return the Legendre fit of degree 0 to 2 with the lowest information criterion."""
    n, lowest = len(miss), np.inf
    best = np.zeros(1)
    for degree in range(min(2, (n - 1) // 3) + 1):
        coefficients = np.asarray(legendre.legfit(scaled, miss, degree), dtype=np.float64)
        left = miss - legendre.legval(scaled, coefficients)
        # A robust scatter, floored where centroids stop improving.
        spread = max(1.4826 * float(np.median(np.abs(left))), 0.02)
        criterion = 2 * n * np.log(spread) + (degree + 1) * np.log(n)
        if criterion < lowest:
            best, lowest = coefficients, criterion
    return best


def row_of_ideal(
    coefficients: Sequence[float], domain_px: tuple[float, float], ideal: Array
) -> Array:
    """Return the detector y whose corrected row is `ideal`."""
    row = np.array(ideal, dtype=np.float64)
    for _ in range(12):
        row = ideal - evaluate_correction(coefficients, domain_px, row)
    return row
