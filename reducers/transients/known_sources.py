"""Which sources of an image are in the catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector
from reducers.transients.catalogue_depth import magnitudes_near, nearest_band
from reducers.transients.settings import search_numbers
from reducers.transients.sphere import pairs_within

if TYPE_CHECKING:
    from reducers.imaging.references import ReferenceCatalogue, References
    from reducers.transients.search_image import SearchImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What one catalogue has of the sources of an image.

    Attributes
    ----------
    name : str
    listed : (n,) bool
        Sources with an entry.
    star : (n,) float64
        1 a star, 0 extended, NaN not known or not listed.
    nearest_arcsec : (n,) float64
        Of the nearest entry within ten arcsec; NaN where none is.
    brightened_mag : (n,) float64
        By how much a source outshines an entry at its place that is too faint to be it; NaN where
        there is no such entry.
    brightest_mag : float
        Of the entries, in the band nearest to the image's: of brighter sources the catalogue says
        nothing; NaN where it has no magnitudes.
    """

    name: str
    listed: NDArray[np.bool_]
    star: Vector
    nearest_arcsec: Vector
    brightened_mag: Vector
    brightest_mag: float = float("nan")


def listed_in(image: SearchImage, references: References) -> tuple[Listed, ...]:
    """Return which sources every catalogue lists; an entry counts where the errors allow it.

    Entries are taken where they stand at the epoch of the exposure: what has no known motion has
    a larger error.
    """
    return tuple(_listed(image, catalogue) for catalogue in references.each if len(catalogue))


#: How far around a source entries are looked at.
_AROUND_ARCSEC = 10.0
#: Sources of an imagined field that stand behind the share a survey misses.
_USUAL = 50


def _listed(image: SearchImage, catalogue: ReferenceCatalogue) -> Listed:
    sources, rule = image.sources, search_numbers()["match"]
    source, entry, away = pairs_within(
        sources.ra_deg, sources.dec_deg, catalogue.ra_deg, catalogue.dec_deg, _AROUND_ARCSEC
    )
    extended = catalogue.star[entry] < 0.5
    least = np.where(extended, rule["extended_radius_arcsec"], rule["radius_arcsec"])
    error = np.hypot(
        image.source_error_arcsec[source],
        np.nan_to_num(catalogue.position_error_mas[entry], nan=100.0) / 1000,
    )
    radius = np.minimum(np.maximum(least, rule["sigmas"] * error), rule["farthest_arcsec"])
    fainter, most = fainter_than(image, catalogue, source, entry)
    # Far off by its error a star is more likely another one, unless it is as bright.
    far = ~extended & (away > least)
    far_most = most - (rule["fainter_mag"] - rule["far_fainter_mag"])
    with np.errstate(invalid="ignore"):
        outshone = fainter > most
        at_place = (away <= radius) & ~(far & (fainter > far_most))
    hit = at_place & ~outshone
    brightened = np.full(len(sources), np.nan)
    hosted = np.flatnonzero(at_place & outshone)
    brightened[source[hosted]] = fainter[hosted]
    listed = np.zeros(len(sources), bool)
    listed[source[hit]] = True
    star = np.full(len(sources), np.nan)
    order = np.flatnonzero(hit)[np.argsort(-away[hit])]
    star[source[order]] = catalogue.star[entry[order]]
    nearest = np.full(len(sources), np.inf)
    np.minimum.at(nearest, source, away)
    claimed = np.zeros(len(catalogue), bool)
    claimed[entry[hit]] = True
    blended = _seen_in(image, catalogue, source, entry, away, claimed)
    return Listed(
        name=catalogue.name,
        listed=listed | blended,
        star=star,
        nearest_arcsec=np.where(np.isfinite(nearest), nearest, np.nan),
        brightened_mag=np.where(listed | blended, np.nan, brightened),
        brightest_mag=_brightest(image, catalogue),
    )


