"""What a Moffat lacks: a smooth correction fitted to all pixels of one or more objects.

In the manner of Horne (1986, PASP 98, 609, section III), Marsh (1989, PASP 101, 1032) and of
effective point-spread functions, but drawn towards nothing where the signal does not ask for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from scipy.interpolate import BSpline
from scipy.sparse import csr_array, diags_array

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
    splines = [_spline_basis(each) for each in scaled]
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
        design = sum(
            diags_array(np.repeat(flux, data.shape[1])) @ spline
            for flux, spline in zip(fluxes, splines, strict=True)
        )
        lacking = data - image_of(fluxes, moffats)
        solved = _solve(csr_array(design), weight, lacking, spread, start)
        profiles = [replace(p, correction=solved) for p in profiles]
    return list(profiles)


def _spline_basis(scaled: NDArray[np.float64]) -> csr_array:
    """Return the correction's splines at every pixel, none beyond the reach."""
    inside = (scaled >= KNOTS[0]) & (scaled < KNOTS[-1])
    basis = BSpline.design_matrix(scaled.ravel().clip(KNOTS[0], KNOTS[-1] - 1e-9), KNOTS, 3)
    return csr_array(diags_array(inside.ravel().astype(float)) @ csr_array(basis))


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
    design: csr_array,
    weight: NDArray[np.float64],
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
        right[i] = design.T @ (weight * along[i] * lacking).ravel()
        for j in range(i + 1):
            scale = (weight * along[i] * along[j]).ravel()
            block = (design.T @ (diags_array(scale) @ design)).toarray()
            normal[i, :, j] = block
            normal[j, :, i] = block.T
    size = terms * splines
    matrix = normal.reshape(size, size) + np.diag(1 / spread.ravel() ** 2)
    vector = right.ravel() + (start / spread**2).ravel()
    return np.asarray(np.linalg.solve(matrix, vector).reshape(terms, splines))
