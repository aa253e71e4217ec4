"""Measure the shape of objects along the slit, as finely as their signal allows.

Every parameter has an expected value and a spread: a faint object gets the expected shape,
a bright one its own, and nothing switches in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from reducers.frame import Vector
from reducers.spectroscopy.extract import smoothed, solve_rows
from reducers.spectroscopy.shape import Profile, moffat_core, pixel_moffat, row_coordinate
from reducers.spectroscopy.shape_correction import correct_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from reducers.spectroscopy.trace import Planes, Trace

#: Moffat exponent of ordinary seeing and its spread from night to night.
TYPICAL_BETA, BETA_SPREAD = 3.0, 0.7
#: A Moffat is not asked to fit better than this share of its peak; the correction does.
MOFFAT_TOLERANCE = 0.005

#: Objects closer than this mingle: their shapes are fitted as one.
BLENDED_FWHM = 4.0


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
    return _fit_blend((residual, variance, good), [trace], expected)[0]


def fit_profiles(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    traces: Sequence[Trace],
) -> tuple[Profile, ...]:
    """Fit the profiles of all objects on a slit, the brightest first.

    The seeing is common: objects that blend share one shape, and the brightest tells what
    fainter ones should look like. The light of other blends is first kept out by distance,
    then subtracted.

    Parameters
    ----------
    residual, variance, good : (ny, nx)
        As for `fit_profile`, with every object's light.
    """
    order = np.argsort([-_brightness(residual, variance, good, t) for t in traces])
    blends = _blends([int(k) for k in order], traces)
    columns = np.arange(residual.shape[1])[None, :]
    away = [
        np.min([np.abs(columns - traces[k].columns[:, None]) for k in blend], axis=0)
        for blend in blends
    ]
    found: dict[int, Profile] = {}
    for first in (True, False) if len(blends) > 1 else (True,):
        light_of = {} if first else _light_of_each((residual, variance, good), traces, found)
        expected = None
        for n, blend in enumerate(blends):
            light, apart = residual, good
            if first and len(blends) > 1:
                apart = good & (away[n] <= 0.5 * np.min(away[:n] + away[n + 1 :], axis=0))
            elif not first:
                light = residual - sum(light_of[k] for k in found if k not in blend)
            members = [traces[k] for k in blend]
            fitted = _fit_blend((light, variance, apart), members, expected)
            found |= dict(zip(blend, fitted, strict=True))
            expected = expected or Expectation(
                profile=fitted[0], width_spread=0.1, slope_spread=0.03, beta_spread=0.3
            )
    return tuple(found[k] for k in range(len(traces)))


def _blends(order: Sequence[int], traces: Sequence[Trace]) -> list[list[int]]:
    """Group the objects whose wings mingle, brightest first."""
    blends: list[list[int]] = []
    for k in order:
        near = [
            blend
            for blend in blends
            if any(
                np.abs(traces[k].columns - traces[j].columns).min()
                < BLENDED_FWHM * traces[j].fwhm_px
                for j in blend
            )
        ]
        blends = [blend for blend in blends if blend not in near]
        blends.append([*(j for blend in near for j in blend), k])
    return sorted(blends, key=lambda blend: list(order).index(blend[0]))


def _light_of_each(
    planes: Planes, traces: Sequence[Trace], profiles: Mapping[int, Profile]
) -> dict[int, NDArray[np.float64]]:
    """Return the image of every object, all solved for together."""
    shapes = [profiles[k].values(t, planes[0].shape[1]) for k, t in enumerate(traces)]
    fluxes, _ = solve_rows(*planes, shapes)
    return {k: fluxes[k][:, None] * shape for k, shape in enumerate(shapes)}


def _brightness(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
) -> float:
    near = good & (np.abs(np.arange(residual.shape[1]) - trace.columns[:, None]) < trace.fwhm_px)
    return float(residual[near].sum() / np.sqrt(max(float(variance[near].sum()), 1e-9)))


def _fit_blend(
    planes: Planes, traces: Sequence[Trace], expected: Expectation | None
) -> list[Profile]:
    """Fit one shape, each object at its own place, the brightest first."""
    if expected is None:
        guess = Profile(beta=TYPICAL_BETA, fwhm_px=max(traces[0].fwhm_px, 1.5), slope=0.0)
        expected = Expectation(profile=guess)
    return correct_shape(planes, traces, _fit_moffats(planes, traces, expected))


@dataclass(frozen=True, slots=True)
class Stack:
    """Mean signal at distances from the first trace, in one zone of rows at coordinate u.

    `gaps` are the distances of all traces from the first.
    """

    u: float
    gaps: Vector
    distance: Vector
    value: Vector
    error: Vector


def stacks_of(planes: Planes, traces: Sequence[Trace], fwhm_px: float) -> list[Stack]:
    """Stack three zones of rows along the trace, rows weighted by their signal over noise."""
    residual, variance, good = planes
    distance = np.arange(residual.shape[1])[None, :] - traces[0].columns[:, None]
    gaps = np.array([t.columns - traces[0].columns for t in traces])
    weight = _row_weights(planes, np.abs(distance) < fwhm_px)
    u = row_coordinate(residual.shape[0])
    low, high = float(gaps.min()) - 4 * fwhm_px, float(gaps.max()) + 4 * fwhm_px
    keep = good & (distance > low) & (distance < high)
    found = []
    for zone in np.array_split(np.arange(residual.shape[0]), 3):
        inside = keep[zone]
        spread = np.broadcast_to(weight[zone][:, None], inside.shape)[inside]
        where = distance[zone][inside]
        bins = np.floor((where - low) / (fwhm_px / 12)).astype(int)
        total = np.bincount(bins, weights=spread)
        filled = total > 0
        if filled.sum() < 8:
            continue

        def gathered(
            values: Vector, bins: NDArray[np.int64] = bins, filled: NDArray[np.bool_] = filled
        ) -> Vector:
            return np.asarray(np.bincount(bins, weights=values)[filled])

        total = total[filled]
        value = gathered(spread * residual[zone][inside]) / total
        own = np.maximum(value, 0) * gathered(spread**2)
        error = np.sqrt(gathered(spread**2 * variance[zone][inside]) + own) / total
        middle = float(np.average(u[zone], weights=weight[zone]))
        found.append(
            Stack(
                middle, gaps[:, zone].mean(axis=1), gathered(spread * where) / total, value, error
            )
        )
    return found


def _row_weights(planes: Planes, near: NDArray[np.bool_]) -> Vector:
    residual, variance, good = planes
    use = near & good
    many = np.maximum(use.sum(axis=1), 1)
    level = np.where(use, residual, 0).sum(axis=1) / many
    noise = np.where(use, variance, 0).sum(axis=1) / many
    weight = np.maximum(smoothed(level), 0) / np.maximum(noise, 1e-6)
    weight = np.where(use.any(axis=1), weight, 0)
    return np.asarray(weight + 1e-3 * weight.max() + 1e-12)


def _fit_moffats(planes: Planes, traces: Sequence[Trace], expected: Expectation) -> list[Profile]:
    """Return the most probable Moffats; amplitudes follow by linear least squares."""
    guess = expected.profile
    stacks = stacks_of(planes, traces, guess.fwhm_px)
    if not stacks:
        return [replace(guess, offset_px=0.0)] * len(traces)
    errors = [np.hypot(s.error, MOFFAT_TOLERANCE * max(s.value.max(), 0)) for s in stacks]

    def deviation(p: NDArray[np.float64]) -> NDArray[np.float64]:
        width, slope, beta, offsets = guess.fwhm_px * np.exp(p[0]), p[1], float(p[2]), p[3:]
        known = [
            p[0] / expected.width_spread,
            (slope - guess.slope) / expected.slope_spread,
            (beta - guess.beta) / expected.beta_spread,
        ]
        parts = [np.array(known), (offsets - guess.offset_px) / (0.1 * guess.fwhm_px)]
        for stack, error in zip(stacks, errors, strict=True):
            core = moffat_core(np.array(max(width * (1 + slope * stack.u), 1.0)), beta)
            away = stack.distance[:, None] - stack.gaps - offsets
            lines = pixel_moffat(away, core, beta) / error[:, None]
            ridge = 1e-6 * np.trace(lines.T @ lines) * np.eye(len(traces))
            light = np.linalg.solve(lines.T @ lines + ridge, lines.T @ (stack.value / error))
            parts.append(stack.value / error - lines @ np.maximum(light, 0))
        return np.concatenate(parts)

    result = optimize.least_squares(
        deviation,
        np.array([0.0, guess.slope, guess.beta, *[guess.offset_px] * len(traces)]),
        bounds=(
            [-0.9, -0.4, 1.6, *[-guess.fwhm_px] * len(traces)],
            [0.9, 0.4, 8.0, *[guess.fwhm_px] * len(traces)],
        ),
        x_scale=np.array([0.1, 0.1, 0.5, *[0.3] * len(traces)]),
    )
    width, slope, beta = result.x[:3]
    shared = replace(
        guess, beta=float(beta), fwhm_px=float(guess.fwhm_px * np.exp(width)), slope=float(slope)
    )
    return [replace(shared, offset_px=float(offset)) for offset in result.x[3:]]
