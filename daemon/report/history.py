"""The numbers of one night's masters, and of the instrument, against those of earlier nights."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from calibration_store.judgement import comparable
from calibration_store.records import MasterState
from daemon.health.bands import NO_FLOOR, band_of
from daemon.health.lines import change_words
from daemon.health.rules import load_rules
from daemon.health.series import NightValue
from daemon.report.night_report import Check, Trend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calibration_store.records import MasterRecord
    from daemon.health.bands import Floor
    from daemon.health.condition import Condition

#: Role -> (measurement, what the report calls it).
_CHECKS: dict[str, tuple[tuple[str, str], ...]] = {
    "BIAS": (("level_adu", "level"), ("read_noise_adu", "noise")),
    "FLAT": (("level_adu", "level"),),
    "ILLUMINATION": (("illumination_rms", "rms"),),
    "ARC": (("rms_px", "rms px"), ("lines", "lines")),
    "RESPONSE": (("peak_ab_zero_point", "peak ZP"), ("residual_rms_mag", "rms mag")),
    "DARK": (("dark_e_per_hour", "e/h"),),
    "SKY_FLAT": (("gain_e_per_adu", "gain"),),
    "FRINGE": (("amplitude", "amplitude"),),
    "STAR_FLAT": (("rms_mag", "rms mag"), ("stars", "stars")),
}
_GOOD = (MasterState.CURRENT, MasterState.SUPERSEDED)


def checks_of(master: MasterRecord, history: Iterable[MasterRecord]) -> tuple[Check, ...]:
    """Return the numbers of a master against the band of earlier nights of its set-up."""
    alike = [
        other
        for other in history
        if other.night < master.night
        and other.state in _GOOD
        and comparable(master.role, master.setup, other)
    ]
    found = []
    for name, label in _CHECKS.get(master.role, ()):
        value = master.measurements.get(name)
        if value is not None and math.isfinite(value):
            known = _nightly((m.night, m.measurements.get(name)) for m in alike)
            found.append(_check(label, value, known, _floor(master.role, name)))
    return tuple(found)


def trends_of(conditions: Iterable[Condition]) -> tuple[Trend, ...]:
    """Return what every series of the instrument was in this night."""
    found = []
    for item in conditions:
        latest, band = item.latest, item.band
        if latest is None:
            continue
        alarms = item.new_changes if item.series.rule.alarm else ()
        found.append(
            Trend(
                name=item.series.name,
                unit=item.series.rule.unit,
                value=latest.value,
                sigma=None if band is None else band.sigmas(latest.value),
                standing=str(item.standing),
                alarms=tuple(change_words(item, change) for change in alarms),
                advice=item.series.rule.advice,
            )
        )
    return tuple(found)


def _check(label: str, value: float, known: Mapping[str, float], floor: Floor) -> Check:
    if not known:
        return Check(name=label, value=value)
    nights: Sequence[NightValue] = [
        NightValue(night=night, value=each, error=math.nan, count=1)
        for night, each in known.items()
    ]
    band = band_of(nights, floor)
    return Check(
        name=label,
        value=value,
        median=median(known.values()),
        sigma=None if band is None else band.sigmas(value),
        nights=len(known),
    )


def _floor(role: str, name: str) -> Floor:
    """Return the least scatter that is believed, where the instrument's health follows it too."""
    rules = (rule for rule in load_rules() if (rule.source, rule.measurement) == (role, name))
    return next((rule.least for rule in rules), NO_FLOOR)


def _nightly(pairs: Iterable[tuple[str, float | None]]) -> Mapping[str, float]:
    """Return one value a night, the median, in order of night."""
    found: dict[str, list[float]] = {}
    for night, value in pairs:
        if value is not None and math.isfinite(value):
            found.setdefault(night, []).append(value)
    return {night: median(values) for night, values in sorted(found.items())}
