"""Arcs of a night that gave no solution, and the spectra that have to say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration_store.policy import share_hard_keys
from calibration_store.records import MasterState
from daemon.memory.records import JobState
from daemon.work.plan import PRIORITY_UPGRADE, Step, master_request, reduce_request
from daemon.work.roles import REDUCED
from reducers.identity import FrameKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench

_MANY = 10_000


def arc_was_refused(bench: Bench, frame: FrameRecord) -> bool:
    """Tell whether an arc of the frame's night and grism failed, or its solution was rejected."""
    arcs = list(_fitting(bench, frame, (FrameKind.ARC,)))
    if not arcs:
        return False
    rejected = {
        sha256
        for master in bench.store.of_night(frame.night)
        if master.role == "ARC" and master.state is MasterState.REJECTED
        for sha256, _ in master.inputs
    }
    if not rejected.isdisjoint(arc.sha256 for arc in arcs):
        return True
    instrument, now = bench.instrument(frame.identity.instrument), bench.clock.now()
    asked = {master_request("ARC", arc, instrument, now).key for arc in arcs}
    return not asked.isdisjoint(job.key for job in bench.queue.jobs(JobState.FAILED, _MANY))


def spectra_look_again(bench: Bench, arc: FrameRecord, within: Session) -> None:
    """Ask for the spectra that this refused arc would have served: they have to say so."""
    now = bench.clock.now()
    steps = [
        Step(request=reduce_request(frame, priority=PRIORITY_UPGRADE, now=now))
        for frame in _fitting(bench, arc, sorted(REDUCED), within)
    ]
    bench.submit(steps, within)


def _fitting(
    bench: Bench, one: FrameRecord, kinds: Iterable[FrameKind], within: Session | None = None
) -> Iterable[FrameRecord]:
    """Return the frames of these kinds, of the same night, that share an arc with this one."""
    for kind in kinds:
        for other in bench.archive.current_frames(
            kind, one.night, one.identity.instrument, within=within
        ):
            if share_hard_keys("ARC", one.identity.setup, other.identity.setup):
                yield other
