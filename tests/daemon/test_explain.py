"""`why`, `what-if`, `show`, `ls`, `cal`, `set-type` and `quarantine` as people type them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from calibration_store.history import standing_at
from calibration_store.records import MasterState
from daemon.cli.main import main
from daemon.cli.what_if import time_utc
from daemon.memory.records import Choice, FileState, JobState
from daemon.publish.explanation import choice_lines
from daemon.publish.pfc import pfc_text, read_pfc
from daemon.work.plan import reduce_request
from daemon.work.redo import Redo
from reducers.identity import FrameKind
from tests.daemon.hall import ARC, BIASES, NOON, SCIENCE, Hall, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

GONE = "the raw file ALJa150017.fits is no longer there"
STEM = SCIENCE.removesuffix(".fits")


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return simulated()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]) -> Iterator[Hall]:
    """A night that tests only look at: biases, an arc and a spectrum, no flat, no standard."""
    hall = Hall(tmp_path_factory.mktemp("seen"), contents)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    yield hall
    hall.bench.engine.dispose()


@pytest.fixture
def hall(tmp_path: Path, contents: dict[str, bytes]) -> Iterator[Hall]:
    """A night that a test may change."""
    hall = Hall(tmp_path, contents)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    yield hall
    hall.bench.engine.dispose()


@pytest.fixture
def type_in(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(hall: Hall, *words: str) -> tuple[int, str, str]:
        code = main([*words, "--root", str(hall.bench.config.root)])
        said = capsys.readouterr()
        # The command goes by the real time; the hall is told that it has come.
        real_s = (datetime.now(UTC) - NOON).total_seconds()
        hall.clock.seconds = max(hall.clock.seconds, real_s)
        return code, said.out, said.err

    return run


def bias_of(hall: Hall) -> str:
    """Return the name of the bias that the spectrum was reduced with."""
    keys = {choice.role: choice.master_key for choice in hall.product().choices}
    return hall.bench.store.get(keys["BIAS"]).path.stem


def test_why_names_every_role_with_its_reason_and_every_flag_with_its_limit(
    seen: Hall, type_in: Run
) -> None:
    code, said, _ = type_in(seen, "why", STEM)
    assert code == 0
    for choice in seen.product().choices:
        assert f"{choice.role} " in said
        assert choice.reason in " ".join(said.split())
    for flag in seen.product().flags:
        assert f"{flag.name}  quality {flag.quality}" in said
    assert bias_of(seen) in said
    assert "do: " in said


def test_many_masters_that_fail_for_one_reason_share_a_line() -> None:
    alike = tuple((f"key{n}", "grism Grism_#4, not Grism_#7") for n in range(40))
    choice = Choice(
        role="ARC", master_key="", rung="none", reason="none fits",
        rejected=(*alike, ("other", "banned: light leak")),
    )  # fmt: skip
    said = "\n".join(choice_lines([choice], {}))
    assert "not key0 and 39 others: grism Grism_#4, not Grism_#7" in said
    assert "not other: banned: light leak" in said
    assert len(said.splitlines()) == 4


def test_why_of_a_bias_names_the_master_it_is_in(seen: Hall, type_in: Run) -> None:
    code, said, _ = type_in(seen, "why", BIASES[0])
    assert (code, bias_of(seen) in said) == (0, True)
    assert "a frame of kind BIAS has none of its own" in said


def test_why_of_a_file_that_is_no_frame_tells_how_it_ended(seen: Hall, type_in: Run) -> None:
    seen.put("ALJa159999.fits", content=b"no FITS at all")
    code, said, _ = type_in(seen, "why", "ALJa159999")
    assert (code, "quarantined" in said) == (0, True)


def test_a_frame_nobody_knows_is_refused_with_the_nearest_names(seen: Hall, type_in: Run) -> None:
    code, _, said = type_in(seen, "why", "ALJa150071")
    assert (code, "nearest: " in said) == (2, True)


def test_what_if_shows_the_change_and_changes_nothing(seen: Hall, type_in: Run) -> None:
    before = seen.product()
    code, said, _ = type_in(seen, "what-if", STEM, "--ban", bias_of(seen))
    assert (code, f"{bias_of(seen)} -> none" in said) == (0, True)
    assert "left out by what-if" in " ".join(said.split())
    assert seen.product() == before
    assert seen.bench.queue.unfinished() == 0


def test_what_if_before_any_master_was_built_finds_none(seen: Hall, type_in: Run) -> None:
    _, said, _ = type_in(seen, "what-if", STEM, "--at", "2026-11-21T12:00")
    assert f"{bias_of(seen)} -> none" in said
    _, said, _ = type_in(seen, "what-if", STEM, "--at", "2026-11-23T12:00")
    assert "none: the product would be the same" in said


def test_of_every_set_the_newest_version_built_by_then_stood(seen: Hall) -> None:
    first = seen.bench.store.everything()[0]
    old = replace(first, key="old", version=1, state=MasterState.SUPERSEDED)
    new = replace(first, key="new", version=2, built_at=time_utc("2026-11-22T03:00"))
    between, after = time_utc("2026-11-22T02:59"), time_utc("2026-11-22T03:00")
    assert {m.key: m.state for m in standing_at([old, new], between)} == {
        "old": MasterState.CURRENT
    }
    assert {m.key: m.state for m in standing_at([old, new], after)} == {
        "old": MasterState.SUPERSEDED,
        "new": MasterState.CURRENT,
    }


def test_show_lists_files_versions_and_numbers(seen: Hall, type_in: Run) -> None:
    _, said, _ = type_in(seen, "show", STEM)
    assert str(seen.product().paths["spectrum"]) in said
    assert "version 1, " in said
    assert "snr" in said


def test_ls_gives_every_frame_one_line_with_what_became_of_it(seen: Hall, type_in: Run) -> None:
    _, said, _ = type_in(seen, "ls")
    lines = {line.split()[0]: line for line in said.splitlines()[2:]}
    assert len(lines) == len(BIASES) + 2
    assert seen.product().state in lines[STEM]
    _, said, _ = type_in(seen, "ls", "--kind", "arc")
    assert "1 frames" in said


def test_the_table_of_types_comes_back_as_it_was_written(seen: Hall) -> None:
    frames = seen.bench.archive.current_frames()
    found = dict(read_pfc(pfc_text(frames)))
    assert found == {str(frame.path): frame.identity.kind.value for frame in frames}
    assert read_pfc("## ARC_HeNe:\n#/a/b.fits  ARC_HeNe\n /a/c.fits ARC_HeNe x\n") == [
        ("/a/c.fits", "ARC")
    ]


def test_a_banned_master_is_used_by_nothing_any_more(hall: Hall, type_in: Run) -> None:
    name = bias_of(hall)
    code, _, said = type_in(hall, "cal", "ban", "no_such_master", "--reason", "x")
    assert (code, "see `alfoscd cal list`" in said) == (2, True)
    code, said, _ = type_in(hall, "cal", "ban", name, "--reason", "light leak", "--user", "eva")
    assert (code, "is banned by eva" in said) == (0, True)
    hall.work(until_s=200)
    chosen = {choice.role: choice for choice in hall.product().choices}
    assert chosen["BIAS"].master_key == ""
    assert any("light leak (eva)" in reason for _, reason in chosen["BIAS"].rejected)
    type_in(hall, "cal", "unban", name, "--user", "eva")
    hall.work(until_s=200)
    assert bias_of(hall) == name


def test_a_pinned_master_serves_until_it_is_unpinned(hall: Hall, type_in: Run) -> None:
    arc = next(m for m in hall.bench.store.everything() if m.role == "ARC")
    code, said, _ = type_in(
        hall, "cal", "pin", arc.path.stem, "--reason", "the good one", "--user", "eva"
    )
    assert (code, "eva says" in said) == (0, True)
    hall.work(until_s=20)
    _, said, _ = type_in(hall, "what-if", STEM)
    assert f"{arc.path.stem}: chosen by eva" in " ".join(said.split())
    _, said, _ = type_in(hall, "cal", "list", "--role", "arc")
    assert "the good one" in said
    type_in(hall, "cal", "unpin", arc.key[:12], "--user", "eva")
    _, said, _ = type_in(hall, "what-if", STEM)
    assert "chosen by eva" not in said


def test_a_bias_that_is_none_leaves_its_master(hall: Hall, type_in: Run) -> None:
    wrong = BIASES[2].removesuffix(".fits")
    code, said, _ = type_in(
        hall, "set-type", wrong, "UNKNOWN", "--reason", "shutter leak", "--user", "eva"
    )
    assert (code, f"{wrong}: BIAS -> UNKNOWN" in said) == (0, True)
    hall.work(until_s=400)
    current = [
        master
        for master in hall.bench.store.everything()
        if master.role == "BIAS" and master.state is MasterState.CURRENT
    ]
    assert [len(master.inputs) for master in current] == [len(BIASES) - 1]
    _, said, _ = type_in(hall, "why", wrong)
    assert "from BIAS to UNKNOWN by eva" in said
    assert "shutter leak" in said


def test_a_spectrum_that_is_none_has_no_product_and_comes_back(hall: Hall, type_in: Run) -> None:
    type_in(hall, "set-type", STEM, "FLAT_TEST", "--user", "eva")
    hall.work(until_s=200)
    frame = hall.frame(SCIENCE)
    assert frame.identity.kind is FrameKind.FLAT_TEST
    assert hall.bench.archive.current_product(frame.id) is None
    type_in(hall, "set-type", STEM, "spec_object", "--user", "eva")
    hall.work(until_s=200)
    assert hall.product().state != "superseded"


def test_an_edited_table_changes_what_differs_and_a_bad_line_changes_nothing(
    hall: Hall, type_in: Run, tmp_path: Path
) -> None:
    _, table, _ = type_in(hall, "ls", "--pfc")
    edited = tmp_path / "night.pfc"
    name = str(hall.frame(BIASES[0]).path)
    edited.write_text(table.replace(f"{name}  BIAS", f"{name}  NONSENSE"))
    code, _, said = type_in(hall, "set-type", "--from-pfc", str(edited))
    assert (code, "there is no kind 'NONSENSE'" in said) == (2, True)
    edited.write_text(table.replace(f"{name}  BIAS", f"{name}  DARK"))
    code, said, _ = type_in(hall, "set-type", "--from-pfc", str(edited), "--user", "eva")
    assert (code, "1 frames changed" in said) == (0, True)
    assert hall.frame(BIASES[0]).identity.kind is FrameKind.DARK


def test_what_was_quarantined_is_taken_in_when_it_is_tried_again(hall: Hall, type_in: Run) -> None:
    other = next(name for name in hall.contents if name == SCIENCE)
    path = hall.raw / "ALJa150099.fits"
    hall.put(path.name, content=b"not yet a frame")
    assert hall.bench.archive.file_at(path).state is FileState.QUARANTINED
    _, said, _ = type_in(hall, "quarantine", "list")
    assert str(path) in said
    code, _, said = type_in(hall, "quarantine", "retry", "nothing_such")
    assert (code, "nothing of that name" in said) == (2, True)
    path.write_bytes(hall.contents[other])
    code, said, _ = type_in(hall, "quarantine", "retry", path.name, "--user", "eva")
    assert (code, "asked again: 1 files, 0 jobs" in said) == (0, True)
    hall.work(until_s=10)
    assert hall.bench.archive.file_at(path).state is FileState.INGESTED


def test_a_failed_reduction_is_listed_and_done_when_it_is_tried_again(
    hall: Hall, type_in: Run
) -> None:
    raw = hall.raw / SCIENCE
    kept = raw.read_bytes()
    raw.unlink()
    asked = Redo(user="eva", at="2026-11-21T13:00:00+00:00", settings={"centroid_px": 45.0})
    hall.bench.queue.submit(
        reduce_request(hall.frame(SCIENCE), priority=1, now=hall.clock.now(), redo=asked.to_json())
    )
    hall.work(until_s=10, failing=(GONE,))
    _, said, _ = type_in(hall, "quarantine", "list")
    assert f"alfoscd quarantine retry {STEM}" in " ".join(said.split())
    raw.write_bytes(kept)
    code, said, _ = type_in(hall, "quarantine", "retry", STEM, "--user", "eva")
    assert (code, "0 files, 1 jobs" in said) == (0, True)
    hall.work(until_s=10)
    assert hall.product().redo["settings"] == {"centroid_px": 45.0}
    assert hall.bench.queue.jobs(JobState.WAITING) == []
    _, said, _ = type_in(hall, "quarantine", "list")
    assert "nothing was given up" in said
