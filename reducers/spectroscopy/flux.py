"""From counts to flux: apply a response, and say how well it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask, Vector
from reducers.spectroscopy.bands import in_telluric
from reducers.spectroscopy.circumstances import effective_airmass
from reducers.spectroscopy.response import extinction_at
from reducers.spectroscopy.slit_loss import slit_correction
from reducers.spectroscopy.telluric import transmission_for
from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.spectroscopy.response import Response

#: AB magnitude of 1 erg/s/cm2/Hz (Oke & Gunn 1983).
AB_ZERO = 48.6
SPEED_OF_LIGHT_A_S = 2.99792458e18
FLUX_UNIT = "erg / (s cm2 Angstrom)"


#: Share of a telluric band's optical depth that the correction may be wrong by.
_DEPTH_ERROR = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A spectrum in flux units and what was done to get there.

    Attributes
    ----------
    spectrum : Spectrum
        Its errors are those of the noise alone.
    transmission : (n,) float64
        Of the air in the telluric bands: the flux was divided by it, 1 where it was not.
    scale_error : (n,) float64
        Relative error of the flux scale (response, telluric depth); common to neighbours.
    """

    spectrum: Spectrum
    transmission: Vector
    scale_error: Vector


def apply_response(
    counts: Spectrum,
    response: Response,
    instrument: Instrument,
    identity: Identity,
    *,
    seeing_arcsec: float,
    response_age_h: float | None,
) -> Calibrated:
    """Turn counts into flux above the atmosphere: response, extinction, slit, telluric bands.

    Notes
    -----
    When standard and target stood behind slits of different width, what each lost in its
    own seeing is taken into account; behind the same slit the losses are taken as equal.
    """
    airmass = effective_airmass(identity, instrument)
    flux = calibrate_flux(
        counts, response, instrument, exposure_s=identity.exposure_s, airmass=airmass
    )
    if response.slit != identity.setup.slit:
        widths = instrument.slits_arcsec
        factor = slit_correction(
            flux.wavelength,
            standard=(widths.get(response.slit, np.nan), response.seeing_arcsec),
            target=(widths.get(identity.setup.slit, np.nan), seeing_arcsec),
        )
        flux = _scaled(flux, factor, f"slit: {response.slit or 'none'} to {identity.setup.slit}")
    transmission = transmission_for(counts, response, airmass, response_age_h)
    if (transmission < 1).any():
        flux = _scaled(flux, 1 / transmission, f"telluric: bands of {response.standard}")
    depth_error = _DEPTH_ERROR * -np.log(transmission)
    scale_error = np.hypot(calibration_error(response, flux.wavelength), depth_error)
    return Calibrated(spectrum=flux, transmission=transmission, scale_error=scale_error)


def _scaled(spectrum: Spectrum, factor: Vector, step: str) -> Spectrum:
    return spectrum.after(
        step,
        flux=spectrum.flux * factor,
        error=spectrum.error * factor,
        sky=spectrum.sky * factor,
    )


def calibrate_flux(
    counts: Spectrum,
    response: Response,
    instrument: Instrument,
    *,
    exposure_s: float,
    airmass: float,
) -> Spectrum:
    """Turn electrons into flux per Angstrom, corrected for extinction.

    Pixels outside the response's range keep flux NaN and the bit NO_FLUX_CALIBRATION. The
    errors stay those of the noise, which differ from pixel to pixel; the error of the
    response moves whole stretches together and is kept apart: `calibration_error`.
    """
    zero = response.zero_point_at(counts.wavelength)
    magnitude = zero - extinction_at(instrument, counts.wavelength) * airmass
    per_count = 10 ** (-0.4 * (magnitude + AB_ZERO)) * SPEED_OF_LIGHT_A_S / counts.wavelength**2
    width = np.abs(np.gradient(counts.wavelength))
    factor = per_count / exposure_s / width
    mask = counts.mask.copy()
    mask[~np.isfinite(factor)] |= np.uint16(Mask.NO_FLUX_CALIBRATION)
    return counts.after(
        f"flux: response of {response.standard}, airmass {airmass:.3f}",
        flux=counts.flux * factor,
        error=counts.error * factor,
        sky=counts.sky * factor,
        mask=mask,
        unit=FLUX_UNIT,
    )


def calibration_error(response: Response, wavelength: Vector) -> Vector:
    """Return the relative error of the flux scale: common to neighbouring pixels, NaN outside.

    The square root of this squared plus (error / flux) squared is the whole relative error of
    one pixel; averaging pixels reduces the noise but not this.
    """
    return np.asarray(response.error_at(wavelength) * np.log(10) / 2.5)


def mark_telluric(spectrum: Spectrum) -> Spectrum:
    """Mark pixels inside telluric bands, whether they are corrected later or not."""
    mask = spectrum.mask.copy()
    mask[in_telluric(spectrum.wavelength)] |= np.uint16(Mask.TELLURIC)
    return replace(spectrum, mask=mask)
