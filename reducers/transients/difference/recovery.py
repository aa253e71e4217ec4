"""How faint a new star could have been and still be found on a difference.

Nothing is injected into pixels: the matched filter is linear, so that a star of flux a at a place
adds a to the flux found there and its own photons to the variance. For many places, those on
sources and those on lost pixels as they come, the least flux that would have been found follows
at once; shares and limits are read off those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask, Vector
from reducers.quality import load_limits
from reducers.transients.difference.changes import THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.transients.difference.subtraction import Difference

#: Places tried on empty sky and on sources.
PLACES = 200
#: Signal to noise of the image's own light that makes a place one on a source.
ON_SOURCE_SNR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What share of new stars is found, by their flux.

    Attributes
    ----------
    anywhere, on_sources : (n,), (m,) float64
        Least total flux that is found at each place tried, in the unit of the image; infinite
        where nothing can be found.
    """

    anywhere: Vector
    on_sources: Vector

    def share(self, flux: float, *, on_sources: bool = False) -> float:
        """Return the share of stars of this flux that are found; NaN where no place was tried."""
        needed = self.on_sources if on_sources else self.anywhere
        return float(np.mean(needed <= flux)) if len(needed) else float("nan")

    def flux(self, share: float = 0.5) -> float:
        """Return the flux of which this share is found; infinite where it never is."""
        if not len(self.anywhere):
            return float("inf")
        return float(np.quantile(self.anywhere, share, method="higher"))


def recovery(difference: Difference, threshold: float = THRESHOLD, *, seed: int = 7) -> Recovery:
    """Return how faint new stars are found, at random places of what both images cover.

    Parameters
    ----------
    threshold : float
        Score at which a star counts as found; beside saturated pixels and on bright sources what
        the vetoes ask for, too.
    """
    covered = (difference.frame.mask & np.uint16(Mask.EDGE)) == 0
    score = difference.own_light > ON_SOURCE_SNR * difference.sigma
    rng = np.random.default_rng(seed)
    return Recovery(
        anywhere=_needed(difference, covered, threshold, rng),
        on_sources=_needed(difference, covered & score, threshold, rng),
    )


def _needed(
    difference: Difference,
    where: NDArray[np.bool_],
    threshold: float,
    rng: np.random.Generator,
) -> Vector:
    """Return the least total flux that is found at places drawn from a mask."""
    places = np.flatnonzero(where)
    if not len(places):
        return np.empty(0)
    chosen = rng.choice(places, min(PLACES, len(places)), replace=False)
    row, column = np.unravel_index(chosen, where.shape)
    flux, sigma = (
        plane[row, column].astype(float) for plane in (difference.flux, difference.sigma)
    )
    psf = difference.psf_at(where.shape[1] / 2, where.shape[0] / 2)
    photons = float(np.sum(np.maximum(psf, 0) ** 3) / np.sum(psf**2) ** 2)
    # (flux + a)^2 = threshold^2 (sigma^2 + photons a), for the larger a.
    half = flux - threshold**2 * photons / 2
    rest = flux**2 - threshold**2 * sigma**2
    needed = -half + np.sqrt(np.maximum(half**2 - rest, 0))
    least = _least_part() * np.maximum(difference.own_light[row, column], 0)
    needed = np.maximum(needed, least)
    found = difference.valid[row, column]
    return np.where(found, np.maximum(needed, 0) * difference.total, np.inf)


def _least_part() -> float:
    """Return the part of a source's light below which new light is vetoed."""
    for rule in load_limits("transients").rules:
        if rule.measurement == "difference_of_source":
            return max((level.below or 0.0) for level in rule.levels if level.quality >= 3)
    return 0.0


def limits(
    difference: Difference, found: Recovery, zero_point_mag: float, exposure_s: float
) -> dict[str, float]:
    """Return the limits of a difference as measurements, magnitudes; NaN without a zero point.

    'difference_limit_50_mag' and '..._90_mag' (of which that share is found anywhere),
    'difference_limit_5_sigma_mag' (the median noise), and 'difference_found_<n>' of three
    brightnesses around the first, with 'difference_found_on_sources_<n>'.
    """

    def magnitude(flux: float) -> float:
        if not 0 < flux < np.inf or not exposure_s > 0:
            return float("nan")
        return float(zero_point_mag - 2.5 * np.log10(flux / exposure_s))

    noise = difference.sigma[difference.valid]
    middle = float(np.median(noise[::11])) * difference.total if noise.size else np.nan
    measured = {
        "difference_limit_50_mag": magnitude(found.flux(0.5)),
        "difference_limit_90_mag": magnitude(found.flux(0.9)),
        "difference_limit_5_sigma_mag": magnitude(5 * middle),
    }
    for number, step in enumerate((-1.0, -0.5, 0.0), start=1):
        flux = 5 * middle * 10 ** (-0.4 * step)
        measured[f"difference_try_{number}_mag"] = magnitude(flux)
        measured[f"difference_found_{number}"] = found.share(flux)
        measured[f"difference_found_on_sources_{number}"] = found.share(flux, on_sources=True)
    return measured
