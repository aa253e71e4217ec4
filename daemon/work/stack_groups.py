"""Which images of a night belong together on one stack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.memory.records import JobKind, JobRequest
from daemon.work.groups import PRIORITY_COMBINATION
from reducers.identity import FrameKind

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord

#: Begins the key of every stack, and of no combination of spectra.
_PREFIX = "images"
#: The next exposure of a sequence is waited for so long.
WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackGroup:
    """One object in one filter in one night."""

    instrument: str
    night: str
    target: str
    filter: str

    @property
    def key(self) -> str:
        """The same for every image of the group."""
        parts = (_PREFIX, self.instrument, self.night, self.target, self.filter)
        return ":".join(parts)

    @classmethod
    def of_key(cls, key: str) -> StackGroup | None:
        """Return the group of a key; None where it is that of spectra."""
        prefix, _, rest = key.partition(":")
        if prefix != _PREFIX:
            return None
        instrument, night, rest = rest.split(":", 2)
        target, filter_name = rest.rsplit(":", 1)
        return cls(instrument=instrument, night=night, target=target, filter=filter_name)


def stack_group_of(frame: FrameRecord) -> StackGroup | None:
    """Return the group of an image of the sky; None for every other frame."""
    own = frame.identity
    target = own.target or own.object_name
    if own.kind is not FrameKind.IMG_OBJECT or not (target and own.setup.filter):
        return None
    return StackGroup(
        instrument=own.instrument,
        night=frame.night,
        target=target,
        filter=own.setup.filter,
    )


def images_in(
    archive: Archive, group: StackGroup, within: Session | None = None
) -> list[FrameRecord]:
    """Return the images of a group in the order they were taken."""
    night = archive.current_frames(
        FrameKind.IMG_OBJECT, group.night, group.instrument, within=within
    )
    return [frame for frame in night if stack_group_of(frame) == group]


def stack_request(group: StackGroup, not_before: datetime) -> JobRequest:
    """Return the job that stacks what there is of a group."""
    return JobRequest(
        kind=JobKind.STACK,
        key=f"stack:{group.key}",
        payload={"group": group.key, "night": group.night},
        priority=PRIORITY_COMBINATION,
        not_before=not_before,
    )


def after_image(
    archive: Archive, frame: FrameRecord, within: Session | None = None, *, wait_s: float = 0.0
) -> list[JobRequest]:
    """Return the jobs that a new image, or a person's verdict on one, asks for.

    Its group looks again when it has another member, and so does every group that the exposure
    was in before its header was corrected.
    """
    own, when = stack_group_of(frame), archive.clock.now() + timedelta(seconds=wait_s)
    groups = [
        group
        for each in archive.combinations(frame.night, within=within)
        if (group := StackGroup.of_key(each.group)) is not None
        and group.night == each.night
        and any(member.stem == frame.stem for member in each.members)
    ]
    if own is not None and own not in groups and len(images_in(archive, own, within)) > 1:
        groups.append(own)
    return [stack_request(group, when) for group in groups]
