"""The account of a night: nothing on disc is unexplained, no number is missing unsaid."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.account.clocks import check_clocks
from daemon.account.completeness import account_of_files
from daemon.account.night import account_of_night, files_in, folders_of
from daemon.account.running_numbers import runs_of
from daemon.account.service import spread, untouched
from daemon.memory.records import FileRecord, FileState, JobKind
from daemon.publish.metrics import metrics_text
from daemon.status import read_status
from daemon.work.plan import reduce_request
from reducers.profiles import load_instrument
from tests.daemon.hall import ARC, BIASES, SCIENCE, Hall, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.account.night import NightAccount
    from daemon.memory.records import FrameRecord

COUNT = load_instrument("alfosc").running_number
STATES = (FileState.INGESTED, FileState.HELD, FileState.QUARANTINED, FileState.IGNORED)


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(tmp_path, CONTENTS)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    yield hall
    hall.bench.engine.dispose()


CONTENTS = simulated()


def account(hall: Hall) -> NightAccount:
    bench = hall.bench
    return account_of_night(
        bench.archive,
        bench.queue,
        hall.frame(SCIENCE).night,
        raw=(hall.raw,),
        instruments=bench.instruments.values(),
    )


def old(path: Path) -> Path:
    """Return the path of a file that no scan can still be about to see."""
    os.utime(path, (0, 0))
    return path


def test_the_account_of_a_night_holds_and_names_the_numbers_that_never_arrived(hall: Hall) -> None:
    found = account(hall)
    assert found.broken == ()
    assert (found.files.on_disc, found.files.counts[FileState.INGESTED]) == (8, 8)
    assert (found.science.frames, found.science.final + found.science.provisional) == (1, 1)
    (run,) = found.runs
    assert (run.prefix, run.first, run.last) == ("ALJa15", 1, 18)
    assert run.missing == tuple(f"ALJa15{n:04d}" for n in range(7, 17))
    assert "never arrived: ALJa150007" in run.sentence
    assert found.products.files > 5


def test_a_file_without_a_record_breaks_the_account(hall: Hall) -> None:
    stray = hall.raw / "ALJa150030.fits"
    stray.write_bytes(b"x")
    old(stray)
    (said,) = account(hall).broken
    assert str(stray) in said


def test_a_product_changed_on_disc_breaks_the_account(hall: Hall) -> None:
    path = hall.product().paths["spectrum"]
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    (said,) = account(hall).broken
    assert path.name in said
    assert "1 damaged" in said
    path.unlink()
    assert "1 absent" in account(hall).broken[0]


def test_a_frame_whose_reduction_failed_or_waits_is_explained_by_it(hall: Hall) -> None:
    archive, frame = hall.bench.archive, hall.frame(SCIENCE)
    archive.retire_product(frame.id)
    found = account(hall)
    assert found.science.without[0][0] == frame.stem
    hall.raw.joinpath(SCIENCE).rename(hall.raw / "elsewhere")
    hall.bench.queue.submit(reduce_request(frame, priority=1, now=hall.clock.now()))
    assert account(hall).science.waiting == ((frame.stem, "its reduction is waiting"),)
    hall.work({JobKind.REDUCE}, failing=("the raw file",))
    found = account(hall)
    assert found.science.failed[0][1].startswith("the raw file")
    assert found.science.holds


@given(
    states=st.lists(st.sampled_from(STATES), max_size=30),
    strays=st.integers(min_value=0, max_value=5),
    removed=st.integers(min_value=0, max_value=5),
)
def test_the_arithmetic_of_files_always_adds_up(
    states: list[FileState], strays: int, removed: int
) -> None:
    records = [
        FileRecord(path=Path(f"/raw/{n}"), state=state, reason="", size=1, mtime_ns=0)
        for n, state in enumerate(states)
    ]
    there = {record.path: 0.0 for record in records[removed:]}
    there |= {Path(f"/raw/stray{n}"): 0.0 for n in range(strays)}
    found = account_of_files(records, there, now_s=1e9)
    assert found.on_disc == sum(found.counts.values()) + len(found.unexplained)
    assert found.holds is (strays == 0)
    assert f"unexplained {strays}" in found.sentence


def test_a_file_that_has_just_come_waits_for_the_scan() -> None:
    found = account_of_files([], {Path("/raw/new"): 990.0}, now_s=1000.0)
    assert (found.holds, found.arriving) == (True, 1)


def test_without_watched_directories_the_files_are_counted_where_they_were_seen() -> None:
    paths = ("/raw/a.fits", "/raw/b.fits", "/raw/old/c.fits", "/other/d.fits")
    records = [
        FileRecord(path=Path(path), state=FileState.INGESTED, reason="", size=1, mtime_ns=0)
        for path in paths
    ]
    assert folders_of(records) == (Path("/other"), Path("/raw"))


def test_a_tree_that_cannot_be_read_is_not_called_complete(tmp_path: Path) -> None:
    assert files_in([tmp_path / "nowhere"]) is None
    assert not account_of_files([], None, now_s=0.0).holds


@given(st.sets(st.integers(min_value=1, max_value=150), min_size=1, max_size=40))
def test_every_number_between_first_and_last_is_there_or_missing(numbers: set[int]) -> None:
    (run,) = runs_of((f"ALJa15{n:04d}" for n in numbers), COUNT)
    assert len(run.missing) + len(numbers) == run.last - run.first + 1
    assert not {int(name[-4:]) for name in run.missing} & numbers


def test_names_without_a_count_have_no_gaps() -> None:
    assert runs_of(["EFOSC.2020-01-01T00:00:00.123", "x1"], COUNT) == []
    assert runs_of(["ALJa150001", "ALJa150009"], "") == []
    runs = runs_of(["ALJa150001", "ALJa150003", "ALJb010002"], COUNT)
    assert [run.missing for run in runs] == [("ALJa150002",), ()]


def taken(hall: Hall, stem: str, at_s: float, late_s: float = 30.0) -> FrameRecord:
    frame = hall.frame(SCIENCE)
    when = datetime(2026, 1, 15, 22, tzinfo=UTC) + timedelta(seconds=at_s)
    identity = replace(frame.identity, observed_at=when, exposure_s=60.0)
    arrived = when + timedelta(seconds=60 + late_s)
    return replace(frame, stem=stem, identity=identity, arrived_at=arrived)


def test_clocks_that_agree_say_nothing_but_the_delay(hall: Hall) -> None:
    frames = [taken(hall, f"ALJa15{n:04d}", 100.0 * n) for n in range(6)]
    found = check_clocks(frames)
    assert (found.offset_s, found.sentences) == (30.0, ())
    wrong = taken(hall, "ALJa150006", 86400.0, late_s=-86000.0)
    (said,) = check_clocks([*frames, wrong]).sentences
    assert said.startswith("ALJa150006: taken 86000 s after it arrived")
    (said,) = check_clocks([*frames, taken(hall, "ALJa150006", -50.0)]).sentences
    assert "ALJa150006 was taken 550 s before ALJa150005" in said
    slow = [taken(hall, f"ALJa15{n:04d}", 100.0 * n, late_s=-90.0) for n in range(6)]
    assert "this computer's clock is slow by 90 s" in check_clocks(slow).sentences[0]
    copied = [taken(hall, f"ALJa15{n:04d}", 100.0 * n, late_s=1e6) for n in range(6)]
    assert check_clocks(copied) == replace(check_clocks([]), frames=6)


def test_latencies_and_untouched_nights_are_counted() -> None:
    found = spread([float(n) for n in range(1, 101)])
    assert found is not None
    assert (found.p50_s, found.p95_s, found.max_s) == (51.0, 95.0, 100.0)
    assert spread([]) is None
    nights = {"2026-01-01": False, "2026-01-02": True, "2026-01-03": False, "2026-01-05": False}
    assert [untouched(nights, n) for n in ("2026-01-05", "2026-01-02", "2026-01-01")] == [2, 0, 1]


def test_the_metrics_can_be_read_line_by_line(hall: Hall) -> None:
    status = read_status(hall.bench.config.database, now=hall.clock.now())
    lines = metrics_text(status).splitlines()
    samples = {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line[0] != "#"}
    assert samples['alfoscd_files{state="ingested"}'] == 8
    assert samples["alfoscd_written_seconds"] == hall.clock.now().timestamp()
    assert all(
        line.startswith(("# HELP alfoscd_", "# TYPE alfoscd_", "alfoscd_")) for line in lines
    )
