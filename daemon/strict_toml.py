"""Strict reading of one TOML file: whatever is wrong is said in one sentence, with its line."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from daemon.sections import Range

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfigError(Exception):
    """The configuration cannot be used."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True)
class Place:
    """Names file and line of a setting in a message."""

    path: Path | None
    text: str

    def of(self, section: str, key: str = "") -> str:
        """Return 'file, line 3' of a section, or of a setting in it."""
        number = _line_of(self.text, section, key)
        name = str(self.path) if self.path is not None else "command line"
        return f"{name}, line {number}" if number else name


def _line_of(text: str, section: str, key: str) -> int:
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]*?)\s*\]+", line)
        if header:
            inside = re.sub(r"[\"']", "", header.group(1)) == section
            if inside and not key:
                return number
        elif (key and inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line)) or (
            re.match(rf"\s*[\"']?{re.escape(section)}[\"']?\s*[=.]", line) and not inside
        ):
            return number
    return 0


def read_text(path: Path) -> str:
    """Return the text of a configuration file.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error


def typed(place: str, value: Any, hint: Any, at_least: float | None) -> Any:
    """Return `value` as the type `hint` wants it, or say in one sentence what is wrong."""
    options = get_args(hint)
    if get_origin(hint) is Literal:
        if value not in options:
            raise ConfigError(f"{place} must be one of {', '.join(map(str, options))}")
        return value
    if Range in (hint, *options):
        return _ranges(place, value, many=hint == tuple[Range, ...])
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f'{place} must be a list of texts, as ["..."]; it is {value!r}')
        return tuple(options[0](item) for item in value)
    wanted = next((kind for kind in options if kind is not type(None)), hint)
    accepted: dict[type, tuple[type, ...]] = {float: (int, float), Path: (str,)}
    right = isinstance(value, accepted.get(wanted, (wanted,)))
    if not right or (isinstance(value, bool) and wanted is not bool):
        raise ConfigError(f"{place} must be {_TYPE_NAMES[wanted]}; it is {value!r}")
    if at_least is not None and not at_least <= value < float("inf"):
        raise ConfigError(f"{place} must be at least {at_least:g}; it is {value!r}")
    return wanted(value)


def _ranges(place: str, value: Any, *, many: bool) -> Any:
    """Return one range, or several, or say what is wrong."""
    given = value if many else [value]
    wanted = "ranges, as [[5570, 5585], [6295, 6305]]" if many else "a range, as [100, 300]"
    pairs: list[Any] = given if isinstance(given, list) else [None]
    for pair in pairs:
        numbers = isinstance(pair, list) and [type(item) in (int, float) for item in pair]
        if numbers != [True, True] or not pair[0] < pair[1]:
            raise ConfigError(f"{place} must be {wanted}; it is {value!r}")
    found = tuple((float(low), float(high)) for low, high in pairs)
    return found if many else found[0]


_TYPE_NAMES: dict[type, str] = {
    str: "a text",
    Path: "a path (a text)",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """Return what may have been meant, or everything that is known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; it has {', '.join(known)}"


def absolute(value: Any, base: Path) -> Any:
    """Return a value with its paths made absolute."""
    if isinstance(value, Path):
        return (base / value.expanduser()).resolve()
    if isinstance(value, tuple):
        return tuple(absolute(item, base) for item in value)
    return value
