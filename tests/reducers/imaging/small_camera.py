"""A small ALFOSC: raw images of 300 x 260 pixels, made with arithmetic of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.io import fits

from reducers.fits import RawExposure
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument
from reducers.reduced import Exposure

ALFOSC = load_instrument("alfosc")
#: Rows 1900-2102 of the detector: image below 2064, overscan above 2068.
SETUP = Setup(
    x_binning=1, y_binning=1, window=(901, 1200, 1803, 2102), readout="D-8-200", filter="r_SDSS"
)
GAIN, NOISE_ADU, LEVEL_ADU = ALFOSC.detector.gain_e_per_adu, 24.0, 3400.0
LIT_ROWS = 2064 - 1802
SHAPE = (300, 300)
RESPONSE = 1 + np.random.default_rng(8).normal(0, 0.01, SHAPE)


def expose(
    light_e: Any, seed: int = 1, *, setup: Setup = SETUP, clip_adu: float = 700_000.0, **facts: Any
) -> Exposure:
    """Return a raw exposure of `light_e` electrons per pixel (a number, or what broadcasts)."""
    rng = np.random.default_rng(seed)
    x1, x2, y1, y2 = setup.window
    shape = ((y2 - y1 + 1) // setup.y_binning, (x2 - x1 + 1) // setup.x_binning)
    lit = LIT_ROWS // setup.y_binning
    expected = np.zeros(shape)
    expected[:lit] = np.broadcast_to(np.asarray(light_e, float), shape)[:lit]
    counts = rng.poisson(np.clip(expected, 0, None)) / GAIN + LEVEL_ADU
    counts = np.minimum(np.rint(counts + rng.normal(0, NOISE_ADU, shape)), clip_adu)
    identity = Identity(
        instrument="ALFOSC",
        kind=FrameKind.IMG_OBJECT,
        setup=setup,
        observed_at=datetime(2026, 1, 16, 2, seed % 60, tzinfo=UTC),
        exposure_s=60.0,
        airmass=1.2,
        ra_deg=150.0,
        dec_deg=30.0,
        field_deg=0.0,
    )
    identity = replace(identity, **facts)
    raw = RawExposure(header=fits.Header(), data=counts.astype(np.float32))
    return Exposure(raw=raw, identity=identity, stem=f"ALab{seed:06d}")


def stars(
    places: Any, electrons: Any, fwhm_px: float = 4.0, shape: tuple[int, int] = SHAPE
) -> np.ndarray:
    """Return Gaussian stars at (x, y) pixels, electrons per pixel."""
    y, x = np.indices(shape)
    image, sigma = np.zeros(shape), fwhm_px / 2.3548
    for (at_x, at_y), flux in zip(places, np.broadcast_to(electrons, len(places)), strict=True):
        r2 = (x - at_x) ** 2 + (y - at_y) ** 2
        image += flux / (2 * np.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))
    return image
