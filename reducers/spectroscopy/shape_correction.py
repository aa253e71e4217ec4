"""What a Moffat lacks: a smooth correction fitted to all pixels of one or more objects.

In the manner of Horne (1986, PASP 98, 609, section III), Marsh (1989, PASP 101, 1032) and of
effective point-spread functions, but drawn towards nothing where the signal does not ask for it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.interpolate import BSpline

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

    from reducers.spectroscopy.trace import Planes, Trace

#: What a Moffat may lack: a share of itself, and of its peak an aureole that falls with the
#: square of the distance (King 1971, PASP 83, 199).
LACK, AUREOLE = 0.15, 0.02


def correct_shape(
    planes: Planes, traces: Sequence[Trace], profiles: Sequence[Profile]
) -> list[Profile]:
    """Add the correction of the Moffat that the pixels ask for against their noise."""
    windows = [p.window(t) for p, t in zip(profiles, traces, strict=True)]
    first = max(min(int(w.min()) for w in windows), 0)
    last = min(max(int(w.max()) for w in windows) + 1, planes[0].shape[1])
    if last - first < 3:  # beside the image
        return list(profiles)
    data, empty = planes[0][:, first:last], planes[1][:, first:last]
    columns = np.arange(first, last)[None, :]
    scaled = [
        p.scaled(t, columns - t.columns[:, None]) for p, t in zip(profiles, traces, strict=True)
    ]
    ok = planes[2][:, first:last] & (np.min(np.abs(scaled), axis=0) < KNOTS[-1])
    bases = [_spline_basis(each) for each in scaled]
    spread, start = _lack(profiles[0])
    plain = [replace(p, correction=None) for p in profiles]
    moffats = [
        p.values(t, planes[0].shape[1])[:, first:last] for p, t in zip(plain, traces, strict=True)
    ]
    light, kept = np.zeros_like(data), ok
    for _ in range(3):
        lines = [
            p.values(t, planes[0].shape[1])[:, first:last]
            for p, t in zip(profiles, traces, strict=True)
        ]
        noise = empty + np.maximum(light, 0)
        # Emission lines keep their own flux: their wings would else be taken for the profile's.
        fluxes, errors = solve_rows(data, noise, kept, lines)
        fluxes = [smoothed(flux, np.sqrt(errors[:, k, k])) for k, flux in enumerate(fluxes)]
        light = image_of(fluxes, lines)
        # Cosmic rays that are not masked yet, with room for what the profile still lacks.
        room = LACK * np.abs(light) + 0.02 * np.abs(light).max(axis=1, keepdims=True)
        kept = ok & (np.abs(data - light) < 6 * np.sqrt(noise) + room)
        weight = np.where(kept, 1 / noise, 0)
        lacking = data - image_of(fluxes, moffats)
        solved = _solve(bases, fluxes, weight, lacking, spread, start)
        profiles = [replace(p, correction=solved) for p in profiles]
    return list(profiles)


@dataclass(frozen=True, slots=True)
class _Basis:
    """The correction's splines at every pixel: the first of four and their values, zero outside."""

    first: NDArray[np.int64]
    values: NDArray[np.float64]


def _spline_basis(scaled: NDArray[np.float64]) -> _Basis:
    inside = (scaled >= KNOTS[0]) & (scaled < KNOTS[-1])
    basis = BSpline.design_matrix(scaled.ravel().clip(KNOTS[0], KNOTS[-1] - 1e-9), KNOTS, 3)
    values = basis.data.reshape(-1, 4) * inside.reshape(-1, 1)
    return _Basis(basis.indices.reshape(-1, 4)[:, 0].astype(np.int64), values)


def _lack(profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the spread of every coefficient and its expected value, (terms, splines)."""
    splines = KNOTS.size - 4
    centres = np.array([KNOTS[k + 1 : k + 4].mean() for k in range(splines)])
    core = moffat_core(np.array(profile.fwhm_px), profile.beta)
    line = pixel_moffat(centres * profile.fwhm_px, core, profile.beta)
    reach = np.arange(-4 * profile.fwhm_px, 4 * profile.fwhm_px)
    total = pixel_moffat(reach, core, profile.beta).sum()
    spread = (LACK * line + AUREOLE * line.max() / (1 + centres**2)) / total
    start = profile.correction if profile.correction is not None else np.zeros((1, 1))
    terms = np.array([1.0, 0.5, 0.3])[: ROW_DEGREE + 1, None]
    return terms * spread, np.broadcast_to(start, (ROW_DEGREE + 1, splines))


def _solve(
    bases: Sequence[_Basis],
    fluxes: Sequence[NDArray[np.float64]],
    weight: NDArray[np.float64],
    lacking: NDArray[np.float64],
    spread: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve for the correction, each coefficient drawn to `start` within its spread."""
    terms, splines = spread.shape
    rows = row_coordinate(weight.shape[0])
    along = np.array([legendre.legval(rows, np.eye(terms)[k]) for k in range(terms)])
    both = (along[:, None] * along[None, :]).reshape(terms**2, -1)
    normal = np.zeros((terms**2, splines, splines))
    right = np.zeros((terms, splines))
    for n, (one, flux) in enumerate(zip(bases, fluxes, strict=True)):
        right += _vector(one, flux[:, None] * weight * lacking, along, splines)
        for other, its in zip(bases[: n + 1], fluxes[: n + 1], strict=True):
            part = _matrix(one, other, (flux * its)[:, None] * weight, both, splines)
            normal += part if other is one else part + part.swapaxes(1, 2)
    size = terms * splines
    matrix = normal.reshape(terms, terms, splines, splines).swapaxes(1, 2).reshape(size, size)
    vector = right.ravel() + (start / spread**2).ravel()
    solved = np.linalg.solve(matrix + np.diag(1 / spread.ravel() ** 2), vector)
    return np.asarray(solved.reshape(terms, splines))


def _vector(
    one: _Basis, image: NDArray[np.float64], along: NDArray[np.float64], splines: int
) -> NDArray[np.float64]:
    """Sum an image times every spline, and times every function along the rows."""
    reach = splines - 3
    found = np.zeros((len(along), splines))
    for p in range(4):
        part = image.ravel() * one.values[:, p]
        found[:, p : p + reach] += _summed(part, one.first, reach, along)
    return found


def _matrix(
    one: _Basis,
    other: _Basis,
    image: NDArray[np.float64],
    along: NDArray[np.float64],
    splines: int,
) -> NDArray[np.float64]:
    """Sum an image times every pair of splines, and times every function along the rows."""
    reach = splines - 3
    first = np.arange(reach)
    found = np.zeros((len(along), splines, splines))
    for p, q in itertools.product(range(4), repeat=2):
        part = image.ravel() * one.values[:, p] * other.values[:, q]
        if other is one:
            if q <= p:
                sums = _summed(part, one.first, reach, along)
                found[:, first + p, first + q] += sums
                found[:, first + q, first + p] += sums if q < p else 0
        else:
            sums = _summed(part, one.first * reach + other.first, reach**2, along)
            found[:, p : p + reach, q : q + reach] += sums.reshape(-1, reach, reach)
    return found


def _summed(
    part: NDArray[np.float64], key: NDArray[np.int64], keys: int, along: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum pixels by key, in every row first: there are far fewer keys than pixels."""
    rows = along.shape[1]
    row = np.repeat(np.arange(rows), part.size // rows)
    sums = np.bincount(row * keys + key, weights=part, minlength=rows * keys)
    return np.asarray(along @ sums.reshape(rows, keys))
