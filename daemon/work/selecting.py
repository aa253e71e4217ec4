"""Choose the masters for a frame, or wait for those that are due; no file is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from calibration_store.history import standing_at
from calibration_store.policy import choose, pinned, why_unfit
from calibration_store.records import MasterState
from daemon.memory.records import Choice, JobKind, JobState
from daemon.work.outcomes import TryLater
from daemon.work.plan import is_of_tonight, pending_for
from daemon.work.redo import Redo
from daemon.work.refused_arcs import arc_was_refused
from daemon.work.roles import needs, rule_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from calibration_store.policy import Selection
    from calibration_store.records import MasterRecord
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.instrument import Instrument

#: A master that looks again does so after so long.
LOOK_AGAIN_S = 0.5
_MANY = 10_000


def select_masters(
    bench: Bench,
    frame: FrameRecord,
    product: str,
    how: Redo | None = None,
    *,
    at: datetime | None = None,
) -> tuple[Selection, ...]:
    """Choose a master for every role that `product` ('FLAT', ..., 'SPECTRUM') needs.

    What a person has chosen or left out in `how` comes before the rules.

    Parameters
    ----------
    at
        Choose among the masters that stood then; by default among those of now.
    """
    how = how or Redo()
    instrument = bench.instrument(frame.identity.instrument)
    wanted = needs(product, frame.identity.setup, instrument)
    found: dict[str, Selection] = {}
    for role in wanted:
        found[role] = _select(bench, frame, role, how, at, found.get("SKY_FLAT"))
    return tuple(found.values())


def _select(
    bench: Bench,
    frame: FrameRecord,
    role: str,
    how: Redo,
    at: datetime | None,
    flat: Selection | None,
) -> Selection:
    instrument = bench.instrument(frame.identity.instrument)
    wanted = bench.store.get(how.pins[role]) if role in how.pins else None
    if wanted is not None and not why_unfit(role, frame.identity, wanted):
        return pinned(role, frame.identity, wanted, how.user)
    candidates = [
        replace(master, state=MasterState.BANNED, reason=f"left out by {how.user}")
        if not {master.key, *(sha256 for sha256, _ in master.inputs)}.isdisjoint(how.exclude)
        else master
        for master in _candidates(bench, role, instrument, frame.night, at)
        if role != "STAR_FLAT" or corrects(master, flat)
    ]
    for pin in bench.pins.of(role, frame.night):
        liked = next((each for each in candidates if each.key == pin.master_key), None)
        if liked is not None and _may_serve(role, frame, liked):
            return pinned(role, frame.identity, liked, pin.user)
    rule = rule_of(role, instrument)
    found = choose(role, frame.identity, frame.night, candidates, rule)
    lacking = role == "ARC" and (found.master is None or found.borrowed)
    if lacking and arc_was_refused(bench, frame):
        return replace(found, refused=True, reason=f"{found.reason}; the night's own was refused")
    return found


def corrects(star_flat: MasterRecord, flat: Selection | None) -> bool:
    """Tell whether a star flat was made of images with this very sky flat: it corrects no other."""
    chosen = flat.master if flat is not None else None
    return chosen is not None and ("SKY_FLAT", chosen.key) in star_flat.parents


def wants_it_at_once(bench: Bench, frame: FrameRecord) -> bool:
    """Tell whether somebody waits for a product with whatever masters there are."""
    instrument = bench.instrument(frame.identity.instrument)
    tonight = is_of_tonight(frame, instrument, bench.clock.now())
    return bench.config.calibration.provisional and tonight


def wait_for_masters(bench: Bench, product: str) -> None:
    """Let the job wait while masters that it may use are due or being built.

    Raises
    ------
    TryLater
        If there are any.
    """
    counts = bench.queue.counts()
    states = (JobState.RUNNING, JobState.WAITING)
    if not any(counts.get((JobKind.MASTER, state)) for state in states):
        return
    jobs = [job for state in states for job in bench.queue.jobs(state, _MANY)]
    # A master that looks again in a moment is as good as due.
    soon = bench.clock.now() + timedelta(seconds=2 * LOOK_AGAIN_S)
    pending = pending_for(product, jobs, soon)
    if pending:
        raise TryLater(f"waits for {pending[0]}", after_s=LOOK_AGAIN_S)


def choices_of(selections: Iterable[Selection]) -> tuple[Choice, ...]:
    """Return selections as the archive records them."""
    return tuple(
        Choice(
            role=item.role,
            master_key=item.master.key if item.master else "",
            rung=item.rung,
            reason=item.reason,
            rejected=item.rejected,
        )
        for item in selections
    )


def _may_serve(role: str, frame: FrameRecord, master: MasterRecord) -> bool:
    """Tell whether a wanted master stands and fits the set-up; its age does not matter."""
    stands = master.state is MasterState.CURRENT
    return stands and not why_unfit(role, frame.identity, master) and master.path.is_file()


def _candidates(
    bench: Bench, role: str, instrument: Instrument, night: str, at: datetime | None
) -> list[MasterRecord]:
    """Return the usable masters, and those of the night that were refused, for the record."""
    if at is not None:
        every = [
            master
            for master in bench.store.everything()
            if master.role == role and master.instrument == instrument.name
        ]
        return standing_at(every, at)
    refused = [
        master
        for master in bench.store.of_night(night)
        if master.role == role
        and master.instrument == instrument.name
        and master.state in (MasterState.REJECTED, MasterState.BANNED)
    ]
    return [*bench.store.candidates(role, instrument.name), *refused]
