"""The level of an image whose window holds no overscan, where there is no bias either."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.start import correct_linearity, mask_settling, start_frame, trim

if TYPE_CHECKING:
    from reducers.frame import Frame
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

#: Stars and their neighbours differ by more than this many sigma and say nothing of the sky.
_CLIP_SIGMA = 3.0


def above_unknown_level(
    exposure: Exposure, instrument: Instrument, gain_e_per_adu: float, read_noise_adu: float
) -> Frame:
    """Return linear adu above a level that the noise of the sky tells.

    A sky of S adu scatters by sqrt(S / gain + noise^2): what the median has beyond S is the level
    of the electronics. Pixels that differ in sensitivity make it too low by their share of S, so
    only the sky's own errors depend on it, not what is measured above the sky.
    """
    detector = instrument.detector
    frame = mask_settling(start_frame(exposure.raw.data, exposure.identity.setup, detector))
    frame = trim(frame, detector.image)
    median, sigma = _middle_and_noise(frame)
    sky = max((sigma**2 - read_noise_adu**2) * gain_e_per_adu, 0.0)
    level = np.float32(median - sky)
    frame = frame.after(
        f"level: {level:.0f} adu, guessed from the noise of the sky (no overscan, no bias)",
        data=frame.data - level,
    )
    return correct_linearity(frame, detector.linearity)


def _middle_and_noise(frame: Frame) -> tuple[float, float]:
    """Return the median of the empty pixels, and the scatter between neighbours."""
    good = frame.good
    data = np.where(good, frame.data, np.float32(np.nan)).astype(np.float64)
    values = data[good]
    if values.size < 100:
        return float(np.median(frame.data)), 0.0
    apart = (data[:, 1:] - data[:, :-1]).ravel()
    apart = apart[np.isfinite(apart)]
    sigma = 1.4826 * float(np.median(np.abs(apart))) / math.sqrt(2)
    median = float(np.median(values))
    for _ in range(5):
        kept = values[np.abs(values - median) < _CLIP_SIGMA * sigma]
        if not kept.size:
            break
        median = float(np.median(kept))
    return median, sigma
