"""Fluxes and places of all sources of an image at once, by the point spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector
from reducers.imaging.local_sky import LocalSky, local_sky
from reducers.imaging.model_image import draw_sources
from reducers.imaging.psf_system import (
    Linearised,
    core_chi2,
    covariance_errors,
    excess_width,
    groups,
)
from reducers.imaging.stamps import stamps_around

if TYPE_CHECKING:
    from reducers.imaging.plane import Plane
    from reducers.imaging.point_spread import PointSpread

#: Half-width of the squares fitted, in FWHM.
FITTED_FWHM = 1.6
#: Sources nearer than this many FWHM are fitted together.
LINK_FWHM = 2.2
#: Gauss-Newton steps that move sources, and the furthest that one may come from its start.
ROUNDS = 4
FURTHEST_PX = 1.5
#: A source whose flux is below this many sigma stays where it was seen.
MOVING_SNR = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PsfPhotometry:
    """What the fit of the point spread gave, in the order of the places asked for.

    Attributes
    ----------
    x, y, x_error, y_error : (n,) float64
        0-based pixels; the error of a fixed place is 0.
    flux, flux_error : (n,) float64
        Electrons; NaN where no pixel was usable.
    chi2 : (n,) float64
        Reduced chi2 of the pixels within one FWHM.
    sharpness, sharpness_error : (n,) float64
        Width beyond that of a star, as the relative change of the FWHM that the residuals ask
        for: 0 for a star, above for a galaxy, below for a cosmic ray.
    group, group_size : (n,) int64
        Blends that were fitted together.
    good_fraction : (n,) float64
        Share of the light that fell on usable pixels.
    near_limit : (n,) bool
        Moved as far as it was allowed: the place is not to be trusted.
    sky, sky_error : (n,) float64
        Light per pixel found below each source beyond the sky's model, and its error.
    sky_share : (n,) float64
        Fraction of the flux's variance that comes from the sky.
    sky_area : (n,) float64
        Pixels of sky that enter the flux: its change per unit of `sky`.
    residual : (ny, nx) float32
        The image without its sources; masked pixels are 0.
    drawn_flux : (n,) float64
        Flux of each source in that subtraction.
    half_px : int
        Half-width of the squares fitted.
    """

    x: Vector
    y: Vector
    x_error: Vector
    y_error: Vector
    flux: Vector
    flux_error: Vector
    chi2: Vector
    sharpness: Vector
    sharpness_error: Vector
    group: NDArray[np.int64]
    group_size: NDArray[np.int64]
    good_fraction: Vector
    near_limit: NDArray[np.bool_]
    sky: Vector
    sky_error: Vector
    sky_share: Vector
    sky_area: Vector
    residual: NDArray[np.float32]
    drawn_flux: Vector
    half_px: int

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class State:
    """The sources while they are fitted, and what is left of the image without them."""

    x: Vector
    y: Vector
    flux: Vector
    model: NDArray[np.float32]


def psf_photometry(
    plane: Plane,
    psf: PointSpread,
    x: Vector,
    y: Vector,
    flux: Vector,
    *,
    fixed: NDArray[np.bool_] | None = None,
    occupied: NDArray[np.bool_] | None = None,
) -> PsfPhotometry:
    """Fit flux and place of every source, blends jointly.

    Every step solves the normal equations of all sources together, those of a blend coupled
    through their common pixels (Stetson 1987, PASP 99, 191, section III.D); weights come from
    the model. A place at which only the flux is asked for (`fixed`) is never moved: that is
    forced photometry, in the light of all other sources.

    Parameters
    ----------
    plane : Plane
        The image.
    psf : PointSpread
        Its point spread.
    x, y, flux : (n,) float
        Start values.
    fixed : (n,) bool, optional
        Sources that keep their place; none.
    occupied : (ny, nx) bool, optional
        Pixels of sources, kept out of the rings that tell the sky below each source; without it
        no such sky is looked for.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    held = np.zeros(len(x), bool) if fixed is None else np.asarray(fixed)
    below = LocalSky(np.zeros(len(x)), np.zeros(len(x)))
    half = int(np.clip(np.ceil(FITTED_FWHM * psf.fwhm_px), 3, 30))
    start = np.where(np.isfinite(flux), np.maximum(flux, 0), 0).astype(float)
    state = State(x, y, start, draw_sources(plane, psf, x, y, start, half))
    for step in range(ROUNDS):
        last = step == ROUNDS - 1
        if occupied is not None and step in (1, ROUNDS - 1):
            below = local_sky(plane, state.model, state.x, state.y, psf.fwhm_px, occupied)
        fit = _linearised(plane, psf, state, half, below.level)
        weak = state.flux < MOVING_SNR * fit.flux_noise
        solved = fit.solved(held | weak | last)
        state = _moved(plane, psf, state, solved, (x, y), half)
    return _result(plane, psf, state, half, below, held, (x, y))


