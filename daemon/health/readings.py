"""Series of readings out of what masters and reduced exposures have measured."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from daemon.health.flexure import FEWEST_SHIFTS, FlexureModel, Position, Shift, fit_flexure
from daemon.health.series import Reading, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.health.rules import Rule
    from daemon.memory.archive_health import Measured
    from reducers.identity import Setup

#: Word in the rules -> kinds of exposures.
_KINDS = {
    "image": ("IMG_OBJECT", "ACQUISITION"),
    "spectrum": ("SPEC_OBJECT", "SPEC_STD"),
    "exposure": ("IMG_OBJECT", "SPEC_OBJECT", "SPEC_STD"),
}
#: Masters that were refused still tell of detector and lamp; a wrong arc or star tells nothing.
_TELL_REFUSED = ("BIAS", "DARK", "FLAT")

#: A model is made of so many of the latest shifts: what bends may be mended.
_LATEST_SHIFTS = 300


def series_of(
    rules: Iterable[Rule], masters: Sequence[Measured], products: Sequence[Measured]
) -> tuple[Series, ...]:
    """Return every series that has a reading, in the order of the rules and by set-up."""
    arcs = {master.key: master for master in masters}
    found: list[Series] = []
    for rule in rules:
        by_setup: dict[str, list[Reading]] = {}
        shifts: dict[str, list[Shift | None]] = {}
        for each in _sources(rule, masters, products):
            reading = _reading(rule, each)
            if reading is not None:
                setup = words_of(each.setup, rule.of)
                by_setup.setdefault(setup, []).append(reading)
                if rule.flexure_model:
                    shift = _shift(reading, arcs.get(each.arc))
                    shifts.setdefault(setup, []).append(shift)
        for setup, readings in sorted(by_setup.items()):
            kept = _unexplained(readings, shifts[setup]) if rule.flexure_model else readings
            if kept:
                found.append(Series(rule=rule, setup=setup, readings=tuple(kept)))
    return tuple(found)


def names_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the measurements of exposures that the rules ask for."""
    asked = {"airmass"}
    for rule in rules:
        if rule.source in _KINDS:
            asked |= {rule.measurement, rule.error, rule.plus}
    return frozenset(asked - {""})


def flexure_of(
    grism: str, masters: Sequence[Measured], products: Sequence[Measured]
) -> FlexureModel | None:
    """Return how a grism's spectra bend against their arcs; None where that is not known."""
    arcs = {master.key: master for master in masters}
    shifts = [
        shift
        for each in products
        if each.setup.grism == grism and each.what in _KINDS["spectrum"]
        for shift in [_shift_of(each, arcs.get(each.arc))]
        if shift is not None
    ]
    return fit_flexure(shifts[-_LATEST_SHIFTS:])


@lru_cache(maxsize=4096)
def words_of(setup: Setup, parts: tuple[str, ...]) -> str:
    """Return parts of a set-up in words."""
    known = {
        "grism": setup.grism.replace("Grism_#", "gr"),
        "slit": setup.slit.replace("Slit_", "slit "),
        "filter": setup.filter,
        "readout": setup.readout,
        "binning": f"{setup.x_binning}x{setup.y_binning}",
        "window": "{}:{},{}:{}".format(*setup.window),
    }
    return " ".join(word for part in parts if (word := known[part]))


def _sources(
    rule: Rule, masters: Sequence[Measured], products: Sequence[Measured]
) -> list[Measured]:
    if rule.source in _KINDS:
        return [each for each in products if each.what in _KINDS[rule.source]]
    return [
        each
        for each in masters
        if each.what == rule.source and (each.state != "rejected" or each.what in _TELL_REFUSED)
    ]


def _reading(rule: Rule, each: Measured) -> Reading | None:
    numbers = each.measurements
    value = numbers.get(rule.measurement, math.nan) * rule.scale
    if rule.plus:
        value += numbers.get(rule.plus, math.nan)
    if rule.airmass_power:
        value *= numbers.get("airmass", math.nan) ** rule.airmass_power
    if not math.isfinite(value):
        return None
    error = abs(rule.scale) * numbers.get(rule.error, math.nan) if rule.error else math.nan
    return Reading(
        value=value,
        error=error,
        at=each.at,
        night=each.night,
        frame=each.stem,
        rotator_deg=each.rotator_deg,
        altitude_deg=each.altitude_deg,
    )


def _shift_of(each: Measured, arc: Measured | None) -> Shift | None:
    here, there = _position(each), None if arc is None else _position(arc)
    px = each.measurements.get("flexure_px", math.nan)
    if here is None or there is None or not math.isfinite(px):
        return None
    return Shift(px=px, here=here, there=there)


def _shift(reading: Reading, arc: Measured | None) -> Shift | None:
    there = None if arc is None else _position(arc)
    if there is None or reading.rotator_deg is None or reading.altitude_deg is None:
        return None
    here = Position(rotator_deg=reading.rotator_deg, altitude_deg=reading.altitude_deg)
    return Shift(px=reading.value, here=here, there=there)


def _position(each: Measured) -> Position | None:
    if each.rotator_deg is None or each.altitude_deg is None:
        return None
    return Position(rotator_deg=each.rotator_deg, altitude_deg=each.altitude_deg)


def _unexplained(readings: Sequence[Reading], shifts: Sequence[Shift | None]) -> list[Reading]:
    """Return what the model of the nights before leaves; readings from before a model are none."""
    model: FlexureModel | None = None
    left: list[Reading] = []
    known: list[Shift] = []
    waiting: list[Shift] = []
    night = ""
    for reading, shift in zip(readings, shifts, strict=True):
        if reading.night != night:
            night, known, waiting = reading.night, [*known, *waiting][-_LATEST_SHIFTS:], []
            model = fit_flexure(known) if len(known) >= FEWEST_SHIFTS else None
        if shift is None:
            continue
        waiting.append(shift)
        if model is not None:
            explained = model.between(shift.here, shift.there)
            left.append(replace(reading, value=reading.value - explained))
    return left
