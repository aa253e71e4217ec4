"""Tell of a product as it is recorded, once, in the same transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.conversation.buttons import product_blocks
from daemon.layout import version_of
from daemon.memory.messages import Message, Topic
from daemon.outbox.gathering import PICTURE
from daemon.outbox.routing import is_heard, programme_rules
from daemon.publish.product_text import combination_text, product_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.memory.records import CombinationRecord, FrameRecord, ProductRecord
    from daemon.work.bench import Bench


def announce(
    bench: Bench,
    frame: FrameRecord,
    product: ProductRecord,
    before: ProductRecord | None,
    within: Session,
) -> None:
    """Queue one message for a product, if anybody listens and the frame is of these days.

    A newer version is a reply in the same conversation, and replaces what was not posted yet.
    Nights that are reduced again long after are no news.
    """
    if not _is_news(bench, [frame]):
        return
    text = product_text(product, frame, before)
    has_buttons = bench.config.slack.interaction == "socket"
    message = Message(
        key=f"product:{product.frame_sha256}:{product.key}:{product.generation}",
        topic=Topic.PRODUCT,
        text=text,
        blocks=product_blocks(text, product) if has_buttons else (),
        night=product.night,
        target=product.target,
        programme=frame.identity.programme or "none",
        attachments=_plots(product.paths),
        payload={
            "stem": product.stem,
            "state": product.state.value,
            "quality": product.quality,
            "flags": [flag.name for flag in product.flags],
            "path": product.main_path,
            "generation": product.generation,
        },
        slot=f"product:{frame.id}",
    )
    bench.archive.queue_message(message, within)
    if has_buttons and message.attachments:
        # Slack shows no buttons below an upload: the plot is a post of its own.
        bench.archive.queue_message(_plot_beside(message), within)


def _plot_beside(message: Message) -> Message:
    """Return the plot alone, for the place where the message itself shows buttons."""
    return replace(
        message,
        key=f"{PICTURE}{message.key}",
        text=f"plot of {message.payload['stem']} v{version_of(str(message.payload['path']))}",
        blocks=(),
        to=("slack",),
        slot=f"{PICTURE}{message.slot}",
    )


def announce_combination(
    bench: Bench,
    frames: Sequence[FrameRecord],
    made: CombinationRecord,
    before: CombinationRecord | None,
    within: Session,
) -> None:
    """Queue one message for a combination or a stack, by the rules of `announce`.

    Parameters
    ----------
    frames
        The exposures of its members.
    """
    programme = _programme_of(frames, bench.config)
    if programme is None or not _is_news(bench, frames):
        return
    message = Message(
        key=f"combination:{made.group}:{made.key}",
        topic=Topic.PRODUCT,
        text=combination_text(made, before),
        night=made.night,
        target=made.target,
        programme=programme,
        attachments=_plots(made.paths),
        payload={
            "group": made.group,
            "state": made.state.value,
            "quality": made.quality,
            "members": [each.stem for each in made.members],
            "path": str(made.paths.get("combined", "")),
        },
        slot=f"combination:{made.group}",
    )
    bench.archive.queue_message(message, within)


def _is_news(bench: Bench, frames: Iterable[FrameRecord]) -> bool:
    """Tell whether anybody listens and the latest frame is of these days."""
    newest = max((frame.ingested_at for frame in frames), default=None)
    fresh = timedelta(hours=bench.config.outbox.fresh_h)
    recent = newest is not None and bench.clock.now() - newest <= fresh
    return recent and is_heard(Topic.PRODUCT, bench.config)


def _plots(paths: Mapping[str, Path]) -> tuple[Path, ...]:
    return tuple(path for role, path in paths.items() if role == "plot" or role.startswith("plot:"))


def _programme_of(frames: Iterable[FrameRecord], config: Config) -> str | None:
    """Return the one programme of all frames, '' for several open ones.

    None where several programmes share it and one is closed: it may be shown to none of them.
    """
    found = {frame.identity.programme or "none" for frame in frames}
    if len(found) == 1:
        return found.pop()
    return "" if all(programme_rules(each, config).open for each in found) else None
