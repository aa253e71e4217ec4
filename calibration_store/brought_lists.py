"""Lists that a person brings as files: orbits, variable stars; each kept whole or not at all."""

from __future__ import annotations

import json
import re
import secrets
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from calibration_store.catalogues.tiles import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FORMAT = 1
#: Bad lines of which the text is kept.
_NAMED = 20


@dataclass(slots=True)
class BadLines:
    """Lines that could not be read: how many, and the first of them with what is wrong."""

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def note(self, number: int, why: str) -> None:
        """Remember one."""
        self.count += 1
        if len(self.first) < _NAMED:
            self.first.append((number, why))


class NothingBrought(Exception):
    """The file holds nothing in a format that is known."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtSet:
    """What one file brought.

    Attributes
    ----------
    name : str
        'mpcorb', 'nea', 'vsx', ...: the beginning of the file's name.
    source : str
        Name of the file.
    file_date, taken : str
        ISO dates: of the file, and when it was read.
    count, bad : int
        Records, and lines that are none.
    """

    name: str
    source: str
    file_date: str
    taken: str
    count: int
    bad: int


Brought = TypeVar("Brought", bound=BroughtSet)


class BroughtLists(Generic[Brought]):
    """The lists below a folder: `<name>.json` tells what a file brought, its records lie beside it.

    Parameters
    ----------
    folder
        Made when something is written.
    kind
        What `<name>.json` holds.
    endings
        Of the files with the records, as '.orbits'.
    now
        The time (UTC), which dates what is written.
    """

    def __init__(
        self,
        folder: Path,
        kind: type[Brought],
        endings: tuple[str, ...],
        now: Callable[[], datetime],
    ) -> None:
        self.folder, self.now = folder, now
        self._kind, self._endings = kind, endings

    def sets(self) -> tuple[Brought, ...]:
        """Return what is on disc, in order of name."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
                if about.pop("format") == _FORMAT and self._is_whole(path):
                    found.append(self._kind(**about))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return tuple(found)

    def remove(self, name: str) -> bool:
        """Remove what one file brought; False where there is none."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return False
        path.unlink()
        for ending in self._endings:
            path.with_suffix(ending).unlink(missing_ok=True)
        return True

    def _is_whole(self, path: Path) -> bool:
        return all(path.with_suffix(ending).is_file() for ending in self._endings)

    @contextmanager
    def _unfinished(self, name: str) -> Iterator[Path]:
        """Give a file to write to, which is gone afterwards unless it was renamed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _note(self, path: Path, name: str, bad: BadLines, count: int, **more: float) -> Brought:
        """Write down what a file brought, once its records are on disc; return it."""
        brought = self._kind(
            name=name,
            source=path.name,
            file_date=datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat(),
            taken=self.now().isoformat(timespec="seconds"),
            count=count,
            bad=bad.count,
            **more,
        )
        about = {"format": _FORMAT, **asdict(brought)}
        write_whole(self.folder / f"{name}.json", json.dumps(about, indent=1).encode())
        return brought


def name_of(path: Path) -> str:
    """Return under which name a file is kept: 'mpcorb' for MPCORB.DAT.gz."""
    stem = re.sub(r"[^a-z0-9]+", "_", path.name.casefold().split(".")[0]).strip("_")
    return stem or "list"
