"""Which images are stacked is said with reasons, and a person has the last word."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from reducers.errors import BadStackList
from reducers.imaging.stack_list import format_list, parse_list
from reducers.imaging.stack_members import Choice, Member, StackSettings, choose


def good(name: str, **changes: Any) -> Member:
    member = Member(
        name=name,
        exposure_s=120.0,
        filter="r",
        seeing_arcsec=1.0,
        ellipticity=0.05,
        zero_point_mag=25.5,
        sky_e=500.0,
        sky_sigma_e=23.0,
        position_rms_arcsec=0.03,
    )
    return replace(member, **changes)


def with_two_others(**changes: Any) -> Choice:
    (choice, *_) = choose([good("odd", **changes), good("a"), good("b")])
    return choice


def test_good_images_are_all_used_with_weights_that_add_up_to_one() -> None:
    choices = choose([good("a"), good("b"), good("c")])
    assert all(choice.use and not choice.reason for choice in choices)
    assert sum(choice.weight for choice in choices) == pytest.approx(1)
    assert [choice.scale for choice in choices] == pytest.approx([1 / 120] * 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"placed": False}, "no stars confirm its place"),
        ({"seeing_arcsec": 1.8}, 'seeing 1.80", the others 1.00"'),
        ({"zero_point_mag": 24.0}, "1.50 mag"),
        ({"sky_e": 5000.0}, "10.0 times as bright"),
        ({"ellipticity": 0.5}, "drawn out"),
        ({"quality": 4}, "quality is 4"),
        ({"position_rms_arcsec": 0.4}, "scatter by 0.40"),
        ({"exposure_s": 0.0}, "exposure time"),
        ({"why_not": "the file cannot be read"}, "cannot be read"),
    ],
)
def test_a_bad_image_is_left_out_with_its_reason(changes: dict[str, object], words: str) -> None:
    choice = with_two_others(**changes)
    assert not choice.use
    assert choice.weight == 0
    assert words in choice.reason


def test_what_was_not_measured_excludes_nothing() -> None:
    choice = with_two_others(
        seeing_arcsec=math.nan, ellipticity=math.nan, zero_point_mag=math.nan, sky_e=math.nan,
        sky_sigma_e=math.nan, position_rms_arcsec=math.nan,
    )  # fmt: skip
    assert choice.use
    assert choice.weight == pytest.approx(1 / 3)


def test_a_single_image_is_a_stack() -> None:
    (choice,) = choose([good("a")])
    assert choice.use
    assert choice.weight == 1


def test_weights_follow_exposure_sky_and_cloud() -> None:
    # Four times the time at the same sky rate: noise per second is half.
    long, short = choose([good("long", exposure_s=480.0, sky_e=2000, sky_sigma_e=46), good("a")])
    assert long.weight / short.weight == pytest.approx(4)
    dim, clear = choose([good("dim", zero_point_mag=25.0), good("a")])
    assert dim.scale / clear.scale == pytest.approx(10**0.2)
    assert clear.weight / dim.weight == pytest.approx(10**0.4)


def test_seeing_and_equality_may_decide_the_weights() -> None:
    members = [good("sharp", seeing_arcsec=0.8), good("b", seeing_arcsec=1.1)]
    sharp, wide = choose(members, StackSettings(weights="stars"))
    assert sharp.weight / wide.weight == pytest.approx((1.1 / 0.8) ** 2)
    members = [good("long", exposure_s=480.0, sky_sigma_e=46), good("b")]
    assert choose(members, StackSettings(weights="equal"))[0].weight == pytest.approx(0.5)


def test_transparency_from_common_stars_counts_before_zero_points() -> None:
    dim, clear = choose([good("dim"), good("b")], transparency={"dim": 0.5, "b": 1.0})
    assert dim.scale / clear.scale == pytest.approx(2)


def test_a_person_has_the_last_word_but_not_on_what_is_impossible() -> None:
    members = [
        good("a"),
        good("b"),
        good("wide", seeing_arcsec=3.0),
        good("broken", why_not="the file cannot be read"),
    ]
    wanted = {"a": False, "wide": True, "broken": True}
    a, b, wide, broken = choose(members, wanted=wanted, weights={"b": 1.0, "wide": 3.0})
    assert (a.use, a.reason) == (False, "taken out by hand")
    assert (b.weight, wide.weight) == pytest.approx((0.25, 0.75))
    assert not broken.use


def test_a_list_is_read_as_it_was_written() -> None:
    choices = choose(
        [good("a"), good("image_b", seeing_arcsec=5.0), good("c", seeing_arcsec=math.nan)]
    )
    text = format_list(choices)
    listed = parse_list(text)
    assert [(one.name, one.use) for one in listed] == [("a", True), ("image_b", False), ("c", True)]
    assert listed[0].weight == pytest.approx(0.5, abs=1e-3)
    assert listed[1].weight is None
    assert 'seeing 5.00"' in text
    assert all(len(line) < 160 for line in text.splitlines())


def test_an_edited_list_is_obeyed() -> None:
    text = format_list(choose([good("a"), good("b")]))
    edited = text.replace("yes  0.5000   a", "no   -        a")
    assert edited != text
    assert [one.use for one in parse_list(edited)] == [False, True]
    assert parse_list("yes - a  # my favourite\n# no - b\n")[0].name == "a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no image"),
        ("yes 1.0\n", "line 1 needs"),
        ("maybe 1.0 a\n", "line 1 begins with 'maybe'"),
        ("# head\nyes heavy a\n", "line 2 has the weight 'heavy'"),
        ("yes -1 a\n", "weight '-1'"),
        ("yes - a\nno - a\n", "line 2 lists a a second time"),
    ],
)
def test_a_list_that_cannot_be_understood_says_where(text: str, words: str) -> None:
    with pytest.raises(BadStackList, match=words):
        parse_list(text)
