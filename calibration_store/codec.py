"""Frozen values as JSON and back, without loss."""

from __future__ import annotations

import math
import types
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a dataclass, or anything its fields may hold, as what JSON can say.

    Infinities and NaN become strings, because JSON has no word for them.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict | types.MappingProxyType):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def from_json(kind: type[T], encoded: dict[str, Any]) -> T:
    """Return the dataclass that `to_json` encoded; absent fields take their defaults."""
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable
    return kind(**{name: _decode(hints[name], encoded[name]) for name in hints if name in encoded})


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return {each.name: get_type_hints(kind)[each.name] for each in fields(kind)}


def _decode(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = next(each for each in get_args(hint) if each is not type(None))
        return None if value is None else _decode(inner, value)
    if origin is tuple:
        args = get_args(hint)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_decode(args[0], item) for item in value)
        return tuple(_decode(arg, item) for arg, item in zip(args, value, strict=True))
    if not isinstance(hint, type):
        return value
    if is_dataclass(hint):
        return from_json(hint, value)
    if issubclass(hint, datetime):
        return datetime.fromisoformat(value)
    if issubclass(hint, Enum | Path | float):
        return hint(value)
    return value
