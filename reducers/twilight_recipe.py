"""The recipe of the slit's illumination: from spectra of the twilight to a master."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.errors import NotEnoughFrames
from reducers.frame import Frame, Mask
from reducers.preparation import electrons
from reducers.reduced import Built
from reducers.spectroscopy.twilight import measure_twilight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.instrument import Instrument
    from reducers.reduced import Exposure, SpectrumCalibrations

#: A twilight with more of its pixels clipped than this is left out.
CLIPPED_LIMIT = 0.02
#: An illumination with a larger range than this is none: a star, or another slit than the flat's.
LARGEST_RANGE = 0.5


def build_illumination(
    exposures: Sequence[Exposure], given: SpectrumCalibrations, instrument: Instrument
) -> Built:
    """Measure along the slit what the twilight sky shows and the lamp of the flat does not.

    Raises
    ------
    NotEnoughFrames
        If there is no flat to divide by, or too little light.
    SetupMismatch, NoOverscan
    """
    if given.flat is None:
        raise NotEnoughFrames("the twilight waits for a flat of its grism, slit and window")
    alone = replace(given, illumination=None)
    frames = [electrons(exposure, alone, instrument)[0] for exposure in exposures]
    clipped = np.uint16(Mask.SATURATED | Mask.NONLINEAR)
    sound = [f for f in frames if ((f.mask & clipped) != 0).mean() < CLIPPED_LIMIT]
    if not sound:
        raise NotEnoughFrames("every spectrum of the twilight is saturated: expose shorter")
    twilight = measure_twilight(sound)
    first = sound[0]
    value = Frame(
        data=twilight.surface.astype(np.float32),
        variance=np.full(first.shape, twilight.error**2, np.float32),
        mask=np.zeros(first.shape, np.uint16),
        unit="",
        geometry=first.geometry,
        history=(f"twilight: {len(sound)} spectra, degree {twilight.degree} along the slit",),
    )
    measurements = {**twilight.measurements, "left_out": float(len(frames) - len(sound))}
    verdict = ""
    if measurements["illumination_range"] > LARGEST_RANGE:
        wide = 100 * measurements["illumination_range"]
        verdict = f"the twilight varies by {wide:.0f} % along the slit: a star, or another slit"
    return Built(role="ILLUMINATION", value=value, measurements=measurements, verdict=verdict)
