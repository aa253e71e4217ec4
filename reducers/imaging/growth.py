"""How much of a star's light an aperture holds, anywhere on the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sep
from numpy.typing import NDArray

from reducers.frame import Vector

if TYPE_CHECKING:
    from reducers.imaging.point_spread import PointSpread

#: Places along each axis at which the point spread is summed up.
NODES = 5
#: Radius of the total flux, FWHM.
HALO_FWHM = 8.0
#: Stars differ from the model by this fraction at least.
LEAST_SCATTER = 0.003
#: Error of a correction that no star confirms.
UNCONFIRMED = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthCurve:
    """Corrections of apertures and of the point-spread fit to the total flux.

    The total is the light within `HALO_FWHM`, where the stars tell it: what lies beyond the
    largest aperture is the halo of the optics and the air, the same share for every star.

    Attributes
    ----------
    radii_px : (k,) float64
        Ascending; the last one is that against which the others are measured.
    ln_share : (k, 6) float64
        ln of the share of light within each radius by the point spread, as coefficients of
        1, u, v, u^2, u v, v^2 across the image; normalised to an infinite radius.
    offset, offset_error : (k,) float64
        ln of what the stars have beyond that, largest aperture over each, and its error.
    psf_offset, psf_error : float
        The same for the largest aperture over the fitted flux.
    psf_scatter : float
        Scatter of the stars about it beyond their photon errors, ln units.
    halo, halo_error : float
        ln of the total over the largest aperture, and its error.
    stars : int
        Stars that measured the offsets.
    shape : tuple of int
        Rows and columns of the image.
    """

    radii_px: Vector
    ln_share: NDArray[np.float64]
    offset: Vector
    offset_error: Vector
    psf_offset: float
    psf_error: float
    psf_scatter: float
    stars: int
    shape: tuple[int, int]
    halo: float = 0.0
    halo_error: float = UNCONFIRMED

    def aperture_factor(self, index: int, x: Any, y: Any) -> Vector:
        """Return total flux over the flux within the radius `index`."""
        terms = quadratic_terms(x, y, self.shape)
        difference = terms @ (self.ln_share[-1] - self.ln_share[index])
        return np.asarray(np.exp(difference + self.offset[index] + self.halo))

    def psf_factor(self, x: Any, y: Any) -> Vector:
        """Return total flux over the flux of the point-spread fit."""
        terms = quadratic_terms(x, y, self.shape)
        return np.asarray(np.exp(terms @ self.ln_share[-1] + self.psf_offset + self.halo))


def quadratic_terms(x: Any, y: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return 1, u, v, u^2, u v, v^2 along a last axis."""
    u = 2 * np.asarray(x, float) / max(shape[1] - 1, 1) - 1
    v = 2 * np.asarray(y, float) / max(shape[0] - 1, 1) - 1
    return np.stack([np.ones_like(u), u, v, u**2, u * v, v**2], axis=-1)


def fit_growth(
    psf: PointSpread,
    radii_px: Vector,
    x: Vector,
    y: Vector,
    apertures: NDArray[np.float64],
    errors: NDArray[np.float64],
    psf_flux: Vector,
    psf_error: Vector,
) -> GrowthCurve:
    """Return the corrections: their course from the point spread, their size from the stars.

    Parameters
    ----------
    radii_px : (k,) float
        Ascending.
    x, y : (n,) float
        Bright lonely stars.
    apertures, errors : (n, k) float
        Their light within the radii, neighbours removed, and its error.
    psf_flux, psf_error : (n,) float
        As fitted.
    """
    ln_share = _model_shares(psf, radii_px)
    usable = (apertures[:, -1] > 5 * errors[:, -1]) & (psf_flux > 5 * psf_error)
    usable &= (apertures > 0).all(axis=1)
    x, y, flux = x[usable], y[usable], apertures[usable]
    relative = errors[usable, -1] / flux[:, -1]
    terms = quadratic_terms(x, y, psf.shape)
    offsets = [
        _robust_mean(
            np.log(flux[:, -1] / flux[:, index]) - terms @ (ln_share[-1] - ln_share[index]),
            np.hypot(relative, LEAST_SCATTER),
        )
        for index in range(len(radii_px))
    ]
    ratio = np.log(flux[:, -1] / psf_flux[usable]) - terms @ ln_share[-1]
    middle, error = _robust_mean(ratio, np.hypot(relative, LEAST_SCATTER))
    offset, offset_error = (np.array(each) for each in zip(*offsets, strict=True))
    offset[-1], offset_error[-1] = 0.0, 0.0
    return GrowthCurve(
        radii_px=np.asarray(radii_px, float),
        ln_share=ln_share,
        offset=offset,
        offset_error=offset_error,
        psf_offset=middle,
        psf_error=error,
        psf_scatter=_excess_scatter(ratio - middle, relative),
        stars=len(flux),
        shape=psf.shape,
    )


