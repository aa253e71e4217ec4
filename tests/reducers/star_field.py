"""A small field of Moffat stars, drawn without any code of the reducers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reducers.frame import Frame

READ_NOISE = 4.3


@dataclass(frozen=True)
class Field:
    """A frame with the truth behind it."""

    frame: Frame
    sky: np.ndarray
    rms: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray


def moffat_star(
    shape: tuple[int, int], x: float, y: float, fwhm: float, beta: float = 3.0, q: float = 1.0
) -> np.ndarray:
    """Light of a unit star: the profile averaged over 5 x 5 points of each pixel."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    total = np.zeros(shape)
    for sub_y in (-0.4, -0.2, 0.0, 0.2, 0.4):
        for sub_x in (-0.4, -0.2, 0.0, 0.2, 0.4):
            along, across = columns + sub_x - x, rows + sub_y - y
            radius = (along**2 * q + across**2 / q) / alpha**2
            total += (1 + radius) ** -beta
    return (beta - 1) / (np.pi * alpha**2) * total / 25


def draw(
    shape: tuple[int, int],
    x: np.ndarray,
    y: np.ndarray,
    flux: np.ndarray,
    *,
    fwhm: float = 4.0,
    beta: float = 3.0,
    q: float = 1.0,
    growth: float = 0.0,
    sky: float = 500.0,
    extra: np.ndarray | None = None,
    seed: int = 1,
) -> Field:
    """Return an exposure of stars on a flat sky; `growth` widens them to the edge."""
    rng = np.random.default_rng(seed)
    light = np.full(shape, sky) if extra is None else sky + extra
    for star_x, star_y, star_flux in zip(x, y, flux, strict=True):
        half = int(min(4 * fwhm + 2.5 * (max(star_flux, 0) / 100) ** (1 / (2 * beta)), 90))
        low_x, low_y = max(int(star_x) - half, 0), max(int(star_y) - half, 0)
        high_x, high_y = min(int(star_x) + half, shape[1]), min(int(star_y) + half, shape[0])
        if low_x >= high_x or low_y >= high_y:
            continue
        radius = np.hypot(star_x - shape[1] / 2, star_y - shape[0] / 2) / (shape[0] / 2)
        stamp = moffat_star(
            (high_y - low_y, high_x - low_x),
            star_x - low_x,
            star_y - low_y,
            fwhm * (1 + growth * radius**2),
            beta,
            q,
        )
        light[low_y:high_y, low_x:high_x] += star_flux * stamp
    data = rng.poisson(light) + rng.normal(0, READ_NOISE, shape)
    frame = Frame(
        data=data.astype(np.float32),
        variance=(np.maximum(data, 0) + READ_NOISE**2).astype(np.float32),
        mask=np.zeros(shape, np.uint16),
        unit="electron",
    )
    plane = np.full(shape, sky, np.float32)
    noise = np.full(shape, np.sqrt(sky + READ_NOISE**2), np.float32)
    return Field(frame=frame, sky=plane, rms=noise, x=x, y=y, flux=flux)


def random_field(
    count: int,
    shape: tuple[int, int] = (500, 500),
    *,
    fwhm: float = 4.0,
    beta: float = 3.0,
    q: float = 1.0,
    growth: float = 0.0,
    seed: int = 1,
) -> Field:
    """Return a field with the slope of star counts, 400 to 1e6 electrons."""
    rng = np.random.default_rng(seed + 1000)
    x = rng.uniform(10, shape[1] - 10, count)
    y = rng.uniform(10, shape[0] - 10, count)
    flux = 400 * (1 - rng.uniform(0, 1, count) * (1 - 2500**-0.6)) ** (-1 / 0.6)
    return draw(shape, x, y, flux, fwhm=fwhm, beta=beta, q=q, growth=growth, seed=seed)
