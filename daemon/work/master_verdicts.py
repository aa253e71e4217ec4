"""Ban a master, or have it used: a person's word, and everything that follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from calibration_store.pins import Pin
from calibration_store.records import MasterState
from daemon.memory.database import writing
from daemon.memory.records import PRIORITY_CALIBRATION
from daemon.work.plan import PRIORITY_UPGRADE, Step, after_master, master_request, reduce_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from calibration_store.records import MasterRecord
    from daemon.work.bench import Bench


def ban(bench: Bench, master: MasterRecord, *, user: str, reason: str) -> int:
    """Let no product use a master any more; return how many are looked at again.

    The version before it does not come back by itself: a set is what its frames are, and those
    are looked at again too.
    """
    with writing(bench.engine) as session:
        bench.store.set_state(master.key, MasterState.BANNED, f"{reason} ({user})", within=session)
        steps = [*_users(bench, master, session), *_children(bench, master, session)]
        bench.submit(steps, session)
        return len(steps)


def unban(bench: Bench, master: MasterRecord) -> None:
    """Let a banned master be used again."""
    with writing(bench.engine) as session:
        bench.store.set_state(master.key, MasterState.CURRENT, "", within=session)
        _look_again(bench, master, master.night, session)


def pin(bench: Bench, master: MasterRecord, night: str, *, user: str, reason: str) -> None:
    """Have every frame of a night that the master can serve reduced with it."""
    wish = Pin(
        master_key=master.key,
        night=night,
        role=master.role,
        user=user,
        reason=reason,
        pinned_at=bench.clock.now(),
    )
    with writing(bench.engine) as session:
        bench.pins.add(wish, within=session)
        _look_again(bench, master, night, session)


def unpin(bench: Bench, master: MasterRecord) -> list[str]:
    """Let the rules choose again; return the nights in which the master was wanted."""
    with writing(bench.engine) as session:
        nights = bench.pins.remove(master.key, within=session)
        for night in nights:
            _look_again(bench, master, night, session)
        return nights


def _users(bench: Bench, master: MasterRecord, session: Session) -> Iterator[Step]:
    """Ask for every product that was made with the master."""
    now = bench.clock.now()
    for product in bench.archive.products_using(master.key, within=session):
        frame = bench.archive.frame(product.frame_id, within=session)
        if frame is not None:
            yield Step(request=reduce_request(frame, priority=PRIORITY_UPGRADE, now=now))


def _children(bench: Bench, master: MasterRecord, session: Session) -> Iterator[Step]:
    """Ask for every master that was built with it; what those served follows from them."""
    now = bench.clock.now()
    for child in bench.store.dependents_of(master.key, within=session):
        for sha256, _ in child.inputs[:1]:
            member = bench.archive.frame_of_content(sha256, within=session)
            if member is not None and child.instrument in bench.instruments:
                profile = bench.instrument(child.instrument)
                request = master_request(child.role, member, profile, now)
                yield Step(request=replace(request, priority=PRIORITY_CALIBRATION))


def _look_again(bench: Bench, master: MasterRecord, night: str, session: Session) -> None:
    frames = bench.archive.current_frames(night=night, instrument=master.instrument, within=session)
    instrument = bench.instrument(master.instrument)
    bench.submit(after_master(master.role, frames, instrument, bench.clock.now()), session)
