"""Images of stars and galaxies in unbinned pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

BETA = 3.0
#: Part of the light in the wide aureole, and how much wider it is (Moffat, beta 2).
AUREOLE, AUREOLE_WIDTH, AUREOLE_BETA = 0.03, 4.0, 2.0
#: Stamp half widths in FWHM, and the electrons up to which each is enough.
STAMPS = ((3.0, 3e3), (6.0, 5e4), (12.0, 1e6), (30.0, 2e7), (60.0, np.inf))
#: The image of a star widens and stretches outwards towards the edge, at this radius by so much.
EDGE_PX, GROWTH, ELLIPTICITY = 1050.0, 0.05, 0.03
OVERSAMPLING = 3
#: Pixels of stamps that are computed at once.
BATCH_PX = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """FWHM in the middle of the field (px) and the middle itself (detector x, y)."""

    fwhm_px: float
    x_px: float = 1049.0
    y_px: float = 1049.0


def add_stars(image: Any, x: Any, y: Any, electrons: Any, shape: Shape) -> None:
    """Add stars to an image of unbinned detector pixels, in place.

    Parameters
    ----------
    image : (ny, nx) float32
    x, y : (n,) float
        Places in `image`, 0-based, pixel centres are integers.
    electrons : (n,) float
        Total of each star, up to infinity.
    shape
        Its middle is given in pixels of `image`.
    """
    bright = 0.0
    for reach, limit in STAMPS:
        half = int(np.ceil(reach * shape.fwhm_px))
        chosen = (electrons > bright) & (electrons <= limit)
        bright = limit
        near = (x > -half) & (x < image.shape[1] + half)
        near &= (y > -half) & (y < image.shape[0] + half)
        places = np.flatnonzero(chosen & near)
        for part in _batches(places, (2 * half + 1) ** 2):
            _add(image, x[part], y[part], electrons[part], shape, half)


def _batches(places: Any, stamp_px: int) -> list[Any]:
    size = max(1, BATCH_PX // (stamp_px * OVERSAMPLING**2))
    return [places[start : start + size] for start in range(0, len(places), size)]


def _add(image: Any, x: Any, y: Any, electrons: Any, shape: Shape, half: int) -> None:
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    stamps = moffat_stamps(x - column, y - row, x, y, shape, half) * _across(electrons)
    ny, nx = image.shape
    for stamp, c, r in zip(stamps, column - half, row - half, strict=True):
        r0, r1 = max(r, 0), min(r + 2 * half + 1, ny)
        c0, c1 = max(c, 0), min(c + 2 * half + 1, nx)
        if r0 < r1 and c0 < c1:
            image[r0:r1, c0:c1] += stamp[r0 - r : r1 - r, c0 - c : c1 - c]


def moffat_stamps(dx: Any, dy: Any, x: Any, y: Any, shape: Shape, half: int) -> Any:
    """Return images of unit light, (n, size, size), integrated over pixels.

    Parameters
    ----------
    dx, dy
        Where in the middle pixel each star stands.
    x, y
        Places in the field, that decide about width and stretch.
    """
    u, v = (x - shape.x_px) / EDGE_PX, (y - shape.y_px) / EDGE_PX
    fwhm = shape.fwhm_px * (1 + GROWTH * (u**2 + v**2))
    e1, e2 = ELLIPTICITY * (u**2 - v**2), ELLIPTICITY * 2 * u * v
    part = (np.arange(OVERSAMPLING) + 0.5) / OVERSAMPLING - 0.5
    at = (np.arange(-half, half + 1)[:, None] + part).ravel().astype(np.float32)
    xs, ys = at[None, None, :] - _across(dx), at[None, :, None] - _across(dy)
    squared = xs**2 * _across(1 - e1) + ys**2 * _across(1 + e1) - 2 * _across(e2) * xs * ys
    light = (1 - AUREOLE) * _moffat(squared, fwhm, BETA)
    light += AUREOLE * _moffat(squared, AUREOLE_WIDTH * fwhm, AUREOLE_BETA)
    size = 2 * half + 1
    fine = light.reshape(len(dx), size, OVERSAMPLING, size, OVERSAMPLING)
    return fine.sum(axis=(2, 4)) / np.float32(OVERSAMPLING**2)


def _moffat(squared: Any, fwhm: Any, beta: float) -> Any:
    alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
    scaled = 1 + squared / _across(alpha2)
    norm = _across((beta - 1) / (np.pi * alpha2))
    # Whole powers are far faster than general ones.
    return norm / (scaled**2 if beta == 2 else scaled * scaled * scaled)


def _across(values: Any) -> Any:
    # One number for each stamp.
    return np.asarray(values, dtype=np.float32)[:, None, None]


def add_galaxy(
    image: Any, x: float, y: float, electrons: float, radius_px: float, ratio: float,
    angle_rad: float, shape: Shape,
) -> None:  # fmt: skip
    """Add an exponential disc, seen through the seeing, in place.

    Parameters
    ----------
    radius_px, ratio, angle_rad
        Half-light radius of the major axis, minor over major, and the angle of the major axis
        from +x towards +y.
    """
    half = int(np.ceil(5 * radius_px + 3 * shape.fwhm_px))
    column, row = round(x), round(y)
    ny, nx = image.shape
    r0, r1 = max(row - half, 0), min(row + half + 1, ny)
    c0, c1 = max(column - half, 0), min(column + half + 1, nx)
    if r0 >= r1 or c0 >= c1:
        return
    part = (np.arange(OVERSAMPLING) + 0.5) / OVERSAMPLING - 0.5
    at = (np.arange(-half, half + 1)[:, None] + part).ravel()
    dx, dy = at[None, :] - (x - column), at[:, None] - (y - row)
    along = dx * np.cos(angle_rad) + dy * np.sin(angle_rad)
    across = (dy * np.cos(angle_rad) - dx * np.sin(angle_rad)) / ratio
    disc = np.exp(-1.68 * np.hypot(along, across) / radius_px)
    size = 2 * half + 1
    disc = disc.reshape(size, OVERSAMPLING, size, OVERSAMPLING).sum(axis=(1, 3))
    blur = int(np.ceil(4 * shape.fwhm_px))
    middle = np.zeros(1)
    seen = moffat_stamps(middle, middle, middle + x, middle + y, shape, blur)[0]
    light = fftconvolve(disc / disc.sum(), seen, mode="same") * electrons
    image[r0:r1, c0:c1] += light[
        r0 - row + half : r1 - row + half, c0 - column + half : c1 - column + half
    ].astype(image.dtype)


def blurred(image: Any, defocus_px: float, drift_px: tuple[float, float]) -> Any:
    """Return the image out of focus (a ring of that outer radius) and drawn out by a drift."""
    if defocus_px:
        image = fftconvolve(image, _ring(defocus_px), mode="same")
    if any(drift_px):
        image = fftconvolve(image, _line(drift_px), mode="same")
    return np.clip(image, 0, None).astype(np.float32)


def _ring(outer_px: float) -> Any:
    half = int(np.ceil(outer_px)) + 1
    fine = (np.arange((2 * half + 1) * 5) + 0.5) / 5 - half - 0.5
    radius = np.hypot(fine[None, :], fine[:, None])
    ring = ((radius <= outer_px) & (radius >= 0.35 * outer_px)).astype(np.float32)
    kernel = ring.reshape(2 * half + 1, 5, 2 * half + 1, 5).sum(axis=(1, 3))
    return kernel / kernel.sum()


def _line(drift_px: tuple[float, float]) -> Any:
    half = int(np.ceil(max(abs(d) for d in drift_px) / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    for step in np.linspace(-0.5, 0.5, 20 * half + 1):
        x, y = step * drift_px[0] + half, step * drift_px[1] + half
        c, r = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - c, y - r
        kernel[r, c] += (1 - fx) * (1 - fy)
        kernel[r, min(c + 1, 2 * half)] += fx * (1 - fy)
        kernel[min(r + 1, 2 * half), c] += (1 - fx) * fy
        kernel[min(r + 1, 2 * half), min(c + 1, 2 * half)] += fx * fy
    return kernel / kernel.sum()
