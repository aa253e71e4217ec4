"""From the fluxes of an image to magnitudes: zero point, depth, sky, and what is judged of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.colour_terms import passband_of
from reducers.imaging.depth import measure_depth
from reducers.imaging.zero_point import fit_zero_point
from reducers.spectroscopy.circumstances import effective_airmass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reducers.frame import Image
    from reducers.identity import Identity
    from reducers.imaging.depth import Depth
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.references import References
    from reducers.imaging.sky_map import Astrometry
    from reducers.imaging.zero_point import ZeroPoint
    from reducers.instrument import Instrument

#: A colour term with a smaller error rests on the stars of the image.
MEASURED_MAG = 0.02


def find_zero_point(
    photometry: Photometry,
    astrometry: Astrometry | None,
    references: References,
    identity: Identity,
    instrument: Instrument,
) -> ZeroPoint:
    """Return the zero point of an image, or why there is none."""
    passband = passband_of(instrument.name, identity.setup.filter)
    extinction = math.nan
    if passband is not None:
        extinction = float(
            np.interp(
                passband.wavelength_angstrom,
                instrument.extinction_angstrom,
                instrument.extinction_mag_per_airmass,
            )
        )
    return fit_zero_point(
        photometry,
        astrometry,
        references,
        passband,
        exposure_s=identity.exposure_s,
        airmass=effective_airmass(identity, instrument),
        extinction_mag=extinction,
    )


def doubt_mag(identity: Identity, instrument: Instrument) -> float:
    """Return how well the zero point of a filter is known beforehand; NaN where it is not."""
    passband = passband_of(instrument.name, identity.setup.filter)
    return passband.zero_point_error if passband is not None else math.nan


def depth_of(
    photometry: Photometry,
    background: Image,
    zero: ZeroPoint,
    identity: Identity,
    scale_arcsec: float,
) -> Depth | None:
    """Return how deep an image goes; None without an exposure time."""
    if not identity.exposure_s > 0:
        return None
    return measure_depth(
        photometry,
        background,
        zero,
        exposure_s=identity.exposure_s,
        pixel_scale_arcsec=scale_arcsec,
    )


def measure_psf(photometry: Photometry) -> dict[str, float]:
    """Return how well the shape of the stars is known."""
    psf = photometry.psf
    return {
        "psf_stars": float(psf.stars),
        "psf_residual": psf.model_error if psf.stars else math.nan,
        "psf_chi2": psf.chi2,
    }


def measure_zero_point(
    zero: ZeroPoint, references: References, facts: Mapping[str, float], doubt_mag: float
) -> dict[str, float]:
    """Return how good the zero point is.

    Parameters
    ----------
    facts
        Of `ImageCalibrations`; 'best_zero_point_mag', where the daemon knows it, is the best one
        of the night in this filter, at the airmass of this image. Without it the light is held
        against what the filter is expected to give, less the doubt about that.
    doubt_mag
        How well the expected zero point of the filter is known.
    """
    listed = any(len(known) for known in references.photometric)
    measured = {
        "no_zero_point": float(not zero.known),
        "catalogue_missing": float(not listed),
        "zero_point_matched": float(zero.matched),
    }
    if not zero.known:
        return measured
    return measured | {
        "zero_point_mag": zero.magnitude,
        "zero_point_error_mag": zero.error,
        "zero_point_systematic_mag": zero.systematic,
        "zero_point_scatter_mag": zero.scatter,
        "zero_point_stars": float(zero.stars),
        "zero_point_off_mag": zero.off_expected,
        "colour_term": zero.colour_term,
        "transparency": zero.transparency,
        "cloud_mag": facts["best_zero_point_mag"] - zero.magnitude
        if "best_zero_point_mag" in facts
        else zero.off_expected - doubt_mag,
        # Enough stars overrule what is only believed of the filter.
        "unverified_facts": float(not zero.verified and not zero.colour_term_error < MEASURED_MAG),
    }


def measure_limits(depth: Depth | None) -> dict[str, float]:
    """Return limiting magnitudes and the brightness of the sky."""
    if depth is None:
        return {}
    names = ("limit_3_sigma_mag", "limit_5_sigma_mag", "limit_10_sigma_mag")
    return {
        **dict(zip(names, depth.aperture, strict=True)),
        "psf_limit_5_sigma_mag": depth.psf[1],
        "aperture_noise_e": depth.aperture_noise_e,
        "sky_mag_arcsec2": depth.sky_mag_arcsec2,
    }
