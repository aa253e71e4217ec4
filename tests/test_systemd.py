"""The service file is valid, hardened and keeps the daemon alive."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.config import load_config, render_defaults

_ROOT = Path(__file__).resolve().parent.parent
_UNIT = _ROOT / "systemd" / "alfoscd.service"
_ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(_ANALYZE is None, reason="systemd-analyze is not installed")


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(_ANALYZE), *arguments], capture_output=True, text=True, timeout=600, check=False
    )


def _service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    unit.optionxform = str
    unit.read(_UNIT)
    return unit["Service"]


@needs_systemd
def test_systemd_accepts_every_line_of_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "alfoscd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = _UNIT.read_text().replace("ExecStart=/opt/alfoscd/alfoscd ", f"ExecStart={program} ")
    assert str(program) in text
    unit = tmp_path / "alfoscd.service"
    unit.write_text(text)
    verdict = _analyze("verify", "--man=no", str(unit))
    complaints = [line for line in verdict.stderr.splitlines() if unit.name in line]
    assert (verdict.returncode, complaints) == (0, [])


@needs_systemd
@pytest.mark.parametrize("name", ["alfoscd.service", "alfoscd-deadman.service"])
def test_exposure_of_a_service_is_at_most_two(name: str) -> None:
    unit = str(_UNIT.with_name(name))
    verdict = _analyze("security", "--offline=yes", "--threshold=20", unit)
    assert verdict.returncode == 0, verdict.stdout[-300:]


def test_the_service_is_watched_and_restarted_for_ever() -> None:
    service = _service()
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["Restart"] == "on-failure"
    assert "\nStartLimitIntervalSec=0\n" in _UNIT.read_text()


def test_the_service_starts_the_launcher_with_the_example_as_its_settings() -> None:
    program, command, option, settings = _service()["ExecStart"].split()
    assert Path(program).name == "alfoscd"
    assert (command, option) == ("run", "--config")
    assert Path(settings).name == "alfoscd.toml"
    assert (_ROOT / "deploy" / f"{Path(settings).name}.example").is_file()


def test_the_example_spells_out_every_setting_with_its_default() -> None:
    example = _ROOT / "deploy" / "alfoscd.toml.example"
    config = load_config(example)
    defaults = load_config()
    for section in ("watch", "work", "calibration", "spectrum", "instrument"):
        assert getattr(config, section) == getattr(defaults, section)
    words = {line.split("=")[0].strip("# ") for line in example.read_text().splitlines()}
    for line in render_defaults().splitlines():
        name = line.lstrip("#").split("=")[0].strip()
        if "=" in line and name.isidentifier():
            assert name in words, f"{name} is missing"


def test_products_of_the_example_land_where_the_service_may_write() -> None:
    config = load_config(_ROOT / "deploy" / "alfoscd.toml.example")
    assert str(config.root) == f"/var/lib/{_service()['StateDirectory']}"
    assert str(config.raw[0]) == _service()["ReadOnlyPaths"].lstrip("-")


def test_what_the_daemon_reads_of_proc_is_there_for_the_service() -> None:
    """ProcSubset=pid leaves of /proc what belongs to processes, not /proc/mounts and the like."""
    assert _service()["ProcSubset"] == "pid"
    sources = [path.read_text() for path in (_ROOT / "daemon").rglob("*.py")]
    read = {found for text in sources for found in re.findall(r'"/proc/([^/"]+)', text)}
    assert read, "nothing of /proc is read any more"
    assert {name for name in read if name != "self" and not name.startswith("{")} == set()
