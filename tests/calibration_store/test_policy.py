"""Which master fits a frame, when a set is complete, and the reasons."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration_store.judgement import judge
from calibration_store.policy import choose
from calibration_store.records import MasterRecord, MasterState
from calibration_store.sets import is_complete, set_key
from reducers.identity import FrameKind, Identity, Setup
from reducers.instrument import SetRule

NIGHT = "2020-03-20"
MIDNIGHT = datetime(2020, 3, 21, 0, 0, tzinfo=UTC)
SETUP = Setup(
    x_binning=1,
    y_binning=2,
    window=(851, 1250, 1, 2102),
    readout="D-8-200",
    grism="Grism_#4",
    slit="Slit_1.0",
)


def rule(kind=FrameKind.BIAS, same=("detector",), at_least=5, within_days=14.0):
    return SetRule(
        kind=kind, same=same, at_least=at_least, closes_after_s=120.0, within_days=within_days
    )


def frame(hours=0.0, **changes):
    known = {
        "instrument": "ALFOSC",
        "kind": FrameKind.SPEC_OBJECT,
        "setup": SETUP,
        "observed_at": MIDNIGHT + timedelta(hours=hours),
        "exposure_s": 1000.0,
        "aperture_y_px": 1057.4,
        "ra_deg": 170.0,
        "dec_deg": 20.0,
    }
    return Identity(**{**known, **changes})


def master(key, role="BIAS", hours=0.0, **changes):
    when = MIDNIGHT + timedelta(hours=hours)
    known = {
        "key": key,
        "instrument": "ALFOSC",
        "role": role,
        "setup": SETUP,
        "set_key": "",
        "night": (when - timedelta(hours=12)).date().isoformat(),
        "observed_at": when,
        "built_at": when,
        "path": Path("master.fits"),
        "version": 1,
    }
    return MasterRecord(**{**known, **changes})


def chosen(role, candidates, own=None, **changes):
    return choose(role, own or frame(), NIGHT, candidates, rule(**changes))


def reasons(selection):
    return dict(selection.rejected)


def test_biases_of_one_binning_window_and_readout_are_one_set_whatever_the_slit():
    other_slit = frame(setup=replace(SETUP, slit="", grism=""))
    other_binning = frame(setup=replace(SETUP, y_binning=1))
    assert set_key(frame(), rule()) == set_key(other_slit, rule())
    assert set_key(frame(), rule()) != set_key(other_binning, rule())


def test_flats_of_another_slit_are_another_set():
    flats = rule(same=("detector", "grism", "slit"))
    assert set_key(frame(), flats) != set_key(frame(setup=replace(SETUP, slit="Slit_1.3")), flats)


def test_a_set_is_complete_when_its_declared_number_is_there():
    members = [frame(sequence=(number, 5)) for number in range(1, 6)]
    assert is_complete(members, rule(), quiet_s=0.0).complete
    assert not is_complete([*members[:4], frame(sequence=(4, 11))], rule(), quiet_s=0.0).complete


def test_a_set_is_complete_when_the_set_up_was_changed_or_it_was_quiet():
    members = [frame()] * 7
    assert is_complete(members, rule(), quiet_s=0.0, followed=True).complete
    assert is_complete(members, rule(), quiet_s=120.0).complete
    waits = is_complete(members, rule(), quiet_s=50.0)
    assert (waits.complete, waits.due_at_s) == (False, 70.0)


def test_a_set_closes_at_its_twilight_though_it_is_neither_quiet_nor_counted():
    members = [frame(sequence=(number, 11)) for number in range(1, 7)]
    at_dusk = is_complete(members, rule(), quiet_s=5.0, twilight_in_s=0.0)
    assert (at_dusk.complete, at_dusk.reason) == (True, "its twilight is over")
    before = is_complete(members, rule(), quiet_s=5.0, twilight_in_s=40.0)
    assert (before.complete, before.due_at_s) == (False, 40.0)
    assert is_complete(members, rule(), quiet_s=5.0, twilight_in_s=4e4).due_at_s == 115.0
    assert not is_complete(members[:4], rule(), quiet_s=5.0, twilight_in_s=0.0).complete


def test_too_few_frames_are_never_a_set_however_long_it_was_quiet():
    state = is_complete([frame()] * 4, rule(), quiet_s=1e9, followed=True)
    assert not state.complete
    assert state.reason == "4 of at least 5 frames"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"y_binning": 1}, "y binning 1, not 2"),
        ({"readout": "D-8-100"}, "readout D-8-100, not D-8-200"),
        ({"window": (1, 2148, 1, 2102)}, "window [1:2148, 1:2102], not [851:1250, 1:2102]"),
    ],
)
def test_a_bias_of_another_detector_set_up_is_never_used(change, reason):
    selection = chosen("BIAS", [master("a", setup=replace(SETUP, **change))])
    assert selection.master is None
    assert reasons(selection) == {"a": reason}


def test_a_bias_serves_every_grism_but_a_flat_only_its_own():
    other = replace(SETUP, grism="Grism_#7")
    assert chosen("BIAS", [master("a", setup=other)]).master is not None
    assert reasons(chosen("FLAT", [master("a", "FLAT", setup=other)])) == {
        "a": "grism Grism_#7, not Grism_#4"
    }


def test_the_nearest_in_time_is_chosen_and_the_others_are_told_why():
    selection = chosen("BIAS", [master("far", hours=-8.0), master("near", hours=6.0)])
    assert selection.master.key == "near"
    assert selection.reason == "same night, 6.0 h away"
    assert reasons(selection) == {"far": "8.0 h away; the chosen one is 6.0 h away"}


def test_a_master_of_the_same_night_beats_a_nearer_one_of_the_next():
    evening = frame(hours=11.0)
    same = master("same", hours=-9.0)
    selection = chosen("BIAS", [same, master("next", hours=14.0)], evening)
    assert selection.master is same
    assert not selection.borrowed
    assert reasons(selection) == {"next": "of another night (2020-03-21)"}


def test_a_borrowed_master_is_said_to_be_borrowed():
    selection = chosen("BIAS", [master("old", hours=-72.0)])
    assert selection.borrowed
    assert selection.rung == "within 14 days"
    assert selection.age_h == pytest.approx(72.0)


def test_a_master_beyond_its_age_limit_is_not_used():
    selection = chosen("BIAS", [master("old", hours=-24 * 15.0)])
    assert selection.master is None
    assert reasons(selection) == {"old": "15.0 d away, limit 14 d"}


def test_rejected_banned_and_superseded_masters_are_not_used_and_say_so():
    selection = chosen(
        "BIAS",
        [
            master("a", state=MasterState.REJECTED, reason="light leak"),
            master("b", state=MasterState.BANNED, reason="by hand"),
            master("c", state=MasterState.SUPERSEDED),
        ],
    )
    assert selection.master is None
    assert reasons(selection) == {
        "a": "rejected: light leak",
        "b": "banned: by hand",
        "c": "superseded by a later version",
    }


def arc(key, hours, aperture=1057.4, ra=170.0):
    where = {"ra_deg": ra, "dec_deg": 20.0}
    return master(key, "ARC", hours, aperture_y_px=aperture, measurements=where)


def test_the_arc_on_the_object_beats_a_nearer_one_elsewhere():
    selection = chosen("ARC", [arc("on", 1.0), arc("elsewhere", 0.5, ra=10.0)])
    assert selection.master.key == "on"
    assert selection.rung == "on the object, slit unmoved"
    assert reasons(selection) == {"elsewhere": "not taken on the object"}


def test_an_arc_before_the_slit_moved_is_the_second_choice_even_when_nearer():
    selection = chosen("ARC", [arc("moved", 0.2, aperture=1043.3), arc("unmoved", 5.0)])
    assert selection.master.key == "unmoved"
    assert "slit moved" in reasons(selection)["moved"]


def test_an_arc_of_another_binning_still_serves_since_it_is_in_unbinned_pixels():
    other = replace(arc("a", 1.0), setup=replace(SETUP, y_binning=1))
    assert chosen("ARC", [other]).master is other


def test_an_arc_through_another_slit_is_the_last_choice_and_says_so():
    other = replace(arc("wide", 0.2, aperture=1050.0), setup=replace(SETUP, slit="Slit_5.0"))
    selection = chosen("ARC", [other, arc("same", -100.0, aperture=None)])
    assert selection.master.key == "same"
    assert not selection.other_slit
    assert reasons(selection) == {"wide": "slit Slit_5.0, not Slit_1.0"}
    alone = chosen("ARC", [other])
    assert alone.rung == "same night, another slit"
    assert alone.other_slit


def test_an_arc_along_the_other_axis_is_never_used():
    other = replace(arc("vertical", 0.2), setup=replace(SETUP, slit="Vert_1.0"))
    selection = chosen("ARC", [other])
    assert selection.master is None
    assert reasons(selection) == {"vertical": "dispersion along x, not y"}


def test_a_response_through_the_same_slit_is_preferred_to_a_wide_one():
    wide = master("wide", "RESPONSE", 0.5, setup=replace(SETUP, slit="Slit_5.0"))
    same = master("same", "RESPONSE", 5.0)
    selection = chosen("RESPONSE", [wide, same])
    assert selection.master is same
    assert reasons(selection) == {"wide": "slit Slit_5.0, not Slit_1.0"}
    assert chosen("RESPONSE", [wide]).rung == "same night, another slit"


def test_without_any_candidate_the_answer_says_so():
    selection = chosen("BIAS", [])
    assert (selection.master, selection.reason) == (None, "there is no master that fits")


masters = st.lists(
    st.builds(
        lambda number, hours, role_setup, state, aperture: master(
            f"m{number}", "ARC", hours, setup=role_setup, state=state, aperture_y_px=aperture
        ),
        st.integers(0, 10**6),
        st.floats(-500, 500),
        st.sampled_from([SETUP, replace(SETUP, slit="Slit_1.3"), replace(SETUP, y_binning=1)]),
        st.sampled_from(list(MasterState)),
        st.sampled_from([None, 1057.4, 1043.3]),
    ),
    max_size=8,
    unique_by=lambda item: item.key,
)


@given(masters, st.randoms(use_true_random=False), st.sampled_from([None, MIDNIGHT]))
def test_the_choice_does_not_depend_on_order_and_every_other_has_a_reason(given_, shuffler, when):
    own = frame(observed_at=when)
    first = chosen("ARC", given_, own)
    shuffled = list(given_)
    random.Random(shuffler.random()).shuffle(shuffled)
    second = chosen("ARC", shuffled, own)
    assert first == second
    left_over = {item.key for item in given_} - {first.master.key if first.master else ""}
    assert set(reasons(first)) == left_over
    assert all(reasons(first).values())


def previous(*levels):
    return [
        master(str(number), measurements={"level_adu": level, "read_noise_adu": 32.0})
        for number, level in enumerate(levels)
    ]


def test_a_master_far_from_the_previous_ones_is_refused_with_both_numbers():
    verdict = judge("BIAS", {"level_adu": 900.0}, previous(100.0, 102.0, 98.0))
    assert verdict.startswith("level adu is 900; the previous 3 had 100")
    assert judge("BIAS", {"level_adu": 110.0}, previous(100.0, 102.0, 98.0)) == ""


def test_noise_three_times_the_usual_is_refused_and_less_noise_is_welcome():
    assert "read noise" in judge("BIAS", {"read_noise_adu": 96.0}, previous(1.0, 1.0))
    assert judge("BIAS", {"read_noise_adu": 10.0}, previous(1.0, 1.0)) == ""


def test_a_number_that_is_no_number_is_refused_and_a_first_master_is_believed():
    assert judge("BIAS", {"level_adu": float("nan")}, previous(1.0, 1.0)) != ""
    assert judge("BIAS", {"level_adu": 900.0}, previous(100.0)) == ""


def test_refused_masters_are_no_yardstick():
    refused = [replace(item, state=MasterState.REJECTED) for item in previous(900.0, 900.0)]
    assert judge("BIAS", {"level_adu": 900.0}, [*refused, *previous(100.0, 101.0)]) != ""


def test_without_a_standard_of_the_night_the_responses_beside_the_nearest_make_a_median():
    old = [master(f"m{n}", "RESPONSE", -30.0 - 24 * n, night=f"n{n}") for n in range(7)]
    wide = master("wide", "RESPONSE", -26.0, night="n", setup=replace(SETUP, slit="Slit_5.0"))
    selection = chosen("RESPONSE", [*old, wide])
    assert (selection.master.key, selection.borrowed) == ("m0", True)
    assert [each.key for each in selection.companions] == ["m1", "m2", "m3", "m4"]
    assert "median of 5" in selection.reason
    own = master("own", "RESPONSE", 2.0, night=NIGHT)
    assert chosen("RESPONSE", [*old, own]).companions == ()
    assert chosen("BIAS", [master("a", night="x"), master("b", night="y")]).companions == ()


def test_a_response_behind_the_same_filter_comes_before_one_of_the_night():
    bare = master("bare", "RESPONSE", 0.5, night=NIGHT, setup=replace(SETUP, filter="GG475"))
    same = master("same", "RESPONSE", -50.0, night="x")
    selection = chosen("RESPONSE", [bare, same])
    assert selection.master.key == "same"
    assert "filter GG475, not" in reasons(selection)["bare"]
    assert chosen("RESPONSE", [bare]).rung == "same night, another filter"
