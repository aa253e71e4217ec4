"""Measure all sources of an image: point spread, blends, apertures, errors, kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Frame, Image, Vector
from reducers.imaging.apertures import (
    CHOSEN,
    Apertures,
    aperture_radii,
    measure_apertures,
    wide_apertures,
)
from reducers.imaging.empty_sky import EmptyApertures, measure_empty_apertures, psf_noise_factor
from reducers.imaging.flat_error import flat_error
from reducers.imaging.growth import HALO_FWHM, GrowthCurve, fit_growth, halo_of
from reducers.imaging.hidden import with_hidden
from reducers.imaging.plane import Plane, plane_of
from reducers.imaging.point_spread import PointSpread
from reducers.imaging.psf_fit import fit_psf
from reducers.imaging.psf_photometry import PsfPhotometry, psf_photometry
from reducers.imaging.source_flags import SourceFlag
from reducers.imaging.star_galaxy import StarGalaxy, classify

if TYPE_CHECKING:
    from reducers.imaging.seeing import Seeing
    from reducers.imaging.sky_noise import SkyNoise
    from reducers.imaging.sources import Detections

#: Below this probability of a star a source is called extended.
EXTENDED = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Photometry:
    """Everything measured of the sources of one image.

    In the order of the detections; stars that only showed without their neighbours follow.

    All total fluxes are those within eight FWHM as far as the image's stars tell it, electrons.

    Attributes
    ----------
    x, y, x_error, y_error : (n,) float64
        Fitted places, 0-based pixels.
    flux, flux_error : (n,) float64
        Total flux by the point-spread fit: the flux to use for stars.
    aperture_flux, aperture_error : (n,) float64
        Total flux by the corrected aperture of one FWHM.
    flags : (n,) int64
        Bits of `SourceFlag`.
    psf_stars : (k,) int
        Indices of the sources that made the point spread.
    psf_noise : float
        Noise of point-spread fluxes on empty sky over that of independent pixels.
    """

    x: Vector
    y: Vector
    x_error: Vector
    y_error: Vector
    flux: Vector
    flux_error: Vector
    aperture_flux: Vector
    aperture_error: Vector
    flags: NDArray[np.int64]
    kind: StarGalaxy
    apertures: Apertures
    fit: PsfPhotometry
    psf: PointSpread
    growth: GrowthCurve
    empty: EmptyApertures
    psf_stars: NDArray[np.intp]
    psf_noise: float
    plane: Plane

    def __len__(self) -> int:
        return len(self.x)


def measure_sources(
    frame: Frame,
    background: Image,
    found: Detections,
    segmentation: NDArray[np.int32],
    seeing: Seeing,
    *,
    noise: SkyNoise | None = None,
) -> Photometry:
    """Measure every detected source.

    Parameters
    ----------
    frame : Frame
        Electrons, sky included.
    background : (ny, nx) float32
        The sky.
    found, segmentation
        As `detect` gave them.
    seeing : Seeing
        As `measure_seeing` gave it.
    noise : SkyNoise, optional
        That of this frame and sky, where it is at hand.
    """
    plane = plane_of(frame, background, noise=noise)
    psf, stars = fit_psf(plane, found, seeing)
    occupied = segmentation > 0
    fit = psf_photometry(plane, psf, found.x, found.y, found.flux, occupied=occupied)
    fit, found = with_hidden(plane, psf, fit, found, occupied)
    return measured(plane, psf, stars, fit, found, occupied)


def measured(
    plane: Plane,
    psf: PointSpread,
    stars: NDArray[np.intp],
    fit: PsfPhotometry,
    found: Detections,
    occupied: NDArray[np.bool_],
) -> Photometry:
    """Return the photometry that follows from a finished fit of the point spread."""
    empty = measure_empty_apertures(plane, fit.residual, occupied, aperture_radii(psf.fwhm_px))
    noise = psf_noise_factor(plane, psf, fit.residual)
    fit = replace(fit, flux_error=fit.flux_error * np.sqrt(1 + (noise**2 - 1) * fit.sky_share))
    apertures = measure_apertures(plane, psf, fit, found, empty)
    growth = fit_growth(
        psf,
        empty.radii_px,
        fit.x[stars],
        fit.y[stars],
        apertures.flux[stars],
        apertures.flux_error[stars],
        fit.flux[stars],
        fit.flux_error[stars],
    )
    growth = with_halo(growth, plane, psf, fit, stars, apertures)
    kind = classify(fit, stars)
    flags = apertures.flags | np.where(kind.star_probability < EXTENDED, SourceFlag.EXTENDED, 0)
    flags |= np.where(kind.sharp, SourceFlag.SHARP, 0)
    total = growth.psf_factor(fit.x, fit.y)
    corrected = growth.aperture_factor(CHOSEN, fit.x, fit.y)
    flat = flat_error(plane, fit.x, fit.y)
    floor = np.hypot(growth.psf_scatter, flat)
    return Photometry(
        x=fit.x,
        y=fit.y,
        x_error=fit.x_error,
        y_error=fit.y_error,
        flux=fit.flux * total,
        flux_error=np.hypot(fit.flux_error, fit.flux * floor) * total,
        aperture_flux=apertures.flux[:, CHOSEN] * corrected,
        aperture_error=np.hypot(apertures.flux_error[:, CHOSEN], apertures.flux[:, CHOSEN] * flat)
        * corrected,
        flags=flags,
        kind=kind,
        apertures=apertures,
        fit=fit,
        psf=psf,
        growth=growth,
        empty=empty,
        psf_stars=stars,
        psf_noise=noise,
        plane=plane,
    )


def with_halo(
    growth: GrowthCurve,
    plane: Plane,
    psf: PointSpread,
    fit: PsfPhotometry,
    stars: NDArray[np.intp],
    apertures: Apertures,
) -> GrowthCurve:
    """Return the growth curve with what lies beyond its largest aperture."""
    if not len(stars):
        return growth
    radius = HALO_FWHM * psf.fwhm_px
    wide, error = wide_apertures(plane, psf, fit, stars, radius)
    halo, halo_error = halo_of(
        apertures.flux[stars, -1], apertures.flux_error[stars, -1], wide, error
    )
    return replace(growth, halo=halo, halo_error=halo_error)


def forced_photometry(
    photometry: Photometry, x: Vector, y: Vector, *, occupied: NDArray[np.bool_] | None = None
) -> tuple[Vector, Vector]:
    """Return total flux and error at given places, in the light of all detected sources.

    A place within half a FWHM of a detected source takes that source's light.

    Parameters
    ----------
    x, y : (m,) float
        0-based pixels.
    """
    old = photometry.fit
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    gap = np.hypot(old.x[:, None] - x[None, :], old.y[:, None] - y[None, :])
    replaced = (gap < 0.5 * photometry.psf.fwhm_px).any(axis=1) if gap.size else np.zeros(0, bool)
    kept = ~replaced & np.isfinite(old.flux)
    all_x, all_y = np.concatenate([old.x[kept], x]), np.concatenate([old.y[kept], y])
    start = np.concatenate([old.drawn_flux[kept], np.zeros(len(x))])
    fit = psf_photometry(
        photometry.plane,
        photometry.psf,
        all_x,
        all_y,
        start,
        fixed=np.ones(len(all_x), bool),
        occupied=occupied,
    )
    asked = slice(int(kept.sum()), None)
    total = photometry.growth.psf_factor(x, y)
    factor = np.sqrt(1 + (photometry.psf_noise**2 - 1) * fit.sky_share[asked])
    return fit.flux[asked] * total, fit.flux_error[asked] * factor * total
