"""Measure the shape of objects along the slit, as finely as their signal allows.

Every parameter has an expected value and a spread: a faint object gets the expected shape,
a bright one its own, and nothing switches in between. What a Moffat lacks is a smooth
correction fitted to all pixels along the trace, in the manner of Horne (1986, PASP 98, 609,
section III), Marsh (1989, PASP 101, 1032) and of effective point-spread functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from scipy import optimize
from scipy.interpolate import BSpline
from scipy.sparse import csr_array, diags_array

from reducers.frame import Vector
from reducers.spectroscopy.extract import image_of, smoothed, solve_rows
from reducers.spectroscopy.shape import (
    KNOTS,
    ROW_DEGREE,
    Profile,
    moffat_core,
    pixel_moffat,
    row_coordinate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.spectroscopy.trace import Trace

#: Moffat exponent of ordinary seeing and its spread from night to night.
TYPICAL_BETA, BETA_SPREAD = 3.0, 0.7
#: What a Moffat may lack: a share of itself, and of its peak an aureole that falls with the
#: square of the distance (King 1971, PASP 83, 199).
LACK, AUREOLE = 0.15, 0.02
#: A Moffat is not asked to fit better than this share of its peak; the correction does.
MOFFAT_TOLERANCE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The Moffat that an object should have, and how far it may differ (one sigma).

    Attributes
    ----------
    profile
        The expected values.
    width_spread, slope_spread, beta_spread
        Of ln(FWHM), of the change of width along the rows, and of the exponent.
    """

    profile: Profile
    width_spread: float = 0.3
    slope_spread: float = 0.1
    beta_spread: float = BETA_SPREAD


def fit_profile(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
    expected: Expectation | None = None,
) -> Profile:
    """Fit the profile of one object; without signal it is the expected one.

    No free constant is fitted: it would steal flux from the wings.

    Parameters
    ----------
    residual, variance, good : (ny, nx)
        Sky-subtracted electrons without other objects, variance without any object (weights
        that follow the data would starve the profile's wings), and usable pixels.
    expected
        From a brighter object on the same slit; else ordinary seeing of the trace's width.
    """
    if expected is None:
        guess = Profile(beta=TYPICAL_BETA, fwhm_px=max(trace.fwhm_px, 1.5), slope=0.0)
        expected = Expectation(profile=guess)
    moffat = _fit_moffat(residual, variance, good, trace, expected)
    return _correct(residual, variance, good, trace, moffat)


def fit_profiles(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    traces: Sequence[Trace],
) -> tuple[Profile, ...]:
    """Fit the profiles of all objects on a slit, the brightest first.

    The seeing is common: the brightest object tells what the fainter ones should look like.
    A neighbour's light is first kept out by its half of the gap, then subtracted.

    Parameters
    ----------
    residual, variance, good : (ny, nx)
        As for `fit_profile`, with every object's light.
    """
    if len(traces) == 1:
        return (fit_profile(residual, variance, good, traces[0]),)
    columns = np.arange(residual.shape[1])[None, :]
    away = np.array([np.abs(columns - t.columns[:, None]) for t in traces])
    bright = [_brightness(residual, variance, good, t) for t in traces]
    order = np.argsort(bright)[::-1]
    found = _in_order(
        [residual] * len(traces),
        variance,
        [good & (away[k] <= away.min(axis=0)) for k in range(len(traces))],
        traces,
        order,
    )
    shapes = [p.values(t, residual.shape[1]) for p, t in zip(found, traces, strict=True)]
    fluxes, _ = solve_rows(residual, variance, good, shapes)
    everything = image_of(fluxes, shapes)
    alone = [residual - everything + f[:, None] * s for f, s in zip(fluxes, shapes, strict=True)]
    return tuple(_in_order(alone, variance, [good] * len(traces), traces, order))


def _in_order(
    residuals: Sequence[NDArray[np.float64]],
    variance: NDArray[np.float64],
    goods: Sequence[NDArray[np.bool_]],
    traces: Sequence[Trace],
    order: NDArray[np.int64],
) -> list[Profile]:
    first = int(order[0])
    brightest = fit_profile(residuals[first], variance, goods[first], traces[first])
    expected = Expectation(profile=brightest, width_spread=0.1, slope_spread=0.03, beta_spread=0.3)
    return [
        brightest
        if k == first
        else fit_profile(residuals[k], variance, goods[k], traces[k], expected)
        for k in range(len(traces))
    ]


