"""The supervisor's part of arrival: look, wait until quiet, submit; it opens no file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration_store.transactions import writing
from daemon.arrival.reconcile import UNREACHED, compare, look, scan
from daemon.arrival.settle import SettleTracker
from daemon.memory.records import PRIORITY_INGEST, FileRecord, FileState, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from daemon.arrival.reconcile import News
    from daemon.arrival.sighting import RawNames, Sighting, Stamp
    from daemon.arrival.watch import Watcher
    from daemon.clock import Clock
    from daemon.config import Watch
    from daemon.memory.archive_files import FileArchive

    Submit = Callable[[JobRequest, Session], object]

#: What was there when the daemon started comes after what arrives meanwhile.
PRIORITY_FOUND_AT_START = PRIORITY_INGEST + 5
WAITING = "waiting to be read"
#: Files per transaction and step: the supervisor must come round and show that it lives.
_BATCH = 250
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
    ) -> None:
        self._folders = tuple(folders)
        self._names = names
        self._settings = settings
        self._engine = engine
        self._archive = archive
        self._submit = submit
        self._watcher = watcher
        self._clock = clock
        self._tracker = SettleTracker(settings.settle_s, settings.hold_limit_s)
        self._handled: dict[str, Stamp] = {}
        self._first_seen: dict[Path, datetime] = {}
        self._settled: list[tuple[Sighting, int]] = []
        self._decided: list[FileRecord] = []
        self._at_start: set[Path] = set()
        self._last_scan: float | None = None
        self._rescan = True
        self.tree = Tree()

    def start(self) -> None:
        """Begin to watch and recall what has been dealt with."""
        self._watcher.start()
        for record in self._archive.files():
            stamp = (record.size, record.mtime_ns)
            # A held file is looked at again: its job may have been lost with its reason.
            if record.state is not FileState.HELD or stamp == UNREACHED:
                self._handled[str(record.path)] = stamp

    def stop(self) -> None:
        """Stop watching."""
        self._watcher.stop()

    def step(self) -> int:
        """Do what is due now and return how many files were submitted or decided."""
        now = self._clock.monotonic()
        self._watcher.check()
        hints = self._watcher.hints()
        self._rescan = self._rescan or hints.rescan
        for path in hints.paths:
            self._look(path, now)
        if self._scan_due(now):
            self._scan_all(now)
        for path in self._tracker.due(now):
            self._look(path, now)
        self._settled += [
            (sighting, PRIORITY_FOUND_AT_START if sighting.path in self._at_start else 0)
            for sighting in self._tracker.settled(now)
        ]
        return self._write_batch()

    def next_in_s(self) -> float:
        """Return how long `step` may be left alone when no hint comes."""
        now = self._clock.monotonic()
        if self._settled or self._decided:
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
        waiting = self.settling or self._decided
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

    def _scan_all(self, now: float) -> None:
        first = self._last_scan is None
        self._rescan, self._last_scan = False, now
        started = time.perf_counter()
        raw_files, missing, warnings = 0, 0, []
        for folder in self._folders:
            found = scan(
                folder,
                self._names,
                now_ns=int(self._clock.now().timestamp() * 1e9),
                patience_s=self._settings.hold_limit_s,
            )
            news = compare(found, self._handled)
            self._take(news, now, first=first)
            raw_files += len(found.raw)
            missing += news.missing
            warnings += [news.warning] if news.warning else []
        self.tree = Tree(
            raw_files=raw_files,
            missing=missing,
            took_s=time.perf_counter() - started,
            warnings=tuple(warnings),
        )

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

    def _look(self, path: Path, now: float) -> None:
        sighting = look(path, self._names)
        if sighting is None:
            self._tracker.forget(path)
            self._first_seen.pop(path, None)
            self._at_start.discard(path)
        elif self._handled.get(str(path)) != sighting.stamp:
            self._observe(sighting, now)
        else:
            self._tracker.forget(path)

    def _observe(self, sighting: Sighting, now: float) -> None:
        self._first_seen.setdefault(sighting.path, self._clock.now())
        self._tracker.observe(sighting, now)

    def _write_batch(self) -> int:
        settled, self._settled = self._settled[:_BATCH], self._settled[_BATCH:]
        decided, self._decided = self._decided[:_BATCH], self._decided[_BATCH:]
        if not settled and not decided:
            return 0
        try:
            with writing(self._engine) as session:
                for record in decided:
                    self._archive.record_file(record, within=session)
                for sighting, priority in settled:
                    self._submit_one(sighting, priority or PRIORITY_INGEST, session)
        except BaseException:
            # Nothing was written: all of it stays due, for a step after the trouble.
            self._settled = settled + self._settled
            self._decided = decided + self._decided
            raise
        for sighting, _ in settled:
            self._handled[str(sighting.path)] = sighting.stamp
            self._first_seen.pop(sighting.path, None)
            self._at_start.discard(sighting.path)
        return len(settled) + len(decided)

    def _submit_one(self, sighting: Sighting, priority: int, session: Session) -> None:
        seen_at = self._first_seen.get(sighting.path, self._clock.now())
        before = self._archive.file_at(sighting.path, within=session)
        if before is None or (before.size, before.mtime_ns) != sighting.stamp:
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
