"""The README names every command, option, setting and flag, and nothing that is not there."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
from typing import TYPE_CHECKING

import pytest

from daemon.cli.main import COMMANDS, main
from daemon.config import Config, load_config, render_defaults
from daemon.outlets import NAMED
from reducers.quality import load_limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def settings() -> list[tuple[str, str]]:
    config = Config()
    found = []
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        if dataclasses.is_dataclass(values) and section.name != "only":
            found += [(section.name, item.name) for item in dataclasses.fields(values)]
    for group, (kind, name) in NAMED.items():
        found += [(f"{group}.{name}", item.name) for item in dataclasses.fields(kind)]
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained(readme: str, command: str) -> None:
    assert f"`alfoscd {command}" in readme


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(readme: str, command: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[command][0]).add_parser(parser.add_subparsers())
    subparser = parser._subparsers._group_actions[0].choices[command]
    options = [o for action in subparser._actions for o in action.option_strings[:1]]
    ours = {o for o in options if o not in ("-h", "--windowed")}
    assert {option for option in ours if option not in readme} == set()


def arguments_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every option and argument of a command and of its actions."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert all(choice.help for choice in action._choices_actions)
            for inner in action.choices.values():
                yield from arguments_of(inner)
        else:
            yield action


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_says_what_it_is_for(command: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[command][0]).add_parser(parser.add_subparsers())
    (own,) = parser._subparsers._group_actions[0].choices.values()
    assert [action.dest for action in arguments_of(own) if not action.help] == []


@pytest.mark.parametrize(("section", "key"), settings())
def test_every_setting_is_explained(readme: str, section: str, key: str) -> None:
    assert f"`[{section}]`" in readme
    assert f"| `{key}` |" in readme


@pytest.mark.parametrize(
    "flag", [rule.name for of in ("spectra", "images") for rule in load_limits(of).rules]
)
def test_every_flag_is_explained(readme: str, flag: str) -> None:
    assert f"`{flag}`" in readme


def test_no_command_is_promised_that_does_not_exist(readme: str) -> None:
    promised = set(re.findall(r"(?<!-u )(?<!opt/)alfoscd ([a-z][a-z-]+)", readme))
    launcher = {"test", "setup", "check"}
    words = {"in", "is"}
    assert promised - set(COMMANDS) - launcher - words == set()


@pytest.mark.parametrize("name", ["deploy/alfoscd.toml.example", "systemd/alfoscd.service"])
def test_every_file_that_the_readme_names_is_there(
    repository: Path, readme: str, name: str
) -> None:
    assert name in readme
    assert (repository / name).is_file()


def test_the_example_that_is_printed_is_a_valid_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-config", "--example"]) == 0
    file = tmp_path / "alfoscd.toml"
    file.write_text(capsys.readouterr().out)
    assert load_config(file) == dataclasses.replace(load_config(file))
    assert file.read_text() == render_defaults()
