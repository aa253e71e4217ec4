"""Identify the lines of an arc lamp without a human: predict, search, match, verify."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre, polynomial
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter, uniform_filter1d
from scipy.signal import find_peaks

from reducers.errors import PoorWavelengthFit
from reducers.instrument import ArcLine
from reducers.spectroscopy.line_profile import (
    LineProfile,
    MeasuredLines,
    fit_profile,
    measure_lines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.instrument import Grism

Array = NDArray[np.float64]

#: Search range of the wavelength zero point around the prediction, and of the stretch.
SEARCH_PX = 32.0
SEARCH_STRETCH = 0.012
#: Extent (px) beyond the measured range of the first guess where lines may still be used.
MARGIN_PX = 30.0
#: The gate: below these an identification is refused.
MIN_LINES = 6
MIN_CORRELATION = 0.45
MIN_EXPLAINED = 0.6
MAX_RMS_PX = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedArc:
    """The lines of one arc profile with their wavelengths, and how sure we are.

    Attributes
    ----------
    lines : tuple of ArcLine
        Every line that was looked for, wavelength rising.
    centre, error, residual_px : (n,) float64
        Measured detector y, its error, and measured minus fitted position, unbinned pixels.
    used : (n,) bool
        Lines that carry the fit.
    correction : tuple of float
        Legendre coefficients (px): ideal row = detector y + correction, over `domain_px`.
    shift_px, stretch : float
        Where the correlation found the pattern, relative to the prediction.
    correlation : float
        Compressed correlation with the synthetic arc, 0 to 1.
    explained : float
        Fraction of the strong observed peaks that a listed line accounts for.
    """

    lines: tuple[ArcLine, ...]
    centre: Array
    error: Array
    residual_px: Array
    used: NDArray[np.bool_]
    correction: tuple[float, ...]
    domain_px: tuple[float, float]
    profile: LineProfile
    shift_px: float
    stretch: float
    correlation: float
    explained: float

    @property
    def rms_px(self) -> float:
        """Scatter of the used lines, unbinned pixels."""
        return float(np.sqrt(np.mean(self.residual_px[self.used] ** 2)))

    def ideal_row(self, detector_y: Array) -> Array:
        """Return the row at which the grism's first guess gives the wavelength of `detector_y`."""
        return detector_y + evaluate_correction(self.correction, self.domain_px, detector_y)


def guess_wavelength(grism: Grism, ideal_row: Array) -> Array:
    """Return vacuum Angstrom of the grism's first guess; straight beyond its measured range."""
    low, high = grism.valid_px[0] - MARGIN_PX, grism.valid_px[1] + MARGIN_PX
    row = np.clip(ideal_row, low, high)
    u = (row - grism.reference_px) / grism.scale_px
    slope = polynomial.polyval(u, polynomial.polyder(np.array(grism.first_guess)))
    value = polynomial.polyval(u, np.array(grism.first_guess))
    return np.asarray(value + slope / grism.scale_px * (ideal_row - row))


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


def subtract_continuum(counts: Array, window_rows: int = 41) -> Array:
    """Return `counts` (..., n) less the floor between the lines."""
    size = [1] * (counts.ndim - 1) + [window_rows]
    floor = percentile_filter(counts, 20, size=size)
    return np.asarray(counts - uniform_filter1d(floor, window_rows, axis=-1))


