"""Measure a product: the numbers that the quality limits are held against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.fringes import residual_fringe_rms
from reducers.frame import Mask
from reducers.reduced import HOST
from reducers.spectroscopy.bands import near_stellar_line
from reducers.spectroscopy.slit_loss import slit_loss_mag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.reduced import ExtractedObject, SpectrumCalibrations
    from reducers.spectroscopy.longslit import Slit
    from reducers.spectroscopy.response import Response
    from reducers.spectrum import Spectrum

#: Where the shape of a response is noted, so that later ones can be held against it.
SHAPE_ANGSTROM = tuple(range(3500, 10001, 250))
_RED_FROM = 7500.0
#: Grisms whose shape was measured on an arc, here or in an archive.
SEEN = ("measured", "template")
#: What an image through the slit told before the exposure.
ACQUIRED = (
    *("target_across_slit", "target_across_arcsec", "target_across_error_arcsec"),
    *("target_along_px", "acquisition_fwhm_arcsec"),
)
#: Half width (Angstrom) of the reference bands, as far as stellar lines are concerned.
_HALF_BAND = 25.0


def measure_calibrations(given: SpectrumCalibrations, slit: Slit) -> dict[str, float]:
    """Return how old the masters are, how good, and which are missing.

    'no_arc' and 'arc_gate_failed' count half where sky lines confirm the nominal wavelengths of a
    grism of which an arc has been seen.
    """
    measured = {key: value for key, value in given.facts.items() if key.endswith("_age_h")}
    measured |= {key: given.facts[key] for key in ACQUIRED if key in given.facts}
    measured["arc_other_slit"] = given.facts.get("arc_other_slit", 0.0)
    measured["arc_gate_failed"] = given.facts.get("arc_gate_failed", 0.0)
    measured["no_bias"] = float(given.bias is None)
    measured["no_flat"] = float(given.flat is None)
    # Most nights have no twilight spectra: a fact, not a fault.
    measured["no_illumination"] = float(given.illumination is None or given.flat is None)
    if "illumination_illumination_rms" in given.facts:
        measured["illumination_rms"] = given.facts["illumination_illumination_rms"]
    grism = slit.solution.grism
    if grism.in_pixels:
        return measured | {"no_wavelengths": 1.0}
    measured["no_arc"] = float(given.wavelengths is None)
    seen = grism.status in SEEN
    if given.wavelengths is None and seen and slit.measurements.get("sky_confirms", 0.0) > 0:
        measured["no_arc"] = 0.5
        measured["arc_gate_failed"] = min(measured["arc_gate_failed"], 0.5)
    measured["no_response"] = float(given.response is None)
    if given.wavelengths is not None:
        measured["arc_rms_px"] = given.wavelengths.rms_px
        measured["arc_rms_angstrom"] = given.wavelengths.rms_angstrom
        measured["arc_lines"] = float(given.wavelengths.n_lines)
    if given.response is not None:
        # The master knows the plain rms over 4000-8500 A; the response alone a robust one.
        plain = given.facts.get("response_residual_rms_mag", math.nan)
        measured["response_rms_mag"] = plain if plain > 0 else given.response.rms_mag
        measured["response_coverage"] = given.response.coverage
    return measured


def measure_flux(
    target: ExtractedObject,
    response: Response | None,
    identity: Identity,
    instrument: Instrument,
) -> dict[str, float]:
    """Return how well the flux scale of one object is known."""
    width = instrument.slits_arcsec.get(identity.setup.slit, math.nan)
    scale = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    measured = {"slit_loss_mag": slit_loss_mag(width, target.fwhm_px * scale)}
    spectrum = target.spectrum
    second = (spectrum.mask & np.uint16(Mask.SECOND_ORDER)) != 0
    measured["second_order_fraction"] = float(second.mean())
    bands = (spectrum.mask & np.uint16(Mask.TELLURIC)) != 0
    lit = bands & np.isfinite(spectrum.flux)
    if lit.sum() > 5:
        left = np.ones(lit.sum()) if target.transmission is None else target.transmission[lit]
        measured["telluric_uncorrected"] = _untouched(left)
    if response is None:
        return measured
    finite = np.isfinite(target.scale_error) if target.scale_error is not None else None
    if target.scale_error is not None and finite is not None and finite.any():
        measured["scale_error"] = float(np.median(target.scale_error[finite]))
    known = instrument.slits_arcsec.get(response.slit, math.nan)
    measured["response_slit_differs"] = float(known != width) if known > 0 < width else math.nan
    setup = identity.setup
    measured["calibration_mismatch"] = (
        2.0 if response.grism != setup.grism else float(response.filter != setup.filter)
    )
    return measured


def _untouched(transmission: Vector) -> float:
    """Return 1 when no telluric band was corrected: depths near 0 are a correction, too."""
    return float((transmission == 1.0).all())


def measure_neighbours(objects: Sequence[ExtractedObject]) -> dict[str, float]:
    """Return the light of the strongest source within two seeing widths of the target."""
    target = objects[0]
    own = _light(target)
    ratios = [
        _light(other) / own
        for other in objects[1:]
        if own > 0
        and other.name != HOST
        and abs(float(np.median(other.trace.columns - np.median(target.trace.columns))))
        < 2 * target.fwhm_px
    ]
    return {"blend_flux_ratio": max(ratios, default=0.0)}


def _light(item: ExtractedObject) -> float:
    good = item.counts.good
    return float(np.median(item.counts.flux[good])) if good.any() else 0.0


def red_noise_ratio(counts: Spectrum) -> float:
    """Return how much neighbouring pixels beyond 7500 A differ, in units of their noise.

    Telluric bands and strong sky lines are left out; NaN with fewer than 40 pixels.
    """
    use = counts.good & (counts.wavelength > _RED_FROM)
    use &= (counts.mask & np.uint16(Mask.TELLURIC | Mask.STRONG_SKY_LINE)) == 0
    pairs = use[:-1] & use[1:]
    if pairs.sum() < 40:
        return math.nan
    off = np.diff(counts.flux)[pairs]
    noise = np.hypot(counts.error[:-1], counts.error[1:])[pairs]
    return 1.4826 * float(np.median(np.abs(off / noise)))


def measure_response(
    response: Response, identity: Identity, instrument: Instrument
) -> dict[str, float]:
    """Return how good a response is, and its shape as 'zero_point_4000', 'zero_point_4250', ...

    'residual_rms_mag' is the plain rms of the reference points from 4000 to 8500 A, outliers
    included; bands in strong stellar lines say more of the resolution than of the response.
    """
    off = response.points_zero_point - response.zero_point_at(response.points_wavelength)
    inside = (response.points_wavelength > 4000) & (response.points_wavelength < 8500)
    inside &= np.isfinite(off)
    inside &= [not near_stellar_line(at, _HALF_BAND) for at in response.points_wavelength]
    width = instrument.slits_arcsec.get(identity.setup.slit, math.nan)
    shape = response.zero_point_at(np.array(SHAPE_ANGSTROM, dtype=np.float64))
    return {
        "rms_mag": response.rms_mag,
        "residual_rms_mag": float(np.sqrt(np.mean(off[inside] ** 2))) if inside.any() else math.nan,
        "cross_validation_mag": response.cross_validation_mag,
        "points": float(response.points_wavelength.size),
        "coverage": response.coverage,
        "first_angstrom": float(response.wavelength[0]),
        "last_angstrom": float(response.wavelength[-1]),
        "peak_ab_zero_point": float(np.nanmax(response.ab_zero_point)),
        "fwhm_arcsec": response.seeing_arcsec,
        "slit_loss_mag": slit_loss_mag(width, response.seeing_arcsec),
        **{
            f"zero_point_{at}": float(value)
            for at, value in zip(SHAPE_ANGSTROM, shape, strict=True)
            if math.isfinite(value)
        },
    }


def measure_fringes(slit: Slit, floor: NDArray[np.floating]) -> dict[str, float]:
    """Return 'fringe_rms', the red residual of the sky in units of its noise (1 is pure noise).

    Parameters
    ----------
    floor : (ny, nx) electrons^2
        Variance that does not come from the light.
    """
    objects = [
        (float(np.median(trace.columns)), 4.0 * width)
        for trace, width in zip(slit.traces, slit.widths_px, strict=True)
    ]
    rms = residual_fringe_rms(
        slit.frame.data - slit.sky,
        np.maximum(slit.sky, 0.0) + floor,
        slit.frame.good,
        slit.wavelengths,
        objects,
    )
    return {"fringe_rms": rms}


def measure_target(
    target: ExtractedObject, identity: Identity, instrument: Instrument
) -> dict[str, float]:
    """Return what one extracted object says of itself: signal, widths, masks, trace."""
    spectrum, counts, box = target.spectrum, target.counts, target.boxcar
    good = counts.good
    scale = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    fwhm_arcsec = target.fwhm_px * scale
    width = instrument.slits_arcsec.get(identity.setup.slit, math.nan)
    # A resolution element is the image of the slit.
    resolution_px = (
        width / instrument.detector.pixel_scale_arcsec / identity.setup.dispersion_binning
    )
    resolution_px = max(resolution_px, 1.0) if width > 0 else 1.0
    negative = counts.flux[good] < -counts.error[good]
    both = good & box.good & (counts.flux > 5 * counts.error)
    ratio = (
        float(np.median(counts.flux[both] / box.flux[both]) - 1) if both.sum() > 20 else math.nan
    )
    column = float(np.median(target.trace.columns))
    return {
        "snr": target.snr,
        # Where every pixel is masked, the masks say why, and nothing was measured.
        "snr_resolution": target.snr * math.sqrt(resolution_px) if good.any() else math.nan,
        "negative_fraction": float(negative.mean()) if good.any() else math.nan,
        "fwhm_arcsec": fwhm_arcsec,
        "fwhm_over_slit": fwhm_arcsec / width if width > 0 else math.nan,
        "object_column": column,
        "trace_rms_px": target.trace.rms_px,
        "forced": float(target.trace.forced),
        "masked_fraction": float(((spectrum.mask & 0x17) != 0).mean()),
        "extrapolated_fraction": float(((spectrum.mask & 512) != 0).mean()),
        "saturated_fraction": float(((spectrum.mask & 4) != 0).mean()),
        "optimal_over_box_error": abs(ratio),
    }
