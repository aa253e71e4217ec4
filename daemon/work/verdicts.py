"""Accept or reject a product: a person's word beside the automatic quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.layout import version_of
from daemon.memory.database import writing
from daemon.memory.records import Decision, Verdict
from daemon.publish.words import argument
from daemon.work.asked import Unusable
from daemon.work.groups import after_product
from daemon.work.jobs import JobQueue
from daemon.work.stack_groups import after_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord, ProductRecord


def judge(
    archive: Archive,
    frame: FrameRecord,
    *,
    accept: bool,
    version: int | None,
    user: str,
    answers: Mapping[str, str] | None = None,
    remark: str = "",
    within: Session | None = None,
) -> str:
    """Note the verdict on one version, and return in words what follows; nothing is reduced.

    Raises
    ------
    Unusable
        If there is no such product.
    """
    with writing(archive.engine, within) as session:
        history = archive.product_history(frame.id, session)
        current = archive.current_product(frame.id, session)
        if current is None:
            raise Unusable(f"{frame.stem} has no product yet: see `alfoscd status`")
        wanted = newest_of(history, version) if version is not None else current
        if wanted is None:
            known = ", ".join(
                str(number) for number in sorted({_version(item) for item in history})
            )
            raise Unusable(f"{frame.stem} has no version {version}; there are: {known}")
        decision = Decision.ACCEPTED if accept else Decision.REJECTED
        verdict = Verdict(
            decision=decision,
            user=user,
            at=archive.clock.now(),
            answers=answers or {},
            remark=remark,
        )
        archive.decide(wanted, verdict, session)
        if accept:
            follows = "nothing automatic replaces it any more"
        else:
            follows = _go_back(archive, frame, history, wanted, current, session)
        queue = JobQueue(archive.engine, archive.clock)
        for request in (
            *after_product(archive, frame, session),
            *after_image(archive, frame, session),
        ):
            queue.submit(request, within=session)
    return f"{frame.stem} version {_version(wanted)} is {decision} by {user}; {follows}"


def newest_of(history: list[ProductRecord], version: int) -> ProductRecord | None:
    """Return the product whose files carry this version now."""
    same = [item for item in history if _version(item) == version]
    return same[-1] if same else None


def _go_back(
    archive: Archive,
    frame: FrameRecord,
    history: list[ProductRecord],
    wanted: ProductRecord,
    current: ProductRecord,
    session: Session,
) -> str:
    """Let the version before a rejected one count again, if there is a good one; say which."""
    earlier = None
    if (wanted.key, wanted.generation) == (current.key, current.generation):
        earlier = _last_good(history, wanted)
    if earlier is not None:
        archive.make_current(earlier, session)
        return f"version {_version(earlier)} counts again"
    hint = "--skip-cr" if wanted.recipe == "image" else "--center PX"
    return f"try `alfoscd redo {argument(frame.stem)} {hint}`, or leave it rejected"


def _last_good(history: list[ProductRecord], rejected: ProductRecord) -> ProductRecord | None:
    """Return the latest other version that nobody rejected and whose files are there."""
    versions = sorted({_version(item) for item in history} - {_version(rejected)}, reverse=True)
    for version in versions:
        item = newest_of(history, version)
        refused = item is not None and item.verdict is not None and not item.is_accepted
        if item is not None and not refused and all(p.is_file() for p in item.paths.values()):
            return item
    return None


def _version(product: ProductRecord) -> int:
    return version_of(product.main_path)
