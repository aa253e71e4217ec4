"""What is planned for a night."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate.catalogue import cones_of
from reducers.simulate.frames import simulate
from reducers.simulate.night import SCALES, plan_night
from reducers.simulate.pointing import point
from reducers.simulate.sky import distance_deg


def test_a_small_night_has_what_the_main_job_needs() -> None:
    kinds = Counter(exposure.kind for exposure in plan_night())
    assert kinds[FrameKind.BIAS] == 7
    assert kinds[FrameKind.SPEC_FLAT] == 5
    assert kinds[FrameKind.SPEC_STD] == 1
    assert kinds[FrameKind.SPEC_OBJECT] == 3
    assert kinds[FrameKind.ARC] == 5
    assert 24 <= sum(kinds.values()) <= 28


def test_a_small_night_has_one_slit_with_two_objects() -> None:
    science = [p for p in plan_night() if p.kind is FrameKind.SPEC_OBJECT]
    assert sorted(len(exposure.sources) for exposure in science) == [1, 1, 2]


@pytest.mark.parametrize("scale", SCALES)
def test_exposures_follow_one_another_within_one_night(scale: str) -> None:
    plan = plan_night(4, scale, night=date(2026, 1, 15))
    for before, after in itertools.pairwise(plan):
        assert after.start >= before.start + timedelta(seconds=before.exposure_s)
    assert plan[0].start > datetime(2026, 1, 15, 13, tzinfo=UTC)
    assert plan[-1].start < datetime(2026, 1, 16, 13, tzinfo=UTC)
    assert [p.number for p in plan] == list(range(1, len(plan) + 1))


@pytest.mark.parametrize("scale", SCALES)
def test_targets_stand_well_above_the_horizon(scale: str) -> None:
    for exposure in plan_night(2, scale):
        if exposure.ra_deg is not None and exposure.dec_deg is not None:
            place = point(exposure.ra_deg, exposure.dec_deg, exposure.start)
            assert place.altitude_deg > 25, exposure


def test_a_full_frame_is_as_large_as_the_detector() -> None:
    bias = next(p for p in plan_night(1, "full") if p.window == (1, 2148, 1, 2102))
    frame = simulate(bias, load_instrument("alfosc"))
    assert len(frame.content) == 18_080_640


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="'small', 'full'"):
        plan_night(1, "huge")


def test_a_night_of_images_has_flats_and_dithers_in_every_filter() -> None:
    plan = plan_night(1, "images")
    kinds = Counter((p.kind, p.filter[:1]) for p in plan if p.filter)
    for band in "gri":
        assert kinds[FrameKind.IMG_FLAT, band] == 3
        assert kinds[FrameKind.IMG_OBJECT, band] == 4
    places = {(p.ra_deg, p.dec_deg) for p in plan if p.object_name == "AT2026img"}
    assert len(places) == 3


def test_all_fields_of_a_night_lie_inside_the_cones_of_its_catalogues() -> None:
    plan = plan_night(1, "images")
    cones = cones_of(plan)
    assert len(cones) == 2
    for exposure in plan:
        if exposure.kind is FrameKind.IMG_OBJECT:
            assert exposure.ra_deg is not None
            assert exposure.dec_deg is not None
            near = [
                distance_deg(exposure.ra_deg, exposure.dec_deg, ra, dec) for _, ra, dec, _ in cones
            ]
            assert min(near) < 0.06
