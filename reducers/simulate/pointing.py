"""Where the telescope looks and what the air does to the light on the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

LONGITUDE_DEG = -17.885083
LATITUDE_DEG = 28.757222
PRESSURE_HPA = 775.0
J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointing:
    """Local coordinates at one moment; azimuth counts from south through west, as the TCS does."""

    ra_deg: float
    dec_deg: float
    sidereal_h: float
    altitude_deg: float
    azimuth_deg: float
    parallactic_deg: float

    @property
    def airmass(self) -> float:
        """Secant of the zenith distance."""
        return float(1 / np.sin(np.radians(self.altitude_deg)))


def sidereal_time_h(when: datetime) -> float:
    """Return the local mean sidereal time in hours."""
    days = (when - J2000).total_seconds() / 86400
    return float((18.697374558 + 24.06570982441908 * days + LONGITUDE_DEG / 15) % 24)


def point(ra_deg: float, dec_deg: float, when: datetime) -> Pointing:
    """Return where an equatorial position stands in the sky."""
    sidereal_h = sidereal_time_h(when)
    years = (when - J2000).total_seconds() / (86400 * 365.25)
    ra_now, dec_now = precessed(ra_deg, dec_deg, years)
    hour_angle = np.radians(15 * sidereal_h - ra_now)
    dec, latitude = np.radians(dec_now), np.radians(LATITUDE_DEG)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    azimuth = np.arctan2(
        np.sin(hour_angle),
        np.cos(hour_angle) * np.sin(latitude) - np.tan(dec) * np.cos(latitude),
    )
    parallactic = np.arctan2(
        np.sin(hour_angle),
        np.tan(latitude) * np.cos(dec) - np.sin(dec) * np.cos(hour_angle),
    )
    return Pointing(
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        sidereal_h=sidereal_h,
        altitude_deg=float(np.degrees(np.arcsin(sine))),
        azimuth_deg=float(np.degrees(azimuth) % 360),
        parallactic_deg=float(np.degrees(parallactic)),
    )


def precessed(ra_deg: float, dec_deg: float, years: float) -> tuple[float, float]:
    """Return a J2000 position in the equinox of 2000 + years, to first order."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    ra_s = years * (3.0745 + 1.3362 * float(np.sin(ra) * np.tan(dec)))
    return ra_deg + ra_s * 15 / 3600, dec_deg + years * 20.043 * float(np.cos(ra)) / 3600


def parked(when: datetime) -> Pointing:
    """Return the parked telescope, a quarter of a degree from the zenith."""
    sidereal_h = sidereal_time_h(when)
    return Pointing(
        ra_deg=(15 * sidereal_h - 0.67) % 360,
        dec_deg=28.9521565,
        sidereal_h=sidereal_h,
        altitude_deg=89.7461242676,
        azimuth_deg=119.0001983643,
        parallactic_deg=35.2963,
    )


def refractivity(wavelength_angstrom: Any) -> Any:
    """Return n - 1 of the air at the observatory (Filippenko 1982, dry air, 7 C)."""
    wavenumber2 = (1e4 / np.asarray(wavelength_angstrom, dtype=float)) ** 2
    sea_level = 64.328 + 29498.1 / (146 - wavenumber2) + 255.4 / (41 - wavenumber2)
    pressure_mm, temperature_c = PRESSURE_HPA * 0.750062, 7.0
    density = pressure_mm * (1 + (1.049 - 0.0157 * temperature_c) * 1e-6 * pressure_mm)
    return 1e-6 * sea_level * density / (720.883 * (1 + 0.003661 * temperature_c))


def refraction_arcsec(wavelength_angstrom: Any, altitude_deg: float) -> Any:
    """Return how far each wavelength is lifted towards the zenith, against 6000 A."""
    tangent = 1 / np.tan(np.radians(altitude_deg))
    lift = refractivity(wavelength_angstrom) - refractivity(6000.0)
    return 206264.8 * lift * tangent


def vacuum(air_angstrom: Any) -> Any:
    """Return vacuum wavelengths of air wavelengths (Ciddor 1996 in the form of VALD)."""
    air = np.asarray(air_angstrom, dtype=float)
    s2 = (1e4 / air) ** 2
    index = (
        1
        + 8.336624212083e-5
        + 2.408926869968e-2 / (130.1065924522 - s2)
        + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    return air * index
