"""What a filter passes of a spectrum: the same source behind a slit and on an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.simulate.records import Source
from reducers.simulate.sources import ab_flux, flux_of

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.filters import Passband

#: Over how many Angstrom the flank of an interference filter rises.
FLANK_ANGSTROM = 25.0


def ab_through(
    model: str, ab_magnitude: float, passband: Passband, instrument: Instrument
) -> float:
    """Return the AB magnitude of a model spectrum through a filter, photons counted.

    Parameters
    ----------
    ab_magnitude
        At 5500 A.
    passband
        One of the AB system; its name in the wheel ends on centre and width in nm.
    """
    centre, width = (10 * float(n) for n in passband.header_name.split()[-1].split("_"))
    w = np.arange(centre - width, centre + width, 2.0)
    rise = (w - centre + width / 2) / FLANK_ANGSTROM
    fall = (centre + width / 2 - w) / FLANK_ANGSTROM
    passed = 1 / (1 + np.exp(-rise)) / (1 + np.exp(-fall))
    source = Source(name="", model=model, ab_magnitude=ab_magnitude)
    photons = float(np.sum(flux_of(source, w, instrument) * w * passed))
    even = float(np.sum(ab_flux(0.0, w) * w * passed))
    return float(-2.5 * np.log10(photons / even))
