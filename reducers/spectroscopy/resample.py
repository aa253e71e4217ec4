"""Bring spectra onto one wavelength grid, conserving flux and keeping account of the noise.

Every new pixel is the mean of the old ones, weighted by how far they overlap; its variance and
its covariance with the next pixel follow exactly (Carnall 2017, arXiv:1705.05165, with the
covariance that is left out there).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reducers.frame import UNUSABLE, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.spectrum import Spectrum

#: A new pixel that the good old ones cover less than so much is not used.
LEAST_COVERED = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """One spectrum on another grid, per Angstrom.

    Attributes
    ----------
    flux, variance, sky : (n,) float64
        Zero where not `good`.
    covariance : (n,) float64
        With the next pixel; zero for the last.
    mask : (n,) uint16
        Bits of every old pixel that has a part in the new one.
    good : (n,) bool
    """

    flux: Vector
    variance: Vector
    covariance: Vector
    sky: Vector
    mask: NDArray[np.uint16]
    good: NDArray[np.bool_]


def pixel_edges(wavelength: Vector) -> Vector:
    """Return the (n + 1,) edges of pixels whose (n,) centres are rising."""
    between = (wavelength[1:] + wavelength[:-1]) / 2
    first = wavelength[0] - (between[0] - wavelength[0])
    last = wavelength[-1] + (wavelength[-1] - between[-1])
    return np.concatenate([[first], between, [last]])


def common_grid(spectra: Sequence[Spectrum], reference: int) -> Vector:
    """Return the pixels of one spectrum, continued at either end to where the others reach."""
    own = spectra[reference].wavelength
    low = min(float(each.wavelength[0]) for each in spectra)
    high = max(float(each.wavelength[-1]) for each in spectra)
    before, after = own[1] - own[0], own[-1] - own[-2]
    left = own[0] - before * np.arange(int((own[0] - low) / before), 0, -1)
    right = own[-1] + after * np.arange(1, int((high - own[-1]) / after) + 1)
    return np.concatenate([left, own, right])


def resample(spectrum: Spectrum, grid: Vector) -> Resampled:
    """Return a spectrum on the pixels of `grid` (vacuum Angstrom, rising), per Angstrom."""
    share, covered = _shares(spectrum, grid)
    width = np.diff(pixel_edges(spectrum.wavelength)) if spectrum.unit == "electron" else 1.0
    used = spectrum.good

    def density(values: Vector) -> Vector:
        return np.where(used, values / width, 0.0)

    variance = density(density(spectrum.error**2))
    good = covered >= LEAST_COVERED
    ahead = (share[:-1].multiply(share[1:])) @ variance
    return Resampled(
        flux=np.where(good, share @ density(spectrum.flux), 0.0),
        variance=np.where(good, share.multiply(share) @ variance, 0.0),
        covariance=np.where(good & np.append(good[1:], False), np.append(ahead, 0.0), 0.0),
        sky=np.where(good, share @ density(np.nan_to_num(spectrum.sky)), 0.0),
        mask=_joined(spectrum, share, good),
        good=good,
    )


def _shares(spectrum: Spectrum, grid: Vector) -> tuple[csr_array, Vector]:
    """Return the (n_new, n_old) share of every good old pixel, and how far these cover the new."""
    old, new = pixel_edges(spectrum.wavelength), pixel_edges(grid)
    edges = np.unique(np.concatenate([old, new]))
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    row, column = np.searchsorted(new, middle) - 1, np.searchsorted(old, middle) - 1
    inside = (row >= 0) & (row < grid.size) & (column >= 0) & (column < old.size - 1)
    row, column, length = row[inside], column[inside], length[inside]
    kept = spectrum.good[column]
    place = (row[kept], column[kept])
    overlap = csr_array((length[kept], place), shape=(grid.size, spectrum.wavelength.size))
    total = np.asarray(overlap.sum(axis=1)).ravel()
    covered = total / np.diff(new)
    return csr_array(overlap.multiply(1 / np.maximum(total, 1e-12)[:, None])), covered


def _joined(spectrum: Spectrum, share: csr_array, good: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the bits of the old pixels, without those that keep a pixel from being used."""
    mask = np.zeros(share.shape[0], np.uint16)
    old = spectrum.mask & np.uint16(~int(UNUSABLE) & 0xFFFF)
    rows = np.repeat(np.arange(share.shape[0]), np.diff(share.indptr))
    np.bitwise_or.at(mask, rows, old[share.indices])
    return np.where(good, mask, np.uint16(0)).astype(np.uint16)
