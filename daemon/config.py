"""One strict TOML file configures everything; every setting has a documented default here."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from daemon.sections import (
    Calibration,
    Catalogues,
    Classification,
    Image,
    Instruments,
    Paths,
    Range,
    Spectrum,
    Watch,
    Work,
)
from daemon.selection import Only

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Calibration",
    "Catalogues",
    "Classification",
    "Config",
    "ConfigError",
    "Image",
    "Instruments",
    "Paths",
    "Spectrum",
    "Watch",
    "Work",
    "load_config",
    "render_defaults",
]


class ConfigError(Exception):
    """The configuration cannot be used."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one daemon.

    Attributes
    ----------
    only
        What a batch is restricted to; never in the file.
    """

    paths: Paths = field(default_factory=Paths)
    watch: Watch = field(default_factory=Watch)
    work: Work = field(default_factory=Work)
    calibration: Calibration = field(default_factory=Calibration)
    spectrum: Spectrum = field(default_factory=Spectrum)
    classification: Classification = field(default_factory=Classification)
    catalogues: Catalogues = field(default_factory=Catalogues)
    image: Image = field(default_factory=Image)
    instrument: Instruments = field(default_factory=Instruments)
    source: Path | None = None
    only: Only = field(default_factory=Only)

    @property
    def raw(self) -> tuple[Path, ...]:
        """Watched directories, absolute."""
        return self.paths.raw

    @property
    def root(self) -> Path:
        """Folder of the products, absolute."""
        return self.paths.root

    @property
    def database(self) -> Path:
        """The database file, absolute."""
        return self.paths.database or self.paths.root / "alfoscd.sqlite"

    @property
    def catalogue_folder(self) -> Path:
        """Folder of the reference catalogues, absolute."""
        return self.catalogues.folder or self.paths.root / "catalogues"

    @property
    def settings_digest(self) -> str:
        """SHA-256 over the settings that change a spectrum; it enters the product key."""
        if self.classification.templates is None:
            return self._digest("spectrum")
        # A site that begins to classify wants it of the spectra it has.
        both = [self._digest("spectrum"), str(self.classification.templates)]
        return hashlib.sha256(json.dumps(both).encode()).hexdigest()

    @property
    def image_digest(self) -> str:
        """SHA-256 over the settings that change an image; it enters the product key."""
        return self._digest("image")

    def _digest(self, section: str) -> str:
        values = {section: _plain(getattr(self, section))}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


_SECTIONS: dict[str, type[Any]] = {
    "paths": Paths,
    "watch": Watch,
    "work": Work,
    "calibration": Calibration,
    "spectrum": Spectrum,
    "classification": Classification,
    "catalogues": Catalogues,
    "image": Image,
    "instrument": Instruments,
}


def load_config(path: Path | None = None, *, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file, or the defaults when there is none.

    Parameters
    ----------
    overrides
        'section.key' -> value from the command line; None leaves the setting alone.
    """
    text = _read(path) if path is not None else ""
    where = _Place(path, text)
    tables = _parse(where)
    base = path.resolve().parent if path is not None else Path.cwd()
    sections = {
        name: _section(name, kind, tables.get(name, {}), where, base)
        for name, kind in _SECTIONS.items()
    }
    for dotted, value in (overrides or {}).items():
        if value is not None:
            sections = _override(sections, dotted, value)
    config = Config(**sections, source=path.resolve() if path is not None else None)
    _check_apart(config)
    return config


def render_defaults() -> str:
    """Return a complete configuration file in which every setting has its default."""
    lines = ["# alfoscd: every setting with its default."]
    for name, kind in _SECTIONS.items():
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"# {summary}", f"[{name}]"]
        for item in dataclasses.fields(kind):
            lines.append(f"# {item.metadata['doc']}")
            default = item.default
            lines.append(
                f"#{item.name} =" if default is None else f"{item.name} = {_toml(default)}"
            )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Place:
    """Names file and line of a setting in a message."""

    path: Path | None
    text: str

    def of(self, section: str, key: str = "") -> str:
        number = _line_of(self.text, section, key)
        name = str(self.path) if self.path is not None else "command line"
        return f"{name}, line {number}" if number else name


def _line_of(text: str, section: str, key: str) -> int:
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]*?)\s*\]+", line)
        if header:
            inside = header.group(1).strip("\"'") == section
            if inside and not key:
                return number
        elif (key and inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line)) or (
            re.match(rf"\s*[\"']?{re.escape(section)}[\"']?\s*[=.]", line) and not inside
        ):
            return number
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error


def _parse(where: _Place) -> dict[str, Any]:
    try:
        tables = tomllib.loads(where.text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where.path}: not valid TOML: {error}") from error
    for name, table in tables.items():
        if name not in _SECTIONS:
            raise ConfigError(
                f"{where.of(name)}: there is no section [{name}]{_nearest(name, _SECTIONS)}"
            )
        if not isinstance(table, dict):
            raise ConfigError(f"{where.of(name)}: {name} must be a section: [{name}]")
    return tables


def _section(
    name: str, kind: type[Any], table: Mapping[str, Any], where: _Place, base: Path
) -> Any:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    values = {key: _absolute(item.default, base) for key, item in fields.items()}
    for key, value in table.items():
        place = where.of(name, key)
        if key not in fields:
            raise ConfigError(f"{place}: [{name}] has no setting '{key}'{_nearest(key, fields)}")
        limit = fields[key].metadata["at_least"]
        values[key] = _absolute(_typed(f"{place}: [{name}] {key}", value, hints[key], limit), base)
    return kind(**values)


def _override(sections: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    name, _, key = dotted.partition(".")
    known = {item.name: item for item in dataclasses.fields(_SECTIONS[name])}
    if isinstance(value, Path):
        value = str(value)
    elif isinstance(value, list | tuple):
        value = [str(item) if isinstance(item, Path) else item for item in value]
    hint = get_type_hints(_SECTIONS[name])[key]
    typed = _typed(f"command line: {dotted}", value, hint, known[key].metadata["at_least"])
    changed = dataclasses.replace(sections[name], **{key: _absolute(typed, Path.cwd())})
    return {**sections, name: changed}


def _typed(place: str, value: Any, hint: Any, at_least: float | None) -> Any:
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


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; it has {', '.join(known)}"


def _absolute(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return (base / value.expanduser()).resolve()
    if isinstance(value, tuple):
        return tuple(_absolute(item, base) for item in value)
    return value


def _check_apart(config: Config) -> None:
    for raw in config.raw:
        for name, path in (("root", config.root), ("database", config.database.parent)):
            if path.is_relative_to(raw):
                raise ConfigError(
                    f"[paths] {name} lies in the watched directory {raw}, "
                    "which is never written to; choose another place"
                )


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(str(value)) if isinstance(value, str | Path) else repr(value)


def _plain(section: Any) -> dict[str, Any]:
    return {item.name: getattr(section, item.name) for item in dataclasses.fields(section)}
