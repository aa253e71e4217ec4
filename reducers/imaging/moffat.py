"""The Moffat profile, integrated over pixels, for many stars at once (Moffat 1969, A&A 3, 455)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Profile = NDArray[np.float64]

#: Places of 3 x 3 sub-samples within a pixel.
SUBSAMPLES = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True, slots=True)
class Slopes:
    """A profile of unit flux and its derivatives with respect to every parameter.

    Attributes
    ----------
    value, x, y, ln_fwhm, beta, e1, e2 : arrays of one shape
        `x` and `y` are derivatives by the place of the star.
    """

    value: Profile
    x: Profile
    y: Profile
    ln_fwhm: Profile
    beta: Profile
    e1: Profile
    e2: Profile


def moffat(
    dx: Any, dy: Any, fwhm_px: Any, beta: float, e1: Any = 0.0, e2: Any = 0.0
) -> NDArray[np.float64]:
    """Return the light per pixel of a star of unit flux.

    Parameters
    ----------
    dx, dy
        Distance of the pixels' centres from the star; any shapes that broadcast.
    fwhm_px, beta
        Width and power of the profile.
    e1, e2
        Elongation along x and along the diagonal: the long axis points to
        atan2(e2, e1)/2, the axis ratio is sqrt((1-e)/(1+e)), e = hypot(e1, e2) < 1.

    Returns
    -------
    array
        Mean over 3 x 3 sub-samples of each pixel.
    """
    alpha_2 = alpha_squared(fwhm_px, beta)
    total: Any = 0.0
    for sub_y in SUBSAMPLES:
        row = dy + sub_y
        for sub_x in SUBSAMPLES:
            column = dx + sub_x
            squared = column**2 * (1 - e1) + row**2 * (1 + e1) - 2 * e2 * column * row
            total = total + np.exp(-beta * np.log(1 + squared / alpha_2))
    return np.asarray(_norm(alpha_2, beta, e1, e2) * total / 9)


def moffat_slopes(dx: Any, dy: Any, fwhm_px: Any, beta: float, e1: Any, e2: Any) -> Slopes:
    """Return the same profile with its derivatives; arguments as of `moffat`."""
    alpha_2 = alpha_squared(fwhm_px, beta)
    # Single precision stays single: these sums are most of the time of a fit.
    precision = np.result_type(dx, dy)
    shape = np.broadcast_shapes(np.shape(dx), np.shape(dy))
    sums = [np.zeros(shape, precision) for _ in range(7)]
    for sub_y in SUBSAMPLES:
        row = dy + sub_y
        for sub_x in SUBSAMPLES:
            column = dx + sub_x
            base = 1 + (column**2 * (1 - e1) + row**2 * (1 + e1) - 2 * e2 * column * row) / alpha_2
            logarithm = np.log(base)
            light = np.exp(-beta * logarithm)
            steep = light / base
            sums[0] += light
            sums[1] += light * logarithm
            for index, term in enumerate((column, row, column**2, row**2, column * row), 2):
                sums[index] += steep * term
    light, logarithmic, sx, sy, sxx, syy, sxy = sums
    norm = _norm(alpha_2, beta, e1, e2) / 9
    value = norm * light
    steepness = beta * norm / alpha_2
    spread = sxx * (1 - e1) + syy * (1 + e1) - 2 * e2 * sxy
    by_ln_alpha = 2 * steepness * spread - 2 * value
    root = 2 ** (1 / beta)
    ln_alpha_by_beta = root * math.log(2) / (2 * beta**2 * (root - 1))
    area = 1 - e1**2 - e2**2
    return Slopes(
        value=value,
        x=2 * steepness * (sx * (1 - e1) - e2 * sy),
        y=2 * steepness * (sy * (1 + e1) - e2 * sx),
        ln_fwhm=by_ln_alpha,
        beta=value / (beta - 1) - norm * logarithmic + by_ln_alpha * ln_alpha_by_beta,
        e1=steepness * (sxx - syy) - value * e1 / area,
        e2=2 * steepness * sxy - value * e2 / area,
    )


def alpha_squared(fwhm_px: Any, beta: float) -> Any:
    """Return the square of the profile's scale."""
    return (fwhm_px / 2) ** 2 / (2 ** (1 / beta) - 1)


def _norm(alpha_2: Any, beta: float, e1: Any, e2: Any) -> Any:
    """Return the brightness at the centre for unit flux."""
    return (beta - 1) / math.pi * np.sqrt(1 - e1**2 - e2**2) / alpha_2


def elongation(e1: Any, e2: Any) -> tuple[Any, Any]:
    """Return ellipticity 1 - b/a and the angle of the long axis (rad, from x to y)."""
    e = np.minimum(np.hypot(e1, e2), 0.99)
    return 1 - np.sqrt((1 - e) / (1 + e)), np.arctan2(e2, e1) / 2
