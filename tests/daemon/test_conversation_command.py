"""A reply is a command only if every word of it is understood."""

from __future__ import annotations

import pytest

from daemon.conversation.command import Command, NotUnderstood, command_in

STEMS = ("ALDc200205", "ALDc200206")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("accept", Command(verb="accept")),
        ("  Accept! aldc200205 ", Command(verb="accept", stem="ALDc200205")),
        ("reject trailing", Command(verb="reject", remark="trailing")),
        (
            "reject ALDc200206: star off slit",
            Command(verb="reject", stem="ALDc200206", remark="star off slit"),
        ),
        ("redo", Command(verb="redo")),
        (
            "redo center=+12 aperture=8",
            Command(verb="redo", settings={"aperture_px": 8.0}, centre_moves_px=12.0),
        ),
        (
            "redo ALDc200205 center=145.5 background=90:120,180:210 method=boxcar keep-cosmics",
            Command(
                verb="redo",
                stem="ALDc200205",
                settings={
                    "centroid_px": 145.5,
                    "background_px": ((90.0, 120.0), (180.0, 210.0)),
                    "method": "boxcar",
                    "clean_cosmics": False,
                },
            ),
        ),
    ],
)
def test_what_people_write_is_read(text: str, wanted: Command) -> None:
    assert command_in(text, STEMS) == wanted


@pytest.mark.parametrize(
    "text", ["nice spectrum!", "", "I would accept this", "why was it redone?", "acceptable"]
)
def test_what_people_say_to_each_other_is_left_alone(text: str) -> None:
    assert command_in(text, STEMS) is None


@pytest.mark.parametrize(
    "text",
    [
        "redo center=../../etc/passwd",
        "redo ../ALDc200205 center=12",
        "redo center=1e400",
        "redo center=nan",
        "redo center=+inf",
        "redo center=12;rm",
        "redo center",
        "redo center=+12 center=145",
        "redo aperture=0",
        "redo aperture=-3",
        "redo region=120:90",
        "redo background=" + ",".join(["1:2"] * 20),
        "redo method=magic",
        "redo calibration=BIAS=/etc/shadow",
        "redo exclude=ALDc200201",
        "redo clean_cosmics=false",
        "redo center=١٢",
        "redo center=12 and please quickly",
        "accept ALDc999999",
        "accept the first one",
        "reject " + "x" * 600,
    ],
)
def test_what_begins_like_a_command_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        command_in(text, STEMS)
    assert len(str(refusal.value)) < 600
    assert "shadow" not in str(refusal.value)[60:]
