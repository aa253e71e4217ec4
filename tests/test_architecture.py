"""The house keeps its rooms: names, sizes, imports and manners of the source tree."""

from __future__ import annotations

import ast
import graphlib
import importlib
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("daemon", "reducers", "calibration_store")
_TOP_LEVEL = {
    *_PACKAGES,
    "pyproject.toml",
    "deploy",
    "systemd",
    "tests",
    "README.md",
    "alfoscd",
    "LICENSE",
    "CHANGELOG.md",
}
_LONGEST_MODULE, _LONGEST_FUNCTION = 400, 80
#: Where one failing job or message must not stop the rest.
_MAY_CATCH_ALL = {"daemon/work/worker.py", "daemon/outbox/defects.py"}


def _sources() -> list[Path]:
    return sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py"))


def _relative(path: Path) -> str:
    return path.relative_to(_ROOT).as_posix()


def _module(path: Path) -> str:
    return ".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {_relative(path): ast.parse(path.read_text()) for path in _sources()}
#: Alembic runs its migration scripts itself; they cannot be imported.
IMPORTABLE = [_module(path) for path in _sources() if "migrations" not in path.parts]


def test_top_level_holds_exactly_the_rooms_of_the_house() -> None:
    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    listed = subprocess.run(
        [git, "-C", str(_ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith(".")} == _TOP_LEVEL


@pytest.mark.parametrize("module", IMPORTABLE)
def test_every_module_imports(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("package", _PACKAGES)
def test_packages_hold_a_docstring_and_nothing_else(package: str) -> None:
    # A name here would clash with other distributions that install a package `daemon`.
    tree = SOURCES[f"{package}/__init__.py"]
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


@pytest.mark.parametrize("source", SOURCES)
def test_modules_and_functions_stay_short(source: str) -> None:
    lines = len((_ROOT / source).read_text().splitlines())
    assert lines <= _LONGEST_MODULE
    for node in ast.walk(SOURCES[source]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= _LONGEST_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("source", SOURCES)
def test_only_the_command_line_prints(source: str) -> None:
    if source.startswith("daemon/cli/"):
        return
    assert not [
        node.lineno
        for node in ast.walk(SOURCES[source])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def _swallows_everything(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in kinds
    )
    last = handler.body[-1]
    return broad and not (isinstance(last, ast.Raise) and last.exc is None)


@pytest.mark.parametrize("source", sorted(set(SOURCES) - _MAY_CATCH_ALL))
def test_only_worker_and_notifier_catch_everything(source: str) -> None:
    assert not [
        node.lineno
        for node in ast.walk(SOURCES[source])
        if isinstance(node, ast.ExceptHandler) and _swallows_everything(node)
    ]


def _run_at_import(tree: ast.AST) -> list[ast.stmt]:
    """Return the import statements outside functions and TYPE_CHECKING blocks."""
    found: list[ast.stmt] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            found += [found_else for part in node.orelse for found_else in _run_at_import(part)]
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found += _run_at_import(node)
    return found


def _imports(tree: ast.AST, known: set[str]) -> set[str]:
    names: set[str] = set()
    for node in _run_at_import(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` names a module, `from module import value` does not.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inner & known) or {node.module}
    return names & known


def test_no_module_imports_itself_in_a_circle() -> None:
    known = {_module(_ROOT / source) for source in SOURCES}
    graph = {_module(_ROOT / source): _imports(tree, known) for source, tree in SOURCES.items()}
    assert sum(map(len, graph.values())) > 0
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Build the wheel and open it."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = builders.WheelBuilder(str(_ROOT)).build(directory=str(folder))
    return zipfile.Path(built)


def test_the_wheel_holds_exactly_the_three_packages(wheel: zipfile.Path) -> None:
    names = {entry.name for entry in wheel.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == set(_PACKAGES)


def test_the_wheel_carries_the_instruments_and_their_tables(wheel: zipfile.Path) -> None:
    data = {
        _relative(path)
        for path in (_ROOT / "reducers" / "instruments").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = set(wheel.root.namelist())
    assert data <= shipped
    assert "reducers/instruments/alfosc.toml" in shipped


def test_the_command_is_an_entry_point_that_exists() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["alfoscd"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