def _brightness(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
) -> float:
    near = good & (np.abs(np.arange(residual.shape[1]) - trace.columns[:, None]) < trace.fwhm_px)
    return float(residual[near].sum() / np.sqrt(max(float(variance[near].sum()), 1e-9)))


@dataclass(frozen=True, slots=True)
class _Stack:
    """Mean signal at distances from the trace, in one zone of rows at mean coordinate u."""

    u: float
    distance: Vector
    value: Vector
    error: Vector


def _stacks(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
    profile: Profile,
) -> list[_Stack]:
    """Stack three zones of rows along the trace, rows weighted by their signal over noise."""
    distance = np.arange(residual.shape[1])[None, :] - trace.columns[:, None]
    near = good & (np.abs(distance) < profile.fwhm_px)
    level = np.where(near, residual, 0).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
    noise = np.where(near, variance, 0).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
    weight = np.maximum(smoothed(level), 0) / np.maximum(noise, 1e-6)
    weight = np.where(near.any(axis=1), weight, 0)
    weight += 1e-3 * weight.max() + 1e-12
    u = row_coordinate(residual.shape[0])
    keep = good & (np.abs(distance) < 4 * profile.fwhm_px)
    step = profile.fwhm_px / 12
    found = []
    for zone in np.array_split(np.arange(residual.shape[0]), 3):
        inside = keep[zone]
        spread = np.broadcast_to(weight[zone][:, None], inside.shape)[inside]
        where = distance[zone][inside]
        bins = np.floor((where + 4 * profile.fwhm_px) / step).astype(int)
        total = np.bincount(bins, weights=spread)
        filled = total > 0
        if filled.sum() < 8:
            continue
        total = total[filled]

        def mean(
            values: NDArray[np.float64], power: int = 1, *, bins: NDArray[np.int64] = bins,
            spread: Vector = spread, filled: NDArray[np.bool_] = filled,
        ) -> Vector:  # fmt: skip
            return np.asarray(np.bincount(bins, weights=spread**power * values)[filled])

        value = mean(residual[zone][inside]) / total
        own = np.maximum(value, 0) * mean(np.ones(bins.size), 2)
        error = np.sqrt(mean(variance[zone][inside], 2) + own) / total
        middle = float(np.average(u[zone], weights=weight[zone]))
        found.append(_Stack(middle, mean(where) / total, value, error))
    return found


def _fit_moffat(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
    expected: Expectation,
) -> Profile:
    """Return the most probable Moffat; each zone's amplitude follows by linear least squares."""
    guess = expected.profile
    stacks = _stacks(residual, variance, good, trace, guess)
    if not stacks:
        return replace(guess, offset_px=0.0)
    errors = [np.hypot(s.error, MOFFAT_TOLERANCE * max(s.value.max(), 0)) for s in stacks]

    def deviation(p: NDArray[np.float64]) -> NDArray[np.float64]:
        width, slope, beta, offset = guess.fwhm_px * np.exp(p[0]), p[1], float(p[2]), p[3]
        parts = [
            np.array(
                [
                    p[0] / expected.width_spread,
                    (slope - guess.slope) / expected.slope_spread,
                    (beta - guess.beta) / expected.beta_spread,
                    (offset - guess.offset_px) / (0.1 * guess.fwhm_px),
                ]
            )
        ]
        for stack, error in zip(stacks, errors, strict=True):
            core = moffat_core(np.array(max(width * (1 + slope * stack.u), 1.0)), beta)
            line = pixel_moffat(stack.distance - offset, core, beta) / error
            scale = max(float(line @ (stack.value / error)) / float(line @ line), 0.0)
            parts.append(stack.value / error - scale * line)
        return np.concatenate(parts)

    result = optimize.least_squares(
        deviation,
        np.array([0.0, guess.slope, guess.beta, guess.offset_px]),
        bounds=([-0.9, -0.4, 1.6, -guess.fwhm_px], [0.9, 0.4, 8.0, guess.fwhm_px]),
        x_scale=np.array([0.1, 0.1, 0.5, 0.3]),
    )
    width, slope, beta, offset = result.x
    return Profile(
        beta=float(beta),
        fwhm_px=float(guess.fwhm_px * np.exp(width)),
        slope=float(slope),
        offset_px=float(offset),
        correction=guess.correction,
    )


