"""What goes into the recipe of an image and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Frame, Image
from reducers.imaging.depth import Depth
from reducers.imaging.photometry import Photometry
from reducers.imaging.seeing import Seeing
from reducers.imaging.sky_map import Astrometry
from reducers.imaging.sky_noise import SkyNoise
from reducers.imaging.sources import Detections
from reducers.imaging.trails import Trail
from reducers.imaging.zero_point import ZeroPoint
from reducers.quality import Flag

#: The stages of the recipe, in order, as `--stages` and `--stop-after` name them.
STAGES = ("detector", "cosmics", "sky", "detect", "astrometry", "photometry", "zeropoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCalibrations:
    """The masters chosen for one image; None where there is none.

    Attributes
    ----------
    star_flat
        Response to stars over that of the flat: worth something only with this very flat.
    fringe
        Fringe pattern of unit amplitude for the filter, mean zero.
    facts
        Ages 'bias_age_h', 'flat_age_h', ..., what the masters measured, and
        'best_zero_point_mag', the best of the night in this filter, where it is known.
    """

    bias: Frame | None = None
    dark: Frame | None = None
    flat: Frame | None = None
    star_flat: Frame | None = None
    fringe: Frame | None = None
    facts: Mapping[str, float] = field(default_factory=dict)

    def after_detector(self) -> ImageCalibrations:
        """Return what an image in electrons still needs: bias, dark and flat fill the memory."""
        return replace(self, bias=None, dark=None, flat=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """What a user may choose about the reduction of one image.

    Attributes
    ----------
    subtract_sky, divide_flat, find_cosmics, find_trails, use_catalogues
        Whether the step is done at all (`--skip-skysub`, `--skip-flatten`, `--skip-cr`,
        `--skip-gaia`).
    cosmic_sigma
        Threshold of the cosmic-ray search, sigma of the noise.
    stop_after
        Last stage to be done ('' for all); names as in `STAGES`.
    """

    subtract_sky: bool = True
    divide_flat: bool = True
    find_cosmics: bool = True
    find_trails: bool = True
    use_catalogues: bool = True
    cosmic_sigma: float = 4.5
    stop_after: str = ""

    def reaches(self, stage: str) -> bool:
        """Tell whether a stage of `STAGES` is done."""
        return not self.stop_after or STAGES.index(stage) <= STAGES.index(self.stop_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedImage:
    """Everything that one image gave.

    Attributes
    ----------
    image : Frame
        Flat-fielded electrons, sky included; variance with sky and read noise; nothing cleaned.
    background, background_rms : (ny, nx) float32
        Sky model and its scatter per pixel, electrons.
    noise, detections, segmentation, astrometry
        None where the recipe stopped before.
    trails : tuple of Trail
        Satellites and aircraft that crossed the image; they are masked.
    seeing, photometry, zero_point, depth
        None where the recipe stopped before, or nothing was found.
    measurements : mapping of str to float
        Numbers of the product, by the names of `quality_images.toml`.
    """

    image: Frame
    background: Image
    background_rms: Image
    noise: SkyNoise | None = None
    detections: Detections | None = None
    segmentation: NDArray[np.int32] | None = None
    astrometry: Astrometry | None = None
    trails: tuple[Trail, ...] = ()
    seeing: Seeing | None = None
    photometry: Photometry | None = None
    zero_point: ZeroPoint | None = None
    depth: Depth | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    quality: int = 0

    def adding(
        self, *, measurements: Mapping[str, float] | None = None, **found: Any
    ) -> ReducedImage:
        """Return the image with what one more step found."""
        return replace(self, measurements={**self.measurements, **(measurements or {})}, **found)
