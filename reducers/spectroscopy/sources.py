"""Find objects on the slit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from reducers.spectroscopy.peaks import find_peaks
from reducers.spectroscopy.running_median import running_median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector

#: 2 sqrt(2 ln 2): FWHM of a Gaussian in units of its sigma.
FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One peak of the slit profile: column, height above the sky in sigma, FWHM.

    `by_lines` is True where only emission lines show it.
    """

    column: float
    significance: float
    fwhm_px: float
    by_lines: bool = False


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
    smooth = running_median(np.where(good, residual, 0.0), 9, axis=0)
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
    baseline = ndimage.median_filter(profile, size=min(profile.size, int(16 * seeing_px) | 1))
    above = profile - baseline
    level, score = _matched(above, error, seeing_px)
    edge = max(3, int(seeing_px / 2))
    lone_ones = find_peaks(score, height=threshold_sigma, distance=max(2, int(seeing_px)))
    # A sharper filter parts close pairs, where the dip between them is beyond doubt.
    _, sharp = _matched(above, error, seeing_px / 2)
    parted = find_peaks(
        sharp, height=threshold_sigma, prominence=np.maximum(threshold_sigma, 0.03 * sharp)
    )
    lone = [p for p in lone_ones if np.abs(parted - p).min(initial=profile.size) > seeing_px]
    peaks = [p for p in sorted([*lone, *parted]) if edge <= p < profile.size - edge]
    brightest = max((level[p] for p in peaks), default=0.0)
    found = []
    for peak in peaks:
        # Wings and ghosts of a bright star are not objects.
        if level[peak] > 0.004 * brightest:
            width = _width(above, peak)
            column = _centroid(above, peak, min(seeing_px, width))
            found.append(Source(column=column, significance=float(score[peak]), fwhm_px=width))
    return tuple(sorted(found, key=lambda s: -s.significance))


def _matched(profile: Vector, error: Vector, fwhm_px: float) -> tuple[Vector, Vector]:
    """Return the profile seen through a Gaussian, and its height over the noise."""
    sigma_px = fwhm_px / FWHM_PER_SIGMA
    reach = int(np.ceil(4 * sigma_px))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel /= kernel.sum()
    inner = slice(reach, reach + profile.size)
    level = np.convolve(profile, kernel)[inner]
    noise = np.sqrt(np.convolve(error**2, kernel**2)[inner])
    scatter = 1.4826 * np.median(np.abs(level - np.median(level)))
    return level, level / np.maximum(np.hypot(noise, 0.5 * scatter), 1e-9)


def _centroid(profile: Vector, peak: int, fwhm_px: float) -> float:
    centre = float(peak)
    columns = np.arange(profile.size)
    for _ in range(10):
        weight = np.exp(-0.5 * ((columns - centre) / (fwhm_px / FWHM_PER_SIGMA)) ** 2)
        signal_ = weight * profile
        if signal_.sum() <= 0:
            return float(peak)
        # Weighting with the profile's own width halves the step towards the centroid.
        centre += 2 * float((signal_ * (columns - centre)).sum() / signal_.sum())
        centre = float(np.clip(centre, peak - fwhm_px, peak + fwhm_px))
    return centre


def _width(profile: Vector, peak: int) -> float:
    """Return the FWHM: twice the narrower half, so that a neighbour does not widen it."""
    half = profile[peak] / 2

    def reach(side: Vector) -> float:
        below = np.flatnonzero(side <= half)
        if below.size == 0:
            return float(side.size)
        first = int(below[0])
        return float(first - (half - side[first]) / max(side[first - 1] - side[first], 1e-12))

    # The highest pixel is up to half a pixel from the centre: of the two halves one is long.
    left, right = reach(profile[peak::-1]), reach(profile[peak:])
    both = left + right
    return max(both if both < 1.5 * 2 * min(left, right) else 2 * min(left, right), 1.0)
