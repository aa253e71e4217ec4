"""The command line: exit codes, refusals that say what to do, and no traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.cli.main import COMMANDS, main
from daemon.clock import SystemClock
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.records import JobState
from daemon.work.jobs import JobQueue
from daemon.work.redo import redo_from
from reducers.identity import FrameKind, Identity, Setup
from tests.daemon.fresh_database import fresh_database

NIGHT = "2026-11-20"


def identity(kind: FrameKind) -> Identity:
    setup = Setup(x_binning=1, y_binning=1, window=(1, 500, 1, 2102), readout="D-8-200")
    when = datetime(2026, 11, 20, 22, tzinfo=UTC)
    return Identity(
        instrument="ALFOSC", kind=kind, setup=setup, observed_at=when, exposure_s=60.0, target="SN"
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a root whose archive knows a spectrum and a bias."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ALFOSCD_CONFIG", raising=False)
    engine = fresh_database(tmp_path / "reduced" / "alfoscd.sqlite")
    archive = Archive(engine, SystemClock())
    now = datetime.now(UTC)
    for stem, kind in (("ALDc200205", FrameKind.SPEC_OBJECT), ("ALDc200206", FrameKind.BIAS)):
        archive.record_frame(
            stem=stem, night=NIGHT, sha256=stem.ljust(64, "0"), path=Path("/raw") / f"{stem}.fits",
            size=1, identity=identity(kind), arrived_at=now, set_keys=(),
        )  # fmt: skip
    engine.dispose()
    return tmp_path / "reduced"


def waiting(root: Path) -> list[dict[str, Any]]:
    engine = open_database(root / "alfoscd.sqlite")
    jobs = JobQueue(engine, SystemClock()).jobs(JobState.WAITING)
    engine.dispose()
    return [dict(job.payload) for job in jobs]


@pytest.mark.parametrize(
    "name",
    ["ALDc200205", "ALDc200205.fits", "/raw/ALDc200205.fits", "1", "22_00_00", "22:00:00", "sn"],
)
def test_redo_finds_a_frame_by_stem_name_path_or_number(
    root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["redo", name, "--centroid", "105", "--root", str(root)]) == 0
    assert "centroid_px = 105" in capsys.readouterr().out
    (payload,) = waiting(root)
    asked = redo_from(payload["redo"])
    assert (asked.settings, bool(asked.user)) == ({"centroid_px": 105.0}, True)


def test_a_target_of_several_frames_is_answered_with_their_names(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_database(root / "alfoscd.sqlite")
    Archive(engine, SystemClock()).record_frame(
        stem="ALDc200207", night=NIGHT, sha256="7" * 64, path=Path("/raw/ALDc200207.fits"),
        size=1, identity=identity(FrameKind.SPEC_OBJECT), arrived_at=datetime.now(UTC), set_keys=(),
    )  # fmt: skip
    engine.dispose()
    assert main(["redo", "SN", "--root", str(root)]) == 2
    assert "is 2 frames: say which of ALDc200205, ALDc200207" in capsys.readouterr().err


def test_redo_of_an_unknown_frame_names_the_nearest(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["redo", "ALDc200250", "--root", str(root)]) == 2
    assert "nearest: ALDc20020" in capsys.readouterr().err
    assert waiting(root) == []


def test_redo_of_a_bias_says_why_not(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redo", "ALDc200206", "--root", str(root)]) == 2
    assert "is BIAS" in capsys.readouterr().err


def test_redo_without_a_database_makes_none(tmp_path: Path) -> None:
    assert main(["redo", "X", "--root", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_a_misspelt_key_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[watch]\nsetle_s = 3\n")
    assert main(["check-config", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert "line 2" in said
    assert "setle_s" in said


def test_check_config_prints_what_is_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[work]\nworkers = 3\n")
    assert main(["check-config", "--config", str(file)]) == 0
    assert "workers = 3" in capsys.readouterr().out


def test_run_without_a_directory_says_what_is_missing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--root", str(root)]) == 2
    assert "[paths] raw" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["reduce", "demo"])
def test_a_directory_that_will_not_do_is_refused(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "left over").touch()
    where = [str(tmp_path / "absent")] if command == "reduce" else ["--into", str(tmp_path)]
    assert main([command, *where]) == 2
    assert capsys.readouterr().err.startswith("alfoscd: ")


def test_status_of_a_stopped_daemon_shows_frames_and_exits_with_2(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--root", str(root)]) == 2
    told = capsys.readouterr().out
    assert "ALDc200205" in told
    assert "SPEC_OBJECT" in told
    assert "\x1b" not in told


@pytest.mark.parametrize("command", [["run", "."], ["ls"], ["redo", "x"], ["quarantine", "list"]])
def test_a_damaged_database_is_one_sentence_that_says_how_to_go_on(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alfoscd.sqlite").write_bytes(b"this is no database " * 300)
    assert main([*command, "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "put it aside" in said


def test_a_place_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["run", str(tmp_path / "raw"), "--root", str(tmp_path / "file" / "root")]) == 2
    assert capsys.readouterr().err == f"alfoscd: {tmp_path}/file/root: Not a directory\n"


@pytest.mark.parametrize("words", ["report", "ls", "outbox", "cal list", "alert list", "trends"])
def test_a_database_of_an_earlier_version_is_told_of_with_what_helps(
    root: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(root / "alfoscd.sqlite")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    assert main([*words.split(), "--root", str(root)]) == 2
    assert "start the daemon once" in capsys.readouterr().err


def test_report_of_a_night_without_products_is_printed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--root", str(root)]) == 0
    assert f"ALFOSC night {NIGHT}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert "usage: alfoscd" in capsys.readouterr().out


def test_a_reader_that_leaves_early_causes_no_traceback(repository: Path) -> None:
    code = "import sys; from daemon.cli.main import main; sys.exit(main(['status', '--json']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False,
        cwd=repository,
    )  # fmt: skip
    os.close(write)
    assert "Traceback" not in done.stderr


def test_reducing_a_directory_of_another_instrument_says_which_profile_to_add(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "EFOSC.2022-01-28T04:54:24.341.fits.gz").touch()
    assert main(["reduce", str(raw), "--root", str(tmp_path / "root")]) == 2
    said = capsys.readouterr().err
    assert "is named AL*.fits*, but some are named EFOSC*.fits*" in said
    assert 'add "efosc2" to [instrument] profiles' in said
