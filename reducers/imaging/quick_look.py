"""A first look at an image, within a second of its arrival."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reducers.frame import Frame, Image
from reducers.imaging.assess import measure_sky
from reducers.imaging.background import estimate_background
from reducers.imaging.header_place import header_place
from reducers.imaging.preparation import image_electrons
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.sources import Detections

if TYPE_CHECKING:
    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.imaging.references import References
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickLook:
    """What is known of an image before it is reduced.

    Attributes
    ----------
    image : Frame
        Flat-fielded electrons; cosmic rays not searched.
    background : (ny, nx) float32
        Sky model, electrons.
    sky_map : SkyMap or None
        Where it lies; None where neither header nor stars tell.
    solved : bool
        Whether stars confirm `sky_map`.
    measurements : mapping of str to float
        'seeing_arcsec', 'sky_e', 'stars', ..., as in `ReducedImage`.
    """

    image: Frame
    background: Image
    detections: Detections | None = None
    sky_map: SkyMap | None = None
    solved: bool = False
    measurements: Mapping[str, float] = field(default_factory=dict)


def quick_look(
    exposure: Exposure,
    given: ImageCalibrations,
    instrument: Instrument,
    references: References | None = None,
) -> QuickLook:
    """Return bias, flat, sky, sources, seeing and the place on the sky, and nothing slow.

    Raises
    ------
    SetupMismatch, NoOverscan
        If the frame cannot be placed on the detector.
    """
    frame, facts = image_electrons(exposure, given, instrument)
    sky = estimate_background(frame)
    place = header_place(
        exposure.identity, frame.shape, frame.geometry, instrument, exposure.raw.header
    )
    return QuickLook(
        image=frame,
        background=sky.level,
        sky_map=place,
        measurements={
            **facts,
            **measure_sky(frame, sky, facts["full_e"]),
        },
    )
