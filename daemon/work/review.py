"""The task that finds what other settings, recipes or profiles have made, and asks for it anew."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from calibration_store.records import MasterState
from daemon.memory.database import writing
from daemon.memory.records import PRIORITY_BACKLOG
from daemon.work.images import image_recipe_digest
from daemon.work.plan import Step, master_request, reduce_request
from daemon.work.reductions import recipe_digest
from reducers.recipes import RECIPE_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.memory.records import Job
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)


def review_products(bench: Bench, job: Job) -> None:
    """Submit, behind the work of the night, every product that would be made differently today.

    What a person accepted is left alone. When the recipes themselves are new, the masters are
    built anew first.
    """
    profiles = bench.instruments.values()
    today = {recipe_digest(bench.config, profile) for profile in profiles}
    today |= {image_recipe_digest(bench.config, profile) for profile in profiles}
    outdated = bench.archive.products_not_made_by(today)
    if not outdated:
        return
    log.info("%d products are made anew: settings or recipes have changed", len(outdated))
    now = bench.clock.now()
    steps: list[Step] = []
    if any(version != RECIPE_VERSION for _, version in outdated):
        steps += _masters(bench)
    for frame_id, _ in outdated:
        frame = bench.archive.frame(frame_id)
        if frame is not None and frame.identity.instrument in bench.instruments:
            steps.append(Step(request=reduce_request(frame, priority=PRIORITY_BACKLOG, now=now)))
    with writing(bench.engine) as session:
        bench.submit(steps, session)


def _masters(bench: Bench) -> Iterator[Step]:
    """Ask for the set of every master in use; those that are made as today are left alone."""
    for master in bench.store.everything():
        if master.state is not MasterState.CURRENT or master.instrument not in bench.instruments:
            continue
        member = bench.archive.frame_of_content(master.inputs[0][0]) if master.inputs else None
        if member is not None and member.current:
            profile = bench.instrument(master.instrument)
            yield Step(request=master_request(master.role, member, profile, bench.clock.now()))
