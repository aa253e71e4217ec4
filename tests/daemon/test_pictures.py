"""A picture is written whole with its facts, or not at all; a disk that is full is heard of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from calibration_store.policy import Selection
from daemon.publish.page import Picture
from daemon.work.pictures import notes_of, remove_picture, save_picture
from reducers.errors import NoOverscan

if TYPE_CHECKING:
    from pathlib import Path


def drawn() -> Picture:
    return Picture(png=b"a picture", json=b'{"kind": "bias"}')


def test_a_picture_lands_with_its_facts_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "verify_ALDc200205_SN1.5.png"
    assert save_picture(path, drawn)
    assert path.read_bytes() == b"a picture"
    assert json.loads((tmp_path / "plots" / "verify_ALDc200205_SN1.5.json").read_text())


@pytest.mark.parametrize("error", [ValueError("odd"), NoOverscan("none"), KeyError("OBJ2")])
def test_what_cannot_be_drawn_leaves_no_file_and_stops_nothing(
    tmp_path: Path, error: Exception
) -> None:
    def broken() -> Picture:
        raise error

    assert not save_picture(tmp_path / "a.png", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_not_mistaken_for_an_odd_number(tmp_path: Path) -> None:
    def full() -> Picture:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        save_picture(tmp_path / "a.png", full)


def test_a_picture_that_is_no_longer_true_goes_with_its_facts(tmp_path: Path) -> None:
    save_picture(tmp_path / "failed_arc_a.png", drawn)
    remove_picture(tmp_path / "failed_arc_a.png")
    remove_picture(tmp_path / "failed_arc_a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_plot_names_a_missing_flat_but_no_master_that_nobody_has_to_take() -> None:
    missing = [
        Selection(role=role, master=None, rung="", reason="there is no master that fits")
        for role in ("FLAT", "ILLUMINATION")
    ]
    assert notes_of(missing) == ["FLAT none, there is no master that fits"]
