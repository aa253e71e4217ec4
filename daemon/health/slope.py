"""A slow drift of a quantity over nights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from daemon.health.bands import biweight_scale, widening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.health.bands import Band
    from daemon.health.series import NightValue

#: Nights farther off the middle take no part.
_CALM_SIGMA = 4.0
_FEWEST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """A straight line through nights.

    Attributes
    ----------
    per_day, error
        Slope and its error, unit of the series per day.
    scatter
        Robust scatter of a night about the line.
    lever
        Sum of the squared distances from `mid_day`, days^2.
    """

    mid_day: float
    middle: float
    per_day: float
    scatter: float
    lever: float

    @property
    def error(self) -> float:
        """Error of the slope."""
        return self.scatter / math.sqrt(self.lever)

    @property
    def slope_sigmas(self) -> float:
        """How many errors the slope is away from none."""
        return abs(self.per_day) / max(self.error, 1e-30)

    def at(self, day: float) -> float:
        """Return the line on a day."""
        return self.middle + self.per_day * (day - self.mid_day)


def fit_slope(nights: Sequence[NightValue], band: Band) -> Slope | None:
    """Return the line through the nights that lie near their band; None with too few."""
    limit = _CALM_SIGMA / widening(band.nights)
    calm = [night for night in nights if abs(band.sigmas(night.value)) < limit]
    if len(calm) < _FEWEST:
        return None
    days = [night.day for night in calm]
    mid_day, middle = fmean(days), fmean(night.value for night in calm)
    lever = sum((day - mid_day) ** 2 for day in days)
    if lever == 0:
        return None
    per_day = sum((n.day - mid_day) * (n.value - middle) for n in calm) / lever
    rest = [n.value - middle - per_day * (n.day - mid_day) for n in nights]
    scatter = biweight_scale(rest, median(rest))
    return Slope(mid_day=mid_day, middle=middle, per_day=per_day, scatter=scatter, lever=lever)
