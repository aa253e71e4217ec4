"""Find the sources of an image that no catalogue lists: the recipe of `findnew`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.transients.agreement import agrees, circle_in_words
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.catalogue_depth import CatalogueDepth, depths_of
from reducers.transients.features import measure_features
from reducers.transients.known_sources import Listed, listed_in, unlisted_expected
from reducers.transients.localisation import Localisation
from reducers.transients.sanity import doubt_about
from reducers.transients.settings import SearchSettings, search_numbers
from reducers.transients.star_locus import star_locus
from reducers.transients.vetting import heard, vetted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.imaging.references import References
    from reducers.transients.search_image import SearchImage
    from reducers.transients.witness import Witness

#: An image without a place on the sky has no candidates, and says so in these words.
NO_PLACE = "The stars of this image do not say where it lies on the sky: nothing can be looked up."
NO_SOURCES = "No source was found on this image."
NO_CATALOGUE = (
    "No catalogue of this field is here: no source can be called new "
    "(alfoscd catalogues fetch brings one)."
)
NO_ZERO_POINT = (
    "The image has no zero point: magnitudes are unknown, and nothing is called new (-z gives one)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSources:
    """What the search of one image found.

    Attributes
    ----------
    candidates : tuple of Candidate
        Every source without a catalogue entry down to the limit, the best first; vetoed and
        known ones too, with their reasons.
    searched, matched : int
        Sources between the limits, and those of them that a catalogue lists.
    limit_mag : float
        Down to which was looked; NaN without a zero point.
    depths : tuple of CatalogueDepth
    why : str
        Why nothing could be looked for; '' where it could.
    warnings : tuple of str
        What a person should know of this search, one sentence each.
    suspicious : bool
        So much is unlisted that the frame is doubted: no candidate of it stands.
    """

    candidates: tuple[Candidate, ...] = ()
    searched: int = 0
    matched: int = 0
    limit_mag: float = float("nan")
    depths: tuple[CatalogueDepth, ...] = ()
    localisations: tuple[Localisation, ...] = ()
    why: str = ""
    warnings: tuple[str, ...] = ()
    suspicious: bool = False

    @property
    def standing(self) -> tuple[Candidate, ...]:
        """The candidates that are new or unvetted: those to look at."""
        open_ones = (Standing.NEW, Standing.UNVETTED)
        return tuple(one for one in self.candidates if one.standing in open_ones)


def find_new_sources(
    image: SearchImage,
    references: References,
    *,
    localisations: Sequence[Localisation] = (),
    settings: SearchSettings | None = None,
    witnesses: Sequence[Witness] = (),
) -> NewSources:
    """Look for sources that no catalogue lists at the epoch of an image.

    Parameters
    ----------
    references
        Catalogues, moved to the epoch of the exposure.
    localisations
        Where satellites say that something happened; the class of a candidate comes from them.
    witnesses
        Who else knows something of candidates: minor planets, variables, earlier detections.
    """
    circles = tuple(localisations)
    if image.sky_map is None:
        return NewSources(why=NO_PLACE, localisations=circles)
    sky_map, shape = image.sky_map, image.shape
    image = with_zero_point(image, settings or SearchSettings())
    warnings = [circle_in_words(circle, sky_map, shape) for circle in circles]
    if not len(image.sources):
        return NewSources(why=NO_SOURCES, warnings=_said(warnings), localisations=circles)
    depths = depths_of(references, image.band)
    limit = limit_of(depths, settings or SearchSettings())
    if not math.isfinite(image.zero_point_mag):
        warnings.append(NO_ZERO_POINT)
        limit = math.nan
    within = _between(image, limit)
    listed = listed_in(image, references)
    known = np.any([one.listed for one in listed], axis=0) if listed else np.zeros_like(within)
    chosen = np.flatnonzero(within & ~known)
    if not listed:
        warnings.append(NO_CATALOGUE)
        chosen = _in_circles(image, chosen, circles)
    found = _candidates(image, chosen, references, listed)
    doubt = doubt_about(image, references, listed, found, limit)
    if doubt:
        warnings.append(doubt)
        found = [_measured(one, frame_suspicious=1.0) for one in found]
    else:
        found = heard(found, image, witnesses)
    judged = [vetted(one, depths, circles) for one in found]
    return NewSources(
        candidates=tuple(sorted(judged, key=_rank)),
        searched=int(within.sum()),
        matched=int((within & known).sum()),
        limit_mag=limit,
        depths=depths,
        localisations=circles,
        warnings=_said(warnings),
        suspicious=bool(doubt),
    )


def with_zero_point(image: SearchImage, settings: SearchSettings) -> SearchImage:
    """Return the image with the zero point that a person gave, if one did."""
    given = settings.zero_point_mag
    if not math.isfinite(given):
        return image
    sources = image.sources
    safe = np.where(sources.flux > 0, sources.flux, np.nan)
    magnitude = given - 2.5 * np.log10(safe / image.exposure_s)
    error = 1.0857 * sources.flux_error / safe
    return replace(
        image,
        zero_point_mag=given,
        sources=replace(sources, magnitude=magnitude, magnitude_error=error),
    )


def limit_of(depths: Sequence[CatalogueDepth], settings: SearchSettings) -> float:
    """Return how faint candidates may be: as asked, or as deep as the catalogues lead."""
    if math.isfinite(settings.limit_mag):
        return settings.limit_mag
    usual = float(search_numbers()["depth"]["limit_mag"])
    reached = [one.limit_mag for one in depths if math.isfinite(one.limit_mag)]
    return min([usual, max(reached)]) if reached else usual


def _between(image: SearchImage, limit: float) -> NDArray[np.bool_]:
    """Return the sources that are measured and between the limits; all where none has one."""
    sources = image.sources
    measured = np.isfinite(sources.ra_deg) & np.isfinite(sources.flux) & (sources.snr > 0)
    if math.isnan(limit):
        return measured
    brightest = search_numbers()["depth"]["brightest_mag"]
    with np.errstate(invalid="ignore"):
        inside = (sources.magnitude < limit) & (sources.magnitude > brightest)
    return np.asarray(measured & inside)


def _in_circles(
    image: SearchImage, chosen: NDArray[np.intp], circles: Sequence[Localisation]
) -> NDArray[np.intp]:
    """Return the sources that agree with a localisation: all that can be said without catalogue."""
    own, error = image.sources, image.source_error_arcsec
    inside = [
        any(agrees(own.ra_deg[i], own.dec_deg[i], error[i], circle) for circle in circles)
        for i in chosen
    ]
    return np.asarray(chosen[np.array(inside, bool)])


def _candidates(
    image: SearchImage,
    chosen: NDArray[np.intp],
    references: References,
    listed: tuple[Listed, ...],
) -> list[Candidate]:
    """Return the chosen sources as candidates, with every measurement."""
    if not len(chosen):
        return []
    sources = image.sources
    found, shape = measure_features(image, chosen, star_locus(image, listed), references)
    nearest = _least([one.nearest_arcsec[chosen] for one in listed], len(chosen))
    brighter = _least([one.brightened_mag[chosen] for one in listed], len(chosen))
    made = []
    for row, index in enumerate(chosen):
        magnitude = float(sources.magnitude[index])
        measurements = {name: float(values[row]) for name, values in found.items()}
        measurements["nearest_entry_arcsec"] = float(nearest[row])
        measurements["brightened_mag"] = float(brighter[row])
        measurements["unlisted_expected"] = unlisted_expected(image, listed, magnitude)
        made.append(
            Candidate(
                number=int(sources.number[index]),
                x_px=float(sources.x_px[index]),
                y_px=float(sources.y_px[index]),
                ra_deg=float(sources.ra_deg[index]),
                dec_deg=float(sources.dec_deg[index]),
                position_error_arcsec=float(image.source_error_arcsec[index]),
                magnitude=magnitude,
                magnitude_error=float(sources.magnitude_error[index]),
                band=image.band,
                a_px=float(shape.a_px[row]),
                b_px=float(shape.b_px[row]),
                theta_deg=float(shape.theta_deg[row]),
                flux_auto=float(sources.flux[index]),
                flux_auto_error=float(sources.flux_error[index]),
                snr=float(sources.snr[index]),
                measurements=measurements,
            )
        )
    return made


def _least(each: Sequence[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    """Return the smallest number of several lists; NaN where none has one."""
    return np.asarray(np.fmin.reduce([np.full(count, np.nan), *each]))


def _measured(candidate: Candidate, **more: float) -> Candidate:
    return replace(candidate, measurements={**candidate.measurements, **more})


def _rank(candidate: Candidate) -> tuple[float, float]:
    return -candidate.score, candidate.magnitude if math.isfinite(candidate.magnitude) else 99.0


def _said(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in warnings if text))
