"""Strict reading of TOML tables into dataclasses: an unknown key is an error that names it."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, TypeVar

from reducers.errors import ProfileError

T = TypeVar("T")


def structure(cls: type[T], table: Any, where: str) -> T:
    """Return the dataclass `cls` filled from a TOML table; `where` names it in errors."""
    if not isinstance(table, Mapping):
        raise ProfileError(f"{where} must be a table, not {type(table).__name__}")
    known = {entry.name: entry for entry in fields(typing.cast("Any", cls))}
    for key in table:
        if key not in known:
            raise ProfileError(f"{where} has no key {key!r}; it has {', '.join(known)}")
    for name, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and name not in table:
            raise ProfileError(f"{where} lacks the key {name!r}")
    hints = typing.get_type_hints(cls)
    values = {key: convert(hints[key], value, f"{where} {key}") for key, value in table.items()}
    return cls(**values)


def convert(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type, or raise `ProfileError`."""
    if isinstance(hint, UnionType):  # `X | None`: a key that may be left out
        hint = next(member for member in typing.get_args(hint) if member is not type(None))
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if is_dataclass(hint):
        return structure(typing.cast("type[Any]", hint), value, where)
    if origin is tuple:
        return _convert_tuple(hint, value, where)
    if origin is not None and issubclass(origin, Mapping):
        return _convert_mapping(hint, value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _convert_enum(hint, value, where)
    return _convert_scalar(hint, value, where)


def _convert_tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ProfileError(f"{where} must be an array, not {value!r}")
    members = typing.get_args(hint)
    if members[-1] is Ellipsis:
        members = (members[0],) * len(value)
    if len(members) != len(value):
        raise ProfileError(f"{where} must have {len(members)} entries, not {len(value)}")
    pairs = enumerate(zip(members, value, strict=True))
    return tuple(convert(member, item, f"{where}[{index}]") for index, (member, item) in pairs)


def _convert_mapping(hint: Any, value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProfileError(f"{where} must be a table, not {value!r}")
    _, member = typing.get_args(hint)
    return {key: convert(member, item, f"{where}.{key}") for key, item in value.items()}


def _convert_enum(hint: type[Enum], value: Any, where: str) -> Enum:
    try:
        return hint(value)
    except ValueError as cause:
        known = ", ".join(str(member.value) for member in hint)
        raise ProfileError(f"{where} is {value!r}, which is none of {known}") from cause


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise ProfileError(f"{where} must be {hint.__name__}, not {value!r}")
