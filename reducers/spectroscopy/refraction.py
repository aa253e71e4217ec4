"""Where the sky stands and how the air spreads colours: parallactic angle, refraction, Sun."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reducers.frame import Vector

_ARCSEC = 206264.806


def refractivity(wavelength: Vector, elevation_m: float, temperature_c: float = 8.0) -> Vector:
    """Return n - 1 of dry air at an observatory (Filippenko 1982, PASP 94, 715, eqs. 1-3)."""
    inverse_sq = (1e4 / np.asarray(wavelength, dtype=np.float64)) ** 2
    at_sea = 1e-6 * (64.328 + 29498.1 / (146 - inverse_sq) + 255.4 / (41 - inverse_sq))
    pressure = 760.0 * math.exp(-elevation_m / 8300.0)
    grown = pressure * (1 + (1.049 - 0.0157 * temperature_c) * 1e-6 * pressure)
    return np.asarray(at_sea * grown / (720.883 * (1 + 0.003661 * temperature_c)))


def dispersion_arcsec(
    blue_angstrom: float, red_angstrom: float, airmass: float, elevation_m: float
) -> float:
    """Return how far the air draws two colours apart towards the zenith (arcsec)."""
    blue, red = lifted_arcsec(np.array([blue_angstrom, red_angstrom]), airmass, elevation_m)
    return float(blue - red)


def lifted_arcsec(wavelength: Vector, airmass: float, elevation_m: float) -> Vector:
    """Return how far the air lifts each colour towards the zenith (arcsec)."""
    tangent = math.sqrt(max(airmass**2 - 1.0, 0.0))
    return np.asarray(_ARCSEC * tangent * refractivity(wavelength, elevation_m))


def parallactic_deg(hour_angle_deg: float, dec_deg: float, latitude_deg: float) -> float:
    """Return the position angle of the zenith, north through east, -180 to 180 degrees."""
    h, d, phi = (math.radians(v) for v in (hour_angle_deg, dec_deg, latitude_deg))
    return math.degrees(
        math.atan2(math.sin(h), math.tan(phi) * math.cos(d) - math.sin(d) * math.cos(h))
    )


def away_from_deg(angle_deg: float) -> float:
    """Return how far a line at this angle is from one at 0: 0 to 90 degrees."""
    return abs((angle_deg + 90.0) % 180.0 - 90.0)
