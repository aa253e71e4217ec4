"""Second moments of sources, against those of the stars around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

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
#: Where more of the weight is lost, masked on both sides of the centre, no shape is known.
_MOST_LOST = 0.1


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
        How much more oblong than the stars of this image, in errors; NaN where too few pixels
        about the source are seen.
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
    a, b, theta, seen = _moments(image, chosen)
    ratio = b / a
    if len(stars) >= 3:
        star_a, star_b, *_ = _moments(image, stars)
        ratios = star_b / star_a
        usual = float(np.nanmedian(ratios))
        scatter = max(1.4826 * float(np.nanmedian(np.abs(ratios - usual))), _LEAST_SCATTER)
    else:
        usual, scatter = 0.9, 0.1
    # Photon noise of an ellipticity is about 2 over signal to noise.
    error = np.hypot(scatter, 2 / np.maximum(sources.snr[chosen], 1))
    return Moments(
        a_px=a, b_px=b, theta_deg=theta, axis_ratio=ratio,
        elongation_sigma=np.where(seen, (usual - ratio) / error, np.nan),
    )  # fmt: skip


def _moments(
    image: SearchImage, chosen: NDArray[np.intp]
) -> tuple[Vector, Vector, Vector, NDArray[np.bool_]]:
    """Return axes, angle, and whether enough of a source is seen to tell them."""
    fwhm = max(image.fwhm_px, 1.5)
    half = int(np.ceil(_REACH_FWHM * fwhm)) + 1
    x, y = image.sources.x_px[chosen], image.sources.y_px[chosen]
    steps = np.arange(-half, half + 1)
    column = np.clip(np.rint(x)[:, None] + steps, 0, image.shape[1] - 1).astype(int)
    row = np.clip(np.rint(y)[:, None] + steps, 0, image.shape[0] - 1).astype(int)
    light = image.light[row[:, :, None], column[:, None, :]].astype(float)
    masked = (image.mask[row[:, :, None], column[:, None, :]] & np.uint16(UNUSABLE)) != 0
    light, masked = _mirrored(light, masked, x - column[:, 0], y - row[:, 0])
    dx = (column - x[:, None])[:, None, :]
    dy = (row - y[:, None])[:, :, None]
    sigma = _WEIGHT * fwhm / 2.3548
    weight = np.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    weight = weight * (dx**2 + dy**2 <= (_REACH_FWHM * fwhm) ** 2)
    whole = weight.sum(axis=(1, 2))
    weight = weight * ~masked
    seen = weight.sum(axis=(1, 2)) >= (1 - _MOST_LOST) * whole
    light = light * weight
    with np.errstate(invalid="ignore", divide="ignore"):
        total = light.sum(axis=(1, 2))
        xx = (light * dx**2).sum(axis=(1, 2)) / total
        yy = (light * dy**2).sum(axis=(1, 2)) / total
        xy = (light * dx * dy).sum(axis=(1, 2)) / total
        return *_axes(xx, yy, xy, sigma**2), seen


def _mirrored(
    light: NDArray[np.float64], masked: NDArray[np.bool_], x: Vector, y: Vector
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return stamps whose masked pixels hold what lies opposite, and those still masked.

    A star is the same on both sides of its centre; a column left out would make it oblong.

    Parameters
    ----------
    x, y : (k,) float64
        Centres in the stamps.
    """
    light, masked = light.copy(), masked.copy()
    for index in np.flatnonzero(masked.any(axis=(1, 2))):
        rows, columns = np.nonzero(masked[index])
        opposite = np.array([2 * y[index] - rows, 2 * x[index] - columns])
        filled = np.where(masked[index], 0.0, light[index])
        value = ndimage.map_coordinates(filled, opposite, order=1, mode="constant")
        hidden = masked[index].astype(float)
        unseen = ndimage.map_coordinates(hidden, opposite, order=1, mode="constant", cval=1.0)
        light[index, rows, columns] = value
        masked[index, rows, columns] = unseen > 0
    return light, masked


def _axes(xx: Vector, yy: Vector, xy: Vector, weight: float) -> tuple[Vector, Vector, Vector]:
    """Return both axes and the angle (deg) of moments, the Gaussian weight taken out."""
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    wide, narrow = mean + half, np.maximum(mean - half, 0.02)
    own = [1 / np.maximum(1 / value - 1 / weight, 0.05) for value in (wide, narrow)]
    theta = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))
    return np.sqrt(own[0]), np.sqrt(own[1]), theta
