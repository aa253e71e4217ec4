"""Lay a template on the pixels of an image: place and light by the stars that both show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reducers.frame import Frame, Mask, Vector
from reducers.imaging.moffat import moffat
from reducers.imaging.resample_image import (
    STRIP_ROWS,
    Displacement,
    Grid,
    InMemory,
    displacement,
    noise_gain,
    resample_rows,
)
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.stamps import stamps_around
from reducers.transients.difference.epoch import Epoch, NoDifference

if TYPE_CHECKING:
    from reducers.imaging.point_spread import PointSpread

#: How far apart the same star may lie on both, pixels, before and after the places are corrected.
FAR_PX, NEAR_PX = 4.0, 1.5
#: Stars in common that are needed at all, and for a correction that is tilted or bent.
FEWEST, FOR_TILT, FOR_BEND = 3, 8, 40
#: Share of the image that the template must cover.
LEAST_COVERED = 0.05
#: Pixels of both may differ in size by this factor.
MOST_SCALE = 1.6
#: Signal to noise on both images of a star that compares them.
LEAST_SNR = 20.0
#: No place is better known, pixels; no two fluxes agree better.
PLACE_FLOOR_PX, FLUX_FLOOR = 0.01, 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedMap(SkyMap):
    """The place of an image, moved by what stars of a template say.

    Attributes
    ----------
    terms : (k, 2) float64
        Polynomial of u, v (-1 to 1 across the image) in x and y: template to image, pixels.
    shape : tuple of int
    """

    terms: NDArray[np.float64]
    shape: tuple[int, int]

    def sky(self, x: object, y: object) -> tuple[Vector, Vector]:
        """Return where the template says that 0-based pixels of the image lie."""
        column, row = np.asarray(x, float), np.asarray(y, float)
        shift = _terms(column, row, self.shape, len(self.terms)) @ self.terms
        ra, dec = self.wcs.all_pix2world(column - shift[..., 0], row - shift[..., 1], 0)
        return ra, dec


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A template on the grid of an image.

    Attributes
    ----------
    frame : Frame
        Light per pixel of the image; the variance is as of independent pixels, so that sums over
        pixels have true errors. `Mask.EDGE` where the template shows nothing.
    where : Displacement
        Where the grid lies on the template.
    x, y : (n,) float64
        Stars in common, on the image.
    flux_ratio, flux_ratio_error : float
        Light of a star on the template over that on the image, by the fits of both point spreads.
    total : float
        Total light of a star of the image over that of the fit.
    scatter_px : float
        Of places per axis beyond their errors: what the correction leaves.
    shift_px : tuple of float
        Correction in the middle of the image.
    """

    frame: Frame
    where: Displacement
    x: Vector
    y: Vector
    flux_ratio: float
    flux_ratio_error: float
    total: float
    scatter_px: float
    shift_px: tuple[float, float]

    def psf_at(self, psf: PointSpread, x: float, y: float, half: int) -> NDArray[np.float64]:
        """Return the template's point spread at a place of the image, on the image's pixels."""
        tx, ty, area = self._on_template(np.array([x, x + 1, x]), np.array([y, y, y + 1]))
        step = np.arange(-half, half + 1, dtype=float)
        dx, dy = step[None, :], step[:, None]
        u = (tx[1] - tx[0]) * dx + (tx[2] - tx[0]) * dy
        v = (ty[1] - ty[0]) * dx + (ty[2] - ty[0]) * dy
        fwhm, e1, e2 = (float(each) for each in psf.parameters(tx[0], ty[0]))
        light = moffat(u, v, fwhm, psf.beta, e1, e2) + psf.left_over(u, v)
        return np.asarray(light * area[0])

    def _on_template(self, x: Vector, y: Vector) -> tuple[Vector, Vector, Vector]:
        """Return template x, y and pixels of it per pixel of the image, between the nodes."""
        where = self.where
        row = np.clip(np.searchsorted(where.rows, y, "right") - 1, 0, len(where.rows) - 2)
        column = np.clip(np.searchsorted(where.columns, x, "right") - 1, 0, len(where.columns) - 2)
        step = where.rows[1] - where.rows[0]
        down, along = (y - where.rows[row]) / step, (x - where.columns[column]) / step

        def between(plane: NDArray[np.float64]) -> Vector:
            top = plane[row, column] * (1 - along) + plane[row, column + 1] * along
            low = plane[row + 1, column] * (1 - along) + plane[row + 1, column + 1] * along
            return np.asarray(top * (1 - down) + low * down)

        return x + between(where.dx), y + between(where.dy), between(where.area)


