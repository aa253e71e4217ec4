"""By which part of their light stars that have not changed depart from zero in a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.stamps import stamps_around
from reducers.transients.difference.registration import FLUX_FLOOR, Registered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Image

#: Stars asked at most, and how far around them, FWHM.
MOST_STARS, AROUND_FWHM = 150, 1.5
#: Never more than this is blamed on the point spreads.
MOST = 0.2


def light_error(
    flux: Image,
    variance: Image,
    own_light: Image,
    valid: NDArray[np.bool_],
    registered: Registered,
    fwhm_px: float,
) -> float:
    """Return the part of the light that point spreads and flux ratio are wrong by.

    The scatter of the difference over the light, beyond its noise, on the pixels of bright stars;
    variable stars and bad pixels are clipped.

    Parameters
    ----------
    flux, variance, own_light, valid : (ny, nx)
        By the matched filter.
    fwhm_px : float
        Of the image.
    """
    half = max(1, round(AROUND_FWHM * fwhm_px))
    x, y = registered.x[:MOST_STARS], registered.y[:MOST_STARS]
    if len(x) < 3:
        return FLUX_FLOOR
    stamps = stamps_around(x, y, half, flux.shape)
    light = stamps.of(own_light).astype(float)
    usable = stamps.of(valid) & stamps.inside & (light > 0)
    error = np.sqrt(np.maximum(stamps.of(variance), 1e-20)).astype(float)
    told = usable & (light > 30 * error)
    if told.sum() < 20:
        return FLUX_FLOOR
    ratio = (stamps.of(flux)[told] / light[told]).astype(float)
    noise = error[told] / light[told]
    square = FLUX_FLOOR**2
    for _ in range(20):
        total = noise**2 + square
        weight = np.where(ratio**2 < 16 * total, total**-2.0, 0.0)
        excess = float(np.sum(weight * (ratio**2 - noise**2)) / max(np.sum(weight), 1e-30))
        square = max(excess, 0.25 * square, FLUX_FLOOR**2)
    return float(min(np.sqrt(square), MOST))
