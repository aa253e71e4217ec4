"""The task that stacks the images of one object and filter of a night, and remembers the stack."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.memory.records import CombinationRecord, MemberRecord, ProductState
from daemon.publish.stack_page import StackCase, stack_picture
from daemon.work.announce import announce_combination
from daemon.work.bench import Bench, digest_of, file_sha256
from daemon.work.members import wait_for_members, with_page
from daemon.work.pictures import SAFE_MODE_ATTEMPT
from daemon.work.stack_groups import StackGroup, images_in
from daemon.work.stacks import NothingToStack, StackMade, WantedStack, stack_target
from reducers.imaging.stack_products import STACK_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.records import Job, ProductRecord

log = logging.getLogger(__name__)


def stack_sequence(bench: Bench, job: Job) -> None:
    """Stack what there is of a group; nothing when that has been done.

    Raises
    ------
    TryLater
        If a member is just being calibrated.
    """
    group = StackGroup.of_key(str(job.payload["group"]))
    if group is None:
        return
    frames = images_in(bench.archive, group)
    wait_for_members(bench, frames)
    products = {
        frame.stem: product
        for frame in frames
        if (product := bench.archive.current_product(frame.id)) and "image" in product.paths
    }
    key = _key(products)
    before = bench.archive.combination(group.key)
    if before is not None and before.key == key and all(p.is_file() for p in before.paths.values()):
        return
    wanted = WantedStack(target=group.target, filter=group.filter, nights=(group.night,))
    try:
        made = stack_target(bench, wanted) if len(products) > 1 else None
    except NothingToStack as error:
        log.info("%s: %s", job.key, error)
        made = None
    if made is None or len(made.stacked.shares) < 2:
        _withdraw(bench, before, made, job)
        return
    record = _record(bench, group, key, made, products)
    if job.attempts < SAFE_MODE_ATTEMPT:
        record = _drawn(bench, record, made)
    with writing(bench.engine) as session:
        bench.archive.record_combination(record, within=session)
        used = {each.stem for each in record.members}
        shown = [frame for frame in frames if frame.stem in used]
        announce_combination(bench, shown, record, before, session)
        bench.queue.finish(job, within=session)


def _key(products: dict[str, ProductRecord]) -> str:
    """Return what the stack is made of: images, verdicts on them, and the recipe."""
    made_of = sorted(
        (stem, product.key, product.hashes["image"], product.verdict.decision.value)
        if product.verdict
        else (stem, product.key, product.hashes["image"], "")
        for stem, product in products.items()
    )
    return digest_of("stack", STACK_VERSION, made_of)


def _record(
    bench: Bench,
    group: StackGroup,
    key: str,
    made: StackMade,
    products: dict[str, ProductRecord],
) -> CombinationRecord:
    used = [choice for choice in made.choices if choice.use]
    open_ended = any(item.state is ProductState.PROVISIONAL for item in products.values())
    stacked = made.stacked
    return CombinationRecord(
        group=group.key,
        key=key,
        night=group.night,
        target=made.target,
        setup=group.filter,
        state=ProductState.PROVISIONAL if open_ended else ProductState.FINAL,
        quality=max(choice.member.quality for choice in used),
        exposure_s=stacked.exposure_s,
        members=tuple(
            MemberRecord(
                stem=choice.member.name,
                product_key=products[choice.member.name].key
                if choice.member.name in products
                else "",
                factor=1 / (choice.scale * choice.member.exposure_s),
                weight=choice.weight,
            )
            for choice in used
        ),
        excluded=tuple(
            sorted((each.member.name, each.reason) for each in made.choices if not each.use)
        ),
        paths=dict(made.paths),
        hashes={role: file_sha256(path) for role, path in made.paths.items()},
        measurements={
            "images": float(len(used)),
            "seeing_arcsec": _mean([choice.member.seeing_arcsec for choice in used]),
            "zero_point_mag": stacked.zero_point_mag,
            "noise_factor": stacked.noise_gain**-0.5,
        },
        created_at=bench.clock.now(),
    )


def _drawn(bench: Bench, record: CombinationRecord, made: StackMade) -> CombinationRecord:
    """Draw the page of a stack; without it the stack is as good as before."""
    case = StackCase(
        stacked=made.stacked,
        choices=made.choices,
        target=record.target,
        setup=record.setup,
        quality=record.quality,
        excluded=record.excluded,
    )
    name = record.paths["combined"].stem
    path = bench.layout.verify_plot(record.night, record.target, name)
    return with_page(record, path, partial(stack_picture, case))


def _withdraw(
    bench: Bench, record: CombinationRecord | None, made: StackMade | None, job: Job
) -> None:
    """Take back a stack that has fewer than two members left: a stale one would mislead."""
    paths = {*(record.paths.values() if record else ()), *(made.paths.values() if made else ())}
    for path in paths:
        path.unlink(missing_ok=True)
    if record is None:
        return
    with writing(bench.engine) as session:
        bench.archive.withdraw_combination(record.group, within=session)
        bench.queue.finish(job, within=session)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
