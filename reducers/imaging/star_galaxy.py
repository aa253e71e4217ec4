"""Tell stars from galaxies by how much wider than a star each source is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from reducers.frame import Vector

if TYPE_CHECKING:
    from reducers.imaging.psf_photometry import PsfPhotometry

#: Widths of galaxies that are thought equally likely, as ln(FWHM / FWHM of a star).
WIDEST = 1.0
#: Stars of one image differ at least by this.
LEAST_SCATTER = 0.01
#: A source is called sharper than a star beyond this many sigma.
SHARP_SIGMA = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StarGalaxy:
    """The width of each source against that of a star.

    Attributes
    ----------
    excess, excess_error : (n,) float64
        ln(FWHM) beyond that of a star, to first order, the mean of the stars subtracted.
    star_probability : (n,) float64
        Of a star against a galaxy of any width up to `WIDEST`, with equal odds before; 0.5 where
        the noise allows both, NaN where nothing was measured.
    sharp : (n,) bool
        Narrower than any star: no object of the sky.
    scatter : float
        Width by which the stars of this image differ.
    """

    excess: Vector
    excess_error: Vector
    star_probability: Vector
    sharp: NDArray[np.bool_]
    scatter: float


def classify(fit: PsfPhotometry, stars: NDArray[np.intp]) -> StarGalaxy:
    """Weigh star against galaxy for every source.

    The statistic is linear like SExtractor's SPREAD_MODEL (Desai et al. 2012, ApJ 757, 83,
    section 3.3): the light is projected on the change of the profile with its width, made
    orthogonal to the profile itself, so that its error is known.

    Parameters
    ----------
    fit : PsfPhotometry
        Of all sources.
    stars : (k,) int
        Those that made the point spread.
    """
    centre, scatter = 0.0, LEAST_SCATTER
    widths, errors = fit.sharpness[stars], fit.sharpness_error[stars]
    known = np.isfinite(widths) & np.isfinite(errors)
    if known.sum() >= 3:
        centre = float(np.median(widths[known]))
        seen = 1.4826 * float(np.median(np.abs(widths[known] - centre)))
        scatter = float(
            np.sqrt(max(seen**2 - float(np.median(errors[known])) ** 2, LEAST_SCATTER**2))
        )
    excess = fit.sharpness - centre
    error = np.hypot(fit.sharpness_error, scatter)
    star = np.exp(-0.5 * (excess / error) ** 2) / (np.sqrt(2 * np.pi) * error)
    galaxy = (ndtr((WIDEST - excess) / error) - ndtr(-excess / error)) / WIDEST
    wide = excess > WIDEST
    with np.errstate(invalid="ignore", divide="ignore"):
        probability = np.where(wide, 0.0, star / (star + galaxy))
    probability = np.where(np.isfinite(excess + error), probability, np.nan)
    # Far below the width of a star neither fits: it is at any rate no galaxy.
    probability = np.where(excess < -SHARP_SIGMA * error, 1.0, probability)
    return StarGalaxy(
        excess=excess,
        excess_error=fit.sharpness_error,
        star_probability=probability,
        sharp=excess < -SHARP_SIGMA * error,
        scatter=scatter,
    )