def _brightest(image: SearchImage, catalogue: ReferenceCatalogue) -> float:
    magnitude, _ = magnitudes_near(catalogue.magnitudes, image.band)
    return float(np.nanmin(magnitude)) if np.isfinite(magnitude).any() else float("nan")


def fainter_than(
    image: SearchImage,
    catalogue: ReferenceCatalogue,
    source: NDArray[np.intp],
    entry: NDArray[np.intp],
) -> tuple[Vector, Vector]:
    """Return by how much entries are fainter than sources, and by how much they may be.

    NaN where one of both has no magnitude: such an entry is taken for the source.
    """
    rule = search_numbers()["match"]
    magnitude, other = magnitudes_near(catalogue.magnitudes, image.band)
    # Galaxies do not vary as stars do: what outshines one is on it.
    extended = catalogue.star < 0.5
    most = np.where(extended, rule["extended_fainter_mag"], rule["fainter_mag"])
    most = most + np.where(other, rule["other_band_mag"], 0.0)
    return magnitude[entry] - image.sources.magnitude[source], most[entry]


def _seen_in(
    image: SearchImage,
    catalogue: ReferenceCatalogue,
    source: NDArray[np.intp],
    entry: NDArray[np.intp],
    away: Vector,
    claimed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return the sources that hold the light of an entry which no source stands on.

    Two stars that the seeing merges are one source between them.
    """
    rule = search_numbers()["match"]
    seen = np.zeros(len(image.sources), bool)
    band = nearest_band(catalogue.magnitudes, image.band)
    if not band or not image.fwhm_px > 0:
        return seen
    near = ~claimed[entry] & (
        away <= rule["unclaimed_fwhm"] * image.fwhm_px * image.pixel_scale_arcsec
    )
    fainter = catalogue.magnitudes[band][entry] - image.sources.magnitude[source]
    with np.errstate(invalid="ignore"):
        near &= ~(fainter > rule["unclaimed_fainter_mag"])
    # An entry without a magnitude says nothing of its light.
    near &= np.isfinite(catalogue.magnitudes[band][entry])
    seen[source[near]] = True
    return seen


def unlisted_expected(image: SearchImage, listed: tuple[Listed, ...], magnitude: float) -> float:
    """Return how many sources like one of a magnitude the catalogues leave out of this image.

    Where two catalogues cover the field, each tells what the other misses (Lincoln 1930, Petersen
    1896); a single one is taken to miss `depth.unlisted` of them. Of what is brighter than all its
    entries a catalogue is taken to miss everything: surveys leave out what saturates.
    """
    if not listed:
        return float("nan")
    with np.errstate(invalid="ignore"):
        alike = np.abs(image.sources.magnitude - magnitude) <= 1
    telling = tuple(one for one in listed if not magnitude < one.brightest_mag)
    if not telling:
        return float("inf")
    each = np.array([one & alike for one in _independent(telling)])
    anyone = each.any(axis=0)
    missing = 1.0
    least = search_numbers()["depth"]["unlisted"]
    for index in range(len(each)):
        others = np.delete(each, index, axis=0)
        by_others = others.any(axis=0) if len(others) else np.zeros_like(anyone)
        number = int(by_others.sum())
        missed = int((by_others & ~each[index]).sum())
        # As if fifty more had been seen with the usual share of misses: few stars prove little.
        missing *= (missed + least * _USUAL) / (number + _USUAL)
    # The source itself shows that there is one such star.
    return float((anyone.sum() + 1) * missing)


def _independent(listed: tuple[Listed, ...]) -> list[NDArray[np.bool_]]:
    """Return what is listed by catalogues that do not forget together."""
    made_of = search_numbers()["depth"]["made_of"]
    found: dict[str, NDArray[np.bool_]] = {}
    for one in listed:
        root = made_of.get(one.name, one.name)
        found[root] = found[root] | one.listed if root in found else one.listed
    return list(found.values())
