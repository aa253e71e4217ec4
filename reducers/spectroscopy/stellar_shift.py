"""The wavelength zero point from a star's own lines, where the exposure was too short for the sky.

A star may stand off the middle of a wide slit, or its arc may have been taken through another one:
then no lamp and no sky line knows where its light falls. Its Balmer, helium and metal lines do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from reducers.spectroscopy.lines import refractive_index
from reducers.spectroscopy.oxygen import BANDS
from reducers.spectroscopy.star_model import (
    SEARCH_PX,
    SIGNIFICANCE,
    SPEED_OF_LIGHT_KM_S,
    STRONG,
    StarModel,
    StellarLineShift,
    star_model,
)

if TYPE_CHECKING:
    from reducers.spectroscopy.wavelength import WavelengthSolution

Array = NDArray[np.float64]

#: What blends and unknown asymmetry leave uncertain in every line (px).
FLOOR_PX = 0.05
#: Another place that fits more than this fraction as well makes the answer ambiguous.
RIVAL = 0.7
#: Motion of the Earth that no spectrum is corrected for, km/s (rms over the year).
EARTH_KM_S = 20.0
#: A shift below this many errors is not applied; with few lines that scatter, more are needed.
APPLY_SIGMA = 2.5

#: A slope needs so many lines over such a part of the range, and so many errors.
SLOPE_LINES, SLOPE_SPREAD, SLOPE_SIGMA = 3, 1 / 3, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StellarShift:
    """How far a star's lines stand from where the wavelength solution puts them.

    Attributes
    ----------
    shift_px, error_px : float
        Towards larger detector y, unbinned px; give `shift_px` to `WavelengthSolution.shifted`.
    pivot_angstrom : float
        Where the shift holds exactly.
    refraction_px : float
        How much farther up 4000 A stands than 5000 A: a star in a wide slit is drawn out by the
        air. 0 where the lines do not show it.
    spread_px : float
        Scatter of the lines about the two, weighted.
    telluric_px : float
        Mean offset of the oxygen bands after the shift, a check; NaN where they do not show. Of a
        star without two lines of its own they carry the shift.
    applied : bool
        The shift is significant.
    lines : tuple of StellarLineShift
        Those that carry it.
    """

    shift_px: float
    error_px: float
    pivot_angstrom: float
    refraction_px: float
    spread_px: float
    telluric_px: float
    applied: bool
    lines: tuple[StellarLineShift, ...]

    def corrected(self, solution: WavelengthSolution) -> WavelengthSolution:
        """Return the wavelengths on which the star's lines stand right."""
        return moved(solution, self.shift_px, self.refraction_px, self.pivot_angstrom)


def moved(
    solution: WavelengthSolution, shift_px: float, refraction_px: float, pivot_angstrom: float
) -> WavelengthSolution:
    """Return a solution whose lines lie higher by a shift and by the refraction of their colour."""
    shifted = solution.shifted(shift_px)
    if refraction_px == 0.0:
        return shifted
    low, high = solution.domain_y_px
    scaled = np.linspace(-1, 1, 50)
    y = low + (scaled + 1) / 2 * (high - low)
    wavelength = solution.wavelength(y + solution.flexure_px, np.mean(solution.domain_x_px))
    offset = refraction_px * _refraction(wavelength, pivot_angstrom)
    bend = legendre.legfit(scaled, offset, 3)
    old = solution.coefficients
    coefficients = np.zeros((max(4, old.shape[0]), old.shape[1]))
    coefficients[: old.shape[0]] = old
    coefficients[:4, 0] -= bend
    return replace(shifted, coefficients=coefficients)


def _refraction(wavelength: Array, pivot_angstrom: float) -> Array:
    """Return how far the air lifts a colour above that of the pivot; 4000 A above 5000 A is 1."""
    ends = refractive_index(np.array([4000.0, 5000.0]))
    return np.asarray(
        (refractive_index(wavelength) - refractive_index(pivot_angstrom)) / (ends[0] - ends[1])
    )


