"""Forced photometry at a place of a reduced image, from what its files hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from reducers.errors import UnreadableFile
from reducers.imaging.empty_sky import believed, spread_of
from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.transients.difference.epoch import Epoch

#: Places on which the noise of forced fluxes is measured.
EMPTY_PLACES = 400
#: Share of the point spread's weight that must fall on usable pixels.
LEAST_SEEN = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedFlux:
    """The light at a place, total, in the unit of the image.

    Attributes
    ----------
    flux, error : float
        NaN where nothing can be said; `why` says why.
    """

    flux: float = math.nan
    error: float = math.nan
    why: str = ""


def forced_on_image(epoch: Epoch, phot: Path, ra_deg: float, dec_deg: float) -> ForcedFlux:
    """Return the light of a star at a place, all other stars of the image taken off.

    The point spread is fitted to the image without its sources; the flux of a source within half
    a FWHM of the place is given back to it. The error is raised by the scatter of such fits on
    empty sky over the expected one.

    Raises
    ------
    UnreadableFile
        If the file is no photometry of the image.
    """
    x, y = (float(each) for each in epoch.sky_map.pixels(ra_deg, dec_deg))
    rows, columns = epoch.frame.shape
    if not (0 <= x <= columns - 1 and 0 <= y <= rows - 1):
        return ForcedFlux(why="the place is not on the image")
    residual = _residual(phot, epoch.frame.shape)
    flux, error, seen = _fits(epoch, residual, np.array([x]), np.array([y]))
    if not seen[0] > LEAST_SEEN:
        return ForcedFlux(why="saturated or bad pixels at the place")
    total = _total(epoch)
    noise = _noise(epoch, residual)
    value, sigma = float(flux[0]) * total, float(error[0]) * total * noise
    gap = np.hypot(epoch.stars.x - x, epoch.stars.y - y)
    near = gap < 0.5 * epoch.psf.fwhm_px
    if near.any():
        one = int(np.argmin(gap))
        value += float(epoch.stars.flux[one])
        sigma = max(sigma, float(epoch.stars.flux_error[one]))
    if not math.isfinite(value + sigma):
        return ForcedFlux(why="the source at the place could not be measured")
    return ForcedFlux(flux=value, error=sigma)


def _residual(phot: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    try:
        with fits.open(phot, memmap=False) as hdus:
            plane = np.asarray(hdus["RESIDUAL"].data, np.float32)
    except (OSError, KeyError, ValueError, TypeError) as damaged:
        raise UnreadableFile(f"{phot.name} is no photometry of an image: {damaged}") from damaged
    if plane.shape != shape:
        raise UnreadableFile(f"{phot.name} belongs to another image")
    return plane


def _fits(
    epoch: Epoch, residual: NDArray[np.float32], x: Vector, y: Vector
) -> tuple[Vector, Vector, Vector]:
    """Return flux, error and share of usable weight of a point spread fitted at places."""
    half = int(np.clip(np.ceil(1.6 * epoch.psf.fwhm_px), 3, 30))
    stamps = stamps_around(x, y, half, epoch.frame.shape)
    value = epoch.psf.values(stamps, x, y)
    variance = stamps.of(epoch.frame.variance).astype(float)
    usable = stamps.of(epoch.usable) & stamps.inside & (variance > 0)
    weight = np.where(usable, value / np.where(usable, variance, 1), 0)
    power = np.sum(weight * value, axis=(1, 2))
    light = np.where(usable, stamps.of(residual), 0)
    seen = np.sum(np.where(usable, value**2, 0), axis=(1, 2)) / np.sum(value**2, axis=(1, 2))
    safe = np.maximum(power, 1e-30)
    return np.sum(weight * light, axis=(1, 2)) / safe, 1 / np.sqrt(safe), seen


def _noise(epoch: Epoch, residual: NDArray[np.float32]) -> float:
    """Return the scatter of forced fluxes over their errors, no less than 1."""
    rows, columns = epoch.frame.shape
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, columns - 1, EMPTY_PLACES), rng.uniform(0, rows - 1, EMPTY_PLACES)
    flux, error, seen = _fits(epoch, residual, x, y)
    whole = seen > 0.99
    if whole.sum() < 40:
        return 1.0
    return max(1.0, believed(spread_of(flux[whole] / error[whole])[0], int(whole.sum())))


def _total(epoch: Epoch) -> float:
    """Return the total light of a star over that of such a fit, by the image's own stars."""
    stars = epoch.stars
    chosen = np.flatnonzero(stars.usable & (stars.flux > 50 * stars.flux_error))[:100]
    if not len(chosen):
        return 1.0
    flux, _, seen = _fits(epoch, np.asarray(epoch.frame.data), stars.x[chosen], stars.y[chosen])
    ratio = stars.flux[chosen] / flux
    good = (seen > 0.99) & np.isfinite(ratio) & (flux > 0)
    return float(np.median(ratio[good])) if good.any() else 1.0
