"""The supervisor's part of arrival: look, wait until quiet, submit; it opens no file.

Whatever touches the storage runs as an errand: a mount that hangs is said, and waited for by a
thread of its own, while everything else goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from calibration_store.transactions import writing
from daemon.arrival.errand import Errand
from daemon.arrival.reconcile import UNREACHED, compare, look, scan
from daemon.arrival.settle import SettleTracker
from daemon.memory.records import PRIORITY_INGEST, FileRecord, FileState, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from daemon.arrival.reconcile import News, Scan
    from daemon.arrival.sighting import RawNames, Sighting, Stamp
    from daemon.arrival.watch import Watcher
    from daemon.clock import Clock
    from daemon.config import Watch
    from daemon.memory.archive_files import FileArchive

    Submit = Callable[[JobRequest, Session], object]

#: What was there when the daemon started comes after what arrives meanwhile.
PRIORITY_FOUND_AT_START = PRIORITY_INGEST + 5
WAITING = "waiting to be read"
RAW_MISSING = "the raw file is no longer there; what was made from it stays"
#: Files per transaction and step: the supervisor must come round and show that it lives.
_BATCH = 250
#: A step waits so long for the storage; what takes longer is collected in a later step.
_PATIENCE_S = 0.5
_WATCHING = "watching the raw directories"
#: A scan that has not come back after so long is worth a warning.
STALLED_AFTER_S = 60.0
#: Requests for a scan that come faster than this are one.
_RESCAN_AT_MOST_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What the last scan of all directories showed."""

    raw_files: int = 0
    missing: int = 0
    took_s: float = 0.0
    warnings: tuple[str, ...] = ()


