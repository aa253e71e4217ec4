"""What a combination and a stack share: they wait for their members, and have a page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.memory.records import JobState
from daemon.work.bench import file_sha256
from daemon.work.outcomes import TryLater
from daemon.work.pictures import save_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from daemon.memory.records import CombinationRecord, FrameRecord
    from daemon.publish.page import Picture
    from daemon.work.bench import Bench

LOOK_AGAIN_S = 1.0
_MANY = 10_000


def wait_for_members(bench: Bench, frames: Sequence[FrameRecord]) -> None:
    """Let the job wait while a member is due or being reduced: all would be made twice.

    Raises
    ------
    TryLater
        If one is.
    """
    keys = {f"reduce:{frame.sha256}" for frame in frames}
    now = bench.clock.now()
    for state in (JobState.RUNNING, JobState.WAITING):
        for job in bench.queue.jobs(state, _MANY):
            if job.key in keys and job.not_before <= now:
                raise TryLater(f"waits for {job.key}", after_s=LOOK_AGAIN_S)


def with_page(
    record: CombinationRecord, path: Path, draw: Callable[[], Picture]
) -> CombinationRecord:
    """Draw the page of a combination or a stack; without it the record is as good as before."""
    if not save_picture(path, draw):
        return record
    pages = {"plot": path, "plot_facts": path.with_suffix(".json")}
    hashes = {role: file_sha256(each) for role, each in pages.items()}
    return replace(record, paths={**record.paths, **pages}, hashes={**record.hashes, **hashes})
