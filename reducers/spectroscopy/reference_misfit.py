"""How badly a standard's counts agree with its published magnitudes, lines included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

from reducers.spectroscopy.bands import in_telluric
from reducers.spectroscopy.reference import reference_wavelengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.instrument import Standard

#: Fewer bands than this say nothing.
LEAST_BANDS = 12
#: Of the smooth response that is taken out.
DEGREE = 7
#: Bluer bands (vacuum Angstrom) tell of the atmosphere rather than of wavelengths.
_BLUEST = 3750.0


def reference_misfit(
    wavelength: Vector, counts: Vector, good: NDArray[np.bool_], standard: Standard
) -> float:
    """Return the rms (mag) of a standard's bands about a smooth response; NaN where too few count.

    Nothing is left out but the bands of the air: with wrong wavelengths the flanks of the star's
    own lines stand off on either side.

    Parameters
    ----------
    wavelength, counts, good : (n,)
        Vacuum Angstrom, in any order; electrons per pixel.
    """
    order = np.argsort(wavelength)
    w, usable = wavelength[order], good[order]
    rate = counts[order] / np.gradient(w)
    pixel = float(np.median(np.diff(w)))
    centres = reference_wavelengths(standard)
    where, zero = [], []
    for centre, magnitude, band in zip(
        centres, standard.ab_magnitude, standard.bandpass_angstrom, strict=True
    ):
        inside = np.abs(w - centre) <= max(band, 3 * pixel) / 2
        if centre < _BLUEST or inside.sum() < 2 or not usable[inside].all():
            continue
        mean = float(rate[inside].mean())
        if mean > 0 and not in_telluric(w[inside], 10.0).any():
            where.append(float(centre))
            zero.append(magnitude + 2.5 * math.log10(mean))
    if len(where) < LEAST_BANDS:
        return math.nan
    scaled = 2 * (np.array(where) - where[0]) / (where[-1] - where[0]) - 1
    fit = legendre.legfit(scaled, zero, min(DEGREE, len(where) // 3))
    return float(np.std(np.array(zero) - legendre.legval(scaled, fit)))
