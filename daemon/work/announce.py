"""Tell of a product as it is recorded, once, in the same transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.memory.messages import Message, Topic
from daemon.outbox.routing import is_heard
from daemon.publish.product_text import product_text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord, ProductRecord
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
    config = bench.config
    age = bench.clock.now() - frame.ingested_at
    if not is_heard(Topic.PRODUCT, config) or age > timedelta(hours=config.outbox.fresh_h):
        return
    message = Message(
        key=f"product:{product.frame_sha256}:{product.key}:{product.generation}",
        topic=Topic.PRODUCT,
        text=product_text(product, frame, before),
        night=product.night,
        target=product.target,
        programme=frame.identity.programme or "none",
        attachments=tuple(
            path
            for role, path in product.paths.items()
            if role == "plot" or role.startswith("plot:")
        ),
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
