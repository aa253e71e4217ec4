"""How likely the value of a night is on a level: chance, outliers, and clouds on one side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from daemon.health.bands import biweight_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

#: One night in fifty is bad in some way, anywhere within so many sigma.
_OUTLIERS, _OUTLIER_SIGMA = 0.02, 12.0
#: Shares of clouded nights that are believed (they come in runs), least depth of a cloud in sigma.
_CLOUDS, _THINNEST_SIGMA = (0.2, 0.7), 3.0
#: Variance of a biweight middle, in variances of a mean.
_MIDDLE_VARIANCE = 1.1
_ROOT = math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What nights on one level look like.

    Attributes
    ----------
    middle, sigma
        Of a night that is as it should be.
    nights
        How many such nights it was learnt from.
    side
        On which side clouds put a night: -1, +1, or 0 where they do nothing.
    clouded, depth
        Share of clouded nights, and by how much they are off in the mean.
    sureness
        As many nights as would tell the middle so well; `nights` where it is 0.
    """

    middle: float
    sigma: float
    nights: float
    side: int = 0
    clouded: float = 0.0
    depth: float = 1.0
    sureness: float = 0.0

    def log_density(self, off: float) -> float:
        """Return the logarithm of the density of a value so far above the middle, per sigma."""
        return math.log(sum(self.parts(off)))

    def parts(self, off: float) -> tuple[float, float, float]:
        """Return the densities of a clear night, a clouded one and an outlier."""
        z = off / self.sigma
        freedom = max(self.nights - 2.0, 3.0)
        # Student's t stands for a sigma that few nights have told.
        clear = (1 - self.clouded - _OUTLIERS) * (1 + z * z / freedom) ** (-(freedom + 1) / 2)
        clear /= _ROOT * (1 + 0.25 / freedom)
        other = _OUTLIERS / (2 * _OUTLIER_SIGMA) / max(1.0, (z / _OUTLIER_SIGMA) ** 2)
        below = self.side * z
        depth = self.depth / self.sigma
        cloud = self.clouded / depth * math.exp(-below / depth) if self.side and below > 0 else 0.0
        return clear, cloud, other


def level_of(
    values: Sequence[float], least_sigma: float, side: int = 0, before: Level | None = None
) -> Level:
    """Return the level on which nights lie.

    Parameters
    ----------
    least_sigma
        Least scatter that is believed.
    side
        On which side clouds put a night.
    before
        The level one night ago, from which the search for the clouded nights begins.
    """
    if not side:
        middle = biweight_middle(values)
        sigma = max(biweight_scale(values, middle), least_sigma)
        return Level(middle=middle, sigma=sigma, nights=len(values))
    level = before or _densest(values, least_sigma, side)
    for _ in range(2 if before else 12):
        level = _learnt(values, level, least_sigma)
    return level


def likeliest_step(level: Level, off: Sequence[float]) -> tuple[float, float]:
    """Return the likeliest step of the last nights, and how much likelier it is than none.

    Parameters
    ----------
    off
        How far above the middle of the level they lie, at least two of them.

    Returns
    -------
    tuple of float
        The step in the unit of the series, and the logarithm of the ratio of the likelihoods,
        made smaller as the middle of few nights is less sure.
    """
    above = sum(value > level.sigma for value in off)
    below = sum(value < -level.sigma for value in off)
    if abs(above - below) < len(off) / 2:
        return 0.0, 0.0
    flat = sum(level.log_density(value) for value in off)
    found = [
        (sum(level.log_density(value - step) for value in off) - flat, step)
        for step in _steps(off, level.side)
    ]
    likelier, size = max(found)
    doubt = 1 + _MIDDLE_VARIANCE * len(off) / (level.sureness or level.nights)
    return size, likelier / doubt


def _steps(off: Sequence[float], side: int) -> list[float]:
    """Return the steps worth trying: of clouded nights those that the clearest speak for."""
    if not side:
        return [median(off), fmean(off)]
    clearest = sorted(off, reverse=side < 0)[:3]
    return [*clearest, fmean(clearest[:2]), fmean(clearest)]


def biweight_middle(values: Sequence[float]) -> float:
    """Return the biweight location (Beers, Flynn & Gebhardt 1990, AJ 100, 32, eq. 5)."""
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    if spread == 0:
        return middle
    weights = [max(1 - ((value - middle) / (6 * spread)) ** 2, 0.0) ** 2 for value in values]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def _densest(values: Sequence[float], least_sigma: float, side: int) -> Level:
    """Begin with the closest two fifths of all nights."""
    ordered = sorted(values)
    count = max(3, round(0.4 * len(ordered)))
    first = min(range(len(ordered) - count + 1), key=lambda i: ordered[i + count - 1] - ordered[i])
    close = ordered[first : first + count]
    middle = median(close)
    sigma = max((close[-1] - close[0]) / 1.5, least_sigma)
    depth = max(3 * sigma, max(side * (value - middle) for value in ordered) / 2)
    return Level(middle=middle, sigma=sigma, nights=count, side=side, clouded=0.3, depth=depth)


def _learnt(values: Sequence[float], level: Level, least_sigma: float) -> Level:
    """Return the level with every night weighted by how surely it was clear (EM, one step)."""
    clear = cloud = first = deep = 0.0
    shares = []
    for value in values:
        off = value - level.middle
        a, b, c = level.parts(off)
        total = a + b + c
        shares.append(a / total)
        clear += a / total
        first += a / total * value
        cloud += b / total
        deep += b / total * level.side * off
    if clear < 2:
        return level
    middle = first / clear
    square = sum(w * (value - middle) ** 2 for w, value in zip(shares, values, strict=True))
    sigma = max(math.sqrt(square / max(clear - 1, 1)), least_sigma)
    share = min(max((cloud + 0.5) / (len(values) + 1), _CLOUDS[0]), _CLOUDS[1])
    depth = max(deep / cloud if cloud > 0.5 else level.depth, _THINNEST_SIGMA * sigma)
    return replace(level, middle=middle, sigma=sigma, nights=clear, clouded=share, depth=depth)
