"""Measure the stars of a stack as those of a single image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.background import estimate_background
from reducers.imaging.detection import detect, measure_seeing
from reducers.imaging.magnitudes import depth_of, find_zero_point, measure_limits
from reducers.imaging.photometry import Photometry, measure_sources
from reducers.imaging.sky_map import Astrometry
from reducers.imaging.stack import Stacked, as_electrons
from reducers.imaging.zero_point import ZeroPoint

if TYPE_CHECKING:
    from reducers.identity import Identity
    from reducers.imaging.references import References
    from reducers.instrument import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStars:
    """The sources of a stack.

    Attributes
    ----------
    photometry : Photometry
        In the electrons of `as_electrons`; their exposure time is `Stacked.gain_s`.
    astrometry : Astrometry
        The grid of the stack.
    zero_point : ZeroPoint
        From catalogue stars on the stack itself.
    measurements : mapping of str to float
        'seeing_arcsec', 'sources', and the limits where there is a zero point.
    """

    photometry: Photometry
    astrometry: Astrometry
    zero_point: ZeroPoint
    measurements: Mapping[str, float]


def measure_stack(
    stacked: Stacked,
    identity: Identity,
    known: References,
    instrument: Instrument,
    *,
    solved: bool,
) -> StackStars | None:
    """Return the sources of a stack; None where nothing is found.

    Parameters
    ----------
    identity
        Of one of its images: filter and airmass.
    solved
        Whether catalogue stars confirm the place of the stack.

    Notes
    -----
    The variance is raised by the correlation of neighbours, so that the errors of sums over
    pixels, which is what photometry makes, are true; single pixels are less noisy than it says.
    """
    counted = as_electrons(stacked)
    frame = counted.after(
        "variance: as of independent pixels", variance=counted.variance / stacked.noise_gain
    )
    sky = estimate_background(frame)
    rms = (sky.rms / math.sqrt(stacked.noise_gain)).astype(np.float32)
    sources, segmentation = detect(frame, sky.level, rms)
    seeing = measure_seeing(frame, sky.level, rms, sources)
    if not len(sources) or not seeing.fwhm_px > 0:
        return None
    photometry = measure_sources(frame, sky.level, sources, segmentation, seeing)
    place = Astrometry(sky_map=stacked.grid.sky_map, solved=solved, method="members")
    own = replace(identity, exposure_s=stacked.gain_s)
    zero = find_zero_point(photometry, place, known, own, instrument)
    scale = stacked.grid.sky_map.pixel_scale_arcsec
    limits = measure_limits(depth_of(photometry, sky.level, zero, own, scale))
    limits.pop("sky_mag_arcsec2", None)  # the sky was subtracted from the members
    measured = {
        "seeing_arcsec": seeing.fwhm_px * scale,
        "sources": float(len(photometry)),
        **limits,
    }
    return StackStars(
        photometry=photometry, astrometry=place, zero_point=zero, measurements=measured
    )
