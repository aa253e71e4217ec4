"""A response is held against the ones before it: shape, not level."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calibration_store.judgement import comparable, judge
from calibration_store.records import MasterRecord, MasterState
from reducers.identity import Setup

SETUP = Setup(
    x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200",
    grism="Grism_#4", slit="Slit_1.0", filter="WG345",
)  # fmt: skip


def shape(tilt: float = 0.0, grey: float = 0.0, bump: float = 0.0) -> dict[str, float]:
    """Zero points as a response notes them: tilt in mag over 4000 A, a bump at 6000 A."""
    found = {}
    for at in range(4000, 9001, 250):
        value = 15.4 - ((at - 5200) / 2600) ** 2 + grey + tilt * (at - 6500) / 4000
        found[f"zero_point_{at}"] = value + bump * math.exp(-0.5 * ((at - 6000) / 300) ** 2)
    return {"peak_ab_zero_point": max(found.values()), **found}


def history(*measured: dict[str, float], state: MasterState = MasterState.CURRENT):
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        MasterRecord(
            key=f"{state}{n}", instrument="ALFOSC", role="RESPONSE", setup=SETUP, set_key="",
            night="2026-03-01", observed_at=start + timedelta(days=n), built_at=start,
            path=Path("x"), state=state, measurements=item,
        )
        for n, item in enumerate(measured)
    ]  # fmt: skip


USUAL = (shape(grey=0.02), shape(grey=-0.5, tilt=0.01), shape(grey=0.1, tilt=-0.02))


@pytest.mark.parametrize("grey", [-1.0, 0.0, 0.3])
def test_light_lost_greyly_is_no_reason_to_refuse_a_response(grey: float) -> None:
    assert judge("RESPONSE", shape(grey=grey), history(*USUAL)) == ""


@pytest.mark.parametrize("change", [{"tilt": 0.4}, {"bump": 0.2}, {"bump": -0.2}])
def test_another_shape_is_refused_in_words(change: dict[str, float]) -> None:
    verdict = judge("RESPONSE", shape(**change), history(*USUAL))
    assert "shape of the response differs" in verdict
    assert "limit 10 %" in verdict


@pytest.mark.parametrize("change", [{"tilt": 0.1}, {"bump": 0.08}])
def test_a_shape_within_ten_per_cent_is_accepted(change: dict[str, float]) -> None:
    assert judge("RESPONSE", shape(**change), history(*USUAL)) == ""


def test_one_earlier_response_is_not_enough_to_refuse_another() -> None:
    assert judge("RESPONSE", shape(tilt=1.0), history(USUAL[0])) == ""


def test_a_change_that_three_standards_agree_on_is_the_instruments() -> None:
    refused = history(shape(tilt=0.4), shape(tilt=0.41), state=MasterState.REJECTED)
    assert judge("RESPONSE", shape(tilt=0.4), [*history(*USUAL), *refused]) == ""
    assert judge("RESPONSE", shape(tilt=0.4), [*history(*USUAL), *refused[:1]]) != ""
    other = history(shape(bump=0.5), shape(bump=0.5), state=MasterState.REJECTED)
    assert judge("RESPONSE", shape(tilt=0.4), [*history(*USUAL), *other]) != ""


def test_responses_are_compared_within_grism_slit_and_filter_whatever_the_window() -> None:
    (one,) = history(USUAL[0])
    assert comparable("RESPONSE", replace(SETUP, window=(1, 2148, 1, 2102), y_binning=1), one)
    for other in ({"grism": "Grism_#7"}, {"slit": "Slit_1.3"}, {"filter": ""}):
        assert not comparable("RESPONSE", replace(SETUP, **other), one)
    assert not comparable("BIAS", replace(SETUP, y_binning=1), one)