def _linearised(plane: Plane, psf: PointSpread, state: State, half: int, sky: Vector) -> Linearised:
    """Return the fit about a state."""
    stamps = stamps_around(state.x, state.y, half, plane.shape)
    design = psf.design(stamps, state.x, state.y)
    design[1:] *= np.maximum(state.flux, 1.0)[None, :, None, None]
    good = stamps.of(plane.good) & stamps.inside
    light = stamps.of(state.model).astype(float)
    residual = stamps.of(plane.light) - light - sky[:, None, None]
    photons = plane.photon_gain * np.maximum(light, 0)
    variance = stamps.of(plane.sky_variance) + photons
    wrong = psf.model_error * light
    weight = np.where(good, 1 / (variance + wrong**2), 0.0)
    return Linearised(
        stamps=stamps,
        design=design,
        residual=np.where(good, residual, 0.0),
        weight=weight,
        link_px=LINK_FWHM * psf.fwhm_px,
        x=state.x,
        y=state.y,
    )


def _moved(
    plane: Plane,
    psf: PointSpread,
    state: State,
    step: NDArray[np.float64],
    start: tuple[Vector, Vector],
    half: int,
) -> State:
    """Return the state after a step, every source within reach of its start."""
    x = state.x + np.clip(step[:, 1], -0.5, 0.5)
    y = state.y + np.clip(step[:, 2], -0.5, 0.5)
    x = np.clip(x, start[0] - FURTHEST_PX, start[0] + FURTHEST_PX)
    y = np.clip(y, start[1] - FURTHEST_PX, start[1] + FURTHEST_PX)
    flux = state.flux + step[:, 0]
    return State(x, y, flux, draw_sources(plane, psf, x, y, flux, half))


def _result(
    plane: Plane,
    psf: PointSpread,
    state: State,
    half: int,
    below: LocalSky,
    held: NDArray[np.bool_],
    start: tuple[Vector, Vector],
) -> PsfPhotometry:
    """Return the table of a finished fit."""
    fit = _linearised(plane, psf, state, half, below.level)
    group, size = groups(fit)
    errors = covariance_errors(fit, held, size)
    unseen = np.einsum("nij,nij->n", fit.weight > 0, fit.design[0]) < 0.05
    errors[unseen] = np.nan
    errors[:, 0] = np.hypot(errors[:, 0], below.error * fit.sky_area)
    chi2, good_fraction = core_chi2(fit)
    sharpness, sharpness_error = excess_width(fit, state.flux)
    moved = np.maximum(np.abs(state.x - start[0]), np.abs(state.y - start[1]))
    flux = np.where(held, state.flux, without_search_gain(state.flux, errors[:, 0]))
    return PsfPhotometry(
        x=state.x,
        y=state.y,
        x_error=errors[:, 1],
        y_error=errors[:, 2],
        flux=np.where(unseen, np.nan, flux),
        flux_error=errors[:, 0],
        chi2=chi2,
        sharpness=sharpness,
        sharpness_error=sharpness_error,
        group=group,
        group_size=size,
        good_fraction=good_fraction,
        near_limit=moved > FURTHEST_PX - 1e-6,
        sky=below.level,
        sky_error=below.error,
        sky_share=sky_share(fit, plane),
        sky_area=fit.sky_area,
        residual=np.where(plane.good, plane.light - state.model, np.float32(0)),
        drawn_flux=state.flux,
        half_px=half,
    )


def sky_share(fit: Linearised, plane: Plane) -> Vector:
    """Return which fraction of the variance of each flux comes from the sky."""
    sky = np.where(fit.weight > 0, fit.stamps.of(plane.sky_variance), 0)
    squared = fit.weight * fit.design[0] ** 2
    whole = np.maximum(np.sum(squared, axis=(1, 2)), 1e-30)
    return np.asarray(np.minimum(np.sum(squared * fit.weight * sky, axis=(1, 2)) / whole, 1.0))


def without_search_gain(flux: Vector, error: Vector) -> Vector:
    """Return fluxes less what choosing the best place added to them.

    The largest flux over two free coordinates exceeds that at the true place by error^2/flux on
    average (the fit gains chi2 = 2, d(flux^2) = 2 error^2); at low signal to noise no more is
    known than half of the error.
    """
    gain = error * np.minimum(error / np.maximum(flux, 1e-9), 0.5)
    return np.asarray(flux - np.where(np.isfinite(gain), gain, 0))
