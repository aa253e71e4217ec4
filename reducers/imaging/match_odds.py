"""How likely a match of sources with a catalogue is to have come about by chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import gammaln

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Sources are counted this far around a star to learn how crowded the place is, arcsec.
_NEIGHBOURHOOD = 15.0


def chance_matches(
    stars: NDArray[np.float64],
    sources: NDArray[np.float64],
    matched: int,
    radius: float,
    area: float,
) -> float:
    """Return how many stars would find a source within `radius` if the match were wrong.

    Parameters
    ----------
    stars, sources : (m, 2), (n, 2) float64
        Catalogue stars inside the image and all sources, on one plane (arcsec).
    matched : int
        Stars that found a source: it is taken off the local count, being what is judged.
    area : float
        Of the image, square arcsec.

    Notes
    -----
    The larger of two rates: sources spread over the image, and sources counted around the stars
    themselves, since both cluster in real fields.
    """
    if len(stars) == 0 or len(sources) == 0:
        return 0.0
    spread = len(sources) / area
    near = cKDTree(sources).query_ball_point(stars, _NEIGHBOURHOOD, return_length=True)
    around = max(0.0, float(np.sum(near)) - matched) / (len(stars) * math.pi * _NEIGHBOURHOOD**2)
    return len(stars) * math.pi * radius**2 * max(spread, around)


def log_chance(matched: int, expected: float) -> float:
    """Return ln of the probability of at least `matched` chance matches (an upper bound).

    The tail of a Poisson distribution, bounded by its first term times a geometric series; 0
    where no fewer were to be expected.
    """
    if matched <= expected:
        return 0.0
    expected = max(expected, 1e-12)
    first = matched * math.log(expected) - expected - float(gammaln(matched + 1))
    series = -math.log1p(-expected / (matched + 1))
    return min(0.0, first + series)


def log_trials(radius: float, ranges: Sequence[float], alternatives: int) -> float:
    """Return ln of how many distinct matches a search can tell apart.

    Parameters
    ----------
    radius : float
        Within which a pair counts, arcsec.
    ranges : sequence of float
        For every unknown of the map, over how many arcsec it can move a typical star.
    alternatives : int
        Parities tried.
    """
    return math.log(alternatives) + sum(
        math.log(max(1.0, width / radius)) for width in ranges if width > 0
    )
