"""Stars that only show once their brighter neighbours are taken away."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sep
from scipy.spatial import cKDTree

from reducers.imaging.detection import bits_around, gaussian_kernel
from reducers.imaging.empty_sky import psf_noise_below
from reducers.imaging.extraction import extract
from reducers.imaging.model_image import draw_sources
from reducers.imaging.psf_photometry import PsfPhotometry, psf_photometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.imaging.plane import Plane
    from reducers.imaging.point_spread import PointSpread
    from reducers.imaging.sources import Detections

#: Sigma of a further look.
SIGMA = 5.0
#: Looks at most, and the share of new sources from which it is worth to look again.
LOOKS, MANY = 4, 0.1
#: Part of the subtracted light that may be left over without being a star: the wings.
LEFT_OVER = 0.3
#: Boxes of the haloes that the point spread does not know, FWHM.
HALO_BOX_FWHM = 6.0
#: Candidates for each source of the first look: more are the ruins of a bad point spread.
MOST = 1.0
#: Sources within so many FWHM of a candidate are fitted anew with it.
REFIT_FWHM = 3.5
#: A candidate and what stands within so many FWHM of it must be as wide as a star, to this
#: fraction and three sigma.
COMPANY_FWHM, WIDTH = 1.5, 0.15
#: A candidate with company may be wider than a star by so many sigma only: galaxies have knots.
WIDE_SIGMA = 2.0
#: Share of its light that must have fallen on usable pixels: edges and masks make ruins.
LEAST_SEEN = 0.75
#: Fits until all candidates that are left hold.
ROUNDS = 4


def with_hidden(
    plane: Plane,
    psf: PointSpread,
    fit: PsfPhotometry,
    found: Detections,
    occupied: NDArray[np.bool_],
) -> tuple[PsfPhotometry, Detections]:
    """Look once more at the image without its sources, and fit what is found with its neighbours.

    A smoothed image does not resolve stars nearer than about 1.5 FWHM (Stetson 1987, PASP 99,
    191, section III.D, looks twice for the same reason). A candidate stays only if it and its
    neighbours all come out as stars: a galaxy is not taken apart. In a crowd every star that is
    found and taken away lowers the noise for the next, so that it is looked at until few are new.

    Returns
    -------
    fit, found
        With the new stars at their ends.
    """
    if not psf.stars:
        return fit, found
    for _ in range(LOOKS):
        before = len(fit)
        fit, found = _looked(plane, psf, fit, found, occupied)
        if len(fit) - before < MANY * before or not before:
            break
    return fit, found


def _looked(
    plane: Plane,
    psf: PointSpread,
    fit: PsfPhotometry,
    found: Detections,
    occupied: NDArray[np.bool_],
) -> tuple[PsfPhotometry, Detections]:
    """Return fit and detections with what one look shows."""
    if not len(fit):
        return fit, found
    threshold = SIGMA * psf_noise_below(plane, psf, fit.residual)
    x, y, flux = _candidates(plane, psf, fit, threshold)
    if not 0 < len(x) <= max(MOST * len(fit), 30):
        return fit, found
    chosen = np.ones(len(x), bool)
    for _ in range(ROUNDS):
        near = _near(fit, x[chosen], y[chosen], REFIT_FWHM * psf.fwhm_px)
        part = _fitted(plane, psf, fit, near, (x[chosen], y[chosen], flux[chosen]), occupied)
        kept = _are_stars(part, len(near), psf, threshold)
        if kept.all():
            return _merged(fit, near, part), _extended(plane, psf, found, part, len(near))
        chosen[np.flatnonzero(chosen)[~kept]] = False
        if not chosen.any():
            break
    return fit, found


def _candidates(
    plane: Plane, psf: PointSpread, fit: PsfPhotometry, threshold: float
) -> tuple[Vector, Vector, Vector]:
    """Return places and fluxes of what stands out of the image without its sources."""
    noise = _noise_left(plane, psf, fit)
    kernel = gaussian_kernel(psf.fwhm_px)
    unit = float(np.sqrt(np.sum(kernel**2)))
    box = int(np.clip(HALO_BOX_FWHM * psf.fwhm_px, 16, 64))
    halo = sep.Background(fit.residual, mask=~plane.good, bw=box, bh=box, fw=1, fh=1)
    left = fit.residual - halo.back(dtype=np.float32)
    seen = extract(
        left,
        threshold * unit,
        err=noise,
        mask=~plane.good,
        minarea=1,
        filter_kernel=kernel,
        filter_type="conv",
        clean=False,
    ).objects
    x, y = seen["xcpeak"].astype(float), seen["ycpeak"].astype(float)
    flux, _, _ = sep.sum_circle(left, x, y, psf.fwhm_px, subpix=5) if len(x) else (x, x, x)
    return x, y, np.maximum(flux, 1.0)


def _noise_left(plane: Plane, psf: PointSpread, fit: PsfPhotometry) -> NDArray[np.float32]:
    """Return the sigma of every pixel of the residual, that of what was subtracted included."""
    model = np.where(plane.good, plane.light - fit.residual, 0)
    variance = plane.sky_variance + plane.photon_gain * np.maximum(model, 0)
    variance += np.square(max(psf.model_error, LEFT_OVER) * model)
    return np.where(np.isfinite(variance), np.sqrt(variance), 1e15).astype(np.float32)


def _near(fit: PsfPhotometry, x: Vector, y: Vector, radius: float) -> NDArray[np.intp]:
    """Return the sources near any of the places, whole blends together."""
    tree = cKDTree(np.column_stack([x, y]))
    gap = tree.query(np.column_stack([fit.x, fit.y]))[0]
    touched = np.unique(fit.group[gap < radius])
    return np.flatnonzero(np.isin(fit.group, touched))


def _fitted(
    plane: Plane,
    psf: PointSpread,
    fit: PsfPhotometry,
    near: NDArray[np.intp],
    new: tuple[Vector, Vector, Vector],
    occupied: NDArray[np.bool_],
) -> PsfPhotometry:
    """Return the fit of candidates and neighbours, all other sources taken away."""
    light = draw_sources(plane, psf, fit.x[near], fit.y[near], fit.drawn_flux[near], fit.half_px)
    light += fit.residual
    light[~plane.good] = 0
    x, y, flux = (
        np.concatenate([old, added])
        for old, added in zip((fit.x[near], fit.y[near], fit.drawn_flux[near]), new, strict=True)
    )
    return psf_photometry(replace(plane, light=light), psf, x, y, flux, occupied=occupied)


def _are_stars(
    part: PsfPhotometry, old: int, psf: PointSpread, threshold: float
) -> NDArray[np.bool_]:
    """Tell which candidates are significant and, with their neighbours, as wide as stars."""
    star = np.abs(part.sharpness) < WIDTH + 3 * part.sharpness_error
    star &= ~part.near_limit & np.isfinite(part.flux)
    significant = part.flux[old:] > threshold * part.flux_error[old:]
    places = np.column_stack([part.x, part.y])
    around = cKDTree(places).query_ball_point(places[old:], COMPANY_FWHM * psf.fwhm_px)
    company = np.array([bool(star[members].all()) for members in around], bool)
    wide = part.sharpness[old:] > WIDE_SIGMA * part.sharpness_error[old:]
    alone = np.array([len(members) == 1 for members in around], bool)
    whole = part.good_fraction[old:] > LEAST_SEEN
    # One star may hide beside another; several about one are a galaxy in pieces.
    owners = [[member for member in members if member < old] for members in around]
    children = np.bincount([owner for each in owners for owner in each], minlength=old)
    pieces = np.array([any(children[owner] > 1 for owner in each) for each in owners], bool)
    return np.asarray(significant & whole & star[old:] & company & (alone | ~wide) & ~pieces)


def _merged(fit: PsfPhotometry, near: NDArray[np.intp], part: PsfPhotometry) -> PsfPhotometry:
    """Return the fit with some rows replaced and the new ones at the end."""
    part = replace(part, group=part.group + int(fit.group.max()) + 1)
    changes: dict[str, Any] = {"residual": part.residual}
    for entry in fields(fit):
        values = getattr(fit, entry.name)
        if entry.name == "residual" or not isinstance(values, np.ndarray):
            continue
        fresh, whole = getattr(part, entry.name), values.copy()
        whole[near] = fresh[: len(near)]
        changes[entry.name] = np.concatenate([whole, fresh[len(near) :]])
    return replace(fit, **changes)


def _extended(
    plane: Plane, psf: PointSpread, found: Detections, part: PsfPhotometry, old: int
) -> Detections:
    """Return the detections with the new stars at their end."""
    x, y = part.x[old:], part.y[old:]
    count, sigma = len(x), psf.fwhm_px / 2.3548
    new = {
        "x": x,
        "y": y,
        "x_error": part.x_error[old:],
        "y_error": part.y_error[old:],
        "flux": part.flux[old:],
        "flux_error": part.flux_error[old:],
        "peak": part.flux[old:] * float(psf.picture(0.0, 0.0, half=0)[0, 0]),
        "semimajor_px": np.full(count, sigma),
        "semiminor_px": np.full(count, sigma),
        "theta_rad": np.zeros(count),
        "area_px": np.ones(count, np.int64),
        "mask_bits": bits_around(plane.mask, x, y, max(int(np.ceil(psf.fwhm_px)), 1)),
        "deblended": np.ones(count, bool),
    }
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(found, name), added]) for name, added in new.items()
    }
    return replace(found, **joined)
