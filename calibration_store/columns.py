"""Column types that keep time aware, file names exact and text storable."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

_ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def encode_name(name: str) -> str:
    r"""Return a file name as valid UTF-8 text; bytes that are none become ``\xff``."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")


def decode_name(text: str) -> str:
    """Return the file name that `encode_name` wrote."""

    def original(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return code if code == b"\\" else bytes.fromhex(code[1:].decode())

    return os.fsdecode(_ESCAPED.sub(original, text.encode()))


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; shift the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"naive time {value}"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back the zone that SQLite forgets."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class FileName(TypeDecorator[str]):
    """A file name or stem, byte for byte."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape what is not UTF-8."""
        return None if value is None else encode_name(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Undo the escapes."""
        return None if value is None else decode_name(value)


class FilePath(TypeDecorator[Path]):
    """A path, byte for byte."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Path | None, dialect: Dialect) -> str | None:
        """Escape what is not UTF-8."""
        return None if value is None else encode_name(str(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Path | None:
        """Undo the escapes."""
        return None if value is None else Path(decode_name(value))


class PlainText(TypeDecorator[str]):
    """Text for people; what no database can store is shown as an escape."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Escape NUL and lone surrogates."""
        if value is None:
            return None
        text = str(value).replace("\0", "\\x00")
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