class Intake:
    """Turns hints and scans into INGEST jobs; `step` is called again and again.

    Nothing in memory matters beyond saving work: after a restart a scan finds every file again.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        names: RawNames,
        settings: Watch,
        *,
        engine: Engine,
        archive: FileArchive,
        submit: Submit,
        watcher: Watcher,
        clock: Clock,
        scanner: Callable[..., Scan] = scan,
        lenient: bool = False,
    ) -> None:
        self._folders = tuple(folders)
        self._names = names
        self._settings = settings
        self._engine = engine
        self._archive = archive
        self._submit = submit
        self._watcher = watcher
        self._clock = clock
        self._scanner = scanner
        self._again = {FileState.HELD, FileState.MISSING}
        if lenient:
            self._again.add(FileState.QUARANTINED)
        self._tracker = SettleTracker(settings.settle_s, settings.hold_limit_s)
        self._handled: dict[str, Stamp] = {}
        self._first_seen: dict[Path, datetime] = {}
        # Settled and not yet submitted: neither the tracker nor `_handled` knows these.
        self._settled: dict[Path, tuple[Sighting, int]] = {}
        self._decided: list[FileRecord] = []
        self._missing: list[Path] = []
        self._at_start: set[Path] = set()
        self._last_scan: float | None = None
        self._rescan = True
        self._watching = Errand(_nothing, _WATCHING)
        self._scans: dict[Path, Errand[Scan]] = {}
        self._looks: dict[Path, Errand[list[tuple[Path, Sighting | None]]]] = {}
        self._unlooked: set[Path] = set()
        self._found: dict[Path, Tree] = {}

    def start(self) -> None:
        """Begin to watch and recall what has been dealt with."""
        self._watching = Errand(self._watcher.start, _WATCHING)
        self._watching.is_back(_PATIENCE_S)
        for record in self._archive.files():
            stamp = (record.size, record.mtime_ns)
            # A held file is looked at again: its job may have been lost with its reason.
            again = record.state in self._again
            if not again or stamp == UNREACHED:
                self._handled[str(record.path)] = stamp

    def stop(self) -> None:
        """Stop watching."""
        self._watcher.stop()

    def step(self) -> int:
        """Do what is due now and return how many files were submitted or decided."""
        now = self._clock.monotonic()
        self._watch()
        hints = self._watcher.hints()
        self._rescan = self._rescan or hints.rescan
        self._unlooked |= hints.paths
        self._look_at_all(now)
        if self._scan_due(now):
            self._send_scans(now)
        self._collect_scans(now)
        self._unlooked |= set(self._tracker.due(now))
        self._look_at_all(now)
        for sighting in self._tracker.settled(now):
            late = sighting.path in self._at_start
            self._settled[sighting.path] = (sighting, PRIORITY_FOUND_AT_START if late else 0)
        return self._write_batch()

    def next_in_s(self) -> float:
        """Return how long `step` may be left alone when no hint comes."""
        now = self._clock.monotonic()
        if self._settled or self._decided or self._missing:
            return 0.0
        times = [self._next_scan(now)]
        due = self._tracker.next_due()
        if due is not None:
            times.append(due)
        return max(0.0, min(times) - now)

    @property
    def settling(self) -> int:
        """Number of files that are not quiet yet or not submitted yet."""
        return len(self._tracker) + len(self._settled)

    @property
    def idle(self) -> bool:
        """Whether a scan has been made and everything it showed is in the database."""
        waiting = self.settling or self._decided or self._missing or self._scans or self._looks
        return self._last_scan is not None and not self._rescan and not waiting

    def rescan(self) -> None:
        """Ask for a scan in the next step."""
        self._rescan = True

    def _next_scan(self, now: float) -> float:
        if self._last_scan is None:
            return now
        settings = self._settings
        pause = settings.poll_s if self._watcher.polls else settings.rescan_s
        if self._rescan:
            pause = min(pause, _RESCAN_AT_MOST_EVERY_S)
        # A slow storage must not keep us busy with nothing but scans.
        return self._last_scan + max(pause, 4 * self.tree.took_s)

    def _scan_due(self, now: float) -> bool:
        return self._next_scan(now) <= now

    def _watch(self) -> None:
        """Let the watcher look after its directories; it may hang on one that hangs."""
        if self._watching.is_back():
            self._watching.result()
            self._watching = Errand(self._watcher.check, _WATCHING)
            self._watching.is_back(_PATIENCE_S)

    def _send_scans(self, now: float) -> None:
        self._rescan, self._last_scan = False, now
        now_ns = int(self._clock.now().timestamp() * 1e9)
        patience_s = self._settings.hold_limit_s
        for folder in self._folders:
            if folder not in self._scans:
                call = partial(
                    self._scanner, folder, self._names, now_ns=now_ns, patience_s=patience_s
                )
                self._scans[folder] = Errand(call, f"scan of {folder}")

    def _collect_scans(self, now: float) -> None:
        """Take what the scans that are back have shown."""
        for folder, errand in tuple(self._scans.items()):
            if not errand.is_back(_PATIENCE_S if errand.age_s < _PATIENCE_S else 0.0):
                continue
            del self._scans[folder]
            try:
                found = errand.result()
            except OSError as error:
                reason = f"{folder} cannot be searched: {error.strerror or error}"
                self._found[folder] = Tree(took_s=errand.age_s, warnings=(reason,))
                continue
            news = compare(found, self._handled)
            self._take(news, now, first=folder not in self._found)
            self._found[folder] = Tree(
                raw_files=len(found.raw),
                missing=len(news.missing),
                took_s=errand.age_s,
                warnings=(news.warning,) if news.warning else (),
            )

    @property
    def tree(self) -> Tree:
        """What the last scan of every directory showed."""
        found = self._found.values()
        said = [text for tree in found for text in tree.warnings]
        return Tree(
            raw_files=sum(tree.raw_files for tree in found),
            missing=sum(tree.missing for tree in found),
            took_s=sum(tree.took_s for tree in found),
            warnings=(*said, *self.warnings()),
        )

    def warnings(self, stalled_after_s: float = STALLED_AFTER_S) -> list[str]:
        """Return one sentence for everything that the storage has not answered for so long."""
        errands: list[Errand[Any]] = [*self._scans.values(), *self._looks.values()]
        errands.append(self._watching)
        return [
            f"{errand.about} has not come back for {errand.age_s:.0f} s: is the storage hung?"
            for errand in errands
            if not errand.is_back() and errand.age_s > stalled_after_s
        ]

    def _look_at_all(self, now: float) -> None:
        """Send for a look at every file that wants one, and take the looks that are back."""
        wanted: dict[Path, list[Path]] = {}
        for path in self._unlooked:
            wanted.setdefault(self._folder_of(path), []).append(path)
        for folder, paths in wanted.items():
            if folder not in self._looks:
                self._unlooked.difference_update(paths)
                call = partial(_look_at, tuple(paths), self._names)
                self._looks[folder] = Errand(call, f"look at files in {folder}")
        for folder, errand in tuple(self._looks.items()):
            if errand.is_back(_PATIENCE_S if errand.age_s < _PATIENCE_S else 0.0):
                del self._looks[folder]
                for path, sighting in errand.result():
                    self._seen(path, sighting, now)

    def _folder_of(self, path: Path) -> Path:
        return next((f for f in self._folders if path.is_relative_to(f)), path.parent)

    def _take(self, news: News, now: float, *, first: bool) -> None:
        for sighting in news.nominated:
            self._observe(sighting, now)
            if first:
                self._at_start.add(sighting.path)
        for record in news.decided:
            self._handled[str(record.path)] = (record.size, record.mtime_ns)
        for record in news.over:
            self._handled.pop(str(record.path), None)
        self._decided += [*news.decided, *news.over]
        for path in news.missing:
            # When it returns it is taken in again.
            del self._handled[str(path)]
        self._missing += news.missing

    def _record_missing(self, path: Path, session: Session) -> None:
        record = self._archive.file_at(path, within=session)
        if record is None or record.state is FileState.MISSING:
            return
        if record.state is FileState.INGESTED:
            gone = replace(record, state=FileState.MISSING, reason=RAW_MISSING)
        else:
            gone = replace(record, state=FileState.IGNORED, reason="it is gone")
        self._archive.record_file(gone, within=session)

    def _seen(self, path: Path, sighting: Sighting | None, now: float) -> None:
        if sighting is None:
            self._tracker.forget(path)
            self._first_seen.pop(path, None)
            self._at_start.discard(path)
        elif self._handled.get(str(path)) != sighting.stamp:
            self._observe(sighting, now)
        else:
            self._tracker.forget(path)

    def _observe(self, sighting: Sighting, now: float) -> None:
        if not self._names.takes(sighting.path.name):
            return
        if sighting.path in self._settled:
            if self._settled[sighting.path][0] == sighting:
                return  # it waits for its batch; a scan meanwhile must not submit it twice
            del self._settled[sighting.path]
        self._first_seen.setdefault(sighting.path, self._clock.now())
        self._tracker.observe(sighting, now)

    def _write_batch(self) -> int:
        settled = list(self._settled.values())[:_BATCH]
        decided, missing = self._decided[:_BATCH], self._missing[:_BATCH]
        if not settled and not decided and not missing:
            return 0
        with writing(self._engine) as session:
            for path in missing:
                self._record_missing(path, session)
            for record in decided:
                self._archive.record_file(record, within=session)
            for sighting, priority in settled:
                self._submit_one(sighting, priority or PRIORITY_INGEST, session)
        # Only what is written is no longer due: after an error all of it is, in a later step.
        del self._decided[: len(decided)], self._missing[: len(missing)]
        for sighting, _ in settled:
            del self._settled[sighting.path]
            self._handled[str(sighting.path)] = sighting.stamp
            self._first_seen.pop(sighting.path, None)
            self._at_start.discard(sighting.path)
        return len(settled) + len(decided) + len(missing)

    def _submit_one(self, sighting: Sighting, priority: int, session: Session) -> None:
        seen_at = self._first_seen.get(sighting.path, self._clock.now())
        before = self._archive.file_at(sighting.path, within=session)
        back = before is not None and before.state is FileState.MISSING
        if before is None or back or (before.size, before.mtime_ns) != sighting.stamp:
            record = FileRecord(
                path=sighting.path,
                state=FileState.HELD,
                reason=WAITING,
                size=sighting.size,
                mtime_ns=sighting.mtime_ns,
                first_seen=seen_at,
            )
            self._archive.record_file(record, within=session)
        # The limit of patience counts from when this size was first seen, also after a restart.
        elif before.last_seen is not None and before.state is FileState.HELD:
            seen_at = min(seen_at, before.last_seen)
        self._submit(sighting.request(seen_at, priority=priority), session)


def _nothing() -> None:
    return None


def _look_at(paths: Sequence[Path], names: RawNames) -> list[tuple[Path, Sighting | None]]:
    return [(path, look(path, names)) for path in paths]