def _correct(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
    profile: Profile,
) -> Profile:
    """Add the correction of the Moffat that the pixels ask for against their noise."""
    index = profile.window(trace)
    clipped = np.clip(index, 0, residual.shape[1] - 1)
    distance = index - trace.columns[:, None]
    scaled = profile.scaled(trace, distance)
    ok = np.take_along_axis(good, clipped, 1) & (index == clipped)
    ok &= (scaled >= KNOTS[0]) & (scaled < KNOTS[-1])
    data = np.take_along_axis(residual, clipped, 1)
    empty = np.take_along_axis(variance, clipped, 1)
    moffat = profile.moffat(trace, distance)
    spline = csr_array(BSpline.design_matrix(scaled.ravel().clip(KNOTS[0], KNOTS[-1]), KNOTS, 3))
    prior, start = _lack(profile)
    flux = np.zeros((residual.shape[0], 1))
    for _ in range(3):
        _, line = profile.along(trace)
        noise = empty + np.maximum(flux * line, 0)
        weight = np.where(ok, 1 / noise, 0)
        light = (weight * line * data).sum(axis=1)
        flux = smoothed(light / np.maximum((weight * line**2).sum(axis=1), 1e-12))[:, None]
        # Cosmic rays that are not masked yet, with room for what the profile still lacks.
        off = np.abs(data - flux * line)
        kept = off < 6 * np.sqrt(noise) + np.abs(flux) * (LACK * line + 0.02 * line.max())
        solved = _solve(spline, weight * kept, flux, data - flux * moffat, prior, start)
        profile = replace(profile, correction=solved)
    return profile


def _lack(profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the spread of every coefficient and its expected value, (terms, splines)."""
    splines = KNOTS.size - 4
    centres = np.array([KNOTS[k + 1 : k + 4].mean() for k in range(splines)])
    core = moffat_core(np.array(profile.fwhm_px), profile.beta)
    line = pixel_moffat(centres * profile.fwhm_px - profile.offset_px, core, profile.beta)
    reach = np.arange(-4 * profile.fwhm_px, 4 * profile.fwhm_px)
    total = pixel_moffat(reach, core, profile.beta).sum()
    spread = (LACK * line + AUREOLE * line.max() / (1 + centres**2)) / total
    start = profile.correction if profile.correction is not None else np.zeros((1, 1))
    terms = np.array([1.0, 0.5, 0.3])[: ROW_DEGREE + 1, None]
    return terms * spread, np.broadcast_to(start, (ROW_DEGREE + 1, splines))


def _solve(
    spline: csr_array,
    weight: NDArray[np.float64],
    flux: NDArray[np.float64],
    lacking: NDArray[np.float64],
    spread: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve for the correction, each coefficient drawn to `start` within its spread."""
    terms, splines = spread.shape
    rows = row_coordinate(weight.shape[0])
    along = [legendre.legval(rows, np.eye(terms)[k])[:, None] for k in range(terms)]
    normal = np.zeros((terms, splines, terms, splines))
    right = np.zeros((terms, splines))
    for i in range(terms):
        right[i] = spline.T @ (weight * flux * along[i] * lacking).ravel()
        for j in range(i + 1):
            scale = (weight * flux**2 * along[i] * along[j]).ravel()
            block = (spline.T @ (diags_array(scale) @ spline)).toarray()
            normal[i, :, j] = block
            normal[j, :, i] = block.T
    size = terms * splines
    matrix = normal.reshape(size, size) + np.diag(1 / spread.ravel() ** 2)
    vector = right.ravel() + (start / spread**2).ravel()
    return np.asarray(np.linalg.solve(matrix, vector).reshape(terms, splines))