def halo_of(
    aperture: Vector, aperture_error: Vector, wide: Vector, wide_error: Vector
) -> tuple[float, float]:
    """Return ln of the light within `HALO_FWHM` over that of the largest aperture, and its error.

    Parameters
    ----------
    aperture, aperture_error, wide, wide_error : (n,) float
        Of bright lonely stars. Only stars bright enough to show two per cent have a say.
    """
    relative = np.sqrt(np.maximum(wide_error**2 - aperture_error**2, 0)) / np.maximum(wide, 1e-9)
    told = (relative < 0.02) & (wide > 0) & (aperture > 0)
    if told.sum() < 3:
        return 0.0, UNCONFIRMED
    ratio = np.log(wide[told] / aperture[told])
    return _robust_mean(ratio, np.hypot(relative[told], LEAST_SCATTER))


def _model_shares(psf: PointSpread, radii_px: Vector) -> NDArray[np.float64]:
    """Return the coefficients of ln(light within each radius)."""
    half = int(np.ceil(radii_px[-1])) + 2
    rows, columns = psf.shape
    places = [
        (x, y) for y in np.linspace(0, rows - 1, NODES) for x in np.linspace(0, columns - 1, NODES)
    ]
    shares = []
    for x, y in places:
        picture = np.ascontiguousarray(psf.picture(x, y, half=half))
        inside, _, _ = sep.sum_circle(
            picture, np.full(len(radii_px), half), np.full(len(radii_px), half), radii_px, subpix=0
        )
        shares.append(np.log(inside))
    across, along = np.array(places).T
    terms = quadratic_terms(across, along, psf.shape)
    return np.asarray(np.linalg.lstsq(terms, np.array(shares), rcond=None)[0].T)


def _robust_mean(values: Vector, errors: Vector) -> tuple[float, float]:
    """Return a clipped weighted mean and its error, that of the scatter where it is larger."""
    if len(values) < 3:
        return (0.0, UNCONFIRMED)
    kept = np.ones(len(values), bool)
    mean = float(np.median(values))
    for _ in range(5):
        spread = 1.4826 * float(np.median(np.abs(values[kept] - mean)))
        kept = np.abs(values - mean) < 4 * np.hypot(errors, spread)
        if kept.sum() < 3:
            return (float(np.median(values)), UNCONFIRMED)
        weight = 1 / errors[kept] ** 2
        mean = float(np.sum(weight * values[kept]) / np.sum(weight))
    chi2 = float(np.sum(weight * (values[kept] - mean) ** 2)) / (kept.sum() - 1)
    return mean, float(np.sqrt(max(chi2, 1.0) / np.sum(weight)))


def _excess_scatter(values: Vector, errors: Vector) -> float:
    """Return the scatter of values beyond their errors, as the most precise of them tell it.

    Maximum likelihood of a Gaussian about zero (weights 1 / (error^2 + scatter^2)^2), outliers
    left out: the median would ask the many faint stars, who cannot know.
    """
    if len(values) < 5:
        return 0.0
    square = LEAST_SCATTER**2
    for _ in range(30):
        variance = errors**2 + square
        weight = np.where(values**2 < 16 * variance, variance**-2.0, 0.0)
        excess = float(np.sum(weight * (values**2 - errors**2)) / max(np.sum(weight), 1e-30))
        square = max(excess, 0.25 * square, 1e-10)
    return float(np.sqrt(square)) if square > 1e-9 else 0.0
