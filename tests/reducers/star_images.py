"""Small images of stars with known light, for tests of the imaging steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Frame, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKY_E, READ_NOISE_E, FULL_E = 400.0, 4.3, 110_000.0


def star(
    shape: tuple[int, int], x: float, y: float, flux_e: float, fwhm_px: float, beta: float = 3.0
) -> NDArray[np.float64]:
    """Return a Moffat star, integrated over the pixels by 5x5 samples."""
    alpha2 = (fwhm_px / 2) ** 2 / (2 ** (1 / beta) - 1)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    light = np.zeros(shape)
    steps = (np.arange(5) - 2) / 5
    for down in steps:
        for along in steps:
            distance2 = (columns + along - x) ** 2 + (rows + down - y) ** 2
            light += (1 + distance2 / alpha2) ** -beta
    return flux_e * light / 25 * (beta - 1) / (np.pi * alpha2)


def field(
    shape: tuple[int, int], stars: NDArray[np.float64], fwhm_px: float, sky_e: float = SKY_E
) -> NDArray[np.float64]:
    """Return the expected electrons of stars (x, y, flux) on a flat sky."""
    image = np.full(shape, sky_e)
    reach = int(10 * fwhm_px)
    for x, y, flux in stars:
        left, low = max(round(x) - reach, 0), max(round(y) - reach, 0)
        box = np.s_[low : round(y) + reach + 1, left : round(x) + reach + 1]
        image[box] += star(image[box].shape, x - left, y - low, flux, fwhm_px)
    return image


def exposed(expected: NDArray[np.float64], rng: np.random.Generator) -> Frame:
    """Return a frame of these electrons with photon and read noise, clipped at full well."""
    data = rng.poisson(expected) + rng.normal(0, READ_NOISE_E, expected.shape)
    full = data >= FULL_E
    return Frame(
        data=np.minimum(data, FULL_E),
        variance=np.maximum(data, 0) + READ_NOISE_E**2,
        mask=np.where(full, Mask.SATURATED, 0),
        unit="electron",
    )


def random_stars(
    number: int, shape: tuple[int, int], rng: np.random.Generator, brightest_e: float = 3e5
) -> NDArray[np.float64]:
    """Return x, y and flux of stars, faint ones more numerous, none near the edge."""
    x = rng.uniform(12, shape[1] - 13, number)
    y = rng.uniform(12, shape[0] - 13, number)
    return np.stack((x, y, 1e3 * (brightest_e / 1e3) ** rng.random(number) ** 2), axis=1)
