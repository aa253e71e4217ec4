"""From the raw counts of an image to flat-fielded electrons with an error and a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.correct import (
    apply_gain,
    divide_flat,
    require_same_pixels,
    subtract_dark,
)
from reducers.detector.overscan import has_overscan
from reducers.detector.start import start_frame
from reducers.detector.verify import compare_detector
from reducers.frame import Frame, Mask
from reducers.imaging.noise import model_variance
from reducers.imaging.star_correction import divide_star_flat
from reducers.imaging.unknown_level import above_unknown_level
from reducers.imaging.vignetting import mark_vignetted, unlit_by_sky
from reducers.preparation import above_bias, gain_and_read_noise, own_read_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure


def image_electrons(
    exposure: Exposure, given: ImageCalibrations, instrument: Instrument
) -> tuple[Frame, dict[str, float]]:
    """Return flat-fielded electrons, sky included, as the detector lies, and what was measured.

    Pixels that no light reaches carry VIGNETTED and EDGE; those of the master's own faults BAD.

    Returns
    -------
    Frame, dict
        Electrons, and 'gain_e_per_adu', 'read_noise_e', 'full_e' (what fills a pixel),
        'no_overscan', 'bad_fraction', 'saturated_fraction', 'vignetted_fraction', and those of
        `compare_detector`.

    Raises
    ------
    SetupMismatch
        If the frame cannot be placed on the detector, or a master has other pixels.
    """
    identity, detector = exposure.identity, instrument.detector
    gain, typical_noise = gain_and_read_noise(identity, given, instrument)
    started = start_frame(exposure.raw.data, identity.setup, detector)
    read_noise_adu = own_read_noise(started, typical_noise, detector)
    level_known = given.bias is not None or has_overscan(started, detector)
    if level_known or detector.overscan_mode == "trim":
        frame = above_bias(exposure, given.bias, instrument, started=started)
    else:
        frame = above_unknown_level(exposure, instrument, gain, read_noise_adu)
    if given.dark is not None:
        frame = subtract_dark(frame, given.dark, identity.exposure_s)
    frame = apply_gain(model_variance(frame, gain, read_noise_adu), gain)
    if given.flat is not None:
        frame = divide_flat(frame, given.flat)
        unlit = (given.flat.mask & np.uint16(Mask.NO_FLAT)) != 0
        if given.star_flat is not None:
            require_same_pixels(frame, given.star_flat, "star flat")
            frame = divide_star_flat(frame, given.star_flat)
    else:
        unlit = unlit_by_sky(frame)
    frame = mark_vignetted(frame, unlit)
    inside = (frame.mask & np.uint16(Mask.VIGNETTED)) == 0
    return frame, {
        "gain_e_per_adu": gain,
        "read_noise_e": float(read_noise_adu * gain),
        "full_e": gain
        * detector.saturation_adu(identity.setup.x_binning, identity.setup.y_binning),
        "no_overscan": float(not has_overscan(started, detector)),
        "bad_fraction": _fraction(frame, Mask.BAD, inside),
        "saturated_fraction": _fraction(frame, Mask.SATURATED, inside),
        "vignetted_fraction": float(1 - inside.mean()),
        **compare_detector(given.facts, identity, detector),
    }


def _fraction(frame: Frame, bit: Mask, inside: NDArray[np.bool_]) -> float:
    """Return which part of the lit pixels bears a bit."""
    marked = (frame.mask & np.uint16(bit)) != 0
    return float((marked & inside).sum()) / max(float(inside.sum()), 1.0)
