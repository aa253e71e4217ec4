"""Cosmic rays: straight muon tracks and short crooked electron tracks."""

from __future__ import annotations

from typing import Any

import numpy as np

RATE_PER_MINUTE_CM2 = 2.2
PIXEL_UM = 15.0
SILICON_UM = 40.0
ELECTRONS_PER_UM = 80.0
STEP_PX = 0.15


def add_cosmic_rays(electrons: Any, exposed_s: float, rng: np.random.Generator) -> int:
    """Add hits to an image of unbinned pixels, in place; return how many.

    Parameters
    ----------
    electrons : (ny, nx) float
        Unbinned detector pixels.
    exposed_s
        Exposure and half of the readout.
    """
    ny, nx = electrons.shape
    area_cm2 = ny * nx * (PIXEL_UM * 1e-4) ** 2
    count = int(rng.poisson(RATE_PER_MINUTE_CM2 * area_cm2 * exposed_s / 60))
    for _ in range(count):
        path, charge = _worm(rng) if rng.random() < 0.3 else _muon(rng)
        path = path + rng.uniform((0, 0), (ny, nx)) + rng.normal(0, 0.32, path.shape)
        at = np.floor(path).astype(int)
        inside = (at[:, 0] >= 0) & (at[:, 0] < ny) & (at[:, 1] >= 0) & (at[:, 1] < nx)
        np.add.at(electrons, (at[inside, 0], at[inside, 1]), charge[inside])
    return count


def _muon(rng: np.random.Generator) -> tuple[Any, Any]:
    # Intensity falls as the square of the cosine of the zenith angle; the chip may hang any way.
    tangent = min(np.tan(np.arccos(rng.random() ** (1 / 3))), 8.0)
    length_um = SILICON_UM * np.hypot(1, tangent)
    deposit = length_um * ELECTRONS_PER_UM * (1 + rng.gumbel(0, 0.25) ** 2)
    return _along(tangent * SILICON_UM / PIXEL_UM, 0.0, deposit, rng)


def _worm(rng: np.random.Generator) -> tuple[Any, Any]:
    return _along(rng.exponential(5.0), 0.25, 400.0 + 1500.0 * rng.lognormal(0.0, 1.0), rng)


def _along(
    length_px: float, wander: float, deposit: float, rng: np.random.Generator
) -> tuple[Any, Any]:
    points = max(40, int(length_px / STEP_PX) * 12)
    turn = np.cumsum(rng.normal(0, wander / np.sqrt(points / 8), points))
    angle = rng.uniform(0, 2 * np.pi) + turn
    step = length_px / points
    path = np.cumsum(np.stack([np.sin(angle), np.cos(angle)], axis=1) * step, axis=0)
    charge = rng.gamma(2.0, 1.0, points)
    return path, charge / charge.sum() * deposit
