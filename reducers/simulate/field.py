"""Expected electrons of an image of the sky."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate.camera import Window, dark_current, sensitivity
from reducers.simulate.field_truth import FieldTruth, field_truth, true_fwhm_px
from reducers.simulate.filters import passband_of
from reducers.simulate.illumination import dome_light, dust, fringes, reflections, vignetting
from reducers.simulate.star_images import Shape, add_galaxy, add_stars, blurred
from reducers.simulate.trails import add_trail
from reducers.simulate.well import bleed

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure

#: Electrons per second and pixel of the twilight that counts as bright as 1.
TWILIGHT_E_PER_S = 9000.0
#: Fringes are lines of the night sky: twilight shows a tenth of them.
TWILIGHT_FRINGES = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What fell into the pixels of one image.

    Attributes
    ----------
    expected : (rows, columns) float
        Electrons in raw pixels.
    full : (rows, columns) bool
        Raw pixels with a full well in them.
    truth : FieldTruth
    sky_electrons : float
        Of one raw pixel in the middle of the field.
    """

    expected: Any
    full: Any
    truth: FieldTruth
    sky_electrons: float


def expose_field(
    planned: PlannedExposure, pointing: Pointing, window: Window, instrument: Instrument
) -> Exposed:
    """Return the electrons that an image of the sky, or a flat, collects."""
    native = replace(window, x_binning=1, y_binning=1)
    truth = field_truth(planned, pointing, instrument)
    sky = _sky_electrons(planned, instrument)
    light = _sky_light(planned, native, sky)
    fwhm = true_fwhm_px(planned, instrument)
    _add_sources(light, planned, native, truth, fwhm)
    for trail in truth.trails:
        add_trail(light, native.x0, native.y0, trail)
    light *= vignetting(native) * dust(native, planned.filter)
    if planned.scene is not None and planned.scene.scattered_light:
        light += np.float32(sky * planned.scene.scattered_light) * reflections(native)
    light *= sensitivity(native)
    full = bleed(light)
    return Exposed(
        expected=window.add_up(light) + dark_current(window, planned.exposure_s),
        full=window.add_up(full) > 0,
        truth=truth,
        sky_electrons=sky * window.x_binning * window.y_binning,
    )


def _sky_electrons(planned: PlannedExposure, instrument: Instrument) -> float:
    """Return the sky of one unbinned pixel."""
    if planned.kind == "IMG_FLAT":
        return TWILIGHT_E_PER_S * planned.exposure_s * planned.sky_brightness
    passband = passband_of(planned.filter)
    rate = 10 ** (-0.4 * (passband.sky_mag - passband.zero_point))
    rate *= instrument.detector.pixel_scale_arcsec**2
    return float(rate * planned.exposure_s * planned.sky_brightness)


def _sky_light(planned: PlannedExposure, native: Window, sky: float) -> Any:
    scene = planned.scene
    slope = 0.01 if scene is None else scene.sky_gradient
    x = np.float32((native.x[None, :] - 1050) / 2100)
    light = np.full(native.shape, sky, dtype=np.float32) * (1 + np.float32(slope) * x)
    if "DOME" in planned.image_type:
        return light * np.float32(dome_light(native))
    amplitude = passband_of(planned.filter).fringes
    if planned.kind == "IMG_FLAT":
        amplitude *= TWILIGHT_FRINGES
    if amplitude and sky:
        light *= 1 + np.float32(amplitude) * fringes(native, planned.filter)
    return light


def _add_sources(
    light: Any, planned: PlannedExposure, native: Window, truth: FieldTruth, fwhm: float
) -> None:
    scene = planned.scene
    smeared = scene is not None and (scene.defocus_arcsec or any(scene.drift_px))
    layer = np.zeros_like(light) if smeared else light
    x0, y0 = native.x0, native.y0
    shape = Shape(fwhm_px=fwhm, x_px=1049.0 - x0, y_px=1049.0 - y0)
    add_stars(layer, truth.x - x0, truth.y - y0, truth.electrons, shape)
    for n in range(len(truth.galaxies)):
        add_galaxy(
            layer, truth.galaxy_x[n] - x0, truth.galaxy_y[n] - y0, truth.galaxy_electrons[n],
            truth.galaxy_radius_px[n], truth.galaxies.axis_ratio[n],
            truth.galaxy_angle_rad[n], shape,
        )  # fmt: skip
    if smeared and scene is not None:
        light += blurred(layer, scene.defocus_arcsec / truth.place.scale_arcsec, scene.drift_px)
