"""Where the oxygen of the air absorbs: the shapes of its A and B bands, from the molecule."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Array = NDArray[np.float64]

#: Origin and upper rotational constant (1/cm) of b-X 0-0 and 1-0, origins set by the heads of the
#: bands; lower constant of the ground state (Babcock & Herzberg 1948, ApJ 108, 167).
BANDS = {"O2 A": (13122.0, 1.3913), "O2 B": (14527.5, 1.3729)}
GROUND_CONSTANT = 1.43767
#: Half the distance of the two lines that the spin makes of each, 1/cm.
SPIN_SPLIT = 0.98
#: Of the air that absorbs, K; and what turns 1/cm into K.
TEMPERATURE_K, SECOND_RADIATION_CONSTANT = 250.0, 1.4388
_STEP_ANGSTROM = 0.5


def oxygen_band(name: str, wavelength: Array, fwhm_angstrom: float) -> Array:
    """Return the absorption of a band at vacuum `wavelength`, 1 where it is deepest.

    Every line is saturated, so that it counts with the root of its strength; the sum is smoothed to
    the resolution. Raises `KeyError` for a band that is not in `BANDS`.
    """
    grid, depth = _band(name, round(fwhm_angstrom, 1))
    return np.asarray(np.interp(wavelength, grid, depth, left=0.0, right=0.0))


@lru_cache(maxsize=16)
def _band(name: str, fwhm_angstrom: float) -> tuple[Array, Array]:
    origin, upper = BANDS[name]
    rotation = np.arange(1, 45, 2)  # the nuclei allow odd states only
    population = np.exp(
        -SECOND_RADIATION_CONSTANT * GROUND_CONSTANT * rotation * (rotation + 1) / TEMPERATURE_K
    )
    steps = np.concatenate([rotation + 1, -rotation])  # the R and the P branch
    strength = np.sqrt(np.abs(steps) * np.tile(population, 2))
    centre = origin + (upper + GROUND_CONSTANT) * steps + (upper - GROUND_CONSTANT) * steps**2
    wavenumber = np.concatenate([centre - SPIN_SPLIT, centre + SPIN_SPLIT])
    lines = 1e8 / wavenumber
    grid = np.arange(lines.min() - 100, lines.max() + 100, _STEP_ANGSTROM)
    depth = np.zeros(grid.size)
    place = np.rint((lines - grid[0]) / _STEP_ANGSTROM).astype(np.intp)
    np.add.at(depth, place, np.tile(strength, 2))
    smooth = gaussian_filter1d(depth, fwhm_angstrom / 2.3548 / _STEP_ANGSTROM)
    return grid, smooth / smooth.max()
