"""What is in the watched tree, and what of it is news: the truth behind the hints.

A scan only lists and stats, it opens nothing; what has been dealt with costs nothing more.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.arrival.sighting import RawNames, Sighting, Stamp, is_temporary
from daemon.memory.records import FileRecord, FileState

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Stamp of what could not be reached; no file has it.
UNREACHED: Stamp = (0, 0)
_TYPES = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How something ends that need not be opened."""

    state: FileState
    reason: str
    stamp: Stamp = UNREACHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Everything below one directory.

    Attributes
    ----------
    raw
        Regular files with a raw name.
    decided
        What needs no opening: other names, other types, what cannot be reached.
    folders
        Directories that could be listed.
    """

    folder: Path
    present: bool
    raw: dict[str, Stamp] = field(default_factory=dict)
    decided: dict[str, Verdict] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """The difference between a scan and what has been dealt with.

    Attributes
    ----------
    nominated
        Raw files that are new or have changed.
    decided
        Records of what needs no opening.
    over
        Records of what could not be reached and no longer matters.
    missing
        Files that have been dealt with and are no longer there.
    warning
        What is wrong with the directory itself; '' when nothing is.
    """

    nominated: list[Sighting] = field(default_factory=list)
    decided: list[FileRecord] = field(default_factory=list)
    over: list[FileRecord] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    warning: str = ""


def scan(folder: Path, names: RawNames, *, now_ns: int, patience_s: float = 600.0) -> Scan:
    """List everything below a directory; links to directories are not followed.

    Parameters
    ----------
    now_ns, patience_s
        A temporary name is worth a record only when unchanged for so long.
    """
    found = Scan(folder=folder, present=folder.is_dir())
    oldest_ns = now_ns - int(patience_s * 1e9)
    pending = [str(folder)] if found.present else []
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    _look(entry, found, pending, names, oldest_ns)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                found.decided[here] = _unreachable(Path(here), error)
        else:
            found.folders.add(here)
    return found


def compare(found: Scan, handled: Mapping[str, Stamp]) -> News:
    """Return what of a scan is news.

    An absent or empty directory says nothing about its files: it may be unmounted.
    """
    fresh = sorted(name for name, stamp in found.raw.items() if handled.get(name) != stamp)
    nominated = [
        Sighting(path=Path(name), size=found.raw[name][0], mtime_ns=found.raw[name][1])
        for name in fresh
    ]
    decided = [
        _record(name, verdict)
        for name, verdict in found.decided.items()
        if handled.get(name) != verdict.stamp
    ]
    if not found.present:
        return News(warning=f"{found.folder} is missing")
    below = str(found.folder) + os.sep
    absent = [
        name
        for name in handled
        if name.startswith(below) and name not in found.raw and name not in found.decided
    ]
    if absent and not found.raw and not found.decided:
        return News(
            warning=f"{found.folder} is empty but held {len(absent)} files: is it unmounted?"
        )
    mended = [name for name in (*absent, below[:-1]) if handled.get(name) == UNREACHED]
    # Below a directory that cannot be listed now, nobody knows what is there.
    hidden = tuple(
        name + os.sep for name, verdict in found.decided.items() if verdict.stamp == UNREACHED
    )
    return News(
        nominated=nominated,
        decided=decided,
        over=[_record(name, _over(name, found)) for name in mended],
        missing=[
            Path(name)
            for name in absent
            if handled.get(name) != UNREACHED and not name.startswith(hidden)
        ],
    )


def look(path: Path, names: RawNames) -> Sighting | None:
    """Return the sighting of one file, or None when it is not a regular file with a raw name."""
    if not names.match(path.name):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Sighting(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)


def mend_permission(path: Path) -> str:
    """Return the reason of a file that may not be read, with the command that mends it."""
    letters = "a+rx" if path.is_dir() else "a+r"
    return f"no permission to read; mend it with: chmod {letters} {shlex.quote(str(path))}"


def _look(
    entry: os.DirEntry[str], found: Scan, pending: list[str], names: RawNames, oldest_ns: int
) -> None:
    try:
        own = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(own.st_mode) and not entry.name.startswith("."):
            pending.append(entry.path)
            return
        status = own if not stat.S_ISLNK(own.st_mode) else entry.stat()
    except FileNotFoundError:
        if entry.is_symlink():
            found.decided[entry.path] = Verdict(state=FileState.HELD, reason="a link to nowhere")
        return
    except OSError as error:
        found.decided[entry.path] = _unreachable(Path(entry.path), error)
        return
    stamp = (status.st_size, status.st_mtime_ns)
    if stat.S_ISREG(status.st_mode) and names.match(entry.name):
        found.raw[entry.path] = stamp
        return
    if is_temporary(entry.name) and status.st_mtime_ns > oldest_ns:
        return
    linked = stat.S_ISLNK(own.st_mode)
    state, reason = _verdict(entry.name, status.st_mode, names, linked=linked)
    found.decided[entry.path] = Verdict(state=state, reason=reason, stamp=stamp)


def _verdict(name: str, mode: int, names: RawNames, *, linked: bool) -> tuple[FileState, str]:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFDIR:
        reason = "a link to a directory" if linked else "a hidden directory"
        return FileState.IGNORED, f"{reason}; it is not searched"
    if kind != stat.S_IFREG:
        return FileState.QUARANTINED, f"not a regular file but {_TYPES.get(kind, 'special')}"
    if is_temporary(name):
        return FileState.IGNORED, "a temporary name"
    return FileState.IGNORED, f"the name does not match {names.shown}"


def _unreachable(path: Path, error: OSError) -> Verdict:
    if error.errno == errno.ELOOP:
        return Verdict(state=FileState.QUARANTINED, reason="a loop of links")
    if error.errno in {errno.EACCES, errno.EPERM}:
        blocked = path if path.is_dir() else path.parent
        return Verdict(state=FileState.HELD, reason=mend_permission(blocked))
    return Verdict(state=FileState.HELD, reason=f"cannot be reached: {error.strerror}")


def _over(name: str, found: Scan) -> Verdict:
    reason = "a directory; it can be listed again" if name in found.folders else "it is gone"
    return Verdict(state=FileState.IGNORED, reason=reason)


def _record(name: str, verdict: Verdict) -> FileRecord:
    return FileRecord(
        path=Path(name),
        state=verdict.state,
        reason=verdict.reason,
        size=verdict.stamp[0],
        mtime_ns=verdict.stamp[1],
    )