def register(science: Epoch, template: Epoch) -> Registered | NoDifference:
    """Return the template on the grid of the image, and how their light compares.

    Places: the two astrometric solutions, then a polynomial of low order through the stars in
    common. Light: the same point-spread fit to those stars on both, their median after clipping.
    """
    scale = template.sky_map.pixel_scale_arcsec / science.sky_map.pixel_scale_arcsec
    if not 1 / MOST_SCALE < scale < MOST_SCALE:
        return NoDifference(f"a pixel of the template is {scale:.2f} pixels wide: other binning")
    ra, dec = template.sky_map.sky(template.stars.x, template.stars.y)
    tx, ty = science.sky_map.pixels(ra, dec)
    rows, columns = science.frame.shape
    inside = (tx > 0) & (tx < columns - 1) & (ty > 0) & (ty < rows - 1)
    if not _overlap(science, template):
        return NoDifference("the template does not show this part of the sky")
    own, other = _pairs(science, template, tx, ty, inside)
    if len(own) < FEWEST:
        return NoDifference(f"only {len(own)} stars are on both the image and the template")
    terms, kept, scatter = _correction(science, template, own, other, tx, ty)
    if int(kept.sum()) < FEWEST:
        return NoDifference("the stars of image and template do not lie at the same places")
    own = own[kept]
    place = CorrectedMap(wcs=science.sky_map.wcs, terms=terms, shape=science.frame.shape)
    frame, where = _moved(template, Grid(sky_map=place, shape=science.frame.shape))
    half = Registered(
        frame=frame, where=where, x=science.stars.x[own], y=science.stars.y[own], flux_ratio=1.0,
        flux_ratio_error=0.0, total=1.0, scatter_px=scatter,
        shift_px=(float(terms[0, 0]), float(terms[0, 1])),
    )  # fmt: skip
    return _with_light(half, science, template, own)


def _overlap(science: Epoch, template: Epoch) -> bool:
    """Tell whether enough of the image lies on the template."""
    rows, columns = science.frame.shape
    x, y = np.meshgrid(np.linspace(0, columns - 1, 25), np.linspace(0, rows - 1, 25))
    tx, ty = template.sky_map.pixels(*science.sky_map.sky(x.ravel(), y.ravel()))
    high, wide = template.frame.shape
    with np.errstate(invalid="ignore"):
        on = (tx > 1) & (tx < wide - 2) & (ty > 1) & (ty < high - 2)
    return float(np.mean(on)) >= LEAST_COVERED


def _bright(epoch: Epoch) -> NDArray[np.bool_]:
    stars = epoch.stars
    with np.errstate(invalid="ignore"):
        return np.asarray(stars.usable & (stars.flux > LEAST_SNR * stars.flux_error))


def _pairs(
    science: Epoch, template: Epoch, tx: Vector, ty: Vector, inside: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of stars of both that are each other's nearest, a common shift allowed."""
    own = np.flatnonzero(_bright(science))
    other = np.flatnonzero(_bright(template) & inside)
    if not len(own) or not len(other):
        return own[:0], other[:0]
    mine = np.column_stack([science.stars.x[own], science.stars.y[own]])
    shift = np.zeros(2)
    for reach in (FAR_PX, NEAR_PX):
        theirs = np.column_stack([tx[other], ty[other]]) + shift
        gap, nearest = cKDTree(theirs).query(mine)
        back = cKDTree(mine).query(theirs)[1]
        near = (gap < reach) & (back[nearest] == np.arange(len(own)))
        if not near.any():
            return own[:0], other[:0]
        if reach == FAR_PX:
            shift = shift + np.median(mine[near] - theirs[nearest[near]], axis=0)
    return own[near], other[nearest[near]]


def _correction(
    science: Epoch,
    template: Epoch,
    own: NDArray[np.intp],
    other: NDArray[np.intp],
    tx: Vector,
    ty: Vector,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], float]:
    """Return the polynomial, the stars that follow it, and their scatter beyond their errors."""
    x, y = science.stars.x[own], science.stars.y[own]
    off = np.column_stack([x - tx[other], y - ty[other]])
    error = np.hypot(science.stars.error_px[own], template.stars.error_px[other])
    error = np.hypot(np.where(np.isfinite(error), error, 0.3), PLACE_FLOOR_PX)
    count = 1 if len(own) < FOR_TILT else 3 if len(own) < FOR_BEND else 6
    design = _terms(x, y, science.frame.shape, count)
    terms: NDArray[np.float64] = np.zeros((count, 2))
    terms[0] = np.median(off, axis=0)
    kept = np.ones(len(own), bool)
    extra = 0.1
    for _ in range(5):
        left = off - design @ terms
        spread = np.hypot(error, extra)
        kept = np.hypot(left[:, 0], left[:, 1]) < 4.5 * spread
        if kept.sum() < max(FEWEST, count):
            break
        weight = 1 / spread[kept, None]
        terms = np.asarray(
            np.linalg.lstsq(design[kept] * weight, off[kept] * weight, rcond=None)[0]
        )
        left = (off - design @ terms)[kept]
        freedom = max(1 - count / kept.sum(), 0.2)
        square = np.mean(left**2, axis=1) / freedom - error[kept] ** 2
        weights = 1 / (error[kept] ** 2 + extra**2) ** 2
        extra = float(np.sqrt(max(np.average(square, weights=weights), PLACE_FLOOR_PX**2)))
    return terms, kept, extra


def _terms(x: Vector, y: Vector, shape: tuple[int, int], count: int) -> NDArray[np.float64]:
    u, v = 2 * x / max(shape[1] - 1, 1) - 1, 2 * y / max(shape[0] - 1, 1) - 1
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v][:count], axis=-1)


