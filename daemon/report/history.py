"""The numbers of one night against those of the nights before it."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from calibration_store.judgement import comparable
from calibration_store.records import MasterState
from daemon.report.night_report import Check, Trend

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calibration_store.records import MasterRecord
    from daemon.memory.archive_reports import Measured

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
#: Fewer earlier nights say nothing about a scatter.
FEWEST_NIGHTS = 5
NIGHTS = 30
WARN_SIGMA, BAD_SIGMA = 3.0, 5.0
_GOOD = (MasterState.CURRENT, MasterState.SUPERSEDED)
#: Trends of masters: role, measurement, what it is called, unit.
_MASTER_TRENDS = (
    ("BIAS", "level_adu", "bias level", "ADU"),
    ("BIAS", "read_noise_adu", "read noise", "ADU"),
    ("ARC", "rms_px", "arc rms", "px"),
    ("RESPONSE", "peak_ab_zero_point", "spectrum ZP", "mag"),
)
#: Trends of products.
PRODUCT_TRENDS = {
    "zero_point_mag": ("image ZP", "mag"),
    "seeing_arcsec": ("seeing", "arcsec"),
    "flexure_px": ("arc shift", "px"),
}
_BARS = "▁▂▃▄▅▆▇█"


def checks_of(master: MasterRecord, history: Iterable[MasterRecord]) -> tuple[Check, ...]:
    """Return the numbers of a master against the median and scatter of earlier nights.

    The scatter is 1.4826 times the median absolute deviation of one value a night.
    """
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
        if value is None or not math.isfinite(value):
            continue
        known = _nightly((m.night, m.measurements.get(name)) for m in alike)
        found.append(_check(label, value, list(known.values())[-NIGHTS:]))
    return tuple(found)


def _check(label: str, value: float, known: Sequence[float]) -> Check:
    if not known:
        return Check(name=label, value=value)
    middle = median(known)
    scatter = 1.4826 * median(abs(x - middle) for x in known)
    tells = len(known) >= FEWEST_NIGHTS and scatter > 0
    sigma = (value - middle) / scatter if tells else None
    return Check(name=label, value=value, median=middle, sigma=sigma, nights=len(known))


def trends_of(
    masters: Iterable[MasterRecord], measured: Iterable[Measured], nights: Sequence[str]
) -> tuple[Trend, ...]:
    """Return what is worth following, one value a night; what has no value at all is left out.

    Parameters
    ----------
    nights
        In order, the newest last.
    """
    series: dict[tuple[str, str], list[tuple[str, float | None]]] = {}
    for master in masters:
        for role, name, label, unit in _MASTER_TRENDS:
            if master.role == role and master.state in _GOOD:
                full = f"{label} {_optics(master)}".strip()
                value = master.measurements.get(name)
                series.setdefault((full, unit), []).append((master.night, value))
    for each in measured:
        label, unit = PRODUCT_TRENDS[each.name]
        of = each.filter if each.name == "zero_point_mag" else ""
        of = each.grism if each.name == "flexure_px" else of
        series.setdefault((f"{label} {of}".strip(), unit), []).append((each.night, each.value))
    found = []
    for (name, unit), pairs in sorted(series.items()):
        by_night = _nightly(pairs)
        values = tuple(by_night.get(night) for night in nights)
        if any(value is not None for value in values):
            found.append(Trend(name=name, unit=unit, values=values, nights=tuple(nights)))
    return tuple(found)


def sparkline(values: Sequence[float | None]) -> str:
    """Return bars between the smallest and the largest value; a gap where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    step = (len(_BARS) - 1) / span if span > 0 else 0.0
    return "".join("·" if v is None else _BARS[round((v - low) * step)] for v in values)


def _optics(master: MasterRecord) -> str:
    own = master.setup
    if master.role == "BIAS":
        return own.readout
    words = [own.grism, own.slit] if master.role == "ARC" else [own.grism]
    return " ".join(word for word in words if word)


def _nightly(pairs: Iterable[tuple[str, float | None]]) -> Mapping[str, float]:
    """Return one value a night, the median, in order of night."""
    found: dict[str, list[float]] = {}
    for night, value in pairs:
        if value is not None and math.isfinite(value):
            found.setdefault(night, []).append(value)
    return {night: median(values) for night, values in sorted(found.items())}
