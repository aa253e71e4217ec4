"""Fit the point spread of an image to its PSF stars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from reducers.frame import UNUSABLE, Vector
from reducers.imaging.moffat import moffat_slopes
from reducers.imaging.point_spread import (
    SHAPE_TERMS,
    WIDTH_TERMS,
    PointSpread,
    guessed_point_spread,
    shape_terms,
    width_terms,
)
from reducers.imaging.stamps import Stamps, stamps_around

if TYPE_CHECKING:
    from reducers.imaging.plane import Plane
    from reducers.imaging.seeing import Seeing
    from reducers.imaging.sources import Detections

#: PSF stars at most, and the signal to noise they must have.
MOST_STARS = 120
LEAST_SNR = 40.0
#: Where fewer than this many such stars exist fainter ones are taken too.
ENOUGH_STARS = 8
FAINT_SNR = 15.0
#: Distance to the nearest other source, in FWHM.
LONELY_FWHM = 4.0
#: Fraction of the light by which the profile is thought wrong while it is fitted.
MODEL_ERROR = 0.01
#: The table of what is left over needs this many stars; a node counts above this many sigma.
STARS_FOR_TABLE = 8
LEAST_SIGMA = 2.0
#: Steps of the fit; stars that do not look like the others leave half-way.
ROUNDS = 10


def choose_stars(
    plane: Plane, found: Detections, seeing: Seeing, fwhm_px: float
) -> NDArray[np.intp]:
    """Return the indices of detections fit to tell the PSF, brightest first.

    They are unsaturated, unmasked, lonely, inside the image and as wide as the seeing stars.
    """
    half = stamp_half(fwhm_px)
    rows, columns = plane.shape
    inside = (found.x > half) & (found.x < columns - 1 - half)
    inside &= (found.y > half) & (found.y < rows - 1 - half)
    clean = (found.mask_bits & np.uint16(UNUSABLE)) == 0
    places = np.column_stack([found.x, found.y])
    gap = cKDTree(places).query(places, k=2)[0][:, 1] if len(found) > 1 else np.full(1, np.inf)
    # A neighbour a hundred times fainter spoils nothing.
    usable = inside & clean & (gap > LONELY_FWHM * fwhm_px)
    usable &= like_stars(found, seeing)
    snr = found.flux / found.flux_error
    for least in (LEAST_SNR, FAINT_SNR):
        chosen = np.flatnonzero(usable & (snr > least))
        if len(chosen) >= ENOUGH_STARS:
            break
    stamps = stamps_around(found.x[chosen], found.y[chosen], half, plane.shape)
    whole = (stamps.of(plane.good) & stamps.inside).all(axis=(1, 2))
    chosen = chosen[whole]
    return chosen[np.argsort(-snr[chosen])][:MOST_STARS]


def like_stars(found: Detections, seeing: Seeing) -> NDArray[np.bool_]:
    """Tell which detections were among the stars whose seeing was measured."""
    if not seeing.stars:
        return np.zeros(len(found), bool)
    tree = cKDTree(np.column_stack([seeing.x, seeing.y]))
    gap = tree.query(np.column_stack([found.x, found.y]))[0]
    return np.asarray(gap < 0.5 * seeing.fwhm_px)


def stamp_half(fwhm_px: float) -> int:
    """Return the half-width of the squares that the fit looks at."""
    return int(np.clip(np.ceil(2.0 * fwhm_px), 4, 40))


def fit_psf(
    plane: Plane, found: Detections, seeing: Seeing
) -> tuple[PointSpread, NDArray[np.intp]]:
    """Fit the point spread and how it varies over the image.

    Moffat profile with flux and place of every star and the common shape in one weighted
    least-squares fit (Gauss-Newton; the stars' own parameters are eliminated), then the mean of
    what is left over as a table. Weights come from the model, never from the noisy counts.

    Returns
    -------
    psf : PointSpread
        Of the seeing alone where no star could be used.
    stars : (k,) int
        Indices of the detections it was made of.
    """
    fwhm = seeing.fwhm_px if np.isfinite(seeing.fwhm_px) else found.fwhm_px
    guess = guessed_point_spread(plane.shape, fwhm if np.isfinite(fwhm) else 4.0, seeing.beta)
    if not len(found):
        return guess, np.empty(0, np.intp)
    chosen = choose_stars(plane, found, seeing, guess.fwhm_px)
    if not len(chosen):
        return guess, chosen
    stars = _stars_at(plane, found.x[chosen], found.y[chosen], stamp_half(guess.fwhm_px))
    stars = replace(stars, flux=np.maximum(found.flux[chosen] * 1.3, 1.0))
    psf = _with_room(guess, len(chosen))
    for step in range(ROUNDS):
        psf, stars, chi2 = _improved(psf, stars)
        if step == ROUNDS // 2:
            kept = _alike(chi2)
            stars, chosen = stars.take(kept), chosen[kept]
            psf = _with_room(psf, len(chosen))
    psf = replace(psf, stars=len(chosen), chi2=float(np.median(chi2)))
    psf = with_residual(psf, stars)
    return replace(psf, model_error=float(np.median(_excess(psf, stars)))), chosen


@dataclass(frozen=True, slots=True)
class Stars:
    """The PSF stars: (k,) parameters and their (k, size, size) squares."""

    x: Vector
    y: Vector
    flux: Vector
    stamps: Stamps
    light: NDArray[np.float64]
    sky: NDArray[np.float64]
    usable: NDArray[np.bool_]
    slope: float

    def take(self, kept: NDArray[np.bool_]) -> Stars:
        """Return only the stars kept."""
        stamps = Stamps(
            *(getattr(self.stamps, name)[kept] for name in ("rows", "columns", "inside", "x", "y"))
        )
        cut = {
            name: getattr(self, name)[kept] for name in ("x", "y", "flux", "light", "sky", "usable")
        }
        return replace(self, stamps=stamps, **cut)

    def weights(self, star: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return inverse variances for a model of the stars' light."""
        photons = self.slope * np.maximum(star, 0)
        return np.where(self.usable, 1 / (self.sky + photons + (MODEL_ERROR * star) ** 2), 0.0)


def _stars_at(plane: Plane, x: Vector, y: Vector, half: int) -> Stars:
    """Return the squares around the stars."""
    stamps = stamps_around(x, y, half, plane.shape)
    usable = stamps.of(plane.good) & stamps.inside
    return Stars(
        x=x.copy(),
        y=y.copy(),
        flux=np.ones(len(x)),
        stamps=stamps,
        light=np.where(usable, stamps.of(plane.light), 0.0).astype(float),
        sky=np.where(usable, stamps.of(plane.sky_variance), 1.0).astype(float),
        usable=usable,
        slope=plane.photon_gain,
    )


def _with_room(psf: PointSpread, stars: int) -> PointSpread:
    """Return the PSF with as many terms as so many stars can carry."""
    width = [terms for least, terms in WIDTH_TERMS if stars >= least][-1]
    shape = [terms for least, terms in SHAPE_TERMS if stars >= least][-1]

    def resized(values: tuple[float, ...], terms: int) -> tuple[float, ...]:
        return (*values, *[0.0] * terms)[:terms]

    return replace(
        psf,
        ln_fwhm=resized(psf.ln_fwhm, width),
        e1=resized(psf.e1, shape),
        e2=resized(psf.e2, shape),
    )


def _improved(psf: PointSpread, stars: Stars) -> tuple[PointSpread, Stars, Vector]:
    """Return PSF and stars after one Gauss-Newton step, and the chi2 of each before it."""
    common, own, residual, weight = _linearised(psf, stars)
    weighted_own = (own * weight[..., None]).swapaxes(1, 2)
    own_normal = weighted_own @ own
    own_normal += 1e-9 * np.einsum("nii->ni", own_normal)[:, :, None] * np.eye(4)
    mixed = weighted_own @ common
    own_side = weighted_own @ residual[..., None]
    weighted = (common * weight[..., None]).swapaxes(1, 2)
    eliminated = np.linalg.solve(own_normal, np.concatenate([mixed, own_side], axis=2))
    normal = np.sum(weighted @ common, axis=0)
    normal -= np.einsum("nij,nik->jk", mixed, eliminated[..., :-1])
    side = np.sum(weighted @ residual[..., None], axis=0)[:, 0]
    side -= np.einsum("nij,ni->j", mixed, eliminated[..., -1])
    normal += np.diag(1e-6 * np.diag(normal) + 1e-12)
    step = np.linalg.solve(normal, side)
    own_step = eliminated[..., -1] - eliminated[..., :-1] @ step
    chi2 = np.sum(weight * residual**2, axis=1) / np.maximum(np.sum(weight > 0, axis=1) - 4, 1)
    moved = replace(
        stars,
        flux=np.maximum(stars.flux + own_step[:, 0], 1e-3),
        x=stars.x + np.clip(own_step[:, 2], -0.5, 0.5),
        y=stars.y + np.clip(own_step[:, 3], -0.5, 0.5),
    )
    return _stepped(psf, step), moved, chi2


def _linearised(
    psf: PointSpread, stars: Stars
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return derivatives by the common and by each star's own parameters, residual, weights."""
    count = len(stars.x)
    dx, dy = stars.stamps.offsets(stars.x, stars.y)
    fwhm, e1, e2 = (each[:, None, None] for each in psf.parameters(stars.x, stars.y))
    slopes = moffat_slopes(dx, dy, fwhm, psf.beta, e1, e2)
    flux = stars.flux[:, None, None]
    star = flux * slopes.value
    width = width_terms(stars.x, stars.y, psf.shape)[:, : len(psf.ln_fwhm)]
    first, second = shape_terms(stars.x, stars.y, psf.shape)
    columns = [flux * slopes.beta]
    for slope, terms in (
        (slopes.ln_fwhm, width),
        (slopes.e1, first[:, : len(psf.e1)]),
        (slopes.e2, second[:, : len(psf.e2)]),
    ):
        columns += [flux * slope * term[:, None, None] for term in terms.T]
    own = [slopes.value, np.ones_like(star), flux * slopes.x, flux * slopes.y]
    residual = (stars.light - star).reshape(count, -1)
    weight = stars.weights(star).reshape(count, -1)
    # The sky below a star is free: take out its best value before anything is clipped.
    residual = residual - _weighted_mean(residual, weight)[:, None]
    pull = np.abs(residual) * np.sqrt(weight)
    weight = weight * np.minimum(1.0, 4.0 / np.maximum(pull, 1e-9))
    return (
        np.stack(columns, axis=-1).reshape(count, -1, len(columns)),
        np.stack(own, axis=-1).reshape(count, -1, 4),
        residual,
        weight,
    )


def _weighted_mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> Vector:
    """Return a start for the sky: the mean of the outer half, where the star is faint."""
    heavy = weight >= np.median(weight, axis=1, keepdims=True)
    return np.asarray(
        np.sum(values * weight * heavy, axis=1) / np.maximum(np.sum(weight * heavy, axis=1), 1e-30)
    )


def _stepped(psf: PointSpread, step: Vector) -> PointSpread:
    """Return the PSF moved by a step of its common parameters, within reason."""
    widths, shapes = len(psf.ln_fwhm), len(psf.e1)
    parts = np.split(np.clip(step[1:], -0.3, 0.3), [widths, widths + shapes])

    def moved(values: tuple[float, ...], part: Vector, limit: float) -> tuple[float, ...]:
        first = (float(np.clip(values[0] + part[0], -limit, limit)),)
        rest = tuple(
            float(np.clip(a + b, -0.4, 0.4)) for a, b in zip(values[1:], part[1:], strict=True)
        )
        return first + rest

    return replace(
        psf,
        beta=float(np.clip(psf.beta + np.clip(step[0], -0.5, 0.5), 1.6, 12)),
        ln_fwhm=moved(psf.ln_fwhm, parts[0], 5.0),
        e1=moved(psf.e1, parts[1], 0.5),
        e2=moved(psf.e2, parts[2], 0.5),
    )


def _alike(chi2: Vector) -> NDArray[np.bool_]:
    """Tell which stars the common profile fits as well as the others."""
    middle = np.median(chi2)
    spread = 1.4826 * np.median(np.abs(chi2 - middle))
    kept = chi2 < middle + 5 * max(spread, 0.1 * middle)
    return kept if kept.any() else np.ones(len(chi2), bool)


def _left(psf: PointSpread, stars: Stars) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the profile leaves over, per unit flux, and its inverse variance."""
    value = psf.values(stars.stamps, stars.x, stars.y)
    star = stars.flux[:, None, None] * value
    photons = stars.slope * np.maximum(star, 0)
    weight = np.where(stars.usable, 1 / (stars.sky + photons), 0.0)
    residual = stars.light - star
    count = len(stars.x)
    sky = _weighted_mean(residual.reshape(count, -1), weight.reshape(count, -1))
    flux = stars.flux[:, None, None]
    return (residual - sky[:, None, None]) / flux, weight * flux**2


def _excess(psf: PointSpread, stars: Stars) -> Vector:
    """Return by which fraction of its light each star departs from the model, noise taken out."""
    left, weight = _left(psf, stars)
    value = psf.values(stars.stamps, stars.x, stars.y)
    core = value > 0.2 * value.max(axis=(1, 2), keepdims=True)
    counted = core & (weight > 0)
    noise = np.where(counted, 1 / np.where(weight > 0, weight, 1), 0)
    extra = np.sum(np.where(counted, left**2 - noise, 0), axis=(1, 2))
    return np.asarray(np.sqrt(np.maximum(extra / np.sum(counted * value**2, axis=(1, 2)), 0)))


def with_residual(psf: PointSpread, stars: Stars) -> PointSpread:
    """Return the PSF with the table of what the profile leaves over.

    Nodes every 1/oversampling pixel; the value is the weighted mean of the stars' pixels nearest
    to it, smoothed over the neighbouring nodes; what its own error explains is taken off.
    """
    if len(stars.x) < STARS_FOR_TABLE:
        return psf
    half = stars.stamps.rows.shape[1] // 2
    oversampling = int(np.clip(np.ceil(8 / psf.fwhm_px), 1, 5))
    # A whole cell more on each side, so that the outermost pixels have a place.
    centre = half * oversampling + oversampling
    size = 2 * centre + 1
    table = np.zeros((size, size))
    dx, dy = stars.stamps.offsets(stars.x, stars.y)
    shape = stars.light.shape
    columns = np.rint(np.broadcast_to(dx, shape) * oversampling).astype(int) + centre
    rows = np.rint(np.broadcast_to(dy, shape) * oversampling).astype(int) + centre
    node = (np.clip(rows, 0, size - 1) * size + np.clip(columns, 0, size - 1)).ravel()
    value = psf.values(stars.stamps, stars.x, stars.y)
    for _ in range(3):
        left, weight = _left(replace(psf, residual=table, oversampling=oversampling), stars)
        # Stars differ by a per cent: the brightest must not dictate.
        weight = weight / (1 + weight * (MODEL_ERROR * value) ** 2)
        heavy = ndimage.gaussian_filter(
            np.bincount(node, weight.ravel(), size**2).reshape(size, size), 0.7
        )
        total = ndimage.gaussian_filter(
            np.bincount(node, (weight * left).ravel(), size**2).reshape(size, size), 0.7
        )
        table = table + np.where(heavy > 0, total / np.maximum(heavy, 1e-30), 0)
    # Smoothing over the neighbours averages about 1 / (4 pi 0.7^2) independent nodes.
    error = np.sqrt(1 / np.maximum(heavy * 4 * np.pi * 0.7**2, 1e-30))
    significance = np.abs(table) / error
    table *= np.maximum(1 - (LEAST_SIGMA / np.maximum(significance, LEAST_SIGMA)) ** 2, 0)
    return replace(psf, residual=table, oversampling=oversampling)
