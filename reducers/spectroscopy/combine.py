"""Combine repeated spectra of one target and set-up into one.

Weights come from the variance's slow run along the spectrum, never from the flux itself; a grey
factor per exposure takes out clouds and slit losses; what disagrees with the other exposures by
more than the noise is left out before the mean is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.errors import NotEnoughFrames
from reducers.frame import Mask, Vector
from reducers.spectroscopy.agreement import agreeing
from reducers.spectroscopy.grey import colours_of, grey_factors
from reducers.spectroscopy.resample import common_grid, pixel_edges, resample
from reducers.spectroscopy.stack import SLOW_PX, Plane, Stack, stacked
from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A factor known worse than this is not applied.
FACTOR_ERROR_LIMIT = 0.1
#: Below this share of the best exposure's flux a member is called faint.
FAINT_FACTOR = 0.75
#: Light is lost when its share is so many errors from nothing.
SURELY_DIMMED = 3.0
#: Above this reduced chi2 a member is called odd.
ODD_CHI2 = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One spectrum that is to be combined.

    Attributes
    ----------
    name
        Stem of the exposure.
    """

    name: str
    spectrum: Spectrum
    exposure_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one exposure gave.

    Attributes
    ----------
    factor, factor_error
        Its flux in units of the combination's scale (1: no cloud, no slit loss).
    colour
        Factor of its blue half over that of its red half.
    weight
        Mean share in the combination, 0 to 1.
    rejected
        Pixels left out because the other exposures disagree.
    chi2
        Of its pixels about the combination; far above 1 it shows something else.
    remark
        '' or what is odd about it.
    """

    name: str
    exposure_s: float
    factor: float
    factor_error: float
    colour: float
    weight: float
    rejected: int
    chi2: float
    remark: str

    @property
    def cloud_mag(self) -> float:
        """Light lost against the best exposure (mag); NaN where it is too faint to tell."""
        known = self.factor > 0 and self.factor_error < FACTOR_ERROR_LIMIT
        return -2.5 * math.log10(self.factor) if known else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedSpectrum:
    """The combination of several exposures.

    Attributes
    ----------
    correlation : (n,) float64
        Of each pixel's error with the next one's (resampling makes neighbours share pixels).
    exposures : (n,) int64
        Exposures that contribute to each pixel.
    exposure_s
        Sum of the exposure times.
    noise_factor
        By how much the error of a mean over many pixels exceeds that of uncorrelated ones.
    chi2
        Of the exposures about their mean, reduced: 1 when the errors tell the truth.
    """

    spectrum: Spectrum
    correlation: Vector
    exposures: NDArray[np.int64]
    shares: tuple[Share, ...]
    exposure_s: float
    noise_factor: float
    chi2: float

    @property
    def measurements(self) -> dict[str, float]:
        """What was measured on the combination."""
        good = self.spectrum.good
        ratio = self.spectrum.flux[good] / self.spectrum.error[good]
        dimmed = [s for s in self.shares if 1 - s.factor > SURELY_DIMMED * s.factor_error]
        lost_mag = [share.cloud_mag for share in dimmed if math.isfinite(share.cloud_mag)]
        return {
            "members": float(len(self.shares)),
            "snr": float(np.median(ratio)) if good.any() else math.nan,
            "chi2": self.chi2,
            "noise_factor": self.noise_factor,
            "least_factor": min(share.factor for share in self.shares),
            "cloud_mag": max(lost_mag, default=0.0),
            "rejected_pixels": float(sum(share.rejected for share in self.shares)),
        }


def combine_spectra(members: Sequence[Contribution]) -> CombinedSpectrum:
    """Combine spectra of one target, set-up and unit.

    The result does not depend on the order of the members.

    Raises
    ------
    NotEnoughFrames
        If there are fewer than two.
    ValueError
        If their units differ.
    """
    if len(members) < 2:
        raise NotEnoughFrames("a combination needs two spectra")
    ordered = sorted(members, key=lambda each: each.name)
    if len({each.spectrum.unit for each in ordered}) != 1:
        raise ValueError("flux and counts cannot be combined")
    longest_s = max(each.exposure_s for each in ordered)
    spectra = [_as_long(each, longest_s) for each in ordered]
    grid = common_grid(spectra, _best(spectra))
    stack = stacked([resample(each, grid) for each in spectra])
    factors, errors = grey_factors(stack)
    colours = colours_of(stack, factors)
    applied = np.where(errors < FACTOR_ERROR_LIMIT, factors, 1.0)
    scaled = stack.scaled(applied)
    kept = agreeing(scaled)
    weight = _weights(scaled, kept)
    mean = (weight * scaled.flux).sum(axis=0)
    chi2 = _chi2_of_each(scaled, kept, weight, mean)
    shares = tuple(
        _share(each, n, (factors, errors, colours, chi2), weight, scaled.good & ~kept)
        for n, each in enumerate(ordered)
    )
    return _mean(scaled, kept, weight, grid, spectra, shares)


def _as_long(each: Contribution, exposure_s: float) -> Spectrum:
    """Return counts as an exposure of this length would have them; flux stays as it is."""
    own = each.spectrum
    if own.unit != "electron" or each.exposure_s in (0.0, exposure_s):
        return own
    ratio = exposure_s / each.exposure_s
    columns = {"flux": own.flux * ratio, "error": own.error * ratio, "sky": own.sky * ratio}
    return own.after(f"counts of {each.exposure_s:g} s as of {exposure_s:g} s", **columns)


def _best(spectra: Sequence[Spectrum]) -> int:
    """Return which spectrum has the highest signal-to-noise: its pixels become the grid."""

    def signal_to_noise(each: Spectrum) -> float:
        good = each.good
        return float(np.median(each.flux[good] / each.error[good])) if good.any() else 0.0

    signal = [signal_to_noise(each) for each in spectra]
    return int(np.argmax(signal))


def _weights(stack: Stack, kept: NDArray[np.bool_]) -> Plane:
    """Return the share of every exposure in every pixel, (members, pixels), sum 1 or 0.

    Only how the variances compare, and that only as it changes slowly, enters: a pixel that
    fluctuated upwards has no smaller weight than its neighbours. What resampling shifted from
    the variance into the covariance counts too, or the weights would follow the pixels' phase.
    """
    before = np.roll(stack.covariance, 1, axis=1)
    known = np.where(stack.good, stack.variance + stack.covariance + before, np.nan)
    every = np.nan_to_num(np.nanmean(np.where(stack.good.any(axis=0), known, 1.0), axis=0), nan=1.0)
    relative = [
        np.interp(
            np.arange(row.size),
            np.nonzero(ok)[0],
            ndimage.median_filter((row / every)[ok], SLOW_PX, mode="nearest"),
        )
        if ok.any()
        else np.ones(row.size)
        for row, ok in zip(known, stack.good, strict=True)
    ]
    raw = np.where(kept, 1 / np.maximum(np.array(relative), 1e-6), 0.0)
    return np.asarray(raw / np.maximum(raw.sum(axis=0), 1e-30))


def _chi2_of_each(stack: Stack, kept: NDArray[np.bool_], weight: Plane, mean: Vector) -> Vector:
    """Return the reduced chi2 of every exposure about the mean, of which it is itself a part."""
    others = kept & (kept.sum(axis=0) > 1)
    expected = stack.variance * (1 - 2 * weight) + (weight**2 * stack.variance).sum(axis=0)
    squares = (stack.flux - mean) ** 2 / np.where(others, np.maximum(expected, 1e-300), 1.0)
    count = np.maximum(others.sum(axis=1), 1)
    return np.asarray(np.where(others, squares, 0.0).sum(axis=1) / count)


def _share(
    each: Contribution,
    index: int,
    measured: tuple[Vector, Vector, Vector, Vector],
    weight: Plane,
    rejected: NDArray[np.bool_],
) -> Share:
    factor, error, colour, chi2 = (float(values[index]) for values in measured)
    covered = weight.sum(axis=0) > 0
    remark = ""
    if chi2 > ODD_CHI2:
        remark = f"differs from the others beyond the noise (chi2 {chi2:.1f}): another object?"
    elif error >= FACTOR_ERROR_LIMIT:
        remark = "too faint to compare its flux; not scaled"
    elif factor < FAINT_FACTOR:
        lost = -2.5 * math.log10(factor) if factor > 0 else math.inf
        remark = (
            f"only {100 * factor:.0f} % of the best exposure's flux ({lost:.1f} mag lost): "
            "cloud or slit loss"
        )
    elif abs(colour - 1) > 0.1:
        remark = f"its colour differs by {100 * (colour - 1):+.0f} %: refraction across the slit?"
    return Share(
        name=each.name,
        exposure_s=each.exposure_s,
        factor=factor,
        factor_error=error,
        colour=colour,
        weight=float(weight[index, covered].mean()) if covered.any() else 0.0,
        rejected=int(rejected[index].sum()),
        chi2=chi2,
        remark=remark,
    )


def _mean(
    stack: Stack,
    kept: NDArray[np.bool_],
    weight: Plane,
    grid: Vector,
    spectra: Sequence[Spectrum],
    shares: tuple[Share, ...],
) -> CombinedSpectrum:
    flux = (weight * stack.flux).sum(axis=0)
    variance = (weight**2 * stack.variance).sum(axis=0)
    ahead = np.roll(weight, -1, axis=1)
    ahead[:, -1] = 0
    covariance = (weight * ahead * stack.covariance).sum(axis=0)
    count = kept.sum(axis=0)
    mask = np.bitwise_or.reduce(np.where(kept, stack.mask, np.uint16(0)), axis=0)
    mask = np.where(count == 0, _lost(grid, spectra), mask).astype(np.uint16)
    chi = np.where(kept, (stack.flux - flux) ** 2 / np.where(kept, stack.variance, 1), 0.0)
    freedom = int(np.clip(count - 1, 0, None).sum())
    width = np.diff(pixel_edges(grid)) if spectra[0].unit == "electron" else 1.0
    empty = np.where(count > 0, 1.0, np.nan)
    following = np.sqrt(np.maximum(variance * np.append(variance[1:], 0), 1e-300))
    used = count > 0
    extra = 2 * covariance[used].sum() / max(float(variance[used].sum()), 1e-300)
    return CombinedSpectrum(
        spectrum=Spectrum(
            wavelength=grid,
            flux=flux * width * empty,
            error=np.sqrt(variance) * width * empty,
            sky=(weight * stack.sky).sum(axis=0) * width,
            mask=mask,
            unit=spectra[0].unit,
            history=(*spectra[0].history, f"combined: {len(shares)} exposures"),
        ),
        correlation=np.where(covariance > 0, covariance / following, 0.0),
        exposures=count.astype(np.int64),
        shares=shares,
        exposure_s=float(sum(each.exposure_s for each in shares)),
        noise_factor=float(np.sqrt(1 + extra)),
        chi2=float(chi.sum()) / freedom if freedom else math.nan,
    )


def _lost(grid: Vector, spectra: Sequence[Spectrum]) -> NDArray[np.uint16]:
    """Return why pixels without any exposure are lost, from the nearest pixel of each."""
    reasons = np.full(grid.size, int(Mask.BAD), np.uint16)
    for each in spectra:
        near = np.clip(np.searchsorted(each.wavelength, grid), 0, each.wavelength.size - 1)
        reasons |= each.mask[near]
    return reasons
