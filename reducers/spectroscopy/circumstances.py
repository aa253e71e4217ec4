"""Under which sky an exposure was taken: pointing, refraction, Sun, header, second order."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask
from reducers.spectroscopy.refraction import (
    away_from_deg,
    dispersion_arcsec,
    lifted_arcsec,
    parallactic_deg,
)
from reducers.sun import altitude_deg, sidereal_deg, sun_altitude_deg

if TYPE_CHECKING:
    from reducers.frame import Vector
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.spectrum import Spectrum

#: Colours between which refraction across the slit is stated, vacuum Angstrom.
_BLUE, _RED = 4000.0, 7000.0
#: Below this the star's wings and the pedestal are most of the sky.
_SKY_FROM_S = 60.0


def measure_circumstances(identity: Identity, instrument: Instrument) -> dict[str, float]:
    """Return what header, place and time say of an exposure; NaN where they are silent."""
    return {
        "header_missing": float(len(identity.missing)),
        "airmass_mean": effective_airmass(identity, instrument),
        "pointing_off_arcsec": _number(identity.target_off_arcsec),
        "standard_off_arcsec": _number(identity.standard_off_arcsec),
        **_refraction(identity, instrument),
        **_sun(identity, instrument),
    }


def effective_airmass(identity: Identity, instrument: Instrument) -> float:
    """Return the airmass averaged over an exposure; the header's is that of its beginning.

    Notes
    -----
    The header's value is moved by how much the secant of the zenith distance grows from start
    to middle and end (Simpson's rule; Stetson 1989, who averages so). Without place or time it
    stays as it is; 1 when there is none at all.
    """
    when, ra_deg, dec_deg = identity.observed_at, identity.ra_deg, identity.dec_deg
    if identity.airmass is None:
        return 1.0
    if when is None or ra_deg is None or dec_deg is None or identity.exposure_s > 20000:
        return identity.airmass
    where = (instrument.longitude_deg, instrument.latitude_deg)
    moments = (when, when + _middle(identity), when + 2 * _middle(identity))
    heights = [altitude_deg(ra_deg, dec_deg, moment, *where) for moment in moments]
    if min(heights) < 10:
        return identity.airmass
    start, middle, end = (1 / math.sin(math.radians(height)) for height in heights)
    # A header that tells another story is believed, and not corrected.
    if abs(start - identity.airmass) > 0.05 * identity.airmass:
        return identity.airmass
    return identity.airmass + (4 * middle + end - 5 * start) / 6


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _middle(identity: Identity) -> timedelta:
    return timedelta(seconds=min(max(identity.exposure_s, 0.0), 86400.0) / 2)


def _sun(identity: Identity, instrument: Instrument) -> dict[str, float]:
    """Return the highest altitude of the Sun at start and end."""
    if identity.observed_at is None:
        return {}
    where = (instrument.longitude_deg, instrument.latitude_deg)
    ends = (identity.observed_at, identity.observed_at + 2 * _middle(identity))
    return {"sun_altitude_deg": max(sun_altitude_deg(when, *where) for when in ends)}


def _refraction(identity: Identity, instrument: Instrument) -> dict[str, float]:
    """Return the slit's angle to the parallactic one, and what refraction does across it.

    Notes
    -----
    Filippenko (1982, PASP 94, 715). The slit's position angle is the header's field angle.
    """
    width = instrument.slits_arcsec.get(identity.setup.slit, math.nan)
    grism, angles = instrument.grisms.get(identity.setup.grism), _angles(identity, instrument)
    if angles is None or identity.airmass is None or grism is None or not width > 0:
        return {}
    zenith, slit = angles
    away = away_from_deg(slit - zenith)
    low, high = grism.range_angstrom
    blue, red = max(_BLUE, low), min(_RED, high)
    drawn = dispersion_arcsec(blue, red, identity.airmass, instrument.elevation_m)
    across = drawn * math.sin(math.radians(away))
    return {
        "parallactic_deg": zenith,
        "slit_off_parallactic_deg": away,
        "refraction_arcsec": drawn,
        "refraction_over_slit": abs(across) / width,
    }


def _angles(identity: Identity, instrument: Instrument) -> tuple[float, float] | None:
    """Return the position angles of zenith and slit (deg) in the middle of an exposure."""
    when, ra_deg, dec_deg = identity.observed_at, identity.ra_deg, identity.dec_deg
    if when is None or ra_deg is None or dec_deg is None or identity.field_deg is None:
        return None
    hour_angle = sidereal_deg(when + _middle(identity), instrument.longitude_deg) - ra_deg
    zenith = parallactic_deg(hour_angle, dec_deg, instrument.latitude_deg)
    slit = identity.field_deg + instrument.slit_from_field_deg
    return zenith, slit + (90.0 if identity.setup.dispersion_axis == "x" else 0.0)


def drawn_along_slit_px(
    wavelength: Vector, identity: Identity, instrument: Instrument
) -> Vector | None:
    """Return how far the air moves every colour along the slit (image columns), mean 0.

    None where header or profile do not say how the slit stood.

    Notes
    -----
    Filippenko (1982, PASP 94, 715). On ALFOSC frames of 2020-03-21 behind a slit at the
    parallactic angle this is the whole shape of the trace, from 3500 to 9300 A within 0.2 px.
    """
    angles, airmass = _angles(identity, instrument), effective_airmass(identity, instrument)
    unknown = instrument.slit_direction == 0 or identity.setup.dispersion_axis == "x"
    if angles is None or identity.airmass is None or unknown:
        return None
    zenith, slit = angles
    along = lifted_arcsec(wavelength, airmass, instrument.elevation_m)
    along *= instrument.slit_direction * math.cos(math.radians(slit - zenith))
    scale_arcsec = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    return np.asarray((along - along.mean()) / scale_arcsec)


def sky_over_dark(
    sky_level_e: float, spectrum: Spectrum, identity: Identity, instrument: Instrument
) -> float:
    """Return the sky against the instrument's dark sky; NaN for short exposures or unknowns."""
    width = instrument.slits_arcsec.get(identity.setup.slit, math.nan)
    known = instrument.dark_sky_rate > 0 and width > 0 and not spectrum.in_pixels
    if not (known and identity.exposure_s >= _SKY_FROM_S):
        return math.nan
    angstrom = float(np.median(np.abs(np.gradient(spectrum.wavelength))))
    along = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    rate = sky_level_e / (identity.exposure_s * angstrom * along * width)
    return rate / instrument.dark_sky_rate


def second_order_from(identity: Identity, instrument: Instrument) -> float:
    """Return the wavelength from which blue light of the second order falls on the first.

    Infinite behind a blocking filter, and for grisms of which no second order is known.
    """
    grism = instrument.grisms.get(identity.setup.grism)
    if grism is None or not grism.second_order_angstrom > 0:
        return math.inf
    parts = identity.setup.filter.split("+")
    if any(instrument.filters.get(name, {}).get("blocks_orders", False) for name in parts):
        return math.inf
    return grism.second_order_angstrom


def mark_second_order(spectrum: Spectrum, start_angstrom: float) -> Spectrum:
    """Mark the pixels on which two orders fall."""
    mask = spectrum.mask.copy()
    mask[spectrum.wavelength > start_angstrom] |= np.uint16(Mask.SECOND_ORDER)
    return replace(spectrum, mask=mask)
