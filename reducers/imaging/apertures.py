"""Aperture and Kron photometry of sources freed of their neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sep
from numpy.typing import NDArray

from reducers.frame import UNUSABLE, Mask, Vector
from reducers.imaging.clean_tiles import clean_tiles
from reducers.imaging.empty_sky import EmptyApertures, finite_sky
from reducers.imaging.source_flags import SourceFlag

if TYPE_CHECKING:
    from reducers.imaging.plane import Plane
    from reducers.imaging.point_spread import PointSpread
    from reducers.imaging.psf_photometry import PsfPhotometry
    from reducers.imaging.sources import Detections

#: Radii in FWHM; the last one defines the total flux.
RADII_FWHM = (0.7, 1.0, 1.5, 2.0, 2.5, 4.0)
#: The aperture that is corrected to a total: nearly the best signal to noise.
CHOSEN = 1
#: Kron (1980, ApJS 43, 305): ellipse of 2.5 first moments, never smaller than this many FWHM.
KRON_FACTOR = 2.5
LEAST_KRON_FWHM = 0.9
RIGHT_ANGLE = 1.570796
#: Share of neighbours' light from which a source counts as crowded.
CROWDED = 0.03
#: Tiles for wide sources are so many times those of stars.
TILE_FACTORS = (1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Apertures:
    """Fluxes within circles and Kron ellipses, electrons, neighbours removed.

    Attributes
    ----------
    radii_px : (k,) float64
    flux, flux_error : (n, k) float64
    kron_flux, kron_error : (n,) float64
    kron_radius_px : (n,) float64
        Semi-major axis of the ellipse summed.
    kron_axis_ratio, kron_theta_rad : (n,) float64
    crowding : (n,) float64
        Light of neighbours within one FWHM over the source's own.
    flags : (n,) int64
        Bits of `SourceFlag`.
    """

    radii_px: Vector
    flux: NDArray[np.float64]
    flux_error: NDArray[np.float64]
    kron_flux: Vector
    kron_error: Vector
    kron_radius_px: Vector
    kron_axis_ratio: Vector
    kron_theta_rad: Vector
    crowding: Vector
    flags: NDArray[np.int64]


def aperture_radii(fwhm_px: float) -> Vector:
    """Return the radii for stars of a FWHM, pixels."""
    return np.array(RADII_FWHM) * max(fwhm_px, 1.5)


def measure_apertures(
    plane: Plane,
    psf: PointSpread,
    fit: PsfPhotometry,
    found: Detections,
    empty: EmptyApertures,
) -> Apertures:
    """Sum the light of every source within circles and a Kron ellipse.

    Each source stands alone when it is summed: all others, and what hides under masked pixels,
    are replaced by their models. Errors hold the noise of the sky as empty apertures show it,
    the photons of all sources on the aperture, and the error of the sky below.

    Parameters
    ----------
    fit : PsfPhotometry
        Of the detections, in their order.
    empty : EmptyApertures
        Measured at the same radii.
    """
    radii = empty.radii_px
    half = int(np.ceil(radii[-1])) + 2
    everything = np.arange(len(fit))
    tiles = clean_tiles(plane, psf, fit, everything, half)
    flux, error = np.empty((len(fit), len(radii))), np.empty((len(fit), len(radii)))
    sky, photons = finite_sky(plane), plane.source_variance
    for index, radius in enumerate(radii):
        flux[:, index] = circles(tiles.light, tiles.x, tiles.y, radius, subpix=0)
        sky_noise = circles(sky, fit.x, fit.y, radius)
        noise = circles(photons, fit.x, fit.y, radius)
        area = np.pi * radius**2
        flux[:, index] -= fit.sky * area
        variance = empty.factor[index] ** 2 * sky_noise + np.maximum(noise, 0)
        error[:, index] = np.sqrt(variance + (fit.sky_error * area) ** 2)
    kron = _kron(plane, psf, fit, found, empty, half)
    crowding = _crowding(plane, fit, flux[:, CHOSEN], radii[CHOSEN])
    flags = _flags(plane, fit, found, radii[CHOSEN + 1])
    flags |= np.where(np.abs(crowding) > CROWDED, SourceFlag.CROWDED, 0)
    flags |= np.where(kron.cut, SourceFlag.KRON_CUT, 0)
    return Apertures(
        radii_px=radii,
        flux=flux,
        flux_error=error,
        kron_flux=kron.flux,
        kron_error=kron.error,
        kron_radius_px=kron.semimajor,
        kron_axis_ratio=kron.axis_ratio,
        kron_theta_rad=kron.theta,
        crowding=crowding,
        flags=flags,
    )


def circles(plane: NDArray[Any], x: Vector, y: Vector, radius: float, *, subpix: int = 5) -> Vector:
    """Return the sums of a plane within circles; sep refuses to sum nothing."""
    if not len(x):
        return np.empty(0)
    return np.asarray(sep.sum_circle(plane, x, y, radius, subpix=subpix)[0])


def wide_apertures(
    plane: Plane, psf: PointSpread, fit: PsfPhotometry, chosen: NDArray[np.intp], radius: float
) -> tuple[Vector, Vector]:
    """Return the light of a few sources within a wide circle, and its error; neighbours removed."""
    tiles = clean_tiles(plane, psf, fit, chosen, int(np.ceil(radius)) + 2)
    area = np.pi * radius**2
    flux = circles(tiles.light, tiles.x, tiles.y, radius) - fit.sky[chosen] * area
    x, y = fit.x[chosen], fit.y[chosen]
    variance = circles(finite_sky(plane), x, y, radius)
    variance += np.maximum(circles(plane.source_variance, x, y, radius), 0)
    return flux, np.sqrt(variance + (fit.sky_error[chosen] * area) ** 2)


@dataclass(frozen=True, slots=True)
class Kron:
    """Kron ellipses and their fluxes, all (n,)."""

    flux: Vector
    error: Vector
    semimajor: Vector
    axis_ratio: Vector
    theta: Vector
    cut: NDArray[np.bool_]


def _kron(
    plane: Plane,
    psf: PointSpread,
    fit: PsfPhotometry,
    found: Detections,
    empty: EmptyApertures,
    half: int,
) -> Kron:
    """Return Kron fluxes; wide sources get wide tiles."""
    count = len(fit)
    # sep refuses an angle that float32 rounded beyond a right angle.
    angle = np.clip(np.nan_to_num(found.theta_rad), -RIGHT_ANGLE, RIGHT_ANGLE)
    least = LEAST_KRON_FWHM * psf.fwhm_px
    semimajor = np.maximum(found.semimajor_px, 0.3 * psf.fwhm_px)
    axis_ratio = np.clip(found.semiminor_px / np.maximum(found.semimajor_px, 1e-3), 0.2, 1.0)
    wanted = np.searchsorted([half * factor for factor in TILE_FACTORS[:-1]], 6 * semimajor)
    flux, radius = np.zeros(count), np.zeros(count)
    cut = np.zeros(count, bool)
    for kind, factor in enumerate(TILE_FACTORS):
        chosen = np.flatnonzero(wanted == kind)
        if not len(chosen):
            continue
        room = half * factor
        tiles = clean_tiles(plane, psf, fit, chosen, room)
        a, ratio, theta = semimajor[chosen], axis_ratio[chosen], angle[chosen]
        search = np.minimum(6.0, room / a)
        first, _ = sep.kron_radius(tiles.light, tiles.x, tiles.y, a, a * ratio, theta, search)
        ellipse = np.maximum(KRON_FACTOR * np.nan_to_num(first) * a, least / np.sqrt(ratio))
        cut[chosen] = ellipse > room
        ellipse = np.minimum(ellipse, room)
        total, _, _ = sep.sum_ellipse(
            tiles.light, tiles.x, tiles.y, ellipse, ellipse * ratio, theta, 1.0, subpix=5
        )
        flux[chosen] = total - fit.sky[chosen] * np.pi * ellipse**2 * ratio
        radius[chosen] = ellipse
    error = _ellipse_error(plane, fit, empty, radius, axis_ratio, angle)
    return Kron(flux, error, radius, axis_ratio, angle, cut)


def _ellipse_error(
    plane: Plane,
    fit: PsfPhotometry,
    empty: EmptyApertures,
    semimajor: Vector,
    axis_ratio: Vector,
    theta: Vector,
) -> Vector:
    """Return the errors of sums within ellipses."""
    if not len(fit):
        return np.empty(0)
    ellipse = (fit.x, fit.y, semimajor, semimajor * axis_ratio, theta, 1.0)
    sky = sep.sum_ellipse(finite_sky(plane), *ellipse, subpix=5)[0]
    photons = sep.sum_ellipse(plane.source_variance, *ellipse, subpix=5)[0]
    factor = np.interp(semimajor * np.sqrt(axis_ratio), empty.radii_px, empty.factor)
    area = np.pi * semimajor**2 * axis_ratio
    variance = factor**2 * sky + np.maximum(photons, 0) + (fit.sky_error * area) ** 2
    return np.asarray(np.sqrt(variance))


def _crowding(plane: Plane, fit: PsfPhotometry, own: Vector, radius: float) -> Vector:
    """Return the neighbours' light in an aperture over the source's own."""
    everything = circles(plane.light, fit.x, fit.y, radius)
    everything -= fit.sky * np.pi * radius**2
    masked = circles((~plane.good).astype(np.float32), fit.x, fit.y, radius)
    share = (everything - own) / np.maximum(np.abs(own), 1e-9)
    # Where pixels are masked the difference is the hole, not a neighbour.
    return np.asarray(np.where(masked > 0, np.maximum(share, 0), share))


def _flags(plane: Plane, fit: PsfPhotometry, found: Detections, radius: float) -> NDArray[np.int64]:
    """Return the bits that masks, edges and the fit give."""
    rows, columns = plane.shape
    bits = found.mask_bits
    flags = np.zeros(len(fit), np.int64)
    usual = np.uint16(UNUSABLE & ~(Mask.SATURATED | Mask.TRAIL))
    edge = (fit.x < radius - 0.5) | (fit.x > columns - 0.5 - radius)
    edge |= (fit.y < radius - 0.5) | (fit.y > rows - 0.5 - radius)
    for condition, flag in (
        ((bits & usual) != 0, SourceFlag.MASKED),
        ((bits & np.uint16(Mask.SATURATED)) != 0, SourceFlag.SATURATED),
        ((bits & np.uint16(Mask.TRAIL)) != 0, SourceFlag.TRAIL),
        (edge, SourceFlag.EDGE),
        (fit.group_size > 1, SourceFlag.BLENDED),
        (fit.near_limit, SourceFlag.MOVED),
        (~np.isfinite(fit.flux), SourceFlag.NOT_MEASURED),
    ):
        flags |= np.where(condition, int(flag), 0)
    return flags
