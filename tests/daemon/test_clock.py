"""The Sun over the telescope, and the times that end the taking of calibrations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from daemon.clock import next_twilight, observing_night, twilights
from reducers.profiles import load_instrument
from reducers.sun import sun_altitude_deg

ALFOSC = load_instrument("alfosc")
PLACE = (ALFOSC.longitude_deg, ALFOSC.latitude_deg)


@dataclass(frozen=True)
class Place:
    longitude_deg: float
    latitude_deg: float


@pytest.mark.parametrize(
    ("when", "altitude_deg"),
    [
        # The Sun's -12 and -18 degrees over La Palma as astroplan and astropy give them.
        (datetime(2026, 11, 20, 19, 9, 40, tzinfo=UTC), -12.0),
        (datetime(2026, 11, 20, 19, 37, 58, tzinfo=UTC), -18.0),
        (datetime(2026, 11, 21, 6, 16, 47, tzinfo=UTC), -18.0),
    ],
)
def test_the_sun_stands_where_the_almanac_says(when: datetime, altitude_deg: float) -> None:
    assert sun_altitude_deg(when, *PLACE) == pytest.approx(altitude_deg, abs=0.05)


@pytest.mark.parametrize("month", range(1, 13))
def test_a_night_goes_from_noon_through_dusk_and_sunrise_to_noon(month: int) -> None:
    night = date(2026, month, 15)
    found = twilights(night, ALFOSC)
    assert found.evening is not None
    assert found.sunrise is not None
    assert sun_altitude_deg(
        found.evening, ALFOSC.longitude_deg, ALFOSC.latitude_deg
    ) == pytest.approx(-6.0, abs=0.01)
    assert sun_altitude_deg(
        found.sunrise, ALFOSC.longitude_deg, ALFOSC.latitude_deg
    ) == pytest.approx(-0.833, abs=0.01)
    assert found.evening < found.sunrise < found.noon
    for when in (found.evening, found.sunrise, found.noon - timedelta(seconds=1)):
        assert observing_night(when, ALFOSC.longitude_deg) == night
    assert observing_night(found.noon, ALFOSC.longitude_deg) == night + timedelta(days=1)


@pytest.mark.parametrize("latitude_deg", [90.0, -90.0, 78.2, -67.0, 66.0, 0.0])
@pytest.mark.parametrize("month", [3, 6, 9, 12])
def test_where_the_sun_does_not_set_the_night_still_ends_at_noon(
    latitude_deg: float, month: int
) -> None:
    place = Place(longitude_deg=15.6, latitude_deg=latitude_deg)
    start = datetime(2026, month, 21, 11, 30, tzinfo=UTC)
    assert start < next_twilight(start, place) <= start + timedelta(hours=24)


def test_at_the_pole_there_is_no_sunrise_in_june() -> None:
    found = twilights(date(2026, 6, 21), Place(longitude_deg=0.0, latitude_deg=90.0))
    assert (found.evening, found.sunrise) == (None, None)


def test_the_next_twilight_is_dusk_by_day_and_sunrise_by_night() -> None:
    found = twilights(date(2026, 11, 20), ALFOSC)
    assert found.evening is not None
    afternoon, midnight = found.evening - timedelta(hours=3), found.evening + timedelta(hours=5)
    assert next_twilight(afternoon, ALFOSC) == found.evening
    assert next_twilight(midnight, ALFOSC) == found.sunrise
    assert next_twilight(found.evening, ALFOSC) == found.sunrise
    assert found.sunrise is not None
    assert next_twilight(found.sunrise, ALFOSC) == found.noon
