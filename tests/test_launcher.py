"""The launcher makes its environment once, mends what it can and says what it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_LOCK = (_ROOT / "deploy" / "requirements.txt").read_text()
_SETTING_UP = "making a private environment"
_PROGRAM = """
import json, os, sys
import numbers_of_the_project  # found only when the project's root is on the path
names = ("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME")
print(json.dumps({"argv": sys.argv[1:], **{name: os.environ.get(name) for name in names}}))
"""


@dataclass(frozen=True)
class Project:
    """A source tree with the real launcher, a lock without packages and a tiny program."""

    root: Path

    def start(self, *arguments: str, **settings: str | None) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root.parent),
            "PIP_CONFIG_FILE": os.devnull,
            **settings,
        }
        return subprocess.Popen(
            [sys.executable, str(self.root / "alfoscd"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root.parent,
            env={name: value for name, value in environment.items() if value is not None},
        )

    def call(self, *arguments: str, **settings: str | None) -> tuple[int, str, str]:
        with self.start(*arguments, **settings) as launcher:
            out, err = launcher.communicate(timeout=600)
        return launcher.returncode, out, err


def _plant(root: Path) -> Project:
    (root / "daemon" / "cli").mkdir(parents=True)
    (root / "daemon" / "cli" / "main.py").write_text(_PROGRAM)
    (root / "daemon" / "work").mkdir()
    (root / "daemon" / "work" / "tasks.py").touch()
    (root / "numbers_of_the_project.py").touch()
    (root / "deploy").mkdir()
    (root / "deploy" / "requirements.txt").write_text("# nothing\n")
    shutil.copy(_ROOT / "alfoscd", root / "alfoscd")
    return Project(root)


@pytest.fixture(scope="module")
def first_calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str]]:
    """Two launchers started at once in a fresh tree; the tree is kept for the other tests."""
    project = _plant(tmp_path_factory.mktemp("tree") / "project")
    _kept.append(project)
    launchers = [project.start("status", "--json") for _ in range(2)]
    outputs = [launcher.communicate(timeout=600) for launcher in launchers]
    return [(one.returncode, *texts) for one, texts in zip(launchers, outputs, strict=True)]


_kept: list[Project] = []


@pytest.fixture
def project(first_calls: list[tuple[int, str, str]]) -> Project:
    """Return the tree whose environment is made."""
    return _kept[-1]


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """Return a tree without an environment."""
    return _plant(tmp_path / "project")


@pytest.fixture(scope="module")
def launcher() -> ModuleType:
    """Return the launcher as a module."""
    path = _ROOT / "alfoscd"
    module = ModuleType("launcher_under_test")
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)  # leaves no __pycache__
    return module


def test_two_launchers_at_once_make_one_environment(
    first_calls: list[tuple[int, str, str]],
) -> None:
    assert [code for code, _, _ in first_calls] == [0, 0]
    assert sum(err.count(_SETTING_UP) for _, _, err in first_calls) == 1


def test_the_programs_output_is_not_mixed_with_that_of_the_setup(
    first_calls: list[tuple[int, str, str]],
) -> None:
    for _, out, _ in first_calls:
        assert json.loads(out)["argv"] == ["status", "--json"]


def test_what_the_program_loads_is_compiled_once_by_the_setup(fresh: Project) -> None:
    code, _, _ = fresh.call("setup", PYTHONDONTWRITEBYTECODE="1")
    assert code == 0
    assert list(fresh.root.glob("daemon/work/__pycache__/tasks.*.pyc"))


def processor_time_of_children_s() -> float:
    used = os.times()
    return used.children_user + used.children_system


def test_later_calls_start_in_well_under_a_second(project: Project) -> None:
    times = []
    for _ in range(3):
        start = processor_time_of_children_s()
        code, _, err = project.call("status")
        times.append(processor_time_of_children_s() - start)
        assert (code, err) == (0, "")
    assert min(times) < 1.0


@pytest.mark.parametrize("home", [None, "", "relative", "/nonexistent"])
def test_without_a_usable_home_caches_land_beside_the_environment(
    project: Project, home: str | None
) -> None:
    _, out, _ = project.call("status", HOME=home)
    values = json.loads(out)
    for name in ("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
        assert Path(values[name]).is_relative_to(project.root / ".venv")
        assert Path(values[name]).is_dir()


def test_a_usable_home_is_left_alone(project: Project) -> None:
    _, out, _ = project.call("status")
    assert json.loads(out)["HOME"] == str(project.root.parent)
    assert json.loads(out)["MPLCONFIGDIR"] is None


def test_a_changed_lock_is_installed(project: Project) -> None:
    lock = project.root / "deploy" / "requirements.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    assert _SETTING_UP in project.call("status")[2]
    assert _SETTING_UP not in project.call("status")[2]


def test_an_interrupted_setup_is_repaired(project: Project) -> None:
    venv = project.root / ".venv"
    (venv / "alfoscd-packages.sha256").unlink()
    (venv / "pyvenv.cfg").unlink()
    shutil.rmtree(venv / "home", ignore_errors=True)
    shutil.rmtree(venv / "lib")
    code, out, err = project.call("status")
    assert code == 0, err
    assert json.loads(out)["argv"] == ["status"]


def test_a_folder_that_is_no_environment_is_never_emptied(fresh: Project, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years")
    code, _, err = fresh.call("status", ALFOSCD_VENV=str(precious))
    assert code == 1
    assert "not a virtual environment" in err
    assert (precious / "thesis.tex").read_text() == "years"


def test_without_a_network_one_sentence_says_so(fresh: Project) -> None:
    digest = "0" * 64
    (fresh.root / "deploy" / "requirements.txt").write_text(f"numpy==2.4.6 --hash=sha256:{digest}")
    closed = "http://127.0.0.1:9/simple"
    code, out, err = fresh.call("status", PIP_INDEX_URL=closed, PIP_RETRIES="0")
    assert (code, out) == (1, "")
    assert "no connection to the package index" in err.splitlines()[-1]
    assert "Traceback" not in err


_NO_ENSUREPIP = """
import pathlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "ensurepip" and pathlib.Path({marker!r}).exists():
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def test_a_missing_ensurepip_is_installed_as_root_and_named_otherwise(
    fresh: Project, tmp_path: Path
) -> None:
    marker, asked = tmp_path / "absent", tmp_path / "asked"
    marker.touch()
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_NO_ENSUREPIP.format(marker=str(marker)))
    tools = tmp_path / "tools"
    tools.mkdir()
    # The first install fails as with an old list of packages; after the update it works.
    (tools / "apt-get").write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n'
        f'case "$(cat {asked})" in *update*install*) ;; *update) exit 0;; *) exit 100;; esac\n'
        f"rm {marker}\n"
    )
    (tools / "apt-get").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    code, _, err = fresh.call("setup", PATH=path, PYTHONPATH=str(site))
    if os.geteuid() == 0:
        assert code == 0, err
        first, update, second = asked.read_text().splitlines()
        assert first == second
        assert re.fullmatch(r"install -y .*python3(\.\d+)?-venv", first)
        assert update == "update"
    else:
        assert code == 1
        assert re.search(r"Run: sudo apt-get install -y python3(\.\d+)?-venv$", err.strip())
        assert not asked.exists()


