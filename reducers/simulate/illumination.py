"""How light is spread over the detector: vignetting, dust, fringes, lamps."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reducers.simulate.camera import Window

SHAPE = (2102, 2148)
DUST_RINGS = 14
FRINGE_WAVES = 9


def vignetting(window: Window) -> Any:
    """Return how much light the field lens passes, (rows, columns)."""
    radius = np.hypot(
        np.float32(window.x[None, :]) - np.float32(1060),
        np.float32(window.y[:, None]) - np.float32(1035),
    )
    rolled = np.clip((930 - radius) / 25, 0, 1)
    return rolled * (1 - np.float32(0.06) * (radius / 900) ** 2)


def dome_light(window: Window) -> Any:
    """Return how a lit dome differs from an even sky: it falls off and leans."""
    x, y = (window.x[None, :] - 1060) / 1000, (window.y[:, None] - 1035) / 1000
    return 1 + 0.02 * x - 0.03 * (x**2 + y**2)


def reflections(window: Window) -> Any:
    """Return how light that optics throw back gathers in the middle: 1 there, 0 at the edge."""
    x, y = np.float32(window.x[None, :] - 1060), np.float32(window.y[:, None] - 1035)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(np.hypot(x, y) / 1000, 0, 1))


def dust(window: Window, filter_name: str) -> Any:
    """Return the shadows of dust on one filter, (rows, columns) of the window's raw pixels."""
    full = _dust(filter_name)
    return _binned_mean(full, window)


def fringes(window: Window, filter_name: str) -> Any:
    """Return the fringes of one filter: mean 0, rms 1, fixed on the detector."""
    return _binned_mean(_fringes(filter_name), window)


def _binned_mean(full: Any, window: Window) -> Any:
    cut = full[window.y0 : window.y1, window.x0 : window.x1]
    if window.x_binning == window.y_binning == 1:
        return cut
    return window.add_up(cut) / (window.x_binning * window.y_binning)


def _seeded(name: str, what: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(" ".join(name.split()).encode()), what])


@lru_cache(maxsize=4)
def _dust(filter_name: str) -> Any:
    rng = _seeded(filter_name, 1)
    passed = np.ones(SHAPE, dtype=np.float32)
    for _ in range(DUST_RINGS):
        x, y = rng.uniform(150, 1950, 2)
        outer, depth = rng.uniform(18, 45), rng.uniform(0.005, 0.035)
        r0, r1 = max(int(y - outer) - 6, 0), int(y + outer) + 6
        c0, c1 = max(int(x - outer) - 6, 0), int(x + outer) + 6
        rows, columns = np.ogrid[r0 : min(r1, SHAPE[0]), c0 : min(c1, SHAPE[1])]
        radius = np.hypot(rows - y, columns - x)
        inside = np.clip((outer - radius) / 3, 0, 1) * np.clip((radius - outer / 3) / 3, 0, 1)
        passed[r0:r1, c0:c1] *= (1 - depth * inside).astype(np.float32)
    passed.setflags(write=False)
    return passed


@lru_cache(maxsize=3)
def _fringes(filter_name: str) -> Any:
    rng = _seeded(filter_name, 2)
    x = (np.arange(SHAPE[1], dtype=np.float32) / 1000)[None, :]
    y = (np.arange(SHAPE[0], dtype=np.float32) / 1000)[:, None]
    # The thickness of the silicon wanders smoothly; each turn of the phase is one fringe.
    thickness = np.zeros(SHAPE, dtype=np.float32)
    for _ in range(FRINGE_WAVES):
        kx, ky = rng.normal(0, 6.0, 2)
        phase = kx * x + ky * y + rng.uniform(0, 2 * np.pi)
        thickness += np.float32(rng.normal(0, 6.0)) * np.sin(phase, dtype=np.float32)
    pattern = np.cos(thickness) + np.float32(0.3) * np.cos(2.3 * thickness + np.float32(1.0))
    pattern -= pattern.mean()
    pattern /= pattern.std()
    pattern.setflags(write=False)
    return pattern