def measure_stellar_shift(
    detector_y: Array,
    detector_x: Array,
    counts: Array,
    error: Array,
    good: NDArray[np.bool_],
    solution: WavelengthSolution,
    *,
    radial_velocity_km_s: float = 0.0,
) -> StellarShift | None:
    """Return how far a star's lines stand off, or None where it shows too few.

    The logarithm of the counts is modelled as a smooth continuum (cubic B-spline) plus symmetric
    absorption at the known wavelengths, all moved together; continuum and depths are solved
    linearly at every shift of a grid, so neither the response nor the star's type is needed.

    Parameters
    ----------
    detector_y, detector_x : (n,) unbinned px
        Where the spectrum was extracted.
    counts, error : (n,) electrons
    good : (n,) bool
    radial_velocity_km_s
        Of the star.
    """
    model = star_model(detector_y, detector_x, counts, error, good, solution, radial_velocity_km_s)
    if model is None:
        return None
    place = _best_place(model)
    if place is None:
        return None
    shift, slope, pivot = place, 0.0, float(np.median(model.wavelength(solution)))
    for _ in range(5):
        found = model.line_shifts(moved(solution, shift, slope, pivot))
        found, air = _carriers(found)
        if len(found) < 2:
            return None
        if slope == 0.0:
            pivot = _middle(found)
        step, more = _fit(found, pivot, model.length_angstrom, known=slope != 0.0)
        shift, slope = shift + float(np.clip(step, -2, 2)), slope + float(np.clip(more, -2, 2))
    left = np.array([line.shift_px for line in found])
    weight = _weights(found)
    spread = float(np.sqrt((weight * left**2).sum() / weight.sum()))
    earth = EARTH_KM_S / SPEED_OF_LIGHT_KM_S * pivot / model.angstrom_per_px
    formal = float(weight.sum() ** -0.5)
    seen = float(np.mean([line.shift_px for line in air])) if air else math.nan
    # Where star and air disagree by more than noise, neither is known better than that.
    blur = math.hypot(*(line.error_px for line in air)) / max(len(air), 1)
    witness = max(abs(seen) - blur, 0.0) if air else 0.0
    free = len(found) - 1 - (slope != 0.0)
    scatter = spread / math.sqrt(free) if free > 0 else math.inf
    uncertain = math.hypot(max(formal, scatter), earth, witness)
    return StellarShift(
        shift_px=shift,
        error_px=uncertain,
        pivot_angstrom=pivot,
        refraction_px=slope,
        spread_px=spread,
        telluric_px=seen,
        applied=abs(shift) > _needed_sigma(free if scatter > formal else math.inf) * uncertain,
        lines=tuple(found),
    )


def _carriers(
    found: list[StellarLineShift],
) -> tuple[list[StellarLineShift], list[StellarLineShift]]:
    """Return the lines that carry the shift, and the bands of the air that check it.

    Two strong lines make a star; the others may be steps of the response at the blue end.
    """
    air = [line for line in found if line.name in BANDS]
    own = [line for line in found if line.name not in BANDS]
    strong = [line for line in own if line.name in STRONG]
    return (own, air) if len(strong) >= 2 else ([*strong, *air], [])


def _weights(found: list[StellarLineShift]) -> Array:
    return np.array([math.hypot(line.error_px, FLOOR_PX) for line in found]) ** -2.0


def _needed_sigma(free: float) -> float:
    """Return how many errors are as rare as `APPLY_SIGMA` when `free` residuals gave the error.

    Two lines that contradict each other agree by chance on any shift (Student 1908).
    """
    return APPLY_SIGMA if math.isinf(free) else float(stdtrit(free, ndtr(APPLY_SIGMA)))


def _middle(found: list[StellarLineShift]) -> float:
    weight = _weights(found)
    centre = np.array([line.wavelength_angstrom for line in found])
    return float((weight * centre).sum() / weight.sum())


def _fit(
    found: list[StellarLineShift], pivot: float, length_angstrom: float, *, known: bool
) -> tuple[float, float]:
    """Return the mean shift of the lines and, where it is known or they show it, its slope."""
    shift = np.array([line.shift_px for line in found])
    centre = np.array([line.wavelength_angstrom for line in found])
    weight = _weights(found)
    mean = float((shift * weight).sum() / weight.sum())
    if len(found) < SLOPE_LINES or np.ptp(centre) < SLOPE_SPREAD * length_angstrom:
        return mean, 0.0
    design = np.stack([np.ones(len(found)), _refraction(centre, pivot)], axis=1)
    covariance = np.linalg.inv((design * weight[:, None]).T @ design)
    solved = covariance @ (design.T @ (weight * shift))
    if not known and abs(solved[1]) < SLOPE_SIGMA * math.sqrt(covariance[1, 1]):
        return mean, 0.0
    return float(solved[0]), float(solved[1])


def _best_place(model: StarModel) -> float | None:
    """Return the shift that the lines favour, or None: too weak, or another does as well."""
    steps = math.ceil(3 * SEARCH_PX / model.solution.fwhm_px)
    grid = np.linspace(-SEARCH_PX, SEARCH_PX, 2 * steps + 1)
    chi2 = np.array([model.chi2(float(shift)) for shift in grid])
    # What no alignment explains is no evidence for any: the worst place is the zero of the scale.
    gain = chi2.max() - chi2
    best = int(np.argmax(gain))
    if best in (0, len(grid) - 1):
        return None
    apart = np.abs(grid - grid[best]) > 2 * model.solution.fwhm_px
    peaks = apart & (gain >= np.roll(gain, 1)) & (gain >= np.roll(gain, -1))
    peaks[[0, -1]] |= apart[[0, -1]]
    rival = float(gain[peaks].max()) if peaks.any() else 0.0
    free = max(len(model.y) - model.continuum.shape[1], 1)
    noise = max(float(chi2[best]) / free, 1.0)
    if gain[best] < SIGNIFICANCE**2 * noise or rival > RIVAL * gain[best]:
        return None
    left, middle, right = gain[best - 1 : best + 2]
    curve = left - 2 * middle + right
    vertex = 0.5 * (left - right) / curve if curve < 0 else 0.0
    return float(grid[best] + vertex * (grid[1] - grid[0]))
