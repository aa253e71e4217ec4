"""A file as it was seen once, and the names that are raw."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration_store.columns import encode_name
from daemon.memory.records import PRIORITY_INGEST, JobKind, JobRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

#: (size in bytes, time of last change in ns): when both are the same, so is the content.
Stamp = tuple[int, int]

_TEMPORARY = re.compile(
    r"^\.|~$|\.(part|partial|filepart|tmp|temp|crdownload|swp)$|\.fits(\.gz)?\.[A-Za-z0-9]{6}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A regular file with a raw name, as it was at one look."""

    path: Path
    size: int
    mtime_ns: int

    @property
    def stamp(self) -> Stamp:
        """Size and time of last change."""
        return self.size, self.mtime_ns

    def request(self, seen_at: datetime, *, priority: int = PRIORITY_INGEST) -> JobRequest:
        """Return the job that takes the file in; the same sighting is the same job."""
        return JobRequest(
            kind=JobKind.INGEST,
            key=f"ingest:{encode_name(str(self.path))}:{self.size}:{self.mtime_ns}",
            payload={
                "path": str(self.path),
                "size": self.size,
                "mtime_ns": self.mtime_ns,
                "seen_at": seen_at.isoformat(),
            },
            priority=priority,
        )


def sighting_of(payload: Mapping[str, Any]) -> Sighting:
    """Return the sighting that a job carries."""
    return Sighting(
        path=Path(payload["path"]),
        size=int(payload["size"]),
        mtime_ns=int(payload["mtime_ns"]),
    )


class RawNames:
    """Tells raw names from others by shell patterns, without regard to case."""

    def __init__(self, patterns: Sequence[str], only: frozenset[str] | None = None) -> None:
        wanted = "|".join(fnmatch.translate(pattern) for pattern in patterns)
        self._wanted = re.compile(wanted, re.IGNORECASE)
        self.shown = " or ".join(patterns)
        self._only = only

    def match(self, name: str) -> bool:
        """Whether a raw file may be called so."""
        return self._wanted.match(name) is not None and not is_temporary(name)

    def takes(self, name: str) -> bool:
        """Whether a file of this name is among those that are taken in at all."""
        return self._only is None or name in self._only


def is_temporary(name: str) -> bool:
    """Whether a copying program gives such a name to a file that is not finished."""
    return _TEMPORARY.search(name) is not None
