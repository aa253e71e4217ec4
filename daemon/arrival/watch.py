"""Hints that something arrived: events where the kernel sends them, a shorter scan elsewhere.

An event only says where to look. What counts is the scan of `daemon.arrival.reconcile`, so a
lost event costs time, never a frame.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

#: Where watchdog says that the kernel dropped events; the files behind them it does not replay.
OVERFLOW_LOGGERS = ("watchdog.observers.inotify_c", "watchdog.observers.inotify")
#: File systems on which another machine can write without our kernel telling us.
_SILENT = re.compile(r"nfs|cifs|smb|fuse|9p|afs|ceph|lustre|gpfs|beegfs|virtiofs|vboxsf|prl_fs")
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """Where to look: single files, or everywhere."""

    paths: frozenset[Path]
    rescan: bool


class HintBox(FileSystemEventHandler):
    """Collects hints from the observer's thread until the intake empties it."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.Lock()
        self._paths: set[Path] = set()
        self._rescan = False
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note the path of a file; a directory that came may hold files without an event."""
        if event.is_directory:
            if event.event_type in {"created", "moved"}:
                self.ask_rescan()
        elif event.event_type in {"created", "closed", "moved"}:
            where = event.dest_path if event.event_type == "moved" else event.src_path
            self.note(_path(where))

    def note(self, path: Path) -> None:
        """Ask for a look at one file."""
        with self._lock:
            self._paths.add(path)
        self._wake()

    def ask_rescan(self) -> None:
        """Ask for a look at everything."""
        with self._lock:
            self._rescan = True
        self._wake()

    def empty(self) -> Hints:
        """Return what was collected since the last time."""
        with self._lock:
            hints = Hints(paths=frozenset(self._paths), rescan=self._rescan)
            self._paths.clear()
            self._rescan = False
        return hints


class OverflowHandler(logging.Handler):
    """Asks for a rescan when watchdog warns that events were lost."""

    def __init__(self, ask_rescan: Callable[[], None]) -> None:
        super().__init__(level=logging.WARNING)
        self._ask_rescan = ask_rescan

    def emit(self, record: logging.LogRecord) -> None:
        """Take any warning as lost events: a scan too many is cheap."""
        del record
        self._ask_rescan()


class Watcher:
    """Watches directories, also those that come, go and are mounted later."""

    def __init__(
        self,
        folders: Sequence[Path],
        polling: Literal["auto", "always", "never"] = "auto",
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._folders = tuple(folders)
        self._polling = polling
        self._box = HintBox(wake)
        self._overflow = OverflowHandler(self._box.ask_rescan)
        self._observers: dict[Path, BaseObserver] = {}
        self._seen: dict[Path, tuple[int, int] | None] = {}
        self._why_polling: dict[Path, str] = {}

    def start(self) -> None:
        """Begin to watch every directory that is there."""
        for name in OVERFLOW_LOGGERS:
            logging.getLogger(name).addHandler(self._overflow)
        self.check()

    def stop(self) -> None:
        """Stop watching and leave no thread behind."""
        for name in OVERFLOW_LOGGERS:
            logging.getLogger(name).removeHandler(self._overflow)
        for folder in tuple(self._observers):
            self._unwatch(folder)

    def check(self) -> None:
        """Watch anew a directory that appeared, was replaced or mounted over since the last time.

        Asks for a rescan when that happened, since events before it were not seen.
        """
        for folder in self._folders:
            identity = _identity(folder)
            dead = folder in self._observers and not self._observers[folder].is_alive()
            if folder in self._seen and self._seen[folder] == identity and not dead:
                continue
            self._seen[folder] = identity
            self._unwatch(folder)
            if identity is None:
                log.warning("the watched directory %s is missing", folder)
            else:
                self._watch(folder)
            self._box.ask_rescan()

    def hints(self) -> Hints:
        """Return where to look, as collected since the last call."""
        return self._box.empty()

    @property
    def polls(self) -> bool:
        """Whether some directory gives no events and must be scanned often."""
        return bool(self._why_polling)

    def describe(self) -> list[str]:
        """Return one line per directory: how it is watched, for `status`."""
        lines = []
        for folder in self._folders:
            if self._seen.get(folder) is None:
                lines.append(f"{folder}: missing")
            elif folder in self._why_polling:
                lines.append(f"{folder}: polled ({self._why_polling[folder]})")
            else:
                lines.append(f"{folder}: watched")
        return lines

    def _watch(self, folder: Path) -> None:
        why = self._why_poll(folder)
        if not why:
            # One observer per directory: the loss of one does not disturb the others.
            observer = Observer()
            try:
                observer.schedule(self._box, str(folder), recursive=True, event_filter=_EVENTS)
                observer.start()
            except OSError as error:
                why = f"no events: {error.strerror or error}"
            else:
                self._observers[folder] = observer
        if why:
            self._why_polling[folder] = why
            log.info("%s is polled: %s", folder, why)

    def _why_poll(self, folder: Path) -> str:
        if self._polling == "always":
            return "as configured"
        if self._polling == "never":
            return ""
        kind = file_system(folder, _mounts())
        return f"{kind} sends no events" if _SILENT.search(kind) else ""

    def _unwatch(self, folder: Path) -> None:
        self._why_polling.pop(folder, None)
        observer = self._observers.pop(folder, None)
        if observer is not None:
            observer.stop()
            observer.join(timeout=5)


def file_system(path: Path, mounts: str) -> str:
    """Return the type of the file system of an absolute path, from the text of its mounts."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        depth = len(point.parts)
        # The last mount on a point hides the earlier ones.
        if depth >= best and path.is_relative_to(point):
            best, kind = depth, fields[2]
    return kind


def _mounts() -> str:
    # Not /proc/mounts: a service with ProcSubset=pid sees only what belongs to a process.
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _path(name: bytes | str) -> Path:
    return Path(name.decode(errors="surrogateescape") if isinstance(name, bytes) else name)
