"""One strict TOML file configures everything; every setting has a documented default here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from daemon.outlets import NAMED, TOPICS, Mail, Outbox, Programme, Slack, Webhook
from daemon.sections import (
    Alerts,
    Calibration,
    Canary,
    Catalogues,
    Classification,
    Deadman,
    Differences,
    Disc,
    Hints,
    Image,
    Instruments,
    Paths,
    Spectrum,
    Triggers,
    Watch,
    Work,
)
from daemon.selection import Only
from daemon.strict_toml import ConfigError, Place, absolute, nearest, read_text, typed

__all__ = [
    "Calibration",
    "Canary",
    "Catalogues",
    "Classification",
    "Config",
    "ConfigError",
    "Deadman",
    "Differences",
    "Disc",
    "Hints",
    "Image",
    "Instruments",
    "Mail",
    "Outbox",
    "Paths",
    "Programme",
    "Slack",
    "Spectrum",
    "Triggers",
    "Watch",
    "Webhook",
    "Work",
    "load_config",
    "render_defaults",
]


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
    differences: Differences = field(default_factory=Differences)
    triggers: Triggers = field(default_factory=Triggers)
    hints: Hints = field(default_factory=Hints)
    canary: Canary = field(default_factory=Canary)
    disc: Disc = field(default_factory=Disc)
    deadman: Deadman = field(default_factory=Deadman)
    alerts: Alerts = field(default_factory=Alerts)
    instrument: Instruments = field(default_factory=Instruments)
    outbox: Outbox = field(default_factory=Outbox)
    slack: Slack = field(default_factory=Slack)
    mail: Mail = field(default_factory=Mail)
    webhook: Mapping[str, Webhook] = field(default_factory=dict)
    programmes: Mapping[str, Programme] = field(default_factory=dict)
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
    def template_folder(self) -> Path:
        """Folder of templates from elsewhere, absolute."""
        return self.differences.templates or self.paths.root / "templates"

    @property
    def trigger_spool(self) -> Path:
        """Folder in which notices of events are found, absolute."""
        return self.triggers.spool or self.paths.root / "triggers"

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
    "differences": Differences,
    "triggers": Triggers,
    "hints": Hints,
    "canary": Canary,
    "disc": Disc,
    "deadman": Deadman,
    "alerts": Alerts,
    "instrument": Instruments,
    "outbox": Outbox,
    "slack": Slack,
    "mail": Mail,
}


def load_config(path: Path | None = None, *, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file, or the defaults when there is none.

    Parameters
    ----------
    overrides
        'section.key' -> value from the command line; None leaves the setting alone.
    """
    text = read_text(path) if path is not None else ""
    where = Place(path, text)
    tables = _parse(where)
    base = path.resolve().parent if path is not None else Path.cwd()
    sections = {
        name: _section(name, kind, tables.get(name, {}), where, base)
        for name, kind in _SECTIONS.items()
    }
    for dotted, value in (overrides or {}).items():
        if value is not None:
            sections = _override(sections, dotted, value)
    for group, (kind, _) in NAMED.items():
        sections[group] = {
            name: _section(f"{group}.{name}", kind, table, where, base)
            for name, table in tables.get(group, {}).items()
        }
    config = Config(**sections, source=path.resolve() if path is not None else None)
    _check_apart(config)
    _check_topics(config)
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
    for group, (kind, name) in NAMED.items():
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"# {summary}", f"#[{group}.{name}]"]
        for item in dataclasses.fields(kind):
            lines += [f"# {item.metadata['doc']}", f"#{item.name} = {_toml(item.default)}"]
    return "\n".join(lines) + "\n"


def _parse(where: Place) -> dict[str, Any]:
    try:
        tables = tomllib.loads(where.text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where.path}: not valid TOML: {error}") from error
    for name, table in tables.items():
        if name not in (known := {**_SECTIONS, **NAMED}):
            raise ConfigError(
                f"{where.of(name)}: there is no section [{name}]{nearest(name, known)}"
            )
        if not isinstance(table, dict):
            raise ConfigError(f"{where.of(name)}: {name} must be a section: [{name}]")
        if name in NAMED and not all(isinstance(each, dict) for each in table.values()):
            raise ConfigError(
                f"{where.of(name)}: [{name}] comes once for each name: [{name}.{NAMED[name][1]}]"
            )
    return tables


def _section(name: str, kind: type[Any], table: Mapping[str, Any], where: Place, base: Path) -> Any:
    fields = {item.name: item for item in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    values = {key: absolute(item.default, base) for key, item in fields.items()}
    for key, value in table.items():
        place = where.of(name, key)
        if key not in fields:
            raise ConfigError(f"{place}: [{name}] has no setting '{key}'{nearest(key, fields)}")
        limit = fields[key].metadata["at_least"]
        values[key] = absolute(typed(f"{place}: [{name}] {key}", value, hints[key], limit), base)
    return kind(**values)


def _override(sections: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    name, _, key = dotted.partition(".")
    known = {item.name: item for item in dataclasses.fields(_SECTIONS[name])}
    if isinstance(value, Path):
        value = str(value)
    elif isinstance(value, list | tuple):
        value = [str(item) if isinstance(item, Path) else item for item in value]
    hint = get_type_hints(_SECTIONS[name])[key]
    checked = typed(f"command line: {dotted}", value, hint, known[key].metadata["at_least"])
    changed = dataclasses.replace(sections[name], **{key: absolute(checked, Path.cwd())})
    return {**sections, name: changed}


def _check_apart(config: Config) -> None:
    for raw in config.raw:
        for name, path in (("root", config.root), ("database", config.database.parent)):
            if path.is_relative_to(raw):
                raise ConfigError(
                    f"[paths] {name} lies in the watched directory {raw}, "
                    "which is never written to; choose another place"
                )


def _check_topics(config: Config) -> None:
    listed = {"slack": config.slack.topics, "mail": config.mail.topics}
    listed |= {f"webhook.{name}": each.topics for name, each in config.webhook.items()}
    for section, topics in listed.items():
        for topic in topics:
            if topic not in TOPICS:
                known = ", ".join(TOPICS)
                raise ConfigError(f"[{section}] topics: there is no '{topic}'; there are {known}")


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(str(value)) if isinstance(value, str | Path) else repr(value)


def _plain(section: Any) -> dict[str, Any]:
    return {item.name: getattr(section, item.name) for item in dataclasses.fields(section)}
