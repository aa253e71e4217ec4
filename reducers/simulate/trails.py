"""Trails of satellites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reducers.simulate.star_images import BETA


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailLight:
    """A trail in electrons: the line on the detector, peak per unbinned pixel, FWHM, ends."""

    x_px: float
    y_px: float
    angle_deg: float
    peak_e: float
    fwhm_px: float
    ends_px: tuple[float, float]
    sigma: float


def add_trail(light: Any, x0: int, y0: int, trail: TrailLight) -> None:
    """Add a trail to an image of unbinned pixels whose corner is the detector's x0, y0."""
    rows, columns = np.ogrid[: light.shape[0], : light.shape[1]]
    dx, dy = columns + x0 - np.float32(trail.x_px), rows + y0 - np.float32(trail.y_px)
    cosine, sine = np.cos(np.radians(trail.angle_deg)), np.sin(np.radians(trail.angle_deg))
    along = dx * np.float32(cosine) + dy * np.float32(sine)
    across = dy * np.float32(cosine) - dx * np.float32(sine)
    alpha2 = np.float32((trail.fwhm_px / 2) ** 2 / (2 ** (1 / (BETA - 0.5)) - 1))
    # A Moffat profile drawn along a line is Moffat across it, with beta - 1/2.
    profile = np.float32(trail.peak_e) * (1 + across**2 / alpha2) ** np.float32(0.5 - BETA)
    low, high = trail.ends_px
    inside = np.clip(along - low, 0, 1) * np.clip(high - along, 0, 1)
    light += (profile * inside).astype(light.dtype)
