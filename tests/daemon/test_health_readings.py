"""Masters and products become series; the bending of the spectrograph is found and taken out."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from daemon.health.bands import Standing
from daemon.health.condition import condition_of
from daemon.health.flexure import Position, Shift, fit_flexure
from daemon.health.lines import bars, trend_lines
from daemon.health.readings import series_of
from daemon.health.rules import load_rules
from daemon.memory.archive_health import Measured
from reducers.identity import Setup

RULES = {rule.name: rule for rule in load_rules()}
SETUP = Setup(
    x_binning=1, y_binning=1, window=(1, 2148, 1, 2102), readout="D-8-200", grism="Grism_#4",
    slit="Slit_1.0",
)  # fmt: skip
FIRST = date(2026, 1, 1)


def night(day: int) -> str:
    return (FIRST + timedelta(days=day)).isoformat()


def measured(day: int, what: str, *, state: str = "current", **numbers: float) -> Measured:
    when = datetime(2026, 1, 1, 20, tzinfo=UTC) + timedelta(days=day)
    return Measured(
        what=what,
        key=f"{what}{day}",
        state=state,
        night=night(day),
        at=when,
        stem=f"ALJa{day:06d}",
        setup=SETUP,
        rotator_deg=numbers.pop("rotator_deg", None),
        altitude_deg=numbers.pop("altitude_deg", None),
        measurements=numbers,
        arc=f"ARC{day}" if what.startswith("SPEC") else "",
    )


def biases(levels: np.ndarray) -> list[Measured]:
    return [measured(day, "BIAS", read_noise_adu=level) for day, level in enumerate(levels)]


def shifts(count: int, seed: int, noise_px: float = 0.1) -> list[Shift]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        here = Position(rotator_deg=rng.uniform(-180, 180), altitude_deg=rng.uniform(25, 85))
        there = Position(rotator_deg=rng.uniform(-180, 180), altitude_deg=rng.uniform(25, 85))
        px = bend(here) - bend(there) + rng.normal(0, noise_px)
        found.append(Shift(px=px, here=here, there=there))
    return found


def bend(position: Position) -> float:
    rotator, altitude = math.radians(position.rotator_deg), math.radians(position.altitude_deg)
    return 1.5 * math.cos(altitude) * math.cos(rotator - math.radians(40)) + 0.6 * math.sin(
        altitude
    )


def test_the_bending_is_found_whatever_a_few_wrong_arcs_say() -> None:
    given = shifts(60, 1)
    given[7] = Shift(px=6.0, here=given[7].here, there=given[7].there)
    model = fit_flexure([*given, Shift(px=math.nan, here=given[0].here, there=given[0].there)])
    assert model is not None
    assert model.amplitude_px == pytest.approx(1.5, abs=0.08)
    assert model.phase_deg == pytest.approx(40, abs=4)
    assert model.altitude_px == pytest.approx(0.6, abs=0.15)
    assert model.scatter_px == pytest.approx(0.1, rel=0.35)
    assert model.shifts == 59


def test_shifts_at_one_position_give_no_model() -> None:
    here, there = (
        Position(rotator_deg=10, altitude_deg=60),
        Position(rotator_deg=20, altitude_deg=60),
    )
    assert fit_flexure([Shift(px=0.1, here=here, there=there)] * 30) is None
    assert fit_flexure(shifts(5, 2)) is None


def test_what_rotator_and_altitude_explain_is_taken_out_of_the_flexure() -> None:
    masters, products = [], []
    rng = np.random.default_rng(3)
    for day in range(40):
        here, there = (
            Position(rotator_deg=rng.uniform(-180, 180), altitude_deg=rng.uniform(25, 85))
            for _ in range(2)
        )
        px = bend(here) - bend(there) + rng.normal(0, 0.1)
        masters.append(
            measured(day, "ARC", rotator_deg=there.rotator_deg, altitude_deg=there.altitude_deg)
        )
        products.append(
            measured(
                day,
                "SPEC_OBJECT",
                flexure_px=px,
                rotator_deg=here.rotator_deg,
                altitude_deg=here.altitude_deg,
            )
        )
    (series,) = series_of([RULES["flexure left"]], masters, products)
    assert series.name == "flexure left gr4"
    raw = np.std([item.measurements["flexure_px"] for item in products])
    left = np.std([item.value for item in series.readings[-20:]])
    assert raw > 0.7
    assert left < 0.2
    assert series.readings[0].night > night(11)


def test_a_refused_bias_tells_of_the_detector_and_a_refused_response_of_nothing() -> None:
    rules = [RULES["read noise"], RULES["throughput 6000"]]
    masters = [
        measured(0, "BIAS", state="rejected", read_noise_adu=60.0),
        measured(0, "RESPONSE", state="rejected", zero_point_6000=17.0, slit_loss_mag=0.1),
        measured(1, "RESPONSE", zero_point_6000=17.0, slit_loss_mag=0.1),
    ]
    found = {series.name: series for series in series_of(rules, masters, [])}
    assert found["read noise D-8-200 1x1"].readings[0].value == 60.0
    (reading,) = found["throughput 6000 gr4 slit 1.0"].readings
    assert (reading.night, reading.value) == (night(1), pytest.approx(17.1))


def test_numbers_that_are_none_are_no_readings() -> None:
    masters = [measured(0, "BIAS", read_noise_adu=math.nan), measured(1, "BIAS")]
    assert series_of([RULES["read noise"]], masters, []) == ()


def test_seeing_is_that_at_the_zenith() -> None:
    product = measured(0, "IMG_OBJECT", seeing_arcsec=2.0, airmass=2.0)
    (series,) = series_of([RULES["seeing"]], [], [product])
    assert series.readings[0].value == pytest.approx(2.0 * 2**-0.6)


def test_the_lines_of_a_night_begin_with_what_has_changed() -> None:
    rng = np.random.default_rng(5)
    noise = 32 + rng.normal(0, 0.5, 42)
    noise[40:] += 6
    masters = biases(noise)
    masters += [measured(d, "BIAS", overscan_adu=11700 + rng.normal(0, 40)) for d in range(42)]
    rules = [RULES["bias level"], RULES["read noise"]]
    tonight = [condition_of(series, night(41)) for series in series_of(rules, masters, [])]
    lines = trend_lines(tonight)
    assert lines[0].startswith("  read noise D-8-200 1x1")
    assert "ERROR" in lines[0]
    assert "! read noise D-8-200 1x1 changed: 31.77 -> 38.47 ADU since" in lines[1]
    assert lines[2].startswith("  bias level")
    assert all(len(line) <= 90 for line in lines)
    # The night after, the same change is not told again.
    later = [condition_of(series, night(42)) for series in series_of(rules, masters, [])]
    assert not any(item.new_changes for item in later)


def test_a_night_without_measurements_says_so() -> None:
    assert trend_lines([]) == ["  nothing was measured this night"]


def test_one_night_has_no_history_and_a_gap_is_drawn_as_one() -> None:
    days = [0, 1, 4]
    masters = [measured(day, "BIAS", read_noise_adu=30.0 + day) for day in days]
    (series,) = series_of([RULES["read noise"]], masters, [])
    item = condition_of(series, night(4))
    assert item.standing is Standing.NO_HISTORY
    assert bars(item, 6) == "·▁▃··█"
    assert "no history yet" in trend_lines([item])[0]
    assert condition_of(series, night(3)).latest is None


def test_readings_of_one_night_may_scatter_as_they_do() -> None:
    rng = np.random.default_rng(9)
    masters = [
        measured(day, "BIAS", read_noise_adu=32 + rng.normal(0, 2))
        for day in range(30)
        for _ in "1234"
    ]
    (series,) = series_of([RULES["read noise"]], masters, [])
    item = condition_of(series, night(29))
    standings = [item.standing_of(reading) for reading in series.readings]
    assert standings.count(Standing.OK) >= 118


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.name)
def test_every_series_says_what_it_is_what_causes_a_change_and_what_to_do(rule: object) -> None:
    assert rule.sentence.endswith(".")
    assert rule.cause.endswith(".")
    assert rule.advice.endswith(".")
    assert f"{1.0:{rule.form}}"
    assert rule.floor > 0 or rule.floor_relative > 0
