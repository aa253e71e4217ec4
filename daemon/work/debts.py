"""The task that tells observers which calibrations are owed, and what their targets came to."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from daemon.account.debt import Standing, debts_of, hints_of, words_of
from daemon.clock import twilights
from daemon.memory.messages import Message, Topic
from daemon.memory.records import PRIORITY_LOOK, JobKind, JobRequest
from daemon.publish.debt_text import debt_post
from daemon.work.plan import Step, is_of_tonight
from daemon.work.roles import PROVIDED_FOR, product_of
from daemon.work.selecting import select_masters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from daemon.account.debt import Debt
    from daemon.memory.records import FrameRecord, Job
    from daemon.work.bench import Bench
    from reducers.instrument import Instrument

#: An arc on the object follows its exposure within moments.
_AFTER_A_NEW_SETUP_S = 120.0
#: Only at the telescope can one still take what is missing.
_AT_ONCE = (Standing.MISSING, Standing.REFUSED, Standing.MOVED)


def post_debt(bench: Bench, job: Job) -> None:
    """Tell what is owed: of one new set-up what is missing, on an occasion of the night all."""
    night, setup = str(job.payload["night"]), str(job.payload.get("setup", ""))
    found = debts_of_night(bench, night)
    if setup:
        found = [each for each in found if each.setup == setup and each.standing in _AT_ONCE]
        title, key = f"{setup} is new tonight", f"debt:{night}:{setup}"
        hints = []
    else:
        occasion = str(job.payload["occasion"])
        when = "before dawn" if "morning" in occasion else "so far"
        title, key = f"Calibrations of {night} {when}", f"{occasion}:{night}"
        hints = hints_of(bench.archive.products(night), snr_goal=bench.config.hints.snr_goal)
    text = debt_post(found, hints, title)
    if text:
        bench.archive.queue_message(Message(key=key, topic=Topic.HINT, text=text, night=night))


def debts_of_night(bench: Bench, night: str) -> list[Debt]:
    """Return how the set-ups of a night stand with their calibrations."""
    return debts_of(
        bench.archive.current_frames(night=night),
        lambda frame: select_masters(bench, frame, product_of(frame.identity)),
        bench.instruments,
        _dawn(bench, night),
    )


def after_new_setup(
    bench: Bench, frame: FrameRecord, instrument: Instrument, session: Session
) -> Sequence[Step]:
    """Ask, once for each set-up of tonight, what it lacks."""
    now = bench.clock.now()
    if frame.identity.kind not in PROVIDED_FOR or not is_of_tonight(frame, instrument, now):
        return ()
    setup = words_of(frame.identity.setup)
    if not bench.archive.note_occasion(f"set-up {setup}", frame.night, now, within=session):
        return ()
    request = JobRequest(
        kind=JobKind.DEBT,
        key=f"debt:{frame.night}:{setup}",
        payload={"night": frame.night, "setup": setup},
        priority=PRIORITY_LOOK,
        not_before=now + timedelta(seconds=_AFTER_A_NEW_SETUP_S),
    )
    return (Step(request=request),)


def _dawn(bench: Bench, night: str) -> datetime | None:
    """Return when the night ends; None where it is over."""
    site = next(iter(bench.instruments.values()))
    found = twilights(date.fromisoformat(night), site)
    dawn = found.dawn or found.sunrise
    return dawn if dawn is not None and dawn > bench.clock.now() else None
