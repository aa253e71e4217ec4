"""`alfoscd check-config`: is the configuration right, and what is in force."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, config_file, configuration
from daemon.config import render_defaults
from daemon.outlets import NAMED

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "check-config",
        help="check and print the configuration",
        description="Check the configuration file and print every setting in force.",
    )
    parser.add_argument("--example", action="store_true", help="print a file with every default")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the configuration in force; a mistake is named with file and line."""
    if args.example:
        print(render_defaults(), end="")
        return 0
    config = configuration(args)
    source = config_file(args)
    print(f"# {source.resolve()}: correct" if source else "# no configuration file: defaults")
    print("\n".join(effective(config)))
    for folder in config.raw:
        if not folder.is_dir():
            print(f"# note: {folder} is not there yet; it is watched as soon as it is")
    return 0


def effective(config: Config) -> list[str]:
    """Return every setting in force, as lines of TOML."""
    lines = []
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        if not dataclasses.is_dataclass(values):
            continue
        lines += ["", f"[{section.name}]"]
        for item in dataclasses.fields(values):
            value = getattr(values, item.name)
            if section.name == "paths" and item.name == "database":
                value = config.database
            lines.append(f"#{item.name} =" if value is None else f"{item.name} = {_toml(value)}")
    for group in NAMED:
        for name, values in getattr(config, group).items():
            lines += ["", f"[{group}.{_toml(name)}]"]
            for item in dataclasses.fields(values):
                lines.append(f"{item.name} = {_toml(getattr(values, item.name))}")
    return lines


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
