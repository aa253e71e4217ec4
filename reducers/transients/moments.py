"""Second moments of sources, against those of the stars around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import UNUSABLE, Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.transients.search_image import SearchImage

#: Stars that tell how round stars are, the brightest below saturation.
_STARS = 60
_STAR_SNR = 30.0
#: The weight is a Gaussian of this many times the width of a star; the light reaches so many.
_WEIGHT, _REACH_FWHM = 1.0, 1.5
#: Stars differ at least by this in axis ratio.
_LEAST_SCATTER = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Shapes, all (k,).

    Attributes
    ----------
    a_px, b_px, theta_deg : float
        Root mean squares along both axes, theta counter-clockwise from x.
    axis_ratio : float
        b / a.
    elongation_sigma : float
        How much more oblong than the stars of this image, in errors.
    """

    a_px: Vector
    b_px: Vector
    theta_deg: Vector
    axis_ratio: Vector
    elongation_sigma: Vector


def measure_moments(image: SearchImage, chosen: NDArray[np.intp]) -> Moments:
    """Return the Gaussian-weighted second moments of sources, the weight taken out again.

    Exact for Gaussian profiles (Kaiser, Squires & Broadhurst 1995, ApJ 449, 460, section 2, has
    the weighting); for others it is the same for all of them.
    """
    sources = image.sources
    bright = np.flatnonzero((sources.snr > _STAR_SNR) & (sources.flags == 0))
    stars = bright[np.argsort(-sources.snr[bright])][:_STARS]
    a, b, theta = _moments(image, chosen)
    ratio = b / a
    if len(stars) >= 3:
        star_a, star_b, _ = _moments(image, stars)
        ratios = star_b / star_a
        usual = float(np.nanmedian(ratios))
        scatter = max(1.4826 * float(np.nanmedian(np.abs(ratios - usual))), _LEAST_SCATTER)
    else:
        usual, scatter = 0.9, 0.1
    # Photon noise of an ellipticity is about 2 over signal to noise.
    error = np.hypot(scatter, 2 / np.maximum(sources.snr[chosen], 1))
    return Moments(
        a_px=a, b_px=b, theta_deg=theta, axis_ratio=ratio, elongation_sigma=(usual - ratio) / error
    )


def _moments(image: SearchImage, chosen: NDArray[np.intp]) -> tuple[Vector, Vector, Vector]:
    fwhm = max(image.fwhm_px, 1.5)
    half = int(np.ceil(_REACH_FWHM * fwhm)) + 1
    x, y = image.sources.x_px[chosen], image.sources.y_px[chosen]
    steps = np.arange(-half, half + 1)
    column = np.clip(np.rint(x)[:, None] + steps, 0, image.shape[1] - 1).astype(int)
    row = np.clip(np.rint(y)[:, None] + steps, 0, image.shape[0] - 1).astype(int)
    light = image.light[row[:, :, None], column[:, None, :]].astype(float)
    masked = (image.mask[row[:, :, None], column[:, None, :]] & np.uint16(UNUSABLE)) != 0
    dx = (column - x[:, None])[:, None, :]
    dy = (row - y[:, None])[:, :, None]
    sigma = _WEIGHT * fwhm / 2.3548
    weight = np.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    weight = weight * (dx**2 + dy**2 <= (_REACH_FWHM * fwhm) ** 2) * ~masked
    light = light * weight
    with np.errstate(invalid="ignore", divide="ignore"):
        total = light.sum(axis=(1, 2))
        xx = (light * dx**2).sum(axis=(1, 2)) / total
        yy = (light * dy**2).sum(axis=(1, 2)) / total
        xy = (light * dx * dy).sum(axis=(1, 2)) / total
        return _axes(xx, yy, xy, sigma**2)


def _axes(xx: Vector, yy: Vector, xy: Vector, weight: float) -> tuple[Vector, Vector, Vector]:
    """Return both axes and the angle (deg) of moments, the Gaussian weight taken out."""
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    wide, narrow = mean + half, np.maximum(mean - half, 0.02)
    own = [1 / np.maximum(1 / value - 1 / weight, 0.05) for value in (wide, narrow)]
    theta = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))
    return np.sqrt(own[0]), np.sqrt(own[1]), theta
