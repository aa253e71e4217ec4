"""What a worker can do: one task per kind of job."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from calibration_store.sets import set_key
from daemon.arrival.ingest import Reception, ingest
from daemon.arrival.sighting import sighting_of
from daemon.canary.task import run_canary
from daemon.memory.records import FrameRecord, Job, JobKind
from daemon.publish.figures import science_picture
from daemon.publish.image_page import image_picture
from daemon.publish.look_page import look_picture
from daemon.publish.master_pages import master_picture
from daemon.report.send import send_report
from daemon.work.backup import back_up
from daemon.work.bench import Bench, open_bench
from daemon.work.combinations import combine_group
from daemon.work.debts import after_new_setup, post_debt
from daemon.work.differences import subtract_template
from daemon.work.health import look_after_instrument
from daemon.work.images import calibrate_image
from daemon.work.looks import show_image
from daemon.work.masters import build_master
from daemon.work.outcomes import TryLater
from daemon.work.plan import follow_up
from daemon.work.rationing import DiscSign
from daemon.work.reductions import reduce_frame
from daemon.work.refetch import fetch_missing
from daemon.work.review import review_products
from daemon.work.roles import MEASURED, role_of, rule_of
from daemon.work.stack_sequences import stack_sequence
from daemon.work.trigger_notices import read_triggers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.publish.page import Picture
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure, ReducedSpectrum


def open_tasks(config: Config) -> Mapping[JobKind, Callable[[Job], None]]:
    """Return the tasks of a worker, ready to run."""
    bench = open_bench(config)
    disc = DiscSign(bench.archive)
    return {
        JobKind.INGEST: partial(ingest_frame, bench),
        JobKind.MASTER: partial(build_master, bench, draw=disc.sparing(master_picture)),
        JobKind.REDUCE: partial(reduce_frame, bench, draw=disc.sparing(draw_plot)),
        JobKind.REVIEW: partial(review_products, bench),
        JobKind.COMBINE: partial(combine_group, bench),
        JobKind.IMAGE: partial(calibrate_image, bench, draw=disc.sparing(image_picture)),
        JobKind.FETCH: partial(fetch_missing, bench),
        JobKind.DIFFERENCE: partial(subtract_template, bench),
        JobKind.STACK: partial(stack_sequence, bench),
        JobKind.TRIGGERS: partial(read_triggers, bench),
        JobKind.LOOK: partial(show_image, bench, draw=look_picture),
        JobKind.BACKUP: partial(back_up, bench),
        JobKind.DEBT: partial(post_debt, bench),
        JobKind.HEALTH: partial(look_after_instrument, bench),
        JobKind.CANARY: partial(run_canary, bench),
        JobKind.REPORT: partial(send_report, bench),
    }


def ingest_frame(bench: Bench, job: Job) -> None:
    """Take in one file.

    Raises
    ------
    TryLater
        If the file is not whole yet, or cannot be reached.
    """
    seen_at = datetime.fromisoformat(str(job.payload["seen_at"]))
    outcome = ingest(sighting_of(job.payload), seen_at, reception_of(bench))
    if outcome.again_in_s is not None:
        raise TryLater(outcome.reason, after_s=outcome.again_in_s)


def reception_of(bench: Bench) -> Reception:
    """Return what taking in a file needs."""
    return Reception(
        engine=bench.engine,
        archive=bench.archive,
        clock=bench.clock,
        profiles=bench.config.instrument.profiles,
        follow_up=partial(plan_frame, bench),
        size_limit_bytes=int(bench.config.watch.size_limit_mb * 1e6),
        hold_limit_s=bench.config.watch.hold_limit_s,
        lenient=bench.config.only.lenient,
    )


def plan_frame(bench: Bench, frame: FrameRecord, instrument: Instrument, session: Session) -> None:
    """Submit, in the frame's own transaction, what its arrival asks for."""
    settings = bench.config.calibration
    replaced = bench.archive.other_revisions(frame, within=session)
    steps = follow_up(
        frame,
        set_around(bench, frame, instrument, session),
        instrument,
        bench.clock.now(),
        previous=bench.archive.frame_before(frame, within=session),
        replaced=replaced,
        quiet_s=settings.quiet_s,
        provisional=settings.provisional,
    )
    bench.submit(steps, session)
    if settings.provisional:
        bench.submit(after_new_setup(bench, frame, instrument, session), session)
    if replaced and frame.identity.kind not in MEASURED:
        bench.archive.retire_product(frame.id, within=session)


def set_around(
    bench: Bench, frame: FrameRecord, instrument: Instrument, session: Session
) -> list[FrameRecord]:
    """Return the frames of its calibration set; found by index, not by reading the night."""
    role = role_of(frame.identity, instrument)
    if role is None:
        return []
    key = set_key(frame.identity, rule_of(role, instrument))
    members = bench.archive.set_members(frame.identity.kind, key, frame.night, within=session)
    return [item for item in members if item.identity.instrument == instrument.name]


def draw_plot(
    reduced: ReducedSpectrum, exposure: Exposure, object_index: int, notes: Sequence[str]
) -> Picture:
    """Draw the verification plot of one object."""
    return science_picture(reduced, exposure, object_index, notes=notes)