def _moved(template: Epoch, grid: Grid) -> tuple[Frame, Displacement]:
    """Return the template on the grid with the variance of independent pixels."""
    where, source = displacement(template.sky_map, grid), InMemory(template.frame)
    rows, columns = grid.shape
    strips = [
        resample_rows(source, where, start, min(start + STRIP_ROWS, rows), columns)
        for start in range(0, rows, STRIP_ROWS)
    ]
    gain = noise_gain(where, grid.shape)
    moved = Frame(
        data=np.concatenate([strip.data for strip in strips]),
        variance=(np.concatenate([strip.variance for strip in strips]) / gain).astype(np.float32),
        mask=np.concatenate([strip.mask for strip in strips]),
        unit=template.frame.unit,
    )
    return moved, where


def _with_light(
    found: Registered, science: Epoch, template: Epoch, own: NDArray[np.intp]
) -> Registered | NoDifference:
    """Return the registered template with the ratio of the light of the stars."""
    half = int(np.clip(np.ceil(1.5 * science.psf.fwhm_px), 3, 20))
    stamps = stamps_around(found.x, found.y, half, science.frame.shape)
    unusable = np.uint16(Mask.BAD | Mask.COSMIC | Mask.SATURATED | Mask.TRAIL | Mask.EDGE)
    clean = ((stamps.of(science.frame.mask | found.frame.mask) & unusable) == 0) & stamps.inside
    whole = clean.all(axis=(1, 2))
    mine, mine_error = _fitted(
        science.psf.values(stamps, found.x, found.y), stamps.of(science.frame.data),
        stamps.of(science.frame.variance),
    )  # fmt: skip
    shapes = _template_stamps(found, template.psf, half)
    theirs, theirs_error = _fitted(
        shapes, stamps.of(found.frame.data), stamps.of(found.frame.variance)
    )
    seen = whole & (mine > 5 * mine_error) & (theirs > 5 * theirs_error)
    if seen.sum() < FEWEST:
        return NoDifference(f"only {int(seen.sum())} stars are whole on both image and template")
    ratio = np.log(theirs[seen] / mine[seen])
    error = np.hypot(theirs_error[seen] / theirs[seen], mine_error[seen] / mine[seen])
    middle, spread = clipped_mean(ratio, np.hypot(error, FLUX_FLOOR))
    total = science.stars.flux[own][seen] / mine[seen]
    return Registered(
        frame=found.frame,
        where=found.where,
        x=found.x[seen],
        y=found.y[seen],
        flux_ratio=float(np.exp(middle)),
        flux_ratio_error=float(np.exp(middle)) * spread,
        total=float(np.median(total[np.isfinite(total)])) if np.isfinite(total).any() else 1.0,
        scatter_px=found.scatter_px,
        shift_px=found.shift_px,
    )


def _template_stamps(found: Registered, psf: PointSpread, half: int) -> NDArray[np.float64]:
    """Return the template's point spread on the pixels around each star."""
    tx, ty, area = found._on_template(found.x, found.y)
    centre_x, centre_y = np.rint(found.x), np.rint(found.y)
    step = np.arange(-half, half + 1, dtype=float)
    dx = step[None, None, :] + (centre_x - found.x)[:, None, None]
    dy = step[None, :, None] + (centre_y - found.y)[:, None, None]
    right = found._on_template(found.x + 1, found.y)
    up = found._on_template(found.x, found.y + 1)
    u = (right[0] - tx)[:, None, None] * dx + (up[0] - tx)[:, None, None] * dy
    v = (right[1] - ty)[:, None, None] * dx + (up[1] - ty)[:, None, None] * dy
    fwhm, e1, e2 = (each[:, None, None] for each in psf.parameters(tx, ty))
    light = moffat(u, v, fwhm, psf.beta, e1, e2) + psf.left_over(u, v)
    return np.asarray(light * area[:, None, None])


def _fitted(
    shape: NDArray[np.float64], light: NDArray[np.float32], variance: NDArray[np.float32]
) -> tuple[Vector, Vector]:
    """Return flux and error of a point spread fitted with equal weights, the sky known."""
    power = np.sum(shape**2, axis=(1, 2))
    flux = np.sum(shape * light, axis=(1, 2)) / power
    error = np.sqrt(np.sum(shape**2 * np.maximum(variance, 0), axis=(1, 2))) / power
    return np.asarray(flux), np.asarray(error)


def clipped_mean(values: Vector, errors: Vector) -> tuple[float, float]:
    """Return a weighted mean without outliers (4 sigma), and its error."""
    middle = float(np.median(values))
    error = float(np.median(errors)) if len(errors) else float("nan")
    for _ in range(5):
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        kept = np.abs(values - middle) <= 4 * np.hypot(errors, spread)
        if kept.sum() < 2:
            break
        weight = 1 / (errors[kept] ** 2 + spread**2)
        middle = float(np.sum(weight * values[kept]) / np.sum(weight))
        error = float(1 / np.sqrt(np.sum(weight)))
    return middle, error
