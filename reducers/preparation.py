"""What every recipe does first: from raw counts to levelled adu or flat-fielded electrons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.correct import apply_gain, divide_flat, estimate_variance, subtract_bias
from reducers.detector.start import correct_overscan, start_frame, trim
from reducers.errors import SetupMismatch

if TYPE_CHECKING:
    from reducers.frame import Frame, Image
    from reducers.identity import Identity
    from reducers.instrument import Grism, Instrument
    from reducers.reduced import Exposure, SpectrumCalibrations


def levelled(exposure: Exposure, instrument: Instrument) -> Frame:
    """Return the exposure's lit pixels in adu above the overscan level."""
    detector = instrument.detector
    frame = start_frame(exposure.raw.data, exposure.identity.setup, detector)
    frame = correct_overscan(frame, detector.overscan)
    return trim(frame, detector.image)


def electrons(
    exposure: Exposure, given: SpectrumCalibrations, instrument: Instrument
) -> tuple[Frame, float, Image]:
    """Return flat-fielded electrons, the read noise (e) and the masters' variance (e^2)."""
    frame = levelled(exposure, instrument)
    gain, read_noise_adu = gain_and_read_noise(exposure.identity, given, instrument)
    if given.bias is not None:
        frame = subtract_bias(frame, given.bias)
    masters = frame.variance * np.float32(gain**2)
    frame = estimate_variance(frame, gain, read_noise_adu)
    frame = apply_gain(frame, gain)
    if given.flat is not None:
        frame = divide_flat(frame, given.flat)
    return frame, read_noise_adu * gain, masters


def gain_and_read_noise(
    identity: Identity, given: SpectrumCalibrations, instrument: Instrument
) -> tuple[float, float]:
    """Return gain (e/adu) and read noise (adu): measured where known, else header, else profile."""
    facts = given.facts
    gain = facts.get("flat_gain_e_per_adu", math.nan)
    error = facts.get("flat_gain_error", math.inf)
    # A photon-transfer gain counts when it is good to 2 %.
    if not (gain > 0 and error < 0.02 * gain):
        gain = identity.gain_e_per_adu or instrument.detector.gain_e_per_adu
    noise = facts.get("bias_read_noise_adu", math.nan)
    if not noise > 0:
        noise = instrument.detector.read_noise_adu
    return gain, noise


def grism_of(identity: Identity, instrument: Instrument) -> Grism:
    """Return the facts of the grism in the beam.

    Raises
    ------
    SetupMismatch
        If the profile does not know it, or the slit is vertical.
    """
    if identity.setup.dispersion_axis == "x":
        raise SetupMismatch(
            f"spectra behind {identity.setup.slit} run along the rows; they are not reduced yet"
        )
    grism = instrument.grisms.get(identity.setup.grism)
    if grism is None:
        raise SetupMismatch(f"the profile knows no grism {identity.setup.grism!r}")
    return grism


def slit_offset(identity: Identity, grism: Grism) -> float:
    """Return how far the slit stands from where the grism's first guess was measured (px)."""
    if identity.aperture_y_px is None or identity.aperture_y_px == 0:
        return 0.0
    return identity.aperture_y_px - grism.slit_reference_px
