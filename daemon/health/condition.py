"""How every series stands on one night, by the bands and changes of its day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING

from daemon.health.bands import BAD_SIGMA, WARN_SIGMA, Band, Standing, band_of
from daemon.health.changes import Change, Course, follow
from daemon.health.readings import names_of, series_of
from daemon.health.rules import load_rules
from daemon.health.series import NightValue, Series, nightly
from daemon.health.slope import Slope, fit_slope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.health.series import Reading
    from daemon.memory.archive_health import HealthArchive

#: Days looked back: what is older no longer bears on tonight.
DAYS_BACK = 400
#: A drift is one from so many of its errors on.
_DRIFT_SIGMA = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One series on one night.

    Attributes
    ----------
    night
        The night it is seen from; nothing later is known.
    course
        Every night up to then, each with its own band.
    """

    series: Series
    night: str
    course: Course

    @property
    def latest(self) -> NightValue | None:
        """The value of the night itself; None where there was none."""
        judged = self.course.judged
        return judged[-1].night if judged and judged[-1].night.night == self.night else None

    @property
    def band(self) -> Band | None:
        """The band that held on the night."""
        if self.latest is not None:
            return self.course.judged[-1].band
        return band_of(self.course.level, self.series.rule.least)

    @property
    def standing(self) -> Standing | None:
        """How the night's value lies; None without one."""
        if self.latest is None:
            return None
        return Standing.NO_HISTORY if self.band is None else self.band.standing(self.latest.value)

    @property
    def new_changes(self) -> tuple[Change, ...]:
        """Changes that became certain on this night."""
        return tuple(change for change in self.course.changes if change.told == self.night)

    @property
    def wants_attention(self) -> bool:
        """Whether the night's value lies beyond its band, or a change became certain."""
        told = bool(self.new_changes) and self.series.rule.alarm
        return told or self.standing in (Standing.WARN, Standing.ERROR)

    @property
    def drift(self) -> Slope | None:
        """The slope of the present level; None where it is not significant."""
        band = band_of(self.course.level, self.series.rule.least)
        fitted = None if band is None else fit_slope(self.course.level[-30:], band)
        return fitted if fitted is not None and fitted.slope_sigmas >= _DRIFT_SIGMA else None

    def standing_of(self, reading: Reading) -> Standing:
        """Return how a single reading of the night lies.

        Readings of one night scatter more than nights do: both scatters count.
        """
        band = self.band
        if band is None:
            return Standing.NO_HISTORY
        sigma = math.hypot(band.sigma, scatter_within(self.series))
        return Band(middle=band.middle, sigma=sigma, nights=band.nights).standing(reading.value)


def scatter_within(series: Series) -> float:
    """Return the robust scatter of readings about their own night; 0 where nights have one each."""
    by_night: dict[str, list[float]] = {}
    for reading in series.readings:
        by_night.setdefault(reading.night, []).append(reading.value)
    off = [
        (value - median(values)) * math.sqrt(len(values) / (len(values) - 1))
        for values in by_night.values()
        if len(values) > 1
        for value in values
    ]
    return 1.4826 * median(abs(value) for value in off) if len(off) >= 5 else 0.0


def condition_of(series: Series, night: str) -> Condition:
    """Return how a series stands on a night."""
    values = [value for value in nightly(series) if value.night <= night]
    rule = series.rule
    course = follow(
        values, floor=rule.least, least_nights=rule.least_nights, clouds=rule.cloud_side
    )
    return Condition(series=series, night=night, course=course)


def health_of(archive: HealthArchive, night: str) -> tuple[Condition, ...]:
    """Return every series with a value in the last 400 days, as seen from a night."""
    rules = load_rules()
    first = (date.fromisoformat(night) - timedelta(days=DAYS_BACK)).isoformat()
    masters = archive.master_measurements(first, night)
    products = archive.product_measurements(names_of(rules), first, night)
    return tuple(condition_of(series, night) for series in series_of(rules, masters, products))


def worst_first(conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions, those that want attention first."""

    def rank(item: Condition) -> float:
        if item.new_changes and item.series.rule.alarm:
            return -1e9
        if item.latest is not None and item.band is None and item.course.changes:
            return -WARN_SIGMA
        if item.latest is None or item.band is None:
            return 0.0
        off = abs(item.band.sigmas(item.latest.value))
        return -off if off > WARN_SIGMA else -min(off, 1.0) / BAD_SIGMA

    return sorted(conditions, key=rank)
