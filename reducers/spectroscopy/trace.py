"""Find objects on the slit and follow them along the dispersion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from scipy import ndimage, signal

from reducers.frame import Vector, read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: 2 sqrt(2 ln 2): FWHM of a Gaussian in units of its sigma.
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One peak of the slit profile: column, height above the sky in sigma, FWHM."""

    column: float
    significance: float
    fwhm_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where an object runs.

    Attributes
    ----------
    rows : (n,) float64
        Every image row.
    columns : (n,) float64
        Centre of the object in that row.
    fwhm_px : float
        Width along the slit at the middle row.
    rms_px : float
        Scatter of the centroids about the trace; NaN when it was not measured.
    forced : bool
        The position was assumed, not found.
    """

    rows: Vector
    columns: Vector
    fwhm_px: float
    rms_px: float
    forced: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))


def slit_profile(
    residual: NDArray[np.float64], variance: NDArray[np.float64], good: NDArray[np.bool_]
) -> tuple[Vector, Vector]:
    """Return the signal along the slit and its error, averaged over rows after clipping.

    Parameters
    ----------
    residual, variance, good : (ny, nx)
        Sky-subtracted electrons, their variance, and which pixels count.
    """
    weight = np.where(good, 1.0, 0.0)
    # A row's cosmic ray or line residual must not make an object: clip at 6 sigma of its row.
    sigma = np.sqrt(np.maximum(variance, 1e-6))
    smooth = ndimage.median_filter(np.where(good, residual, 0.0), size=(9, 1))
    weight[np.abs(residual - smooth) > 6 * sigma] = 0
    total = np.maximum(weight.sum(axis=0), 1e-9)
    profile = (weight * residual).sum(axis=0) / total
    error = np.sqrt((weight * variance).sum(axis=0)) / total
    return profile, error


def find_sources(
    profile: Vector, error: Vector, *, seeing_px: float, threshold_sigma: float = 6.0
) -> tuple[Source, ...]:
    """Find peaks of a slit profile by matched filtering, the most significant first.

    Parameters
    ----------
    profile, error : (nx,) electrons per row
        From `slit_profile`.
    seeing_px
        Expected FWHM along the slit.
    """
    sigma_px = seeing_px / FWHM_PER_SIGMA
    reach = int(np.ceil(4 * sigma_px))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel /= kernel.sum()
    baseline = ndimage.median_filter(profile, size=min(profile.size, int(16 * seeing_px) | 1))
    level = signal.convolve(profile - baseline, kernel, mode="same")
    noise = np.sqrt(signal.convolve(error**2, kernel**2, mode="same"))
    scatter = 1.4826 * np.median(np.abs(level - np.median(level)))
    score = level / np.maximum(np.hypot(noise, 0.5 * scatter), 1e-9)
    edge = max(3, int(seeing_px / 2))
    peaks, _ = signal.find_peaks(score, height=threshold_sigma, distance=max(2, int(seeing_px)))
    peaks = [p for p in peaks if edge <= p < profile.size - edge]
    brightest = max((level[p] for p in peaks), default=0.0)
    found = [
        Source(
            column=_centroid(profile - baseline, p, seeing_px),
            significance=float(score[p]),
            fwhm_px=_width(profile - baseline, p),
        )
        for p in peaks
        # Wings and ghosts of a bright star are not objects.
        if level[p] > 0.004 * brightest
    ]
    return tuple(sorted(found, key=lambda s: -s.significance))


def _centroid(profile: Vector, peak: int, seeing_px: float) -> float:
    centre = float(peak)
    columns = np.arange(profile.size)
    for _ in range(10):
        weight = np.exp(-0.5 * ((columns - centre) / (seeing_px / FWHM_PER_SIGMA)) ** 2)
        signal_ = weight * profile
        if signal_.sum() <= 0:
            return float(peak)
        # Weighting with the profile's own width halves the step towards the centroid.
        centre += 2 * float((signal_ * (columns - centre)).sum() / signal_.sum())
        centre = float(np.clip(centre, peak - seeing_px, peak + seeing_px))
    return centre


def _width(profile: Vector, peak: int) -> float:
    half = profile[peak] / 2
    left = peak
    while left > 0 and profile[left] > half:
        left -= 1
    right = peak
    while right < profile.size - 1 and profile[right] > half:
        right += 1

    def crossing(low: int, high: int) -> float:
        step = profile[high] - profile[low]
        return low + (half - profile[low]) / step if step else float(low)

    return float(max(crossing(right, right - 1) - crossing(left, left + 1), 1.0))


def trace_source(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    source: Source,
    *,
    bin_snr: float = 12.0,
    rows_used: tuple[int, int] | None = None,
) -> Trace:
    """Follow a source along the rows with centroids in bins of equal signal-to-noise.

    Notes
    -----
    Centroids are Gaussian-weighted (the weight follows the running centre); the Legendre
    degree (0-3) grows with the number of bins, so that a faint object keeps a straight trace.
    """
    rows = np.arange(residual.shape[0], dtype=np.float64)
    first, last = rows_used or (0, residual.shape[0])
    centres, errors, columns = _binned_centroids(
        residual, variance, good, source, bin_snr, (first, last)
    )
    if centres.size < 2:
        straight = np.full(rows.size, source.column)
        return Trace(rows=rows, columns=straight, fwhm_px=source.fwhm_px, rms_px=float("nan"))
    degree = 1 if centres.size < 6 else 2 if centres.size < 12 else 3
    scaled = _scaled(centres, (first, last))
    weights = 1 / np.hypot(errors, 0.03)
    keep = np.ones(centres.size, bool)
    for _ in range(4):
        fit = legendre.legfit(scaled[keep], columns[keep], degree, w=weights[keep])
        off = np.abs(columns - legendre.legval(scaled, fit)) * weights
        inside = off < 4 * max(1.0, float(np.median(off[keep]) / 0.6745))
        if (inside == keep).all() or inside.sum() <= degree + 2:
            break
        keep = inside
    path = np.asarray(
        legendre.legval(np.clip(_scaled(rows, (first, last)), -1.05, 1.05), fit), dtype=np.float64
    )
    rms = float(np.std(columns[keep] - legendre.legval(scaled[keep], fit)))
    return Trace(rows=rows, columns=path, fwhm_px=source.fwhm_px, rms_px=rms)


def _scaled(rows: Vector, span: tuple[int, int]) -> Vector:
    first, last = span
    return (2 * rows - first - last) / max(last - first, 1)


def _binned_centroids(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    source: Source,
    bin_snr: float,
    span: tuple[int, int],
) -> tuple[Vector, Vector, Vector]:
    """Return bin rows, centroid errors and centroids, from the middle outwards."""
    sigma = max(source.fwhm_px, 2.0) / FWHM_PER_SIGMA
    middle = (span[0] + span[1]) // 2
    found: list[tuple[float, float, float]] = []
    for block in (range(middle, span[1]), range(middle - 1, span[0] - 1, -1)):
        centre = source.column
        recent: list[float] = []
        rows: list[int] = []
        for row in block:
            rows.append(row)
            if len(rows) < 8:
                continue
            measured = _one_centroid(residual, variance, good, rows, centre, sigma)
            if measured is None:
                if len(rows) > 200:
                    rows = []
                continue
            value, error, snr = measured
            if snr < bin_snr and len(rows) < 120:
                continue
            if snr > 4 and abs(value - centre) < sigma:
                found.append((float(np.mean(rows)), error, value))
                recent = [*recent[-2:], value]
                centre = float(np.mean(recent))
            rows = []
    table = np.array(sorted(found), dtype=np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _one_centroid(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    rows: list[int],
    centre: float,
    sigma: float,
) -> tuple[float, float, float] | None:
    reach = int(np.ceil(3.5 * sigma))
    low = max(0, round(centre) - reach)
    high = min(residual.shape[1], round(centre) + reach + 1)
    cut = (slice(min(rows), max(rows) + 1), slice(low, high))
    ok = good[cut]
    count = ok.sum(axis=0)
    if high - low < 5 or (count == 0).any():
        return None
    profile = np.where(ok, residual[cut], 0).sum(axis=0) / count
    noise = np.where(ok, variance[cut], 0).sum(axis=0) / count**2
    columns = np.arange(low, high)
    where = centre
    for _ in range(8):
        weight = np.exp(-0.5 * ((columns - where) / sigma) ** 2)
        total = float((weight * profile).sum())
        if total <= 0:
            return None
        where += 2 * float((weight * profile * (columns - where)).sum()) / total
        if abs(where - centre) > 2 * sigma:
            return None
    error = 2 * np.sqrt(float((weight**2 * noise * (columns - where) ** 2).sum())) / total
    snr = total / np.sqrt(float((weight**2 * noise).sum()))
    return where, float(error), float(snr)


def forced_trace(rows: int, column: float, fwhm_px: float) -> Trace:
    """Return a straight trace at an assumed position."""
    every = np.arange(rows, dtype=np.float64)
    return Trace(
        rows=every,
        columns=np.full(rows, float(column)),
        fwhm_px=fwhm_px,
        rms_px=float("nan"),
        forced=True,
    )