def identify_arc(
    counts: Array,
    usable: NDArray[np.bool_],
    detector_y: Array,
    grism: Grism,
    lines: Sequence[ArcLine],
    *,
    slit_offset_px: float = 0.0,
) -> IdentifiedArc:
    """Return the identified lines of `counts` (n_rows,); `usable` is False where saturated.

    `lines` carry relative strengths; the pattern is predicted at `slit_offset_px` from the grism's
    first guess and searched around it.  Raises `PoorWavelengthFit` rather than guess.
    """
    signal = subtract_continuum(counts)
    ideal = guess_row(grism, np.array([line.wavelength_angstrom for line in lines]))
    inside = (ideal > grism.valid_px[0] - MARGIN_PX) & (ideal < grism.valid_px[1] + MARGIN_PX)
    listed = [line for line, keep in zip(lines, inside, strict=True) if keep]
    ideal = ideal[inside]
    if len(listed) < MIN_LINES:
        raise PoorWavelengthFit(f"only {len(listed)} lines are listed for grism {grism.name}")
    strength = np.array([line.strength for line in listed])
    predicted = ideal + slit_offset_px
    pivot = sum(grism.valid_px) / 2
    found = find_pattern(signal, detector_y, predicted, strength, pivot_px=pivot)
    start = predicted + found.shift_px + found.stretch * (predicted - pivot)
    arc = _match(signal, usable, detector_y, grism, tuple(listed), ideal, start, found)
    _refuse_if_poor(arc)
    return arc


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Where the pattern of lines was found: row = predicted + shift + stretch (row - pivot)."""

    shift_px: float
    stretch: float
    correlation: float


def find_pattern(
    signal: Array, detector_y: Array, predicted: Array, strength: Array, *, pivot_px: float
) -> Pattern:
    """Return shift and stretch that correlate `signal` best with the predicted pattern."""
    grid = np.arange(detector_y.min(), detector_y.max() + 1.0)
    order = np.argsort(detector_y)
    observed = _compress(np.interp(grid, detector_y[order], signal[order]))
    lag = np.arange(-SEARCH_PX, SEARCH_PX + 1)
    best = Pattern(shift_px=0.0, stretch=0.0, correlation=-1.0)
    for stretch in np.linspace(-SEARCH_STRETCH, SEARCH_STRETCH, 25):
        centre = predicted + stretch * (predicted - pivot_px)
        reference = _compress(_comb(grid, centre, strength))
        score = np.array([_overlap(observed, reference, int(k)) for k in lag])
        k = int(np.argmax(score))
        if score[k] > best.correlation:
            best = Pattern(
                shift_px=float(lag[k]) + _vertex(score, k),
                stretch=float(stretch),
                correlation=float(score[k]),
            )
    return best


def _match(
    signal: Array,
    usable: NDArray[np.bool_],
    detector_y: Array,
    grism: Grism,
    listed: tuple[ArcLine, ...],
    ideal: Array,
    start: Array,
    found: Pattern,
) -> IdentifiedArc:
    """Return the arc after centring every line, fitting the correction, and centring again."""
    strength = np.array([line.strength for line in listed])
    pixel = abs(float(detector_y[1] - detector_y[0]))
    profile = LineProfile(slit_px=4.6, blur_px=1.0, pixel_px=pixel)
    domain = (float(ideal.min()), float(ideal.max()))
    expected = start
    coefficients: tuple[float, ...] = (0.0,)
    measured = measure_lines(signal[None], usable[None], detector_y, start[None], profile)
    used, residual = np.zeros(len(ideal), dtype=bool), np.zeros(len(ideal))
    for attempt in range(4):
        clear = _clear_lines(expected, strength, profile, usable, detector_y)
        if attempt == 1:
            shape_lines = used & (strength > 0)
            profile = fit_profile(signal, usable, detector_y, expected[shape_lines], profile)
        measured = measure_lines(signal[None], usable[None], detector_y, expected[None], profile)
        good = clear & _is_detected(measured, signal)
        tolerance = (2.5, 1.5, 0.8, 0.6)[attempt]
        good &= np.abs(measured.centre[0] - expected) < tolerance
        coefficients, used, domain = fit_correction(measured.centre[0], ideal, good)
        fitted = row_of_ideal(coefficients, domain, ideal)
        residual = measured.centre[0] - fitted
        expected = fitted
    return IdentifiedArc(
        lines=listed,
        centre=measured.centre[0],
        error=measured.error[0],
        residual_px=residual,
        used=used,
        correction=coefficients,
        domain_px=domain,
        profile=profile,
        shift_px=found.shift_px,
        stretch=found.stretch,
        correlation=found.correlation,
        explained=_explained(signal, usable, detector_y, expected, profile),
    )


def _clear_lines(
    expected: Array,
    strength: Array,
    profile: LineProfile,
    usable: NDArray[np.bool_],
    detector_y: Array,
) -> NDArray[np.bool_]:
    """Return which lines stand clear of stronger company and of saturated rows."""
    apart = np.abs(expected[:, None] - expected[None, :]) + 1e9 * np.eye(len(expected))
    blended = (apart < 0.8 * profile.fwhm_px) & (strength[None, :] > 0.02 * strength[:, None])
    touched = apart < profile.fwhm_px
    blended |= touched & (strength[None, :] > 2.0 * strength[:, None])
    bad = detector_y[~usable]
    if len(bad) == 0:
        return np.asarray(~blended.any(axis=1))
    near = np.abs(expected[:, None] - bad[None, :]) < profile.half_width_px + 3.0
    return np.asarray(~blended.any(axis=1) & ~near.any(axis=1))


def _is_detected(measured: MeasuredLines, signal: Array) -> NDArray[np.bool_]:
    noise = 1.4826 * np.median(np.abs(signal - np.median(signal)))
    strong = measured.flux[0] > 8 * noise
    return np.asarray(strong & (measured.error[0] < 0.2) & (measured.misfit[0] < 0.15))


def fit_correction(
    centre: Array, ideal: Array, good: NDArray[np.bool_]
) -> tuple[tuple[float, ...], NDArray[np.bool_], tuple[float, float]]:
    """Return Legendre coefficients of (ideal - centre) over the lines' domain, and lines kept.

    The degree grows with the number of lines, from a shift to a cubic: the shape of the dispersion
    belongs to the grism, the night may only move and stretch it.
    """
    kept = good.copy()
    if kept.sum() < 3:
        raise PoorWavelengthFit(f"only {int(kept.sum())} arc lines could be centred")
    for _ in range(8):
        domain = (float(centre[kept].min()), float(centre[kept].max()))
        degree = correction_degree(int(kept.sum()))
        scaled = 2 * (centre - domain[0]) / max(domain[1] - domain[0], 1.0) - 1
        coefficients = legendre.legfit(scaled[kept], (ideal - centre)[kept], degree)
        miss = (ideal - centre) - legendre.legval(scaled, coefficients)
        scatter = max(1.4826 * float(np.median(np.abs(miss[kept]))), 0.03)
        again = good & (np.abs(miss) < 4 * scatter)
        if again.sum() < 3 or (again == kept).all():
            break
        kept = again
    return tuple(float(c) for c in coefficients), kept, domain


def correction_degree(n_lines: int) -> int:
    """Return how freely `n_lines` lines may bend the first guess."""
    return int(np.searchsorted([5, 9, 16], n_lines, side="right"))


def row_of_ideal(
    coefficients: Sequence[float], domain_px: tuple[float, float], ideal: Array
) -> Array:
    """Return the detector y whose corrected row is `ideal`."""
    row = np.array(ideal, dtype=np.float64)
    for _ in range(12):
        row = ideal - evaluate_correction(coefficients, domain_px, row)
    return row


def _explained(
    signal: Array,
    usable: NDArray[np.bool_],
    detector_y: Array,
    expected: Array,
    profile: LineProfile,
) -> float:
    """Return the fraction of the strong clean peaks between the lines that a line accounts for."""
    noise = 1.4826 * np.median(np.abs(signal - np.median(signal)))
    peaks, _ = find_peaks(np.where(usable, signal, 0.0), prominence=8 * noise)
    peaks = peaks[(detector_y[peaks] > expected.min()) & (detector_y[peaks] < expected.max())]
    if len(peaks) == 0:
        return 0.0
    strongest = peaks[np.argsort(signal[peaks])[::-1][:25]]
    nearest = np.abs(detector_y[strongest][:, None] - expected[None, :]).min(axis=1)
    return float(np.mean(nearest < 0.6 * profile.pixel_px + 0.8))


def _refuse_if_poor(arc: IdentifiedArc) -> None:
    found = (
        f"{int(arc.used.sum())} lines, rms {arc.rms_px:.2f} px, correlation "
        f"{arc.correlation:.2f}, {100 * arc.explained:.0f} % of the strong peaks explained"
    )
    if (
        arc.used.sum() < MIN_LINES
        or arc.rms_px > MAX_RMS_PX
        or arc.correlation < MIN_CORRELATION
        or arc.explained < MIN_EXPLAINED
    ):
        raise PoorWavelengthFit(f"arc not identified: {found}")


def _comb(grid: Array, centre: Array, strength: Array) -> Array:
    comb = np.zeros(len(grid))
    place = np.rint(centre - grid[0]).astype(int)
    inside = (place >= 0) & (place < len(grid))
    np.add.at(comb, place[inside], strength[inside])
    return np.asarray(gaussian_filter1d(comb, 2.0))


def _compress(signal: Array) -> Array:
    """Return a version of `signal` in which weak and strong lines count alike."""
    top = np.partition(signal, -12)[-12]
    noise = 1.4826 * np.median(np.abs(signal - np.median(signal)))
    knee = max(0.01 * top, 3 * noise, 1e-12)
    return np.asarray(np.arcsinh(np.maximum(signal, 0.0) / knee))


def _overlap(observed: Array, reference: Array, lag: int) -> float:
    size = len(observed)
    a = observed[max(lag, 0) : size + min(lag, 0)]
    b = reference[max(-lag, 0) : size + min(-lag, 0)]
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def _vertex(score: Array, k: int) -> float:
    if not 0 < k < len(score) - 1:
        return 0.0
    left, top, right = score[k - 1 : k + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
