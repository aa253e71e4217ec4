"""Find objects on the slit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector

#: 2 sqrt(2 ln 2): FWHM of a Gaussian in units of its sigma.
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One peak of the slit profile: column, height above the sky in sigma, FWHM."""

    column: float
    significance: float
    fwhm_px: float


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
