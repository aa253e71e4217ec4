"""Windowed centroids with their photon errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sep

from reducers.frame import Image, Vector
from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Gaussian sigma of a FWHM of one.
SIGMA = 1 / 2.3548


@dataclass(frozen=True, slots=True)
class Centroids:
    """Places of sources, 0-based pixels, and their errors."""

    x: Vector
    y: Vector
    x_error: Vector
    y_error: Vector


def windowed_centroids(
    light: Image, noise: NDArray[Any], x: Vector, y: Vector, fwhm_px: float
) -> Centroids:
    """Return centroids under a Gaussian window of the stars' FWHM.

    Iterated weighting as SExtractor's XWIN_IMAGE and ERRX2WIN_IMAGE (Bertin & Arnouts 1996; the
    manual's section on windowed positions); a source that runs away from its peak by more than
    one FWHM keeps the peak.

    Parameters
    ----------
    light : (ny, nx) float32
        Electrons above the sky.
    noise : (ny, nx)
        Sigma of the sky; the photons of the source are added.
    x, y : (n,) float
        Peaks.
    """
    if not len(x):
        return Centroids(*(np.empty(0) for _ in range(4)))
    sigma = SIGMA * fwhm_px
    found_x, found_y, _ = sep.winpos(light, x, y, sigma, subpix=3)
    away = ~(np.hypot(found_x - x, found_y - y) < max(fwhm_px, 2))
    found_x, found_y = np.where(away, x, found_x), np.where(away, y, found_y)
    half = int(np.ceil(1.7 * fwhm_px))
    stamps = stamps_around(found_x, found_y, half, (light.shape[0], light.shape[1]))
    dx, dy = stamps.offsets(found_x, found_y)
    window = np.exp(-(dx**2 + dy**2) / (2 * sigma**2)) * stamps.inside
    photons = stamps.of(light).astype(float)
    variance = np.minimum(stamps.of(noise).astype(float) ** 2, 1e30) + np.maximum(photons, 0)
    total = np.sum(window * photons, axis=(1, 2))
    squared = window**2 * variance
    with np.errstate(divide="ignore", invalid="ignore"):
        x_error = 2 * np.sqrt(np.sum(squared * dx**2, axis=(1, 2))) / np.abs(total)
        y_error = 2 * np.sqrt(np.sum(squared * dy**2, axis=(1, 2))) / np.abs(total)
    worst = fwhm_px
    return Centroids(
        x=found_x,
        y=found_y,
        x_error=np.where(np.isfinite(x_error), np.minimum(x_error, worst), worst),
        y_error=np.where(np.isfinite(y_error), np.minimum(y_error, worst), worst),
    )
