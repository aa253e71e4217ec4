"""A standard is recognised by its name and its place, whatever header and epoch do to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from astropy import units
from astropy.coordinates import FK4, FK5, SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from reducers.identify import identify
from reducers.profiles import load_instrument
from reducers.standards import (
    is_named,
    place_of,
    precess,
    recognise_standard,
    separation_arcsec,
    target_off_arcsec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from reducers.instrument import Standard

ALFOSC = load_instrument("alfosc")
STARS = ALFOSC.standards
STAR = st.sampled_from(STARS)
NAMED = STAR.flatmap(lambda s: st.tuples(st.just(s), st.sampled_from((s.name, *s.aliases))))
BLANKS = st.sampled_from(["", " ", "_", "-", "  "])


def moved(place: tuple[float, float], arcsec: float, angle: float) -> tuple[float, float]:
    dec = place[1] + arcsec / 3600 * math.sin(angle)
    return place[0] + arcsec / 3600 * math.cos(angle) / math.cos(math.radians(dec)), dec


@given(NAMED, BLANKS, st.booleans(), st.sampled_from(["", "std ", "STD_", "(", "spec-"]))
def test_case_blanks_and_punctuation_change_no_name(
    named: tuple[Standard, str], blank: str, upper: bool, before: str
) -> None:
    star, name = named
    short = sum(c.isalnum() for c in name) < 4
    written = ("" if short else before) + name.replace(" ", blank)
    written = written.upper() if upper else written.lower()
    assert is_named(star, written)
    assert [s.name for s in STARS if is_named(s, written)] == [star.name]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("SP0946+139", "HD 84937"), ("sp 0946 +139", "HD 84937"), ("0946+139", "HD 84937"),
        ("hd_84937", "HD 84937"), ("HD84937 5arcsec slit", "HD 84937"), ("Feige34_std", "Feige 34"),
        ("bd33d2642", "BD+33 2642"), ("BD +33 2642", "BD+33 2642"), ("gd153", "GD 153"),
    ],
)  # fmt: skip
def test_names_as_observers_write_them(written: str, name: str) -> None:
    assert [s.name for s in STARS if is_named(s, written)] == [name]


@pytest.mark.parametrize(
    "written", ["", "HD 849370", "He 3-1357", "GD 501", "xGD 50", "Feige 345", "J0946+1399", "EG"]
)
def test_names_of_others_are_not_taken(written: str) -> None:
    assert not [s.name for s in STARS if is_named(s, written)]


@given(STAR, st.floats(1995, 2050), st.floats(0, 55), st.floats(0, 6.28))
def test_a_pointing_near_the_place_of_the_year_is_the_standard(
    star: Standard, year: float, arcsec: float, angle: float
) -> None:
    where = moved(place_of(star, year), arcsec, angle)
    found = recognise_standard(STARS, [""], where, 60.0, year=year)
    assert found.name == star.name
    assert found.off_arcsec == pytest.approx(arcsec, abs=0.1)


@given(STAR, st.floats(1200, 80000), st.floats(0, 6.28))
def test_a_name_far_from_its_place_is_said_and_not_believed(
    star: Standard, arcsec: float, angle: float
) -> None:
    where = moved((star.ra_deg, star.dec_deg), arcsec, angle)
    found = recognise_standard(STARS, [star.name], where, 60.0)
    if any(
        separation_arcsec(where, precess((s.ra_deg, s.dec_deg), 2000, 1950)) < 900
        or separation_arcsec(where, (s.ra_deg, s.dec_deg)) < 900
        for s in STARS
    ):
        return
    assert found.name == ""
    assert "away" in found.reason


@given(STAR)
def test_catalogue_coordinates_of_1950_are_not_missed(star: Standard) -> None:
    entry = precess((star.ra_deg, star.dec_deg), 2000.0, 1950.0)
    found = recognise_standard(STARS, [""], None, 60.0, catalogue_deg=entry)
    assert found.name == star.name
    assert "1950" in found.reason
    assert target_off_arcsec((star.ra_deg, star.dec_deg), entry) < 1.0


@given(st.floats(0, 359.9), st.floats(-80, 80))
def test_precession_agrees_with_astropy_to_an_arcsecond(ra: float, dec: float) -> None:
    there = SkyCoord(ra * units.deg, dec * units.deg, frame=FK4(equinox="B1950"))
    now = there.transform_to(FK5(equinox="J2000"))
    assert separation_arcsec(precess((ra, dec), 1950.0, 2000.0), (now.ra.deg, now.dec.deg)) < 1.5
    assert separation_arcsec(precess(precess((ra, dec), 1950, 2000), 2000, 1950), (ra, dec)) < 0.1


def test_the_real_entry_of_1950_that_calls_itself_2000(alfosc_header: Callable) -> None:
    identity = identify(alfosc_header("standard"), ALFOSC)
    assert identity.standard == "HD 84937"
    assert identity.standard_off_arcsec < 40
    assert identity.target_off_arcsec is None
    lost = identify(alfosc_header("standard", RA=None, OBJECT="x", TCSTGT="x"), ALFOSC)
    assert lost.standard == "HD 84937"


def test_a_pointing_given_for_1950_is_precessed(alfosc_header: Callable) -> None:
    old = precess((147.2426, 13.73737), 2000.0, 1950.0)
    header = alfosc_header("standard", RA=old[0], DEC=old[1], EQUINOX=1950.0, TCSTGT="", OBJECT="x")
    identity = identify(header, ALFOSC)
    assert identity.standard == "HD 84937"
    assert identity.ra_deg == pytest.approx(147.2426, abs=0.001)


def test_a_science_target_is_where_its_entry_says(alfosc_header: Callable) -> None:
    assert identify(alfosc_header("science"), ALFOSC).target_off_arcsec < 60
    wrong = identify(alfosc_header("science", OBJRA=12.9), ALFOSC)
    assert wrong.target_off_arcsec > 1000
    assert identify(alfosc_header("science", TCSTGT=""), ALFOSC).target_off_arcsec is None