@pytest.mark.parametrize(
    ("version", "sentence"),
    [((3, 9), "Python 3.9 is too old"), ((3, 14), "Python 3.14 is too new")],
)
def test_an_unsupported_python_is_refused_in_one_sentence(
    launcher: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: tuple[int, int],
    sentence: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither another Python nor apt-get
    with pytest.raises(launcher.CannotSetUp, match=sentence) as refusal:
        launcher.require_supported_python(version)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_every_python_of_the_lock_is_accepted(
    launcher: ModuleType, version: tuple[int, int]
) -> None:
    assert launcher.require_supported_python(version) is None


def test_an_old_python_can_read_the_launcher() -> None:
    tree = compile(
        (_ROOT / "alfoscd").read_text(), "alfoscd", "exec", flags=0x400, _feature_version=6
    )
    assert tree is not None


def test_the_lock_names_no_index_and_no_path() -> None:
    lines = [line for line in _LOCK.splitlines() if not line.startswith("#")]
    assert not [line for line in lines if re.search(r"://|/|find-links|index|^-", line)]


def test_every_package_of_the_lock_has_its_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", _LOCK, flags=re.MULTILINE))
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {re.split(r"[<>=]", text)[0].lower().replace("_", "-") for text in wanted}
    assert names <= set(re.findall(r"^([a-z0-9.-]+)==", _LOCK, flags=re.MULTILINE))
