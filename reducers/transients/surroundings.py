"""What lies around a candidate: bright stars, their mirror images, uneven sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import UNUSABLE, Vector
from reducers.transients.catalogue_depth import nearest_band
from reducers.transients.settings import search_numbers
from reducers.transients.sphere import pairs_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.imaging.references import References
    from reducers.transients.search_image import SearchImage

#: Sectors of the ring that is looked at, and its radii in FWHM.
_SECTORS, _RING_FWHM = 8, (2.0, 5.0)
#: Sky noise of neighbouring pixels goes together: a sector's error is so many times larger.
_CORRELATED = 1.5
#: Listed stars between these distances, FWHM, widen a source without being seen as one.
_COMPANION_FWHM = (0.3, 1.5)
#: An entry this near to a source, FWHM, is seen as that source.
_OWN_FWHM = 0.7
#: Farther than this no star matters.
_FARTHEST_ARCSEC = 600.0


def structure(image: SearchImage, x: Vector, y: Vector) -> Vector:
    """Return how uneven the sky is about places, in errors: fringes, nebulae, wings of stars.

    The scatter of the means of the sectors of a ring, all sources taken out, over the noise
    of their pixels. NaN where too little of the ring can be seen, or no residual is known.
    """
    found = np.full(len(x), np.nan)
    if image.residual is None:
        return found
    noise = _sky_noise(image.residual, image.mask)
    near, far = (factor * max(image.fwhm_px, 1.5) for factor in _RING_FWHM)
    half = int(np.ceil(far))
    for index in range(len(x)):
        column, row = round(x[index]), round(y[index])
        rows = slice(max(row - half, 0), row + half + 1)
        columns = slice(max(column - half, 0), column + half + 1)
        cut = image.residual[rows, columns]
        if not cut.size:
            continue
        dy, dx = np.mgrid[rows.start : rows.start + cut.shape[0], : cut.shape[1]]
        dx, dy = dx + columns.start - x[index], dy - y[index]
        away = np.hypot(dx, dy)
        usable = (away >= near) & (away <= far) & np.isfinite(cut)
        usable &= (image.mask[rows, columns] & np.uint16(UNUSABLE)) == 0
        sector = ((np.arctan2(dy, dx) + np.pi) / (2 * np.pi) * _SECTORS).astype(int) % _SECTORS
        number = np.bincount(sector[usable], minlength=_SECTORS)
        if (number < 5).any():
            continue
        total = np.bincount(sector[usable], cut[usable].astype(float), minlength=_SECTORS)
        mean = total / number
        error = _CORRELATED * noise / np.sqrt(number)
        pull = (mean - np.median(mean)) / error
        found[index] = float(np.sqrt(np.mean(pull**2)))
    return found


def _sky_noise(residual: NDArray[np.float32], mask: NDArray[np.uint16]) -> float:
    some = (slice(None, None, 7), slice(None, None, 7))
    values = residual[some][(mask[some] & np.uint16(UNUSABLE)) == 0]
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan")
    return max(1.4826 * float(np.median(np.abs(values - np.median(values)))), 1e-6)


def bright_star_reach(
    image: SearchImage, chosen: NDArray[np.intp], references: References
) -> Vector:
    """Return the largest reach of a bright star over its distance: above 1 it lies within.

    The reach grows with the star's brightness as `search.toml` has it.
    """
    rule = search_numbers()["bright_star"]
    sources, found = image.sources, np.zeros(len(chosen))
    for ra, dec, magnitude in _bright(image, references, rule["magnitude"]):
        first, second, away = pairs_within(
            sources.ra_deg[chosen], sources.dec_deg[chosen], ra, dec, _FARTHEST_ARCSEC
        )
        reach = rule["radius_arcsec"] * 10 ** (
            rule["slope"] * (rule["magnitude"] - magnitude[second])
        )
        np.maximum.at(found, first, reach / np.maximum(away, 0.1))
    return found


def companion_share(image: SearchImage, chosen: NDArray[np.intp], references: References) -> Vector:
    """Return the light of the brightest listed star that is merged with a source, over its own.

    It explains a source that is wide or oblong. Galaxies do not count: a source that is as wide as
    the galaxy beside it may be a part of it.
    """
    sources, found = image.sources, np.zeros(len(chosen))
    width = image.fwhm_px * image.pixel_scale_arcsec
    if not width > 0:
        return found
    for catalogue in references.each:
        band = nearest_band(catalogue.magnitudes, image.band)
        stars = np.flatnonzero(~(catalogue.star < 0.5))
        if not band or not len(stars):
            continue
        ra, dec = catalogue.ra_deg[stars], catalogue.dec_deg[stars]
        owner = _owners(image, ra, dec, _OWN_FWHM * width)
        one, entry, away = pairs_within(
            sources.ra_deg[chosen], sources.dec_deg[chosen], ra, dec, _COMPANION_FWHM[1] * width
        )
        fainter = catalogue.magnitudes[band][stars][entry] - sources.magnitude[chosen][one]
        merged = (away > _COMPANION_FWHM[0] * width) & np.isfinite(fainter)
        merged &= (owner[entry] < 0) | (owner[entry] == chosen[one])
        np.maximum.at(found, one[merged], 10 ** (-0.4 * fainter[merged]))
    return found


def _owners(
    image: SearchImage, ra_deg: Vector, dec_deg: Vector, radius_arcsec: float
) -> NDArray[np.intp]:
    """Return the nearest source of every entry within a radius; -1 for none."""
    entry, source, away = pairs_within(
        ra_deg, dec_deg, image.sources.ra_deg, image.sources.dec_deg, radius_arcsec
    )
    owner = np.full(len(ra_deg), -1, np.intp)
    order = np.argsort(-away)
    owner[entry[order]] = source[order]
    return owner


def ghost_distance(image: SearchImage, x: Vector, y: Vector, references: References) -> Vector:
    """Return the distance to the nearest mirror image of a bright star about the optical centre.

    A focal reducer reflects light between detector and optics so that it comes back opposite to
    the star. The place of that centre is assumed, not measured.
    """
    found = np.full(len(x), np.nan)
    centre = image.optical_centre_px
    if image.sky_map is None or not np.isfinite(centre).all():
        return found
    for ra, dec, _ in _bright(image, references, search_numbers()["ghost"]["magnitude"]):
        star_x, star_y = image.sky_map.pixels(ra, dec)
        seen = np.isfinite(star_x) & (star_x >= 0) & (star_x < image.shape[1])
        seen &= np.isfinite(star_y) & (star_y >= 0) & (star_y < image.shape[0])
        for one_x, one_y in zip(star_x[seen], star_y[seen], strict=True):
            away = np.hypot(x - (2 * centre[0] - one_x), y - (2 * centre[1] - one_y))
            found = np.fmin(found, away)
    return found


def _bright(
    image: SearchImage, references: References, magnitude: float
) -> list[tuple[Vector, Vector, Vector]]:
    """Return place and magnitude of every catalogue's stars brighter than a magnitude."""
    found = []
    for catalogue in references.each:
        band = nearest_band(catalogue.magnitudes, image.band)
        if not band:
            continue
        # A bright galaxy has no rays, and is where transients are.
        bright = (catalogue.magnitudes[band] < magnitude) & ~(catalogue.star < 0.5)
        if bright.any():
            found.append(
                (
                    catalogue.ra_deg[bright],
                    catalogue.dec_deg[bright],
                    catalogue.magnitudes[band][bright],
                )
            )
    return found
