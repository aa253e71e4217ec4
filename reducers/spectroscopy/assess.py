"""Measure a product: the numbers that the quality limits are held against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.reduced import ExtractedObject, SpectrumCalibrations


def measure_calibrations(given: SpectrumCalibrations) -> dict[str, float]:
    """Return how old the masters are, how good, and which are missing."""
    measured = {key: value for key, value in given.facts.items() if key.endswith("_age_h")}
    measured["no_bias"] = float(given.bias is None)
    measured["no_flat"] = float(given.flat is None)
    measured["no_arc"] = float(given.wavelengths is None)
    measured["no_response"] = float(given.response is None)
    if given.wavelengths is not None:
        measured["arc_rms_px"] = given.wavelengths.rms_px
        measured["arc_rms_angstrom"] = given.wavelengths.rms_angstrom
        measured["arc_lines"] = float(given.wavelengths.n_lines)
    if given.response is not None:
        measured["response_rms_mag"] = given.response.rms_mag
    return measured


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
        "snr_resolution": target.snr * math.sqrt(resolution_px),
        "negative_fraction": float(negative.mean()) if good.any() else 1.0,
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
