"""A first look at an image, within a second of its arrival."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reducers.frame import Frame, Image
from reducers.imaging.assess import measure_sky, measure_stars
from reducers.imaging.background import estimate_background
from reducers.imaging.detection import FIRST_FWHM_PX, detect, first_seeing, scene_of
from reducers.imaging.preparation import image_electrons
from reducers.imaging.recipe import image_scale_arcsec, place_on_sky
from reducers.imaging.references import References
from reducers.imaging.sky_map import Astrometry, SkyMap
from reducers.imaging.sources import Detections

if TYPE_CHECKING:
    from reducers.imaging.background import Background
    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

#: Sigma above which a first look believes in a source.
SURE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickLook:
    """What is known of an image before it is reduced.

    Attributes
    ----------
    image : Frame
        Flat-fielded electrons; cosmic rays not searched.
    background : (ny, nx) float32
        Sky model, electrons.
    astrometry : Astrometry or None
        Where it lies, as far as stars or else the header tell; None where neither does.
    measurements : mapping of str to float
        'seeing_arcsec', 'sky_e', 'stars', ..., as in `ReducedImage`.
    """

    image: Frame
    background: Image
    detections: Detections
    astrometry: Astrometry | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)

    @property
    def sky_map(self) -> SkyMap | None:
        """Where the image lies; the best guess where stars do not confirm it."""
        return None if self.astrometry is None else self.astrometry.sky_map

    @property
    def solved(self) -> bool:
        """Whether stars confirm the place."""
        return self.astrometry is not None and self.astrometry.solved


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
    sources, segmentation = detect(
        frame, sky.level, sky.rms, fwhm_px=seeing_of_middle(frame, sky), threshold=SURE
    )
    place = place_on_sky(sources, frame, exposure, references or References(), instrument)
    return QuickLook(
        image=frame,
        background=sky.level,
        detections=sources,
        astrometry=place,
        measurements={
            **facts,
            **measure_sky(frame, sky, facts["full_e"]),
            **measure_stars(frame.data - sky.level, sky.rms, sources, segmentation),
            "seeing_arcsec": sources.fwhm_px * image_scale_arcsec(frame, instrument),
            "astrometry_matched": float(place.matched) if place is not None else 0.0,
        },
    )


def seeing_of_middle(frame: Frame, sky: Background) -> float:
    """Return the FWHM (pixels) of the stars in the middle quarter of the image; NaN if none."""
    ny, nx = frame.shape
    cut = (slice(ny // 4, ny - ny // 4), slice(nx // 4, nx - nx // 4))
    middle = frame.after(
        "middle", data=frame.data[cut], variance=frame.variance[cut], mask=frame.mask[cut]
    )
    scene = scene_of(middle, sky.level[cut], sky.rms[cut], FIRST_FWHM_PX)
    return first_seeing(scene).fwhm_px
