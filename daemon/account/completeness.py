"""Proof that nothing was lost: what lies on disc against what is known of it.

Two identities, asserted by whoever reports: every file on disc is ingested, held, quarantined or
ignored; every science frame is final, provisional, failed or waiting, with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.memory.records import FileState, JobState, ProductState
from daemon.work.roles import MEASURED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from daemon.memory.records import FileRecord, FrameRecord, Job, ProductRecord

#: Two scans see a file for certain.
_FRESH_S = 180.0
_ON_DISC = (FileState.INGESTED, FileState.HELD, FileState.QUARANTINED, FileState.IGNORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccount:
    """Every file of the watched tree, by how it ended.

    Attributes
    ----------
    on_disc
        Files that lie there; None where the tree could not be read.
    counts
        Recorded files by state; those no longer there are not among them.
    arriving
        On disc for moments only: the next scan records them.
    unexplained
        On disc without a record.
    gone
        Recorded as there, and not on disc: moved or deleted since the last scan.
    missing
        Raw files that were taken in and are known to be gone.
    """

    on_disc: int | None
    counts: Mapping[FileState, int]
    arriving: int = 0
    unexplained: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    missing: int = 0

    @property
    def holds(self) -> bool:
        """Whether every file on disc is explained."""
        return self.on_disc is not None and not self.unexplained

    @property
    def sentence(self) -> str:
        """The arithmetic in one line."""
        terms = " + ".join(f"{state} {self.counts.get(state, 0)}" for state in _ON_DISC)
        if self.on_disc is None:
            return f"raw on disc unknown (the tree cannot be read); recorded {terms}"
        said = f"raw on disc {self.on_disc} = {terms}"
        if self.arriving:
            said += f" + arriving {self.arriving}"
        said += f"   unexplained {len(self.unexplained)}"
        return said + (f"; gone since the last scan {len(self.gone)}" if self.gone else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScienceAccount:
    """Every frame of a night that is reduced, by what became of it.

    Attributes
    ----------
    failed, waiting, without
        (stem, reason) of frames without a product: their job failed, has yet to run, or ended
        without one.
    """

    frames: int
    final: int
    provisional: int
    failed: tuple[tuple[str, str], ...] = ()
    waiting: tuple[tuple[str, str], ...] = ()
    without: tuple[tuple[str, str], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every frame is accounted for; none ended without a product or a reason."""
        explained = self.final + self.provisional + len(self.failed) + len(self.waiting)
        return explained + len(self.without) == self.frames and all(
            reason for _, reason in self.without
        )

    @property
    def sentence(self) -> str:
        """The arithmetic in one line."""
        return (
            f"science {self.frames} = final {self.final} + provisional {self.provisional} "
            f"+ failed {len(self.failed)} + waiting {len(self.waiting)} "
            f"+ without product {len(self.without)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductAccount:
    """The files of the products against the hashes that were recorded when they were written."""

    files: int = 0
    damaged: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every file is there as it was written."""
        return not self.damaged and not self.absent

    @property
    def sentence(self) -> str:
        """What was verified, in one line."""
        said = f"product files {self.files}, each verified by its hash"
        if self.holds:
            return said
        return f"{said}: {len(self.damaged)} damaged, {len(self.absent)} absent"


def account_of_files(
    records: Sequence[FileRecord], on_disc: Mapping[Path, float] | None, *, now_s: float
) -> FileAccount:
    """Compare the records of files with the files that lie in the watched tree.

    Parameters
    ----------
    on_disc
        Time of the last change of every file, seconds since 1970.
    now_s
        Files that changed shortly before may wait for the next scan.
    """
    known = [record for record in records if record.state is not FileState.MISSING]
    missing = len(records) - len(known)
    counts = Counter(record.state for record in known)
    if on_disc is None:
        return FileAccount(on_disc=None, counts=counts, missing=missing)
    recorded = {record.path for record in known}
    new = on_disc.keys() - recorded
    fresh = {path for path in new if now_s - on_disc[path] < _FRESH_S}
    # An ignored file that was renamed away stays recorded; its new name has a record of its own.
    left = {record.path for record in known if record.state is FileState.IGNORED}
    return FileAccount(
        on_disc=len(on_disc),
        counts=Counter(record.state for record in known if record.path in on_disc),
        arriving=len(new & fresh),
        unexplained=tuple(sorted(str(path) for path in new - fresh)),
        gone=tuple(sorted(str(path) for path in recorded - on_disc.keys() - left)),
        missing=missing,
    )


def account_of_science(
    frames: Iterable[FrameRecord],
    products: Mapping[int, ProductRecord],
    jobs: Iterable[Job],
    *,
    otherwise: Mapping[int, str] | None = None,
) -> ScienceAccount:
    """Tell what became of every frame that is reduced.

    Parameters
    ----------
    products
        Current products by frame.
    jobs
        Jobs that wait, run or failed.
    otherwise
        Why a frame has no product though nothing failed, by frame.
    """
    reasons = otherwise or {}
    by_key: dict[str, Job] = {job.key: job for job in jobs}
    measured = [frame for frame in frames if frame.identity.kind in MEASURED]
    made = Counter(products[f.id].state for f in measured if f.id in products)
    failed, waiting, without = [], [], []
    for frame in measured:
        if frame.id in products:
            continue
        job = by_key.get(f"reduce:{frame.sha256}")
        if job is None:
            reason = reasons.get(frame.id, "its reduction gave no product: see its log")
            without.append((frame.stem, reason))
        elif job.state is JobState.FAILED:
            failed.append((frame.stem, job.error.strip().splitlines()[-1] if job.error else ""))
        else:
            waiting.append((frame.stem, f"its reduction is {job.state}"))
    return ScienceAccount(
        frames=len(measured),
        final=made[ProductState.FINAL],
        provisional=made[ProductState.PROVISIONAL],
        failed=tuple(failed),
        waiting=tuple(waiting),
        without=tuple(without),
    )


def account_of_products(
    products: Sequence[ProductRecord], hashes: Mapping[Path, str | None]
) -> ProductAccount:
    """Compare recorded hashes with those of the files now; None where there is no file."""
    wanted = [
        (path, product.hashes[role])
        for product in products
        for role, path in product.paths.items()
        if role in product.hashes
    ]
    found = [(path, hashes.get(path), recorded) for path, recorded in wanted]
    return ProductAccount(
        files=len(wanted),
        damaged=tuple(str(p) for p, now, then in found if now is not None and now != then),
        absent=tuple(str(path) for path, now, _ in found if now is None),
    )
