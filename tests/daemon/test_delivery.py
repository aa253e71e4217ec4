"""Every way a file can come to be in a directory, step by step."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from daemon.cli.simulate import add_parser, truth_folder, write_night
from daemon.delivery import FAITHFUL, Style, deliver, delivery_steps

if TYPE_CHECKING:
    from pathlib import Path

CARDS = f"{'SIMPLE  =                    T':<80}{'OBSERVER= ' + repr('A. Observer'):<80}"
CONTENT = (CARDS.ljust(2880) + "x" * 2880 * 9).encode()


def drawn(folder: Path, style: Style) -> tuple[list[list[str]], Path]:
    """Run all steps; return what was visible in the watched directory after each one."""
    watched = folder / "raw"
    watched.mkdir()
    seen: list[list[str]] = []
    for _ in delivery_steps("ALJa150001.fits", CONTENT, watched, style, folder / "staging"):
        seen.append(sorted(path.name for path in watched.iterdir()))
    seen.append(sorted(path.name for path in watched.iterdir()))
    return seen, watched / "ALJa150001.fits"


@pytest.mark.parametrize("style", FAITHFUL)
def test_a_faithful_style_ends_with_the_whole_file_alone(tmp_path: Path, style: Style) -> None:
    seen, target = drawn(tmp_path, style)
    assert seen[-1] == ["ALJa150001.fits"]
    assert target.read_bytes() == CONTENT


def test_a_slow_write_grows_under_its_final_name(tmp_path: Path) -> None:
    sizes = []
    steps = delivery_steps("a.fits", CONTENT, tmp_path, Style.SLOW, tmp_path / "staging")
    for _ in steps:
        sizes.append((tmp_path / "a.fits").stat().st_size)
    assert sizes == sorted(set(sizes))
    assert len(sizes) >= 3
    assert sizes[-1] < len(CONTENT)


def test_a_renamed_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    seen, _ = drawn(tmp_path, Style.RENAMED)
    assert all(names == ["ALJa150001.fits.tmp"] for names in seen[:-1])


def test_rsync_hides_the_file_under_a_dotted_name_first(tmp_path: Path) -> None:
    seen, _ = drawn(tmp_path, Style.RSYNC)
    name = seen[0][0]
    assert name.startswith(".ALJa150001.fits.")
    assert len(name) == len(".ALJa150001.fits.") + 6


def test_a_file_moved_in_is_never_seen_growing(tmp_path: Path) -> None:
    seen, _ = drawn(tmp_path, Style.MOVED_IN)
    assert all(not names for names in seen[:-1])


def test_a_linked_file_is_the_same_file(tmp_path: Path) -> None:
    _, target = drawn(tmp_path, Style.LINKED)
    assert target.stat().st_ino == (tmp_path / "staging" / target.name).stat().st_ino


def test_an_edited_file_keeps_its_size_and_its_pixels(tmp_path: Path) -> None:
    _, target = drawn(tmp_path, Style.EDITED)
    assert target.stat().st_size == len(CONTENT)
    assert target.read_bytes()[2880:] == CONTENT[2880:]
    assert b"Corrected later" in target.read_bytes()[:2880]


def test_a_file_never_completed_stays_short(tmp_path: Path) -> None:
    _, target = drawn(tmp_path, Style.NEVER_COMPLETED)
    assert 2880 <= target.stat().st_size < len(CONTENT)
    assert target.stat().st_size % 2880 == 0


def test_a_slow_delivery_does_not_hold_up_the_next_frame(tmp_path: Path) -> None:
    slept: list[float] = []
    styles = {"a.fits": Style.TRUNCATED, "b.fits": Style.WHOLE}
    arrived: list[str] = []
    begun = deliver(
        [("a.fits", CONTENT), ("b.fits", CONTENT)],
        tmp_path / "raw",
        style_of=styles.__getitem__,
        staging=tmp_path / "staging",
        pace_s=1.0,
        sleep=slept.append,
        report=lambda name, _: arrived.append(name),
    )
    assert begun == 2
    assert arrived == ["a.fits", "b.fits"]
    # One second of pace, then the rest of the five that the cut-off file waits.
    assert slept == [1.0, 4.0]
    assert (tmp_path / "raw" / "a.fits").read_bytes() == CONTENT


def test_the_truth_never_lands_in_the_watched_directory(tmp_path: Path) -> None:
    into = tmp_path / "raw"
    count = write_night(into, sleep=lambda _: None)
    assert sorted(path.suffix for path in into.iterdir()) == [".fits"] * count
    truths = {path.stem for path in truth_folder(into).glob("*.json")}
    assert truths == {path.stem for path in into.iterdir()}


def test_the_command_is_understood(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(
        ["simulate", "--into", str(tmp_path), "--style", "mixed", "--order", "reversed"]
    )
    assert args.into == tmp_path
    assert args.style == "mixed"
    assert args.scale == "small"
