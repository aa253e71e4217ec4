"""Let a frame be of another kind than its header says, and start what follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from calibration_store.sets import set_key
from daemon.memory.database import writing
from daemon.memory.records import KindChange
from daemon.work.plan import follow_up
from daemon.work.roles import product_of, role_of, rule_of
from daemon.work.tasks import set_around

if TYPE_CHECKING:
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.identity import FrameKind


def change_kind(
    bench: Bench, frame: FrameRecord, kind: FrameKind, *, user: str, reason: str
) -> FrameRecord:
    """Record a person's word on what a frame is; return the frame as it is now.

    The sets it leaves and joins look again, its product is retired or made, all in one
    transaction.
    """
    instrument = bench.instrument(frame.identity.instrument)
    said = f"{user} says {kind}: {reason}" if reason else f"{user} says {kind}"
    identity = replace(frame.identity, kind=kind, reasons=(*frame.identity.reasons, said))
    changed = replace(frame, identity=identity)
    rule = instrument.sets.get(kind)
    role = role_of(identity, instrument)
    keys = {set_key(identity, rule)} if rule is not None else set()
    if role is not None:
        keys.add(set_key(identity, rule_of(role, instrument)))
    with writing(bench.engine) as session:
        bench.archive.change_kind(
            KindChange(
                sha256=frame.sha256,
                kind_before=frame.identity.kind.value,
                kind=kind.value,
                user=user,
                reason=reason,
                changed_at=bench.clock.now(),
            ),
            identity,
            keys,
            within=session,
        )
        if product_of(frame.identity) != product_of(identity):
            bench.archive.retire_product(frame.id, within=session)
        steps = follow_up(
            changed,
            set_around(bench, changed, instrument, session),
            instrument,
            bench.clock.now(),
            previous=bench.archive.frame_before(changed, within=session),
            replaced=[frame],
            quiet_s=bench.config.calibration.quiet_s,
            provisional=bench.config.calibration.provisional,
        )
        bench.submit(steps, session)
    return changed
