"""What stars of one image look like, so that a source can be told from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Vector
from reducers.imaging.source_flags import NOT_FOR_CALIBRATION, SourceFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.transients.known_sources import Listed
    from reducers.transients.search_image import SearchImage

#: A star that tells what stars look like.
STAR_SNR = 25.0
#: Fewest stars for a locus, and for one that changes across the image.
FEWEST, FEWEST_FOR_SLOPES = 5, 30
#: No locus is known better than this, as a part of the concentration.
LEAST_SCATTER = 0.01
#: The shapes of the image are no test of stars, catalogued galaxies are left out.
_SHAPED = SourceFlag.EXTENDED | SourceFlag.SHARP | SourceFlag.CROWDED


@dataclass(frozen=True, slots=True, kw_only=True)
class StarLocus:
    """Concentration of stars across one image.

    Attributes
    ----------
    terms : (k,) float64
        Coefficients of 1, u, v, u^2, u v, v^2 (k = 6) or of 1 alone.
    scatter : float
        Of the stars about it, beyond photon noise.
    stars : int
        That it was made of; 0 where nothing is known.
    """

    terms: Vector
    scatter: float
    stars: int
    shape: tuple[int, int]

    def sigmas(self, value: Vector, error: Vector, x: Vector, y: Vector) -> Vector:
        """Return how many sigma concentrations lie above that of a star there; NaN if unknown."""
        if not self.stars:
            return np.full(len(value), np.nan)
        expected = _design(x, y, self.shape, len(self.terms)) @ self.terms
        return np.asarray((value - expected) / np.hypot(error, self.scatter))


def star_locus(image: SearchImage, listed: Sequence[Listed]) -> StarLocus:
    """Return the concentration of the stars of an image, sources in catalogues first.

    Parameters
    ----------
    listed
        As `listed_in` gave it: what a catalogue calls extended is no star.
    """
    sources = image.sources
    clean = (sources.flags & int(NOT_FOR_CALIBRATION & ~_SHAPED)) == 0
    clean &= (sources.snr > STAR_SNR) & np.isfinite(sources.concentration)
    clean &= ~(sources.crowding > 0.03)
    known = np.zeros(len(sources), bool)
    for one in listed:
        clean &= ~(one.star < 0.5)
        known |= one.listed
    chosen = np.flatnonzero(clean & known)
    if len(chosen) < FEWEST:
        chosen = np.flatnonzero(clean)
    if len(chosen) < FEWEST:
        return StarLocus(terms=np.zeros(1), scatter=np.nan, stars=0, shape=image.shape)
    return _fitted(image, chosen)


def _fitted(image: SearchImage, chosen: NDArray[np.intp]) -> StarLocus:
    """Fit the concentration of stars over the image, without those that are none."""
    sources = image.sources
    value, error = sources.concentration[chosen], sources.concentration_error[chosen]
    x, y = sources.x_px[chosen], sources.y_px[chosen]
    number = 6 if len(chosen) >= FEWEST_FOR_SLOPES else 1
    design = _design(x, y, image.shape, number)
    kept = np.ones(len(chosen), bool)
    middle = float(np.median(value))
    terms = np.array([middle] + [0.0] * (number - 1))
    spread = LEAST_SCATTER
    for _ in range(5):
        off = value - design @ terms
        spread = max(1.4826 * float(np.median(np.abs(off[kept]))), LEAST_SCATTER * middle)
        kept = np.abs(off) < 3 * np.hypot(spread, error)
        if kept.sum() < max(FEWEST, number):
            return StarLocus(terms=terms[:1], scatter=spread, stars=len(chosen), shape=image.shape)
        weight = 1 / np.hypot(error[kept], LEAST_SCATTER * middle)
        terms = np.linalg.lstsq(design[kept] * weight[:, None], value[kept] * weight)[0]
    off = value - design @ terms
    seen = 1.4826 * float(np.median(np.abs(off[kept])))
    beyond = max(seen**2 - float(np.median(error[kept])) ** 2, (LEAST_SCATTER * middle) ** 2)
    return StarLocus(terms=terms, scatter=beyond**0.5, stars=int(kept.sum()), shape=image.shape)


def _design(x: Vector, y: Vector, shape: tuple[int, int], number: int) -> NDArray[np.float64]:
    u, v = 2 * x / shape[1] - 1, 2 * y / shape[0] - 1
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1)[..., :number]
