"""What the flat gets wrong over the field, by stars: the response to points of light.

Light that reaches a flat by reflections makes the middle look too sensitive, and every star there
too faint; a sky with the same reflections looks even all the same. Only stars tell (Manfroid 1995,
A&AS 113, 587; Regnault et al. 2009, A&A 506, 999, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import fdtrc

from reducers.errors import NotEnoughFrames
from reducers.frame import Frame, Image, Mask
from reducers.imaging.star_flat_fit import (
    ROUND,
    StarList,
    Surface,
    TogetherStars,
    basis,
    choose_stars,
    fit_surface,
)
from reducers.imaging.super_sky import additive_light, super_sky
from reducers.reduced import Built

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: Fewest images, and fewest different stars for a surface of each order.
FEWEST_IMAGES, FEWEST_STARS = 3, {1: 30, 2: 60, 3: 120, ROUND: 90}
#: Every part of so many by so many that is lit must hold stars, else nothing bends there.
PARTS, FEWEST_IN_PART = 3, 2
#: Chance at which even light would give a surface as good as this; the surface is not applied
#: above it, nor where it is smaller (rms) than what catalogues differ by over a field.
MOST_CHANCE, LEAST_RMS_MAG = 1e-3, 0.002
_MAG = 0.4 * float(np.log(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class StarFlatMaterial:
    """What a star flat is made of: the sky flat of the images, cut to them, and their stars."""

    flat: Frame
    images: tuple[StarList, ...]


def build_star_flat(material: StarFlatMaterial) -> Built:
    """Fit the response to stars over that of the flat as a low polynomial of the place.

    Every image keeps a zero point of its own, so that cloud does no harm, and every star an error
    of its catalogue that its images share. Of the orders of `basis` the one with the smallest
    Bayesian information criterion is taken (Schwarz 1978, Ann. Statist. 6, 461).

    Returns
    -------
    Built
        A frame by which images are divided, its mean over the lit field 1 in magnitudes, with the
        variance that follows from the covariance of the fit.

    Raises
    ------
    NotEnoughFrames
        If there are too few images or stars.
    """
    flattened = (material.flat.mask & np.uint16(Mask.NO_FLAT)) == 0
    lit = flattened & ((material.flat.mask & np.uint16(Mask.VIGNETTED)) == 0)
    shape = material.flat.shape
    kept, left_out = _fit_images(material.images)
    stars = choose_stars(kept, shape)
    if len(kept) < FEWEST_IMAGES or stars.number < min(FEWEST_STARS.values()):
        raise NotEnoughFrames(
            f"{stars.number} stars on {len(kept)} images do not tell the response over the field: "
            f"{min(FEWEST_STARS.values())} on {FEWEST_IMAGES} are the least"
        )
    if not _everywhere(stars, lit):
        raise NotEnoughFrames(
            f"{stars.number} stars do not tell the response over the field: parts of it have none"
        )
    surfaces = fit_surface(stars, [n for n, least in FEWEST_STARS.items() if stars.number >= least])
    even, best = surfaces[0], min(surfaces, key=lambda each: each.bic)
    chance = _chance(even, best, stars.number)
    mag, error = on_field(best, shape, lit)
    rms = float(np.std(mag[lit])) if best.order else 0.0
    frame = material.flat.after(
        f"star flat: order {best.order}, {stars.number} stars on {len(kept)} images",
        data=np.where(flattened, np.exp(_MAG * mag), np.float32(1)),
        variance=np.where(flattened, (_MAG * error * np.exp(_MAG * mag)) ** 2, np.float32(0)),
        mask=np.zeros(shape, np.uint16),
        unit="",
    )
    for reason in left_out:
        frame = frame.after(f"left out {reason}")
    low, high = np.percentile(mag[lit], (1, 99))
    measurements = {
        "images": float(len(kept)),
        "left_out": float(len(left_out)),
        "stars": float(stars.number),
        "order": float(best.order),
        "rms_mag": rms,
        "range_mag": float(high - low),
        "error_mag": float(np.median(error[lit])),
        "scatter_mag": best.scatter,
        "chance": chance,
        **_sky(kept, frame.data, lit),
    }
    return Built(
        role="STAR_FLAT",
        value=frame,
        measurements=measurements,
        verdict=_verdict(best, chance, measurements),
    )


def _fit_images(images: Sequence[StarList]) -> tuple[list[StarList], list[str]]:
    """Leave out images whose stars scatter far more than those of the others: broken cloud."""
    kept = [image for image in images if len(image.residual) >= FEWEST_IMAGES]
    reasons = [f"{i.stem}: {len(i.residual)} stars" for i in images if i not in kept]
    spreads = [
        float(np.median(np.abs(i.residual - np.median(i.residual)) / np.hypot(i.error, 0.01)))
        for i in kept
    ]
    usual = float(np.median(spreads)) if spreads else 0.0
    broken = {i.stem for i, own in zip(kept, spreads, strict=True) if own > 3 * max(usual, 0.7)}
    reasons += [f"{stem}: its stars scatter too much" for stem in sorted(broken)]
    return [image for image in kept if image.stem not in broken], reasons


def _everywhere(stars: TogetherStars, lit: NDArray[np.bool_]) -> bool:
    """Tell whether every part of the field that is lit has stars."""
    ny, nx = lit.shape
    column = np.clip((stars.u + 1) / 2 * PARTS, 0, PARTS - 1).astype(int)
    row = np.clip((stars.v + 1) / 2 * PARTS, 0, PARTS - 1).astype(int)
    seen = np.zeros((PARTS, PARTS), int)
    first = np.unique(stars.star, return_index=True)[1]
    np.add.at(seen, (row[first], column[first]), 1)
    for j in range(PARTS):
        for i in range(PARTS):
            part = lit[j * ny // PARTS : (j + 1) * ny // PARTS,
                       i * nx // PARTS : (i + 1) * nx // PARTS]  # fmt: skip
            if part.mean() > 0.5 and seen[j, i] < FEWEST_IN_PART:
                return False
    return True


def _chance(even: Surface, best: Surface, number: int) -> float:
    """Return the chance at which even light gives as much (F test)."""
    if not best.order:
        return 1.0
    terms, free = best.terms, max(number - best.terms - 1, 1)
    ratio = (even.chi2 - best.chi2) / terms / max(best.chi2 / best.freedom, 1.0)
    return float(fdtrc(terms, free, max(ratio, 0.0)))


def on_field(
    surface: Surface, shape: tuple[int, int], lit: NDArray[np.bool_]
) -> tuple[Image, Image]:
    """Return a surface and its error (mag, both (ny, nx)), mean zero over the lit pixels."""
    mag, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if not surface.order:
        return mag, variance
    ny, nx = shape
    u = np.linspace(-1, 1, nx)
    rows = np.linspace(-1, 1, ny)
    thin = (slice(None, None, 16), slice(None, None, 16))
    grid = np.meshgrid(u[thin[1]], rows[thin[0]])
    seen = basis(grid[0].ravel(), grid[1].ravel(), surface.order)
    middle = seen[lit[thin].ravel()].mean(axis=0)
    for number, v in enumerate(rows):
        terms = basis(u, np.full(nx, v), surface.order) - middle
        mag[number] = terms @ surface.coefficients
        variance[number] = np.sum((terms @ surface.covariance) * terms, axis=1)
    return mag, np.sqrt(np.maximum(variance, 0))


def _sky(images: Sequence[StarList], response: Image, lit: NDArray[np.bool_]) -> dict[str, float]:
    """Return how uneven the night sky is after the flat, and what of it is light added."""
    sky = super_sky([(image.sky, image.sky_step) for image in images if image.sky is not None])
    return {} if sky is None else additive_light(sky, response, lit)


def _verdict(best: Surface, chance: float, measured: Mapping[str, float]) -> str:
    error = 1000 * measured["error_mag"]
    if not best.order or chance > MOST_CHANCE:
        return "the stars show the flat to be even within their errors: there is nothing to correct"
    if measured["rms_mag"] < max(LEAST_RMS_MAG, measured["error_mag"]):
        return (
            f"what the stars show ({1000 * measured['rms_mag']:.1f} mmag) is no larger than its "
            f"error ({error:.1f} mmag) or that of catalogues"
        )
    return ""
