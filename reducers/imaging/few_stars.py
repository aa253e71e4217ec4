"""Place an image that shows a handful of stars, by the probability of every offset.

Votes need many pairs. Two or three stars whose mutual places agree with the catalogue to a
fraction of an arcsecond say nearly as much, when all that is known is weighed: how well the
telescope points, that scale and rotation are known, how bright the stars are, and which of them
ought to be seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaln, log_ndtr, logsumexp

from reducers.imaging.plate_fit import fit_plate
from reducers.imaging.refine import Solution

if TYPE_CHECKING:
    from reducers.imaging.star_field import StarField

#: Fewest pairs that can place an image.
FEWEST_PAIRS = 2
#: Brightest sources that are weighed, and brightest stars in their reach.
_MOST_SOURCES, _MOST_STARS = 10, 300
#: Offsets beyond this are left to the votes, arcsec.
_REACH = 95.0
#: One sigma of what rotation (rad) and scale of the first guess may be off.
_TURN, _SCALE = math.radians(1.0), 0.007
#: No centre is thought better than this (blends, galaxies), arcsec; pairs reach this many sigma.
_LEAST_ERROR, _SIGMA = 0.1, 3.5
#: Sigma (mag) of a star's brightness in our filter about that in the catalogue's band, and the
#: range of zero points that are possible.
_COLOUR_MAG, _ZERO_POINTS_MAG = 0.6, 8.0
#: Sources grow more numerous with magnitude by 10 to this power.
_COUNTS = 0.25
#: Share of the stars that ought to be seen and are; others are masked, blended, or no stars.
_SEEN = 0.95
#: Probability that the header's place is wrong altogether.
_ELSEWHERE = 0.02
#: Hypotheses that are weighed in full; places closer than this (arcsec) are one.
_MOST_WEIGHED, _SAME = 150, 2.0
#: A width that stands for "not known" beside all others, arcsec.
_ANYWHERE = 1000.0


@dataclass(frozen=True, slots=True)
class FewStars:
    """The likeliest place by a few stars.

    Attributes
    ----------
    solution : Solution
        Its pairs, and the plate through them.
    log_odds : float
        ln of the odds that it is the right one, against all other places together.
    """

    solution: Solution
    log_odds: float


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """One set of pairs, `source[k]` being `star[k]`, and ln of its weight against chance."""

    parity: NDArray[np.float64]
    source: NDArray[np.int64]
    star: NDArray[np.int64]
    offset: NDArray[np.float64]
    log_weight: float


@dataclass(frozen=True, slots=True)
class _View:
    """The few sources by one parity, and the stars that they can reach."""

    points: NDArray[np.float64]
    error: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    stars: NDArray[np.float64]
    star_error: NDArray[np.float64]
    star_magnitude: NDArray[np.float64]
    star_index: NDArray[np.int64]


def place_by_few(field: StarField) -> FewStars | None:
    """Return the likeliest place by a few stars and its odds; None where no two stars agree.

    Notes
    -----
    The sources are a Poisson process: with the catalogue at an offset, some of them are its stars,
    the others of unknown density; without it, all are (Budavari & Szalay 2008, ApJ 679, 301, weigh
    two catalogues in the same way). Offset, rotation, scale and zero point are integrated over
    their priors, so that a place which leaves them more freedom gains nothing by it. The odds are
    those of the best place against the sum of all others and of none.
    """
    chosen = np.flatnonzero(np.isfinite(field.source_magnitude))[:_MOST_SOURCES]
    parities = (np.eye(2),) if field.parity_known else (np.eye(2), field.flip)
    weighed: list[_Hypothesis] = []
    for parity in parities:
        view = _view(field, chosen, parity)
        if min(len(view.points), len(view.stars)) >= FEWEST_PAIRS:
            weighed += [_weighed(field, view, parity, *pairs) for pairs in _pairings(view)]
    if not weighed:
        return None
    weights = np.array([one.log_weight for one in weighed]) - math.log(len(parities))
    best = weighed[int(weights.argmax())]
    same = np.array([_is_same(one, best) for one in weighed])
    rivals = np.append(weights[~same], math.log(_ELSEWHERE / (1 - _ELSEWHERE)))
    odds = float(logsumexp(weights[same]) - logsumexp(rivals))
    return FewStars(_solution(field, chosen, best), odds)


def _is_same(one: _Hypothesis, other: _Hypothesis) -> bool:
    near = np.hypot(*(one.offset - other.offset)) < _SAME
    return bool(near) and np.array_equal(one.parity, other.parity)


def _view(field: StarField, chosen: NDArray[np.int64], parity: NDArray[np.float64]) -> _View:
    points = field.sources[chosen] @ parity.T
    away = np.hypot(*points.T) / field.model.radius
    bent = field.model.radial * away**3 + field.model.other * away**2
    near = np.flatnonzero(field.inside(field.stars @ parity, _REACH))[:_MOST_STARS]
    return _View(
        points=points,
        error=np.sqrt(field.source_error[chosen] ** 2 + bent**2 + _LEAST_ERROR**2),
        magnitude=field.source_magnitude[chosen],
        stars=field.stars[near],
        star_error=field.star_error[near],
        star_magnitude=field.star_magnitude[near],
        star_index=near,
    )


def _pairings(view: _View) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return distinct sets of pairs, those of most pairs first.

    Each pair of a source and a star tells an offset; the other sources are sought as near to it as
    rotation and scale let them come.
    """
    offsets = view.stars[None, :, :] - view.points[:, None, :]
    first, second = np.nonzero(np.hypot(*offsets.transpose(2, 0, 1)) < _REACH)
    if not len(first):
        return []
    apart = np.hypot(*(view.points[:, None, :] - view.points[None, :, :]).transpose(2, 0, 1))
    reach = _SIGMA * np.hypot(view.error, math.hypot(_TURN, _SCALE) * apart[first])
    places = view.points[None, :, :] + offsets[first, second][:, None, :]
    gap, star = cKDTree(view.stars).query(places)
    paired = gap < np.hypot(reach, _SIGMA * view.star_error[star])
    found: dict[bytes, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for row in np.argsort(-paired.sum(axis=1), kind="stable")[:_MOST_WEIGHED]:
        source = np.flatnonzero(paired[row])
        source = source[np.argsort(gap[row, source], kind="stable")]
        taken, one_each = np.unique(star[row, source], return_index=True)
        if len(taken) >= FEWEST_PAIRS:
            pairs = source[one_each], taken
            found.setdefault(np.column_stack(pairs).tobytes(), pairs)
    return list(found.values())


def _weighed(
    field: StarField,
    view: _View,
    parity: NDArray[np.float64],
    source: NDArray[np.int64],
    star: NDArray[np.int64],
) -> _Hypothesis:
    """Return what a set of pairs weighs against sources that have nothing to do with the stars."""
    residual = (view.stars[star] - view.points[source]).T.ravel()
    error = np.hypot(view.error[source], view.star_error[star])
    x, y = view.points[source].T
    one, none = np.ones(len(x)), np.zeros(len(x))
    design = np.column_stack(
        [np.append(one, none), np.append(none, one), np.append(-y, x), np.append(x, y)]
    )
    width = np.array([_ANYWHERE, _ANYWHERE, _TURN, _SCALE])
    covariance = (design * width**2) @ design.T + np.diag(np.tile(error**2, 2))
    drawn = np.linalg.solve(covariance, residual)
    offset = (width**2 * (design.T @ drawn))[:2]
    chance = -0.5 * (residual @ drawn + np.linalg.slogdet(2 * np.pi * covariance)[1])
    chance += math.log(2 * np.pi * _ANYWHERE**2) + _log_pointing(offset, field.pointing)
    matched, alone = len(source), len(view.points) - len(source)
    chance += matched * math.log(field.area) + gammaln(alone + 1) - gammaln(len(view.points) + 1)
    chance += _log_brightness(field, view, parity, source, star, offset)
    return _Hypothesis(parity, source, view.star_index[star], offset, float(chance))


def _log_pointing(offset: NDArray[np.float64], width: float) -> float:
    """Return ln of the density of an offset (per square arcsec): Cauchy's, of long tails."""
    distance = float(np.hypot(*offset)) / width
    return -math.log(2 * np.pi * width**2) - 1.5 * math.log1p(distance**2)


def _log_brightness(
    field: StarField,
    view: _View,
    parity: NDArray[np.float64],
    source: NDArray[np.int64],
    star: NDArray[np.int64],
    offset: NDArray[np.float64],
) -> float:
    """Return what brightness adds: one zero point for all pairs, and no bright star unseen."""
    faintest = float(view.magnitude.max())
    difference = view.star_magnitude[star] - view.magnitude[source]
    known = difference[np.isfinite(difference)]
    zero = float(known.mean()) if len(known) else math.nan
    said = 0.0
    if len(known):
        spread = float(np.sum((known - zero) ** 2)) / _COLOUR_MAG**2
        unit = math.log(math.sqrt(2 * np.pi) * _COLOUR_MAG)
        said = unit - 0.5 * math.log(len(known)) - 0.5 * spread - len(known) * unit
        said -= math.log(_ZERO_POINTS_MAG)
        rate = _COUNTS * math.log(10)
        below = view.magnitude[source][np.isfinite(difference)] - faintest
        said -= float(np.sum(math.log(rate) + rate * below))
    # As a star of the image: how probable it is that it was seen.
    brighter = (zero + faintest - view.star_magnitude) / _COLOUR_MAG
    log_seen = math.log(_SEEN) + log_ndtr(np.nan_to_num(brighter, nan=-3.0))
    unseen = field.inside((view.stars - offset) @ parity)
    unseen[star] = False
    return said + float(log_seen[star].sum() + np.log1p(-np.exp(log_seen[unseen])).sum())


def _solution(field: StarField, chosen: NDArray[np.int64], best: _Hypothesis) -> Solution:
    """Return the plate through the pairs, whose rotation is no freer than the header's.

    Errors grow to what the residuals show beyond offset and rotation.
    """
    source = chosen[best.source]
    points, stars = field.sources[source] @ best.parity.T, field.stars[best.star]
    error = np.hypot(field.source_error[source], field.star_error[best.star])
    model = replace(field.model, turn=_TURN)
    residual = stars - fit_plate(points, stars, error, model)(points)
    chi2 = float(np.sum((residual / error[:, None]) ** 2))
    excess = math.sqrt(max(1.0, chi2 / max(2 * len(stars) - 3, 1)))
    plate = fit_plate(points, stars, excess * error, model)
    return Solution(
        plate=plate,
        matrix=best.parity,
        star=best.star,
        source=source,
        points=points,
        error=error,
        residual=stars - plate(points),
        excess=excess,
        radius=float(_SIGMA * np.sqrt(np.mean(error**2))),
    )
