"""Write down what came of a canary, and tell of it once when it fails and once when it is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration_store.transactions import writing
from daemon.memory.messages import PRIORITY_URGENT, Message, Topic

if TYPE_CHECKING:
    from daemon.memory.archive import Archive
    from daemon.memory.archive_canaries import CanaryRecord


def note(archive: Archive, record: CanaryRecord) -> bool:
    """Record a canary, and queue a message if it differs from the last one; return whether."""
    with writing(archive.engine) as session:
        before = archive.last_canary(within=session)
        was_well = before is None or before.is_well
        archive.record_canary(record, within=session)
        if record.is_well == was_well:
            return False
        return archive.queue_message(news_of(record), within=session)


def news_of(record: CanaryRecord) -> Message:
    """Return what is told of a canary that failed, or that came through after one that failed."""
    stamp = f"{record.ended_at:%Y-%m-%d %H:%M:%S}"
    if record.is_well:
        subject = "alfoscd: the canary is well again"
        text = f"{subject} since {stamp} UT. Nothing is left to do."
    else:
        subject = "alfoscd: the canary failed"
        said = "\n".join(f"- {problem}" for problem in record.problems)
        text = (
            f"{subject} at {stamp} UT: a synthetic set with a known answer did not come out as it "
            f"should, so real frames may not either.\n{said}\n"
            "To do: `alfoscd canary` tries again and leaves its files in <root>/canary; "
            "`alfoscd status` tells how workers, disc and database are.\n"
            "This is told once; the next word comes when it is well again."
        )
    return Message(
        key=f"canary:{stamp}",
        topic=Topic.TROUBLE,
        subject=subject,
        text=text,
        priority=PRIORITY_URGENT,
    )
