"""How much of a star's light passes the slit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from reducers.frame import Vector

#: Wings of a seeing disc (Moffat 1969, A&A 3, 455); turbulence alone gives 4.8, telescopes less.
MOFFAT_BETA = 3.0
REFERENCE_ANGSTROM = 5500.0


def slit_fraction(
    wavelength: Vector, slit_arcsec: float, seeing_arcsec: float, offset_arcsec: float = 0.0
) -> Vector:
    """Return the share of a star's light that passes the slit.

    Parameters
    ----------
    wavelength : (n,) Angstrom
        The seeing narrows to the red as the power -1/5 (Kolmogorov).
    slit_arcsec, seeing_arcsec
        Width of the slit; FWHM at 5500 A as seen along the slit.
    offset_arcsec
        Of the star from the middle of the slit, across it.

    Notes
    -----
    A Moffat disc summed along the slit is a Student distribution with 2 beta - 2 degrees of
    freedom, so the share is a difference of its distribution function.
    """
    fwhm = seeing_arcsec * (np.asarray(wavelength) / REFERENCE_ANGSTROM) ** -0.2
    freedom = 2 * MOFFAT_BETA - 2
    core = fwhm / 2 / np.sqrt(2 ** (1 / (MOFFAT_BETA - 0.5)) - 1)
    scale = core / np.sqrt(freedom)
    upper = special.stdtr(freedom, (slit_arcsec / 2 - offset_arcsec) / scale)
    lower = special.stdtr(freedom, (-slit_arcsec / 2 - offset_arcsec) / scale)
    return np.asarray(upper - lower)


def slit_loss_mag(slit_arcsec: float, seeing_arcsec: float) -> float:
    """Return what a centred star loses at 5500 A (mag); NaN when a width is not known."""
    if not (slit_arcsec > 0 and seeing_arcsec > 0):
        return float("nan")
    share = slit_fraction(np.array([REFERENCE_ANGSTROM]), slit_arcsec, seeing_arcsec)
    return float(-2.5 * np.log10(share[0]))


def slit_correction(
    wavelength: Vector,
    *,
    standard: tuple[float, float],
    target: tuple[float, float],
) -> Vector:
    """Return the factor on fluxes of a target behind another slit than its standard.

    Parameters
    ----------
    standard, target
        (slit width, seeing) in arcsec. Without one of the numbers the factor is 1.
    """
    if not all(value > 0 for value in (*standard, *target)):
        return np.ones(np.shape(wavelength))
    return slit_fraction(wavelength, *standard) / slit_fraction(wavelength, *target)
