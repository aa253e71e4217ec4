"""Measure candidates: place, shape, mask and surroundings, each a number that vetting judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from reducers.frame import Mask, Vector
from reducers.transients.moments import Moments, measure_moments
from reducers.transients.surroundings import (
    bright_star_reach,
    companion_share,
    ghost_distance,
    structure,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.imaging.references import References
    from reducers.transients.search_image import SearchImage
    from reducers.transients.star_locus import StarLocus

#: How far around a candidate a mask is looked at (pixels); farther away counts as not there.
REACH_PX = 30
#: What the light does not reach.
DARK = Mask.VIGNETTED | Mask.EDGE | Mask.NO_FLAT
#: Sharper than stars by so many sigma: what a cosmic ray leaves.
SHARPER_SIGMA = 3.0

#: Neighbours' light within one FWHM from which a shape is not a source's own.
CROWDED = 0.05
#: The same for the light of a listed star that is merged with the source.
MERGED = 0.03

Features = dict[str, Vector]


def measure_features(
    image: SearchImage, chosen: NDArray[np.intp], locus: StarLocus, references: References
) -> tuple[Features, Moments]:
    """Return every measurement of the chosen sources, (k,) each, and their moments.

    The names are those of `quality_transients.toml`; NaN where something cannot be told or is
    farther away than it matters.
    """
    sources = image.sources
    x, y = sources.x_px[chosen], sources.y_px[chosen]
    found: Features = {"snr": sources.snr[chosen], "psf_chi2": sources.chi2[chosen]}
    found |= marked_distances(image, x, y)
    found["concentration_sigma"] = locus.sigmas(
        sources.concentration[chosen], sources.concentration_error[chosen], x, y
    )
    companion = companion_share(image, chosen, references)
    merged = companion > MERGED
    found["companion_share"] = companion
    with np.errstate(invalid="ignore"):
        wider = merged & (found["concentration_sigma"] < 0)
        found["concentration_sigma"] = np.where(wider, np.nan, found["concentration_sigma"])
        sharper = found["concentration_sigma"] > SHARPER_SIGMA
        found["cosmic_and_sharp"] = np.where((found["cosmic_distance_px"] <= 3) & sharper, 1.0, 0.0)
    found["neighbour_light"] = sources.crowding[chosen]
    moments = measure_moments(image, chosen)
    found["axis_ratio"] = moments.axis_ratio
    # The moments see the neighbours' light too: with much of it they are not the source's own.
    crowded = merged | (sources.crowding[chosen] > CROWDED)
    found["elongation_sigma"] = np.where(crowded, np.nan, moments.elongation_sigma)
    found["structure_sigma"] = structure(image, x, y)
    found["bright_star_reach"] = bright_star_reach(image, chosen, references)
    found["ghost_distance_px"] = ghost_distance(image, x, y, references)
    return found, moments


def marked_distances(image: SearchImage, x: Vector, y: Vector) -> Features:
    """Return the distance to the nearest pixel of each kind of mask, pixels."""
    rows, columns = image.shape
    found = {
        "edge_distance_px": np.minimum.reduce([x, y, columns - 1 - x, rows - 1 - y]),
        "cosmic_distance_px": np.full(len(x), np.nan),
        "saturated_distance_px": np.full(len(x), np.nan),
        "saturated_core": np.zeros(len(x)),
        "trail_distance_px": np.full(len(x), np.nan),
        "bad_distance_px": np.full(len(x), np.nan),
    }
    for index in range(len(x)):
        left, bottom = max(int(x[index]) - REACH_PX, 0), max(int(y[index]) - REACH_PX, 0)
        cut = image.mask[bottom : int(y[index]) + REACH_PX + 1, left : int(x[index]) + REACH_PX + 1]
        if not cut.any():
            continue
        own = (x[index] - left, y[index] - bottom)
        dark = _nearest(cut, DARK, own)
        found["edge_distance_px"][index] = np.fmin(found["edge_distance_px"][index], dark)
        found["cosmic_distance_px"][index] = _nearest(cut, Mask.COSMIC, own)
        full, core = _without_own_core(cut, own, image.fwhm_px)
        found["saturated_distance_px"][index] = _nearest(full, Mask.SATURATED, own)
        found["saturated_core"][index] = float(core)
        found["trail_distance_px"][index] = _nearest(cut, Mask.TRAIL, own)
        found["bad_distance_px"][index] = _nearest(cut, Mask.BAD, own)
    return found


def _without_own_core(
    cut: NDArray[np.uint16], own: tuple[float, float], fwhm_px: float
) -> tuple[NDArray[np.uint16], bool]:
    """Return a mask without the saturated middle of the source itself, and whether it has one.

    A patch that reaches farther than one FWHM from the source has bled, or is another star's.
    """
    patches, _ = ndimage.label((cut & np.uint16(Mask.SATURATED)) != 0, np.ones((3, 3)))
    middle = np.clip(np.rint(own[::-1]).astype(int), 0, np.array(cut.shape) - 1)
    patch = patches[middle[0], middle[1]]
    if not patch:
        return cut, False
    rows, columns = np.nonzero(patches == patch)
    if not np.hypot(columns - own[0], rows - own[1]).max() <= fwhm_px:
        return cut, False
    return np.where(patches == patch, np.uint16(0), cut), True


def _nearest(cut: NDArray[np.uint16], bits: Mask, own: tuple[float, float]) -> float:
    """Return how far the nearest pixel with one of the bits is; NaN where there is none."""
    rows, columns = np.nonzero(cut & np.uint16(bits))
    if not len(rows):
        return float("nan")
    return float(np.hypot(columns - own[0], rows - own[1]).min())
