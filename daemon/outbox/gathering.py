"""Many messages told in one: the digest after an outage, the count in a storm."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from calibration_store.columns import encode_name
from calibration_store.transactions import writing
from daemon.memory.messages import (
    PRIORITY_URGENT,
    DeliveryState,
    Message,
    Topic,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from daemon.memory.archive import Archive
    from daemon.memory.messages import Delivery
    from daemon.outlets import Outbox

#: These may be told together; a report or an alert is always told by itself.
_TOGETHER = (Topic.PRODUCT, Topic.HINT, Topic.CHANGE)
_STORM_WINDOW = timedelta(hours=1)
_MOST_PLOTS = 10
_MOST_LINES = 60
#: Slack cuts a longer text, and with it whole messages; escapes and the ends need some room.
_ROOM = 3300
_DIGEST, _STORM, OPENING = "digest:", "storm:", "open:"
#: Key of a message that only shows the pictures of another one.
PICTURE = "picture:"


def is_gathering(delivery: Delivery) -> bool:
    """Tell whether a delivery tells others together."""
    return delivery.message.key.startswith((_DIGEST, _STORM))


def gather(
    archive: Archive, delivery: Delivery, settings: Outbox, now: datetime
) -> Delivery | None:
    """Return what should be sent instead of a waiting delivery; None when it joined another.

    A place that was out of reach for long, or for which too much waits, gets one digest. What is
    alike and came too often in an hour is counted, and the count goes out when the hour is over.
    """
    if is_gathering(delivery):
        return _with_latecomers(archive, delivery)
    if delivery.message.topic in _TOGETHER:
        waiting = _waiting(archive, delivery)
        oldest = min((each.created_at for each in waiting), default=now)
        late = len(waiting) > 1 and (now - oldest).total_seconds() > settings.digest_after_s
        if late or len(waiting) > settings.digest_above:
            return _join(archive, waiting, f"{_DIGEST}{delivery.sink}:{delivery.address}", None)
    storm = delivery.message.storm
    if storm:
        place = (storm, delivery.sink, delivery.address)
        if archive.sent_since(*place, now - _STORM_WINDOW) >= settings.storm_per_h:
            prefix = f"{_STORM}{':'.join(place)}"
            _join(archive, [delivery], prefix, now + _STORM_WINDOW)
            return None
    return delivery


def _waiting(archive: Archive, beside: Delivery) -> list[Delivery]:
    """Return what waits for the same place and may be told together."""
    return [
        each
        for each in archive.open_deliveries(beside.sink, beside.address)
        if each.message.topic in _TOGETHER
        and each.state is DeliveryState.WAITING
        and not each.message.key.startswith((_DIGEST, _STORM, OPENING))
    ]


def _join(
    archive: Archive, members: Sequence[Delivery], prefix: str, not_before: datetime | None
) -> Delivery | None:
    """Let deliveries be told by the open gathering of their kind, or by a new one.

    What a digest has no room for waits for the next one.
    """
    sink, address = members[0].sink, members[0].address
    with writing(archive.engine) as session:
        same = [
            each
            for each in archive.open_deliveries(sink, address, session)
            if each.message.key.startswith(prefix)
        ]
        if any(each.state is DeliveryState.UNKNOWN for each in same):
            return None  # first it must be known whether the last one has arrived
        _close_unopened(archive, sink, address, session)
        whole = same[0] if same else None
        if prefix.startswith(_DIGEST):
            told = archive.gathered(whole.id, session) if whole is not None else []
            members = _with_room(told, members)
        if whole is None:
            message = Message(
                key=f"{prefix}:{members[0].id}",
                topic=members[0].message.topic,
                text="",
                to=(sink,),
                priority=PRIORITY_URGENT,
                not_before=not_before,
            )
            whole = archive.add_delivery(message, sink, address, session)
        archive.mark_all(
            [each.id for each in members],
            DeliveryState.GATHERED,
            session,
            gathered_in=whole.id,
            error="",
        )
        return _told(archive, whole, session)


def _close_unopened(archive: Archive, sink: str, address: str, session: Session) -> None:
    """Let conversations that nobody has begun stay away; who needs one opens it again."""
    unopened = [
        each.id
        for each in archive.open_deliveries(sink, address, session)
        if each.message.key.startswith(OPENING) and each.state is DeliveryState.WAITING
    ]
    archive.mark_all(unopened, DeliveryState.OVERTAKEN, session)


def _with_latecomers(archive: Archive, whole: Delivery) -> Delivery | None:
    """Return a digest that also tells what has come since it was begun."""
    if not whole.message.key.startswith(_DIGEST) or whole.state is not DeliveryState.WAITING:
        return whole
    late = _waiting(archive, whole)
    return _join(archive, late, f"{_DIGEST}{whole.sink}:{whole.address}", None) if late else whole


def _told(archive: Archive, whole: Delivery, session: Session) -> Delivery:
    """Write down what a gathering says now."""
    members = archive.gathered(whole.id, session)
    is_digest = whole.message.key.startswith(_DIGEST)
    text = digest_text(members) if is_digest else storm_text(members)
    nights = {each.message.night for each in members}
    values = {
        "attachments": [encode_name(str(path)) for path in _plots(members)],
        "night": nights.pop() if len(nights) == 1 else "",
    }
    archive.rewrite_notice(whole.message.key, text, values, session)
    session.flush()
    session.expire_all()
    return archive.delivery(whole.id, session)


def _with_room(told: Sequence[Delivery], waiting: Sequence[Delivery]) -> list[Delivery]:
    """Return the first of those that wait for which a digest has room; at least one if empty."""
    lines = [_line(each) for each in told if not each.message.key.startswith(PICTURE)]
    left, left_lines = _ROOM - sum(len(line) + 1 for line in lines), _MOST_LINES - len(lines)
    chosen: list[Delivery] = []
    for each in waiting:
        if not each.message.key.startswith(PICTURE):
            left, left_lines = left - len(_line(each)) - 1, left_lines - 1
        if min(left, left_lines) < 0 and (told or chosen):
            break
        chosen.append(each)
    return chosen


def _line(each: Delivery) -> str:
    return f"• {_time(each):%H:%M} {each.message.title}"


def _time(each: Delivery) -> datetime:
    return each.message.not_before or each.created_at


def digest_text(members: Sequence[Delivery]) -> str:
    """Return one line per message, and where its picture lies."""
    members = [each for each in members if not each.message.key.startswith(PICTURE)] or members
    first, last = min(map(_time, members)), max(map(_time, members))
    head = (
        f"{len(members)} messages of {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UT, "
        "told together because they could not be sent when they came:"
    )
    lines = [_line(each) for each in members]
    left = _ROOM - sum(map(len, lines)) - len(lines)
    # Every message comes before any place of a picture: what is cut off nobody reads.
    for number, each in enumerate(members):
        plots = "".join(f"  {path}" for path in each.message.attachments)
        left -= len(plots)
        if left < 0:
            break
        lines[number] += plots
    shown = len(_plots(members))
    if shown < sum(bool(each.message.attachments) for each in members):
        lines.append(
            f"The last {shown} pictures are attached; the others lie in plots/ of the night."
        )
    lines.insert(0, head)
    return "\n".join(lines)


def storm_text(members: Sequence[Delivery]) -> str:
    """Return how many alike messages there were, and the last one."""
    last = members[-1].message
    return f"{len(members)} more of this kind within an hour. The last one:\n{last.text}"


def _plots(members: Sequence[Delivery]) -> list[Path]:
    pictures = {path: None for each in members for path in each.message.attachments}
    return [path for path in pictures if path.is_file()][-_MOST_PLOTS:]
