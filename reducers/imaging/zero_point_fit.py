"""Pair the stars of an image with catalogue entries and fit the zero point to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reducers.frame import Vector
from reducers.imaging.colour_terms import REFERENCE_COLOUR, Calibrators, Passband
from reducers.imaging.source_flags import NOT_FOR_CALIBRATION

if TYPE_CHECKING:
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.sky_map import Astrometry

#: Fewer stars give no zero point.
FEWEST = 3
#: A star and its entry lie within this, arcsec, or three times their errors, never further apart
#: than the second number.
MATCH_ARCSEC, FURTHEST_ARCSEC = 0.8, 3.0
#: Signal to noise of a star that calibrates.
LEAST_SNR = 15.0
#: Magnitude errors of one star are never thought smaller.
LEAST_ERROR = 0.003
#: Stars further off than this many sigma leave.
CLIP_SIGMA = 3.5


@dataclass(frozen=True, slots=True)
class Matched:
    """Stars on image and catalogue; every field is (n,) long."""

    source: NDArray[np.intp]
    difference: Vector
    error: Vector
    colour: Vector
    colour_error: Vector


@dataclass(frozen=True, slots=True)
class Line:
    """The fit of difference = magnitude + term (colour - reference)."""

    magnitude: float
    error: float
    term: float
    term_error: float
    scatter: float
    residual: Vector
    kept: NDArray[np.bool_]


def match_stars(
    photometry: Photometry, astrometry: Astrometry, known: Calibrators, exposure_s: float
) -> Matched:
    """Pair good stars of the image with entries, each with its nearest, one to one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = photometry.flux / photometry.flux_error
    clean = (photometry.flags & int(NOT_FOR_CALIBRATION)) == 0
    usable = np.flatnonzero(clean & (snr > LEAST_SNR))
    x, y = astrometry.sky_map.pixels(
        known.catalogue.ra_deg[known.index], known.catalogue.dec_deg[known.index]
    )
    inside = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(usable) or not len(inside):
        return Matched(usable[:0], *(np.empty(0) for _ in range(4)))
    scale = astrometry.sky_map.pixel_scale_arcsec
    entries = np.column_stack([x[inside], y[inside]])
    stars = np.column_stack([photometry.x[usable], photometry.y[usable]])
    gap, entry = cKDTree(entries).query(stars)
    back = cKDTree(stars).query(entries)[1]
    error_mas = known.catalogue.position_error_mas[known.index[inside[entry]]]
    reach = np.maximum(MATCH_ARCSEC, 3e-3 * np.nan_to_num(error_mas, nan=300.0)) / scale
    near = gap < np.minimum(reach, FURTHEST_ARCSEC / scale)
    mutual = near & (back[entry] == np.arange(len(stars)))
    source, row = usable[mutual], inside[entry[mutual]]
    flux = photometry.flux[source]
    instrumental = -2.5 * np.log10(flux / exposure_s)
    own = 1.0857 * photometry.flux_error[source] / flux
    return Matched(
        source=source,
        difference=known.magnitude[row] - instrumental,
        error=np.sqrt(known.error[row] ** 2 + own**2 + LEAST_ERROR**2),
        colour=known.colour[row],
        colour_error=known.colour_error[row],
    )


def fit_line(stars: Matched, passband: Passband) -> Line:
    """Fit zero point and colour term, clipping at a scatter that the stars themselves tell.

    The colour term has its expected value as a prior, so that few stars or stars of one colour
    leave it where it was. The scatter beyond the errors is the value for which the weighted
    residuals of the kept stars have chi2 = degrees of freedom.
    """
    colour = stars.colour - REFERENCE_COLOUR
    design = np.column_stack([np.ones_like(colour), colour])
    prior = np.array([0.0, 1 / passband.colour_term_error**2])
    term, scatter = passband.colour_term, 0.0
    level = float(np.median(stars.difference - term * colour))
    kept = np.abs(stars.difference - term * colour - level) < 1.0
    for _ in range(12):
        variance = stars.error**2 + (term * stars.colour_error) ** 2 + scatter**2
        weight = np.where(kept, 1 / variance, 0.0)
        normal = design.T @ (design * weight[:, None]) + np.diag(prior)
        side = design.T @ (stars.difference * weight) + prior * [0.0, passband.colour_term]
        covariance = np.linalg.inv(normal + np.diag([1e-12, 1e-12]))
        level, term = covariance @ side
        residual = stars.difference - design @ np.array([level, term])
        before, scatter = scatter, _scatter_beyond(residual[kept], variance[kept] - scatter**2)
        spread = np.sqrt(stars.error**2 + (term * stars.colour_error) ** 2 + scatter**2)
        now = np.abs(residual) < CLIP_SIGMA * spread
        settled = np.array_equal(now, kept) and abs(scatter - before) < 1e-4
        if now.sum() < FEWEST or settled:
            break
        kept = now
    return Line(
        magnitude=float(level),
        error=float(np.sqrt(covariance[0, 0])),
        term=float(term),
        term_error=float(np.sqrt(covariance[1, 1])),
        scatter=scatter,
        residual=residual,
        kept=kept,
    )


def _scatter_beyond(residual: Vector, variance: Vector) -> float:
    """Return the scatter that brings a robust chi2 of the residuals to one."""
    if len(residual) < FEWEST:
        return 0.0
    # The middle of the distribution: a few outliers must not make room for themselves.
    seen = 1.4826 * np.median(np.abs(residual - np.median(residual)))
    if np.median(np.abs(residual) / np.sqrt(variance)) < 0.6745:
        return 0.0
    low, high = 0.0, float(max(3 * seen, 1e-3))
    for _ in range(30):
        middle = (low + high) / 2
        too_small = np.median(np.abs(residual) / np.sqrt(variance + middle**2)) > 0.6745
        low, high = (middle, high) if too_small else (low, middle)
    # Of n stars the median absolute residual about a fitted level comes out low.
    return float(high * np.sqrt(len(residual) / max(len(residual) - 1, 1)))
