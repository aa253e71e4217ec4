"""Read the account of one night from the memory, the raw tree and the products on disc."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.account.clocks import ClockCheck, check_clocks
from daemon.account.completeness import (
    FileAccount,
    ProductAccount,
    ScienceAccount,
    account_of_files,
    account_of_products,
    account_of_science,
)
from daemon.account.running_numbers import Run, runs_of
from daemon.account.service import Service, service_of
from daemon.memory.records import JobState, ProductState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.memory.archive import Archive
    from daemon.memory.records import FileRecord
    from daemon.work.jobs import JobQueue
    from reducers.instrument import Instrument

_MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NightAccount:
    """Everything that is proven of one night; a broken identity makes the report red."""

    night: str
    files: FileAccount
    science: ScienceAccount
    products: ProductAccount
    runs: tuple[Run, ...]
    clocks: ClockCheck
    service: Service

    @property
    def broken(self) -> tuple[str, ...]:
        """One sentence for every identity that does not hold."""
        said = []
        if not self.files.holds:
            names = ", ".join(self.files.unexplained[:3])
            said.append(f"files do not add up: {self.files.sentence} ({names or 'tree unread'})")
        if not self.science.holds:
            said.append(f"frames do not add up: {self.science.sentence}")
        if not self.products.holds:
            names = ", ".join((*self.products.damaged, *self.products.absent)[:3])
            said.append(f"products do not add up: {self.products.sentence} ({names})")
        return tuple(said)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The proof in words, one line each."""
        return (
            self.files.sentence,
            self.science.sentence,
            *(run.sentence for run in self.runs),
            self.products.sentence,
            *self.clocks.sentences,
        )


def account_of_night(
    archive: Archive,
    queue: JobQueue,
    night: str,
    *,
    raw: Sequence[Path],
    instruments: Iterable[Instrument],
    verify: bool = True,
) -> NightAccount:
    """Return the account of a night.

    Parameters
    ----------
    raw
        The watched directories; without any, those in which files were seen.
    verify
        Read every product file of the night again and compare its hash.
    """
    files = archive.files()
    frames = archive.current_frames(night=night)
    histories = archive.product_histories(night)
    current = tuple(
        item
        for history in histories.values()
        for item in history
        if item.state is not ProductState.SUPERSEDED
    )
    products = {item.frame_id: item for item in current}
    jobs = [
        job
        for state in (JobState.FAILED, JobState.WAITING, JobState.BLOCKED, JobState.RUNNING)
        for job in queue.jobs(state, _MANY)
    ]
    hashes = hashes_of(path for item in current for path in item.paths.values()) if verify else {}
    stems = {_stem(record.path) for record in files} | {frame.stem for frame in frames}
    patterns = {instrument.running_number for instrument in instruments}
    tonight = {run_prefix(frame.stem, patterns) for frame in frames}
    return NightAccount(
        night=night,
        files=account_of_files(
            files, files_in(raw or folders_of(files)), now_s=archive.clock.now().timestamp()
        ),
        science=account_of_science(frames, products, jobs),
        products=account_of_products(current if verify else (), hashes),
        runs=tuple(
            run
            for pattern in sorted(patterns)
            for run in runs_of(stems, pattern)
            if run.prefix in tonight
        ),
        clocks=check_clocks(frames),
        service=service_of(frames, histories, archive.nights_touched(), night),
    )


def run_prefix(stem: str, patterns: Iterable[str]) -> str:
    """Return what the names of one count share; '' for a name without a count."""
    runs = [run for pattern in patterns for run in runs_of([stem], pattern)]
    return runs[0].prefix if runs else ""


def folders_of(files: Iterable[FileRecord]) -> tuple[Path, ...]:
    """Return the directories in which files were seen, none of them below another."""
    seen = {record.path.parent for record in files}
    return tuple(sorted(folder for folder in seen if seen.isdisjoint(folder.parents)))


def files_in(folders: Sequence[Path]) -> dict[Path, float] | None:
    """Return when every file in the watched tree changed last; None where it cannot be read."""
    found: dict[Path, float] = {}
    waiting = [Path(folder) for folder in folders]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        changed = entry.stat(follow_symlinks=False).st_mtime
                        found[Path(entry.path)] = changed
        except OSError:
            return None
    return found


def hashes_of(paths: Iterable[Path]) -> dict[Path, str | None]:
    """Return the SHA-256 of every file; None where it cannot be read."""
    found: dict[Path, str | None] = {}
    for path in paths:
        try:
            with path.open("rb") as stream:
                found[path] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            found[path] = None
    return found


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
