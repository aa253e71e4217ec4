"""Put the likeliest light under masked pixels, for finding and centring sources only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Half-width of the neighbourhood that fills a pixel.
REACH = 3
#: A pixel is filled when this weight of its neighbours is good.
LEAST_WEIGHT = 0.35
#: More pixels than these are left as they are: a whole region is dead.
MOST_PIXELS = 400_000


def fill_masked(
    light: NDArray[Any], masked: NDArray[np.bool_], fwhm_px: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Replace masked pixels by the weighted mean of their good neighbours.

    Parameters
    ----------
    light : (ny, nx)
        Sky-subtracted image.
    masked : (ny, nx) bool
        Pixels to be replaced.
    fwhm_px : float
        Width of the Gaussian weights.

    Returns
    -------
    light : (ny, nx) float32
        A copy; masked pixels with too few good neighbours are 0.
    unknown : (ny, nx) bool
        Those pixels.
    """
    filled = np.array(light, np.float32, order="C")
    filled[masked] = 0
    unknown = masked.copy()
    rows, columns = np.nonzero(masked)
    if not 0 < len(rows) <= MOST_PIXELS:
        return filled, unknown
    total, weight = np.zeros(len(rows)), np.zeros(len(rows))
    possible = 0.0
    ny, nx = masked.shape
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            share = float(np.exp(-(dx**2 + dy**2) * 2.355**2 / (2 * fwhm_px**2)))
            possible += share
            there_y, there_x = rows + dy, columns + dx
            inside = (there_y >= 0) & (there_y < ny) & (there_x >= 0) & (there_x < nx)
            there_y, there_x = np.clip(there_y, 0, ny - 1), np.clip(there_x, 0, nx - 1)
            usable = inside & ~masked[there_y, there_x]
            total += share * np.where(usable, filled[there_y, there_x], 0)
            weight += share * usable
    known = weight > LEAST_WEIGHT * possible
    filled[rows[known], columns[known]] = (total[known] / weight[known]).astype(np.float32)
    unknown[rows[known], columns[known]] = False
    return filled, unknown
