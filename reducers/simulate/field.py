"""Expected electrons of an image of the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate.camera import Window, sensitivity
from reducers.simulate.optics import MOFFAT_BETA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reducers.instrument import Instrument
    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure, Source

#: AB magnitude that gives 1 e/s outside the atmosphere; sky AB magnitude per square arcsec.
ZERO_POINT = {"u": 24.2, "g": 26.2, "r": 26.1, "i": 25.7, "z": 25.0}
SKY_MAGNITUDE = {"u": 22.2, "g": 22.0, "r": 21.1, "i": 20.4, "z": 19.3}
WAVELENGTH = {"u": 3550.0, "g": 4770.0, "r": 6180.0, "i": 7640.0, "z": 9100.0}
TWILIGHT_E_PER_S = 9000.0
STAMP_PX = 30


def expose_field(
    planned: PlannedExposure, pointing: Pointing, window: Window, instrument: Instrument
) -> tuple[Any, tuple[Mapping[str, float], ...], float]:
    """Return expected electrons, the true stars and the sky level per raw pixel."""
    band = planned.filter[:1] if planned.filter[:1] in ZERO_POINT else "r"
    if planned.kind == "IMG_FLAT":
        return _twilight(planned, window), (), 0.0
    scale2 = instrument.detector.pixel_scale_arcsec**2 * window.x_binning * window.y_binning
    sky_rate = 10 ** (-0.4 * (SKY_MAGNITUDE[band] - ZERO_POINT[band])) * scale2
    sky = sky_rate * planned.exposure_s * planned.sky_brightness
    image = sky * vignetting(window)
    extinction = float(
        np.interp(
            WAVELENGTH[band],
            instrument.extinction_angstrom,
            instrument.extinction_mag_per_airmass,
        )
    )
    stars = []
    fwhm_px = planned.seeing_arcsec / instrument.detector.pixel_scale_arcsec
    for source in planned.sources:
        faded = source.ab_magnitude + extinction * pointing.airmass - ZERO_POINT[band]
        electrons = 10 ** (-0.4 * faded) * planned.exposure_s * planned.transparency
        _add_star(image, window, source, electrons, fwhm_px)
        stars.append(_star_truth(source, electrons))
    return image * sensitivity(window), tuple(stars), float(sky)


def vignetting(window: Window) -> Any:
    """Return how much light the field lens passes, (rows, columns)."""
    radius = np.hypot(window.x[None, :] - 1060, window.y[:, None] - 1035)
    rolled = np.clip((930 - radius) / 25, 0, 1)
    return rolled * (1 - 0.06 * (radius / 900) ** 2)


def _twilight(planned: PlannedExposure, window: Window) -> Any:
    slope = 1 + 0.01 * (window.x[None, :] - 1050) / 1000
    level = TWILIGHT_E_PER_S * planned.exposure_s * planned.sky_brightness
    level *= window.x_binning * window.y_binning
    return level * slope * vignetting(window) * sensitivity(window)


def _add_star(image: Any, window: Window, source: Source, electrons: float, fwhm: float) -> None:
    column = (source.detector_x - window.x_edges[0]) / window.x_binning
    row = (source.detector_y - window.y_edges[0]) / window.y_binning
    r0, r1 = max(int(row) - STAMP_PX, 0), min(int(row) + STAMP_PX, image.shape[0])
    c0, c1 = max(int(column) - STAMP_PX, 0), min(int(column) + STAMP_PX, image.shape[1])
    if r0 >= r1 or c0 >= c1:
        return
    oversampling = 3
    part = (np.arange(oversampling) + 0.5) / oversampling
    y = (np.arange(r0, r1)[:, None] + part).ravel() - row
    x = (np.arange(c0, c1)[:, None] + part).ravel() - column
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / MOFFAT_BETA) - 1)
    r2 = (y[:, None] * window.y_binning) ** 2 + (x[None, :] * window.x_binning) ** 2
    area = window.x_binning * window.y_binning / oversampling**2
    moffat = (MOFFAT_BETA - 1) / (np.pi * alpha**2) * (1 + r2 / alpha**2) ** -MOFFAT_BETA * area
    stamp = moffat.reshape(r1 - r0, oversampling, c1 - c0, oversampling).sum(axis=(1, 3))
    image[r0:r1, c0:c1] += electrons * stamp


def _star_truth(source: Source, electrons: float) -> Mapping[str, float]:
    return {
        "detector_x": source.detector_x,
        "detector_y": source.detector_y,
        "ab_magnitude": source.ab_magnitude,
        "electrons": round(electrons, 2),
    }
