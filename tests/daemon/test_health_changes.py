"""A step is told within nights, once; single nights, drifts and gaps are not taken for one."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.health.bands import FEWEST_NIGHTS, Floor, Standing, band_of
from daemon.health.changes import follow
from daemon.health.series import NightValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FIRST = date(2026, 1, 1)


def nights(values: Iterable[float], days: Sequence[int] | None = None) -> list[NightValue]:
    found = list(values)
    days = days or range(len(found))
    return [
        NightValue(
            night=(FIRST + timedelta(days=day)).isoformat(),
            value=float(value),
            error=math.nan,
            count=1,
        )
        for day, value in zip(days, found, strict=True)
    ]


def noise(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


def name(day: int) -> str:
    return (FIRST + timedelta(days=day)).isoformat()


def test_a_step_of_five_sigma_is_told_within_three_nights_and_once() -> None:
    told = []
    for seed in range(40):
        values = noise(seed, 80)
        values[40:] += 5
        changes = follow(nights(values)).changes
        told += [change for change in changes if name(40) <= change.told <= name(42)]
        assert sum(change.told >= name(40) for change in changes) <= 2
    assert len(told) >= 39
    assert {change.began for change in told} <= {name(39), name(40), name(41)}
    assert np.median([change.after - change.before for change in told]) == pytest.approx(5, abs=0.3)


def test_most_steps_of_three_sigma_are_told_within_three_nights() -> None:
    found = 0
    for seed in range(100):
        values = noise(1000 + seed, 43)
        values[40:] += 3
        found += any(change.told >= name(40) for change in follow(nights(values)).changes)
    assert found >= 70


def test_most_steps_of_three_sigma_are_told_though_the_history_is_short() -> None:
    found = 0
    for seed in range(100):
        values = noise(2000 + seed, 25)
        values[15:] += 3
        found += any(change.told >= name(15) for change in follow(nights(values)).changes)
    assert found >= 75


@pytest.mark.parametrize(("drift", "most"), [(0.0, 1.0), (0.01, 1.0), (0.03, 1.5)])
def test_white_noise_and_slow_drifts_give_about_one_false_change_a_year(
    drift: float, most: float
) -> None:
    runs = [noise(seed, 365) + drift * np.arange(365) for seed in range(40)]
    assert np.mean([len(follow(nights(run)).changes) for run in runs]) <= most


def test_a_single_night_far_out_is_an_error_and_no_change() -> None:
    values = noise(3, 60)
    values[45] = 20.0
    course = follow(nights(values))
    assert course.changes == ()
    judged = course.judged[45]
    assert judged.band is not None
    assert judged.band.standing(judged.night.value) is Standing.ERROR


def test_what_was_said_of_a_night_does_not_depend_on_later_ones() -> None:
    values = noise(4, 120)
    values[60:] += 4
    whole = follow(nights(values), floor=Floor(relative=0.1))
    for until in (20, 61, 63, 90):
        part = follow(nights(values[:until]), floor=Floor(relative=0.1))
        assert part.judged == whole.judged[:until]
        assert part.changes == whole.changes[: len(part.changes)]


def test_nights_without_a_value_are_no_nights() -> None:
    values = noise(5, 60)
    days = [*range(30), *range(200, 230)]
    assert follow(nights(values, days)).changes == ()


def test_a_level_that_comes_back_is_told_as_such() -> None:
    values = noise(6, 70)
    values[40:44] += 8
    changes = follow(nights(values)).changes
    assert [change.back for change in changes] == [False, True]
    assert changes[1].after == pytest.approx(changes[0].before, abs=1.5)


def test_after_a_change_the_band_is_learnt_anew() -> None:
    values = noise(7, 80)
    values[40:] += 10
    judged = follow(nights(values)).judged
    assert judged[44].band is None
    late = judged[60].band
    assert late is not None
    assert late.middle == pytest.approx(10, abs=1)


def test_few_nights_are_no_history() -> None:
    assert band_of(nights([1.0] * (FEWEST_NIGHTS - 1))) is None
    assert follow(nights([5.0])).judged[0].band is None
    assert follow([]).level == ()


def test_values_that_never_differ_are_held_against_the_floor() -> None:
    band = band_of(nights([100.0] * 10), Floor(absolute=0.5))
    assert band is not None
    assert (band.middle, band.sigma) == (100.0, 0.5)
    assert band.standing(101.0) is Standing.OK
    assert band.standing(102.0) is Standing.WARN
    assert band.standing(97.0) is Standing.ERROR


def test_a_band_of_few_nights_is_as_often_passed_as_one_of_many() -> None:
    passed = {}
    for count in (8, 15, 30):
        rows = np.random.default_rng(count).normal(size=(3000, count + 1))
        bands = [(band_of(nights(row[:-1])), row[-1]) for row in rows]
        passed[count] = np.mean([abs(band.sigmas(last)) > 3 for band, last in bands if band])
    assert all(0.0005 < share < 0.006 for share in passed.values())


def zero_points(seed: int, count: int, clouded: float) -> np.ndarray:
    """Return nights of 0.02 mag, so many of them under clouds of 0.3 mag in the mean."""
    random = np.random.default_rng(seed)
    clouds = np.where(random.random(count) < clouded, random.exponential(0.3, count), 0.0)
    return 0.02 * random.normal(size=count) - clouds


CLOUDED = {"least_nights": 3, "clouds": -1, "floor": Floor(absolute=0.02)}


@pytest.mark.parametrize("clouded", [0.1, 0.25, 0.4])
def test_clouds_make_no_more_than_one_false_change_a_year(clouded: float) -> None:
    runs = [zero_points(seed, 365, clouded) for seed in range(12)]
    assert np.mean([len(follow(nights(run), **CLOUDED).changes) for run in runs]) <= 1.0


def test_a_mirror_that_lost_light_is_told_from_clouds_within_ten_nights() -> None:
    found, size = 0, []
    for seed in range(40):
        values = zero_points(seed, 50, clouded=0.25)
        values[40:] -= 0.15
        told = [each for each in follow(nights(values), **CLOUDED).changes if each.told >= name(40)]
        found += bool(told)
        size += [each.after - each.before for each in told[:1]]
    assert found >= 30
    assert np.median(size) == pytest.approx(-0.15, abs=0.02)


def test_two_cloudy_nights_are_no_change_where_five_are_asked_for() -> None:
    values = 0.02 * noise(8, 60)
    values[40:42] -= 1.0
    assert follow(nights(values), least_nights=5).changes == ()
    values[40:48] -= 1.0
    assert len(follow(nights(values), least_nights=5).changes) >= 1
