"""What still counts of what was said, in whatever order it came."""

from __future__ import annotations

from itertools import permutations

import pytest

from reducers.transients.notices.reading import read_notice
from reducers.transients.notices.standing import is_retracted, standing_localisations
from tests.reducers.transients.notices_by_hand import (
    fermi_gbm,
    svom,
    swift_bat,
    swift_json,
    swift_xrt,
)

BAT = read_notice(swift_bat(ra=150.00, issued="2026-11-21T21:00:20"))
BAT_AGAIN = read_notice(swift_bat(ra=150.01, serial=2, issued="2026-11-21T21:00:50"))
XRT = read_notice(swift_xrt(ra=150.02))
UVOT = read_notice(swift_json("UVOT", ra=150.03, ra_dec_error=0.0002))
GONE = read_notice(
    swift_bat(serial=3, issued="2026-11-21T21:05:00", params={"Def_NOT_a_GRB": "true"})
)
BACK = read_notice(swift_bat(ra=150.04, serial=4, issued="2026-11-21T22:00:00"))


def places(*notices: object) -> list[tuple[str, float]]:
    return [(each.kind, each.ra_deg) for each in standing_localisations(notices)]


def test_the_newest_position_of_an_instrument_counts_in_any_order_of_arrival() -> None:
    for order in permutations((BAT, BAT_AGAIN, XRT)):
        assert places(*order) == [("BAT", 150.01), ("XRT", 150.02)]


def test_of_two_instruments_of_one_kind_the_smaller_circle_counts() -> None:
    assert places(XRT, UVOT) == places(UVOT, XRT) == [("XRT", 150.03)]


def test_a_final_position_counts_before_a_first_guess_that_comes_later() -> None:
    final = read_notice(fermi_gbm(115, ra=151.0, issued="2026-11-21T21:10:00"))
    late_guess = read_notice(fermi_gbm(111, ra=140.0, issued="2026-11-21T22:00:00"))
    assert places(final, late_guess) == [("BAT", 151.0)]


def test_a_retraction_takes_back_all_that_was_said_before_it_in_any_order() -> None:
    for order in permutations((BAT, XRT, GONE)):
        assert places(*order) == []
        assert is_retracted(order)


def test_what_is_said_after_a_retraction_counts_again() -> None:
    for order in permutations((BAT, GONE, BACK)):
        assert places(*order) == [("BAT", 150.04)]
        assert not is_retracted(order)


def test_a_drill_counts_for_nothing_and_retracts_nothing() -> None:
    drill = read_notice(swift_bat(role="test", params={"Def_NOT_a_GRB": "true"}))
    assert places(drill) == []
    assert places(BAT, drill) == [("BAT", 150.0)]


def test_a_retraction_of_one_event_leaves_the_others() -> None:
    other = read_notice(svom("", "retraction", 219))
    assert places(BAT, other) == [("BAT", 150.0)]


@pytest.mark.parametrize("order", list(permutations((BAT, XRT))))
def test_every_circle_carries_the_earliest_time_that_is_told_of_its_event(order: object) -> None:
    late = read_notice(swift_xrt(when="2026-11-21T21:01:20"))
    found = standing_localisations((*order, late))
    assert {each.happened_at for each in found} == {BAT.happened_at}
