"""What a frame or a master asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calibration_store.sets import set_key
from daemon.clock import next_twilight
from daemon.memory.records import PRIORITY_INGEST, PRIORITY_SCIENCE, FrameRecord, JobKind
from daemon.work.plan import (
    PRIORITY_UPGRADE,
    after_master,
    follow_up,
    groups_of,
    master_request,
    members_of,
    reduce_request,
)
from daemon.work.roles import needs, role_of, rule_of
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument

ALFOSC = load_instrument("alfosc")
EVENING = datetime(2020, 3, 20, 20, 0, tzinfo=UTC)
NOW = EVENING + timedelta(days=1)
TONIGHT = "2020-03-21"
SETUP = Setup(
    x_binning=1,
    y_binning=2,
    window=(851, 1250, 1, 2102),
    readout="D-8-200",
    grism="Grism_#4",
    slit="Slit_1.0",
)

IMAGE = replace(SETUP, grism="", slit="", y_binning=1, filter="r_SDSS")


def frame(number, kind, minutes=0.0, **changes):
    identity = Identity(
        instrument=ALFOSC.name,
        kind=kind,
        setup=SETUP,
        observed_at=EVENING + timedelta(minutes=minutes),
        exposure_s=1.0,
        aperture_y_px=1057.4,
        ra_deg=170.0,
        dec_deg=20.0,
    )
    return FrameRecord(
        id=number,
        stem=f"ALDc20{number:04d}",
        revision=1,
        sha256=f"{number:064x}",
        path=Path(f"/raw/ALDc20{number:04d}.fits"),
        night="2020-03-20",
        identity=replace(identity, **changes),
        ingested_at=NOW,
        arrived_at=NOW,
    )


def asked(frames, new=None, **how):
    """Ask as the task does: with the set of the new frame and the exposure before it."""
    new = new or frames[-1]
    role = role_of(new.identity, ALFOSC)
    key = set_key(new.identity, rule_of(role, ALFOSC)) if role else ""
    members = members_of(role, key, frames, ALFOSC) if role else []
    before = [f for f in frames if f.identity.observed_at < new.identity.observed_at]
    previous = max(before, key=lambda f: f.identity.observed_at, default=None)
    return follow_up(new, members, ALFOSC, NOW, previous=previous, **how)


def test_a_science_frame_of_tonight_is_reduced_at_once():
    (step,) = asked([replace(frame(1, FrameKind.SPEC_OBJECT), night=TONIGHT)])
    assert step.request.kind is JobKind.REDUCE
    assert (step.request.priority, step.request.not_before) == (PRIORITY_SCIENCE, NOW)


def test_of_a_night_that_is_over_masters_come_before_science_and_behind_all_of_tonight():
    (old,) = asked([frame(1, FrameKind.SPEC_OBJECT)])
    master = master_request("ARC", frame(2, FrameKind.ARC), ALFOSC, NOW)
    assert PRIORITY_SCIENCE < master.priority < old.request.priority


@pytest.mark.parametrize("role", ["BIAS", "FLAT", "ARC", "RESPONSE", "SKY_FLAT"])
def test_short_masters_of_tonight_come_before_the_science_that_needs_them(role):
    member = replace(frame(2, FrameKind.ARC), night=TONIGHT)
    assert PRIORITY_INGEST < master_request(role, member, ALFOSC, NOW).priority < PRIORITY_SCIENCE


@pytest.mark.parametrize("role", ["FRINGE", "STAR_FLAT"])
def test_masters_of_many_images_keep_no_science_waiting(role):
    member = replace(frame(2, FrameKind.IMG_OBJECT), night=TONIGHT)
    assert master_request(role, member, ALFOSC, NOW).priority > PRIORITY_SCIENCE


def test_without_provisional_products_science_waits_behind_its_calibrations():
    (step,) = asked([frame(1, FrameKind.SPEC_OBJECT)], provisional=False)
    assert step.request.priority == PRIORITY_UPGRADE


def test_a_standard_is_reduced_and_becomes_a_response():
    steps = asked([frame(1, FrameKind.SPEC_STD)])
    assert {step.request.kind for step in steps} == {JobKind.REDUCE, JobKind.MASTER}


@pytest.mark.parametrize("kind", [FrameKind.UNKNOWN, FrameKind.FLAT_TEST, FrameKind.SLITLESS])
def test_other_frames_ask_for_nothing(kind):
    assert asked([frame(1, kind)]) == []


@pytest.mark.parametrize("kind", [FrameKind.FOCUS, FrameKind.SLIT_IMAGE])
@pytest.mark.parametrize("provisional", [True, False])
def test_images_that_are_no_science_are_shown_and_not_reduced(kind, provisional):
    (step,) = asked([frame(1, kind)], provisional=provisional)
    assert step.request.kind is JobKind.LOOK


@pytest.mark.parametrize("kind", [FrameKind.IMG_OBJECT, FrameKind.ACQUISITION])
def test_an_image_is_shown_before_everything_else_and_then_calibrated(kind):
    steps = {step.request.kind: step.request for step in asked([frame(1, kind, setup=IMAGE)])}
    assert set(steps) == {JobKind.LOOK, JobKind.IMAGE}
    assert steps[JobKind.LOOK].priority < PRIORITY_INGEST < steps[JobKind.IMAGE].priority


def test_a_batch_looks_at_no_image_that_it_is_about_to_calibrate():
    (step,) = asked([frame(1, FrameKind.IMG_OBJECT, setup=IMAGE)], provisional=False)
    assert step.request.kind is JobKind.IMAGE


def test_only_images_through_a_filter_with_fringes_make_a_fringe_pattern():
    red = replace(IMAGE, filter="i_SDSS")
    exposures = [frame(n, FrameKind.IMG_OBJECT, n, setup=red) for n in range(1, 6)]
    (step,) = [s for s in asked(exposures) if s.request.kind is JobKind.MASTER]
    assert step.request.payload["role"] == "FRINGE"
    assert needs("IMAGE", red, ALFOSC) == ("BIAS", "DARK", "SKY_FLAT", "STAR_FLAT", "FRINGE")
    assert needs("IMAGE", IMAGE, ALFOSC) == ("BIAS", "DARK", "SKY_FLAT", "STAR_FLAT")


def test_a_new_sky_flat_concerns_images_and_no_spectra():
    night = [frame(1, FrameKind.SPEC_OBJECT), frame(2, FrameKind.IMG_OBJECT, setup=IMAGE)]
    (step,) = after_master("SKY_FLAT", night, ALFOSC, NOW)
    assert step.request.key == f"reduce:{night[1].sha256}"


def test_every_further_bias_puts_the_master_off_until_it_is_quiet():
    biases = [frame(n, FrameKind.BIAS, n) for n in range(1, 7)]
    (step,) = asked(biases)
    assert step.postpone
    quiet_s = ALFOSC.sets[FrameKind.BIAS].closes_after_s
    assert step.request.not_before == NOW + timedelta(seconds=quiet_s)
    (step,) = asked(biases, quiet_s=7.0)
    assert step.request.not_before == NOW + timedelta(seconds=7)


def test_the_last_declared_bias_builds_the_master_at_once():
    biases = [frame(n, FrameKind.BIAS, n, sequence=(n, 6)) for n in range(1, 7)]
    (step,) = asked(biases)
    assert not step.postpone
    assert step.request.not_before == NOW


def test_a_frame_of_another_set_up_closes_the_set_before_it():
    biases = [frame(n, FrameKind.BIAS, n) for n in range(1, 6)]
    flat = frame(9, FrameKind.SPEC_FLAT, 30.0)
    closing = [s for s in asked([*biases, flat]) if s.request.payload["role"] == "BIAS"]
    assert [s.request.not_before for s in closing] == [NOW]


def test_a_frame_taken_before_the_set_closes_nothing():
    biases = [frame(n, FrameKind.BIAS, n) for n in range(1, 6)]
    science = frame(9, FrameKind.SPEC_OBJECT, -30.0)
    assert {s.request.kind for s in asked([*biases, science])} == {JobKind.REDUCE}


def test_the_job_of_a_set_is_the_same_whichever_member_asked():
    biases = [frame(n, FrameKind.BIAS, n) for n in range(1, 6)]
    asked_for = {asked(biases, new)[0].request.key for new in biases}
    assert len(asked_for) == 1


def test_a_new_bias_makes_flats_arcs_and_spectra_look_again():
    night = [
        frame(1, FrameKind.SPEC_FLAT),
        frame(2, FrameKind.ARC),
        frame(3, FrameKind.SPEC_OBJECT),
        frame(4, FrameKind.BIAS),
    ]
    steps = after_master("BIAS", night, ALFOSC, NOW)
    assert [step.request.payload.get("role", "reduce") for step in steps] == [
        "FLAT",
        "ARC",
        "reduce",
    ]


def test_a_new_response_makes_only_spectra_look_again():
    night = [frame(2, FrameKind.ARC), frame(3, FrameKind.SPEC_OBJECT), frame(4, FrameKind.SPEC_STD)]
    steps = after_master("RESPONSE", night, ALFOSC, NOW)
    assert {step.request.kind for step in steps} == {JobKind.REDUCE}
    assert len(steps) == 2


def test_helium_then_neon_are_one_arc_and_the_next_visit_is_another():
    arcs = [
        frame(1, FrameKind.ARC, 0, lamps=("He",)),
        frame(2, FrameKind.ARC, 1, lamps=("Ne",)),
        frame(3, FrameKind.ARC, 60, lamps=("He",)),
        frame(4, FrameKind.ARC, 61, lamps=("Ne",)),
    ]
    assert groups_of("ARC", arcs) == [tuple(arcs[:2]), tuple(arcs[2:])]


@pytest.mark.parametrize(
    "change",
    [{"aperture_y_px": 1043.3}, {"ra_deg": 10.0}, {"lamps": ("He",)}],
    ids=["slit moved", "another pointing", "the same lamp again"],
)
def test_an_arc_is_its_own_when(change):
    first = frame(1, FrameKind.ARC, 0, lamps=("He",))
    second = frame(2, FrameKind.ARC, 1, **{"lamps": ("Ne",), **change})
    assert len(groups_of("ARC", [first, second])) == 2


def test_every_standard_is_its_own_response():
    stars = [frame(1, FrameKind.SPEC_STD), frame(2, FrameKind.SPEC_STD, 1)]
    assert groups_of("RESPONSE", stars) == [(stars[0],), (stars[1],)]


def test_members_of_a_set_come_in_the_order_they_were_taken_whatever_their_arrival():
    biases = [frame(n, FrameKind.BIAS, -n) for n in range(1, 4)]
    other = frame(9, FrameKind.BIAS, setup=replace(SETUP, y_binning=1))
    key = asked(biases)[0].request.payload["set_key"]
    found = members_of("BIAS", key, [*biases, other], ALFOSC)
    assert [item.id for item in found] == [3, 2, 1]


def test_a_redo_folds_into_the_waiting_look_of_the_same_frame():
    own = frame(1, FrameKind.SPEC_OBJECT)
    look = reduce_request(own, priority=PRIORITY_UPGRADE, now=NOW)
    redo = reduce_request(own, priority=PRIORITY_SCIENCE, now=NOW, redo={"user": "eva"})
    assert look.key == redo.key
    assert redo.payload["redo"] == {"user": "eva"}


def test_a_set_waits_for_quiet_but_not_beyond_its_twilight():
    dusk = next_twilight(NOW, ALFOSC)
    biases = [frame(number, FrameKind.BIAS, minutes=number) for number in range(1, 7)]
    for before_s, wait_s in ((600.0, 120.0), (30.0, 30.0)):
        now = dusk - timedelta(seconds=before_s)
        (step,) = follow_up(biases[-1], biases, ALFOSC, now)
        assert step.request.not_before == now + timedelta(seconds=wait_s)


def test_a_frame_that_comes_after_twilight_opens_its_set_again():
    late = next_twilight(NOW, ALFOSC) + timedelta(seconds=10)
    biases = [frame(number, FrameKind.BIAS, minutes=number) for number in range(1, 8)]
    (step,) = follow_up(biases[-1], biases, ALFOSC, late)
    assert step.request.not_before == late + timedelta(seconds=120)
    assert step.postpone


def test_a_fringe_pattern_takes_a_dozen_exposures_from_the_whole_night():
    red = replace(IMAGE, filter="i_SDSS")
    exposures = [frame(n, FrameKind.IMG_OBJECT, n, setup=red) for n in range(40)]
    (group,) = groups_of("FRINGE", exposures)
    assert len(group) == len({item.id for item in group}) == 12
    assert (group[0], group[-1]) == (exposures[0], exposures[-1])
    assert groups_of("FRINGE", exposures[:5]) == [tuple(exposures[:5])]
