"""Where on the detector the pattern of a lamp lies: correlation first, then peak by peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter, uniform_filter1d

from reducers.errors import PoorWavelengthFit
from reducers.spectroscopy.peaks import find_peaks, half_widths

Array = NDArray[np.float64]

#: Search range of the zero point around the prediction (px), and of the stretch.
SEARCH_PX = 75.0
SEARCH_STRETCH = 0.012
STRETCH_STEPS = 41
#: Blur (px) of both patterns before they are compared: forgives a bent dispersion.
PATTERN_BLUR_PX = 1.5
#: Peaks that take part in the transfer.
MOST_PEAKS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Where the pattern of lines was found: row = predicted + shift + stretch (row - pivot)."""

    shift_px: float
    stretch: float
    correlation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The peaks of an arc profile.

    Attributes
    ----------
    row, height : (n,) float64
        Detector y (unbinned px) and counts above the floor, strongest first.
    fwhm_px : float
        Typical width of the strong ones, unbinned pixels.
    noise : float
        Robust scatter of the floor, counts.
    """

    row: Array
    height: Array
    fwhm_px: float
    noise: float


def subtract_continuum(counts: Array, window_rows: int = 41) -> Array:
    """Return `counts` (..., n) less the floor between the lines."""
    size = [1] * (counts.ndim - 1) + [window_rows]
    floor = percentile_filter(counts, 20, size=size)
    return np.asarray(counts - uniform_filter1d(floor, window_rows, axis=-1))


def find_arc_peaks(signal: Array, usable: NDArray[np.bool_], detector_y: Array) -> Peaks:
    """Return the peaks of `signal` (n_rows,), or raise `PoorWavelengthFit` where no lamp shines."""
    noise = 1.4826 * float(np.median(np.abs(signal - np.median(signal)))) + 1e-9
    place = find_peaks(signal, prominence=6 * noise)
    if len(place) < 3:
        raise PoorWavelengthFit(
            f"no lamp light: only {len(place)} peaks rise above the noise. "
            "Check that the lamp burnt and the calibration mirror was in, and take the arc again"
        )
    place = place[np.argsort(signal[place])[::-1]][:MOST_PEAKS]
    step = float(abs(detector_y[1] - detector_y[0]))
    clean = place[usable[place]][:15]
    width = half_widths(signal, clean if len(clean) else place[:5])
    inner = np.clip(place, 1, len(signal) - 2)
    left, top, right = signal[inner - 1], signal[inner], signal[inner + 1]
    bend = np.minimum(left - 2 * top + right, -1e-12)
    offset = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return Peaks(
        row=np.interp(inner + offset, np.arange(len(detector_y)), detector_y),
        height=signal[place],
        fwhm_px=float(np.median(width)) * step,
        noise=noise,
    )


def find_patterns(
    signal: Array,
    detector_y: Array,
    predicted: Array,
    strength: Array,
    *,
    pivot_px: float,
    fwhm_px: float,
    at_most: int = 3,
) -> tuple[Pattern, ...]:
    """Return the shifts and stretches that correlate `signal` with the pattern, best first.

    Both are compressed (arcsinh) so that weak and strong lines count alike; the normalised
    cross-correlation runs over all lags at once, by Fourier transform, for every stretch.
    """
    order = np.argsort(detector_y)
    grid = np.arange(detector_y.min(), detector_y.max() + 1.0)
    reach = int(SEARCH_PX)
    observed, knee = _compress(np.interp(grid, detector_y[order], signal[order]))
    observed = gaussian_filter1d(observed, PATTERN_BLUR_PX)
    observed = observed - observed.mean()
    stretches = np.linspace(-SEARCH_STRETCH, SEARCH_STRETCH, STRETCH_STEPS)
    wide = np.arange(grid[0] - reach, grid[-1] + reach + 1.0)
    combs = np.stack(
        [_comb(wide, predicted + s * (predicted - pivot_px), strength) for s in stretches]
    )
    combs = gaussian_filter1d(combs, max(fwhm_px / 2.355, 1.0), axis=1)
    patterns = gaussian_filter1d(_compress_like(combs, knee), PATTERN_BLUR_PX, axis=1)
    score = _correlate(observed, patterns)[:, ::-1]
    return _best(score, stretches, reach, at_most)


def _best(score: Array, stretches: Array, reach: int, at_most: int) -> tuple[Pattern, ...]:
    """Return the highest maxima of score (n_stretch, n_lag) that differ in lag."""
    found: list[Pattern] = []
    envelope = score.max(axis=0)
    for k in np.argsort(envelope)[::-1]:
        lag = float(k) - reach
        if all(abs(lag - other.shift_px) > 5 for other in found):
            s = int(np.argmax(score[:, k]))
            found.append(
                Pattern(
                    shift_px=lag + _vertex(score[s], int(k)),
                    stretch=float(stretches[s]),
                    correlation=float(score[s, k]),
                )
            )
        if len(found) == at_most:
            break
    return tuple(found)


def _correlate(observed: Array, patterns: Array) -> Array:
    """Return the correlation of `observed` (n,) with every n-long piece of `patterns` (m, N)."""
    n, total = len(observed), patterns.shape[1]
    size = 1 << (total - 1).bit_length()
    product = np.fft.irfft(
        np.fft.rfft(patterns, size, axis=1) * np.conj(np.fft.rfft(observed, size)), size, axis=1
    )[:, : total - n + 1]
    first = np.pad(np.cumsum(patterns, axis=1), ((0, 0), (1, 0)))
    second = np.pad(np.cumsum(patterns**2, axis=1), ((0, 0), (1, 0)))
    mean = (first[:, n:] - first[:, :-n]) / n
    variance = (second[:, n:] - second[:, :-n]) - n * mean**2
    norm = np.sqrt(np.maximum(variance, 1e-12) * float(observed @ observed))
    return np.asarray(np.where(variance > 1e-9, product / np.maximum(norm, 1e-12), 0.0))


def transfer(peaks: Peaks, start: Array, height: Array, *, pivot_px: float) -> Array:
    """Return `start` (n_lines,) moved onto the peaks by a robust quadratic.

    Lines and peaks are paired where each is the other's nearest; the quadratic that joins them may
    bend by a few pixels.  `height` is the expected relative strength: faint lines do not pair.
    """
    visible = height > 3 * peaks.noise / max(peaks.height[0], 1e-9) * height.max()
    if visible.sum() < 4:
        visible = np.ones(len(start), bool)
    u = (start - pivot_px) / 1000.0
    moved = start.copy()
    for tolerance in (5.0, 4.0, 3.0, 2.0, 1.5, 1.2):
        line, peak = _mutual(moved[visible], peaks.row)
        line = np.flatnonzero(visible)[line]
        near = np.abs(moved[line] - peaks.row[peak]) < tolerance
        line, peak = line[near], peak[near]
        if len(line) < 5:
            return moved
        degree = 1 if len(line) < 8 or tolerance > 4.5 else 2
        miss = peaks.row[peak] - start[line]
        bend = _robust(u[line], miss, degree)
        moved = start + polynomial.polyval(np.clip(u, u[line].min(), u[line].max()), bend)
    return moved


def _mutual(lines: Array, peaks: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    apart = np.abs(lines[:, None] - peaks[None, :])
    nearest = apart.argmin(axis=1)
    mutual = apart.argmin(axis=0)[nearest] == np.arange(len(lines))
    return np.flatnonzero(mutual), nearest[mutual]


def _robust(u: Array, miss: Array, degree: int) -> Array:
    weight = np.ones(len(u))
    bend = np.zeros(degree + 1)
    for _ in range(6):
        bend = np.asarray(polynomial.polyfit(u, miss, degree, w=weight), dtype=np.float64)
        left = np.abs(miss - polynomial.polyval(u, bend))
        scale = max(1.4826 * float(np.median(left)), 0.1)
        weight = np.sqrt(1 / (1 + (left / (2 * scale)) ** 2))
    return np.asarray(bend)


def _comb(grid: Array, centre: Array, strength: Array) -> Array:
    comb = np.zeros(len(grid))
    low = np.floor(centre - grid[0]).astype(int)
    part = centre - grid[0] - low
    inside = (low >= 0) & (low < len(grid) - 1)
    np.add.at(comb, low[inside], (strength * (1 - part))[inside])
    np.add.at(comb, low[inside] + 1, (strength * part)[inside])
    return comb


def _compress(signal: Array) -> tuple[Array, float]:
    """Return a version of `signal` in which weak and strong lines count alike, and its knee."""
    top = float(np.partition(signal, -12)[-12])
    noise = 1.4826 * float(np.median(np.abs(signal - np.median(signal))))
    knee = max(0.01 * top, 3 * noise, 1e-12)
    return np.arcsinh(np.maximum(signal, 0.0) / knee), knee / max(top, 1e-12)


def _compress_like(combs: Array, knee: float) -> Array:
    top = np.partition(combs, -12, axis=1)[:, -12][:, None]
    return np.asarray(np.arcsinh(combs / np.maximum(max(knee, 0.01) * top, 1e-12)))


def _vertex(score: Array, k: int) -> float:
    if not 0 < k < len(score) - 1:
        return 0.0
    left, top, right = score[k - 1 : k + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
