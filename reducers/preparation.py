"""What every recipe does first: from raw counts to levelled adu or flat-fielded electrons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.correct import (
    apply_gain,
    divide_flat,
    estimate_variance,
    require_same_pixels,
    subtract_bias,
    subtract_dark,
)
from reducers.detector.illumination import follow_slit, measure_shift
from reducers.detector.overscan import correct_overscan, has_overscan, overscan_noise
from reducers.detector.start import correct_linearity, mask_settling, start_frame, trim, turn
from reducers.detector.verify import compare_detector
from reducers.errors import NoOverscan, PoorWavelengthFit, SetupMismatch
from reducers.frame import Mask
from reducers.spectroscopy.nominal import pixel_scale
from reducers.spectroscopy.orientation import solve_turned_arc, turned_grism
from reducers.spectroscopy.twilight import divide_illumination
from reducers.spectroscopy.wavelength import solve_wavelength

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Frame, Image
    from reducers.identity import Identity
    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.instrument import Detector, Grism, Instrument, VerticalSlits
    from reducers.reduced import Exposure, SpectrumCalibrations
    from reducers.spectroscopy.wavelength import WavelengthSolution

#: How much the read noise of an exposure differs from that of the night's biases.
NOISE_WANDERS = 0.02
#: Dark signal of a spectrum below this part of the read noise is left in it.
LEAST_DARK = 0.1


def levelled(
    exposure: Exposure,
    instrument: Instrument,
    *,
    settled: bool = True,
    started: Frame | None = None,
) -> Frame:
    """Return the exposure's lit pixels in adu above the overscan level.

    With `settled` False there is no bias: the start-up columns and rows of the window are marked.
    `started` is what `start_frame` made of it, where that is at hand.
    Without overscan the frame keeps its level, which a bias of the same window then takes off.

    Raises
    ------
    NoOverscan
        If there is neither overscan nor a bias.
    """
    detector = instrument.detector
    frame = started or start_frame(exposure.raw.data, exposure.identity.setup, detector)
    if not settled:
        frame = mask_settling(frame)
    if has_overscan(frame, detector) or detector.overscan_mode == "trim":
        frame = correct_overscan(frame, detector)
    elif settled:
        frame = frame.after("overscan: the window holds none; the level is the bias's")
    else:
        raise NoOverscan("the window holds no overscan and there is no bias: take biases in it")
    return trim(frame, detector.image)


def above_bias(
    exposure: Exposure,
    bias: Frame | None,
    instrument: Instrument,
    *,
    started: Frame | None = None,
) -> Frame:
    """Return linear adu above the bias, as the detector lies."""
    frame = levelled(exposure, instrument, settled=bias is not None, started=started)
    if bias is not None:
        frame = subtract_bias(frame, bias)
    return correct_linearity(frame, instrument.detector.linearity)


def debiased(exposure: Exposure, bias: Frame | None, instrument: Instrument) -> Frame:
    """Return adu above the bias, rows along the dispersion whichever way the slit stands."""
    return upright(above_bias(exposure, bias, instrument), exposure.identity)


def upright(frame: Frame, identity: Identity) -> Frame:
    """Return a frame with its rows along the dispersion."""
    return turn(frame) if identity.setup.dispersion_axis == "x" else frame


def electrons(
    exposure: Exposure, given: SpectrumCalibrations, instrument: Instrument
) -> tuple[Frame, float, Image, dict[str, float]]:
    """Return flat-fielded electrons, the read noise (e), the masters' variance (e^2), and facts.

    The facts: 'slit_shift_px' with its error (NaN where the frame shows no marks of the slit),
    'bad_fraction', 'no_overscan', and those of `compare_detector`.
    """
    gain, typical_noise = gain_and_read_noise(exposure.identity, given, instrument)
    frame = above_bias(exposure, given.bias, instrument)
    if given.dark is not None:
        frame = without_dark(frame, given.dark, exposure.identity.exposure_s, typical_noise)
    frame = upright(frame, exposure.identity)
    started = start_frame(exposure.raw.data, exposure.identity.setup, instrument.detector)
    read_noise_adu = own_read_noise(started, typical_noise, instrument.detector)
    masters = frame.variance * np.float32(gain**2)
    frame = estimate_variance(frame, gain, read_noise_adu)
    frame = apply_gain(frame, gain)
    measured = compare_detector(given.facts, exposure.identity, instrument.detector)
    if given.flat is not None:
        require_same_pixels(frame, given.flat, "flat")
        shift, error = measure_shift(frame, given.flat)
        surely = abs(shift) > 2 * error
        flat = follow_slit(given.flat, shift) if surely else given.flat
        frame = divide_flat(frame, flat)
        measured |= {"slit_shift_px": shift, "slit_shift_error_px": error}
        if given.illumination is not None:
            require_same_pixels(frame, given.illumination, "illumination")
            frame = divide_illumination(frame, given.illumination)
    measured["no_overscan"] = float(not has_overscan(started, instrument.detector))
    inside = frame.mask & np.uint16(Mask.VIGNETTED) == 0
    measured["bad_fraction"] = float((inside & (frame.mask & np.uint16(Mask.BAD) != 0)).mean())
    return frame, read_noise_adu * gain, masters, measured


def without_dark(frame: Frame, dark: Frame, exposure_s: float, read_noise_adu: float) -> Frame:
    """Subtract a master dark from a spectrum where its signal is worth its noise.

    Smooth dark signal leaves a spectrum with its sky; where it is weak only the pixels that stand
    out are masked.
    """
    share = float(np.median(dark.data)) * exposure_s / read_noise_adu
    if share >= LEAST_DARK:
        return subtract_dark(frame, dark, exposure_s)
    require_same_pixels(frame, dark, "dark")
    return frame.after(
        f"dark: not subtracted, {share:.3f} of the read noise in {exposure_s:g} s; its warm "
        "pixels are masked",
        mask=frame.mask | dark.mask,
    )


def own_read_noise(started: Frame, typical_adu: float, detector: Detector) -> float:
    """Return the read noise (adu) of one exposure: its own overscan's, held by the biases'.

    The noise of night frames is 3 % above that of the next afternoon's biases on real ALFOSC
    frames. The biases' counts as a measurement good to `NOISE_WANDERS`; an overscan that differs
    by a quarter is disturbed and counts nothing.
    """
    own, error = overscan_noise(started, detector.overscan)
    if not abs(own / typical_adu - 1) < 0.25:  # nan included
        return typical_adu
    prior, weight = (NOISE_WANDERS * typical_adu) ** -2, error**-2
    return (prior * typical_adu + weight * own) / (prior + weight)


def gain_and_read_noise(
    identity: Identity, given: SpectrumCalibrations | ImageCalibrations, instrument: Instrument
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
    """Return the facts of the grism in the beam; its pixels where wavelengths are not known.

    They are not where the profile lacks the grism, or says nothing about vertical slits.
    """
    grism, vertical = instrument.grisms.get(identity.setup.grism), instrument.vertical_slits
    if grism is None or not grism.first_guess:
        return pixel_scale(identity.setup.grism, instrument)
    if identity.setup.dispersion_axis == "y":
        return grism
    if vertical is None:
        return pixel_scale(identity.setup.grism, instrument)
    return turned_grism(grism, vertical, vertical.directions[0])


def flat_floor(identity: Identity, instrument: Instrument) -> float:
    """Return the wavelength (Angstrom) below which no flat is divided.

    Zero where the direction of the wavelengths is not known: then only the counts decide.
    """
    if not direction_known(identity, instrument):
        return 0.0
    return grism_of(identity, instrument).flat_floor_angstrom


def direction_known(identity: Identity, instrument: Instrument) -> bool:
    """Tell whether the profile says which way wavelengths run behind this slit."""
    vertical = instrument.vertical_slits
    if grism_of(identity, instrument).in_pixels:
        return False
    if identity.setup.dispersion_axis == "y":
        return True
    return vertical is not None and len(vertical.directions) == 1


def vertical_slits_of(instrument: Instrument) -> VerticalSlits:
    """Return how spectra lie along x; raise `SetupMismatch` where the profile does not say."""
    if instrument.vertical_slits is None:
        raise SetupMismatch(
            f"the profile of {instrument.name} says nothing about spectra along the rows"
        )
    return instrument.vertical_slits


def solve_arc(
    frame: Frame, identity: Identity, lamps: Sequence[str], instrument: Instrument
) -> WavelengthSolution:
    """Identify an arc behind a slit of either orientation; raise `PoorWavelengthFit`."""
    grism = grism_of(identity, instrument)
    if grism.in_pixels:
        raise PoorWavelengthFit(
            f"the profile of {instrument.name} knows no wavelengths of {grism.name or 'no grism'} "
            f"behind {identity.setup.slit or 'no slit'}: its spectra are extracted in pixels"
        )
    if identity.setup.dispersion_axis == "y":
        solution = solve_wavelength(
            frame,
            grism,
            instrument.lines,
            lamps=lamps,
            slit_offset_px=slit_offset(identity, grism),
        )
        return replace(solution, aperture_y_px=identity.aperture_y_px or math.nan)
    return solve_turned_arc(
        frame,
        instrument.grisms[grism.name],
        vertical_slits_of(instrument),
        instrument.lines,
        lamps=lamps,
    )


def slit_offset(identity: Identity, grism: Grism) -> float:
    """Return how far the slit stands from where the grism's first guess was measured (px)."""
    if identity.setup.dispersion_axis == "x":  # nothing in the header is known to predict it
        return 0.0
    if grism.in_pixels:
        return 0.0
    if identity.aperture_y_px is None or identity.aperture_y_px == 0:
        return 0.0
    return identity.aperture_y_px - grism.slit_reference_px
