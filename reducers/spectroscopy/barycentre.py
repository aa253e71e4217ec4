"""Wavelengths as they would be measured at the barycentre of the solar system."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reducers.spectrum import Spectrum

LIGHT_KM_S = 299792.458


def at_barycentre(spectrum: Spectrum, velocity_km_s: float) -> Spectrum:
    """Take the observer's motion out of the wavelengths.

    The flux per Angstrom changes by v/c, at most 1e-4: that is left alone.

    Parameters
    ----------
    velocity_km_s
        Of the telescope towards the target, as seen from the barycentre; it is what has to be
        added to a measured radial velocity (Wright & Eastman 2014, PASP 126, 838, section 2.1,
        to first order in v/c).

    Raises
    ------
    ValueError
        If it is not a velocity that a telescope on Earth can have.
    """
    if not (math.isfinite(velocity_km_s) and abs(velocity_km_s) < 40):
        raise ValueError(f"no telescope on Earth moves at {velocity_km_s} km/s")
    return spectrum.after(
        f"wavelengths at the barycentre: {velocity_km_s:+.2f} km/s",
        wavelength=spectrum.wavelength * (1 + velocity_km_s / LIGHT_KM_S),
    )
