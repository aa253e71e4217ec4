"""What should happen next: pure functions from what is known to the jobs to submit.

The order in which frames arrive cannot matter: a job names a set or a frame, looks at everything
that is there when it runs, and does nothing when its product is already current.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from calibration_store.ladders import same_pointing
from calibration_store.sets import is_complete, set_key
from daemon.clock import next_twilight, observing_night
from daemon.memory.records import (
    PRIORITY_BACKLOG,
    PRIORITY_CALIBRATION,
    PRIORITY_LOOK,
    PRIORITY_MASTER_TONIGHT,
    PRIORITY_SCIENCE,
    JobKind,
    JobRequest,
)
from daemon.work.roles import (
    IMAGED,
    KIND_OF,
    MEASURED,
    NEEDS,
    SHOWN,
    product_of,
    role_of,
    rule_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from daemon.memory.records import FrameRecord, Job
    from reducers.identity import Identity
    from reducers.instrument import Instrument

#: What is applied to others is built before them.
_ORDER = {
    "BIAS": 0, "DARK": 1, "FLAT": 1, "ARC": 1, "SKY_FLAT": 1, "ILLUMINATION": 2, "RESPONSE": 2,
    "FRINGE": 2, "STAR_FLAT": 3,
}  # fmt: skip
#: Of a dozen images and more, and nothing that observers miss tonight.
_LONG = frozenset({"FRINGE", "STAR_FLAT"})
#: Products that have one already wait until the masters that are due have been built.
PRIORITY_UPGRADE = PRIORITY_CALIBRATION + 10
FETCH_KEY = "catalogues"
#: Links come back after minutes or days; asking costs a worker a moment.
FETCH_AGAIN_S = 900.0
#: Lamps of one arc are lit one after the other within so many minutes.
_ONE_ARC_S = 600.0
_SAME_SLIT_PX = 0.5
#: Exposures of one fringe pattern: more would fill the memory and better it little.
MOST_FRINGED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A job to submit, and whether a waiting one of the same key moves back to its time."""

    request: JobRequest
    postpone: bool = False


def follow_up(
    frame: FrameRecord,
    members: Sequence[FrameRecord],
    instrument: Instrument,
    now: datetime,
    *,
    previous: FrameRecord | None = None,
    replaced: Iterable[FrameRecord] = (),
    quiet_s: float | None = None,
    provisional: bool = True,
) -> list[Step]:
    """Return what a newly recorded frame asks for.

    Parameters
    ----------
    members
        The current frames of its calibration set, this one among them.
    previous
        The exposure taken last before it in the same night.
    replaced
        Other contents that the same exposure has had.
    quiet_s
        Overrides the quiet time of the profile.
    provisional
        Reduce science before its calibrations have come.
    """
    steps: list[Step] = []
    role = role_of(frame.identity, instrument)
    if role is not None:
        steps.append(_grow_set(role, frame, members, instrument, now, quiet_s))
    shown = frame.identity.kind in SHOWN
    if shown and (provisional or frame.identity.kind not in IMAGED):
        steps.append(Step(request=look_request(frame, now)))
    if frame.identity.kind in MEASURED:
        # Of a night that is over nobody waits for a product that its masters would replace.
        soon = provisional and is_of_tonight(frame, instrument, now)
        priority = PRIORITY_SCIENCE if soon else PRIORITY_UPGRADE
        steps.append(Step(request=reduce_request(frame, priority=priority, now=now)))
    # Its own set, if it stays in it, is asked for already and may have to wait for more.
    asked = {step.request.key for step in steps}
    left = [previous, *replaced] if previous is not None else replaced
    for request in (_set_of(other, instrument, now) for other in left):
        if request is not None and request.key not in asked:
            asked.add(request.key)
            steps.append(Step(request=request))
    return steps


def after_master(
    role: str, night: Iterable[FrameRecord], instrument: Instrument, now: datetime
) -> list[Step]:
    """Return what a new master of `role` asks for: whatever it could serve looks again."""
    steps: dict[str, Step] = {}
    for frame in night:
        own = role_of(frame.identity, instrument)
        if own is not None and role in NEEDS[own]:
            request = master_request(own, frame, instrument, now)
            steps[request.key] = Step(request=request)
        product = product_of(frame.identity)
        if product and role in NEEDS[product]:
            request = reduce_request(frame, priority=PRIORITY_UPGRADE, now=now)
            steps[request.key] = Step(request=request)
    return list(steps.values())


def master_request(
    role: str, member: FrameRecord, instrument: Instrument, not_before: datetime
) -> JobRequest:
    """Return the job that builds every master of the set to which `member` belongs."""
    key = set_key(member.identity, rule_of(role, instrument))
    return JobRequest(
        kind=JobKind.MASTER,
        key=f"master:{role}:{instrument.name}:{key}:{member.night}",
        payload={
            "role": role,
            "instrument": instrument.name,
            "set_key": key,
            "night": member.night,
        },
        priority=_first(role, member, instrument, not_before) + _ORDER[role],
        not_before=not_before,
    )


def is_of_tonight(frame: FrameRecord, instrument: Instrument, now: datetime) -> bool:
    """Tell whether a frame belongs to the night that is going on, or has just ended."""
    return observing_night(now, instrument.longitude_deg).isoformat() == frame.night


def _first(role: str, member: FrameRecord, instrument: Instrument, now: datetime) -> int:
    """Return the priority of the first masters to be built beside this one."""
    urgent = role not in _LONG and is_of_tonight(member, instrument, now)
    return PRIORITY_MASTER_TONIGHT if urgent else PRIORITY_CALIBRATION


def reduce_request(
    frame: FrameRecord, *, priority: int, now: datetime, redo: Mapping[str, Any] | None = None
) -> JobRequest:
    """Return the job that reduces one exposure.

    With `redo`, what a person asks for, it does so even if nothing has changed.
    """
    payload: dict[str, Any] = {"frame_id": frame.id, "night": frame.night}
    if redo:
        payload["redo"] = dict(redo)
    image = frame.identity.kind in IMAGED
    return JobRequest(
        kind=JobKind.IMAGE if image else JobKind.REDUCE,
        key=f"reduce:{frame.sha256}",
        payload=payload,
        priority=priority,
        not_before=now,
    )


def look_request(frame: FrameRecord, now: datetime) -> JobRequest:
    """Return the job that shows an image before anything else is done with it."""
    return JobRequest(
        kind=JobKind.LOOK,
        key=f"look:{frame.sha256}",
        payload={"frame_id": frame.id, "night": frame.night},
        priority=PRIORITY_LOOK,
        not_before=now,
    )


def review_request(now: datetime) -> JobRequest:
    """Return the job that looks for products which other settings or recipes have made."""
    return JobRequest(kind=JobKind.REVIEW, key="review", priority=PRIORITY_SCIENCE, not_before=now)


def fetch_request(now: datetime) -> JobRequest:
    """Return the job that tries again, some time from now, to fetch what images missed."""
    return JobRequest(
        kind=JobKind.FETCH,
        key=FETCH_KEY,
        priority=PRIORITY_BACKLOG,
        not_before=now + timedelta(seconds=FETCH_AGAIN_S),
    )


def members_of(
    role: str, key: str, night: Iterable[FrameRecord], instrument: Instrument
) -> list[FrameRecord]:
    """Return the frames of one calibration set, in the order they were taken."""
    rule, kind = rule_of(role, instrument), KIND_OF[role]
    found = [
        frame
        for frame in night
        if frame.identity.kind is kind and set_key(frame.identity, rule) == key
    ]
    return sorted(found, key=_when_taken)


def groups_of(role: str, members: Sequence[FrameRecord]) -> list[tuple[FrameRecord, ...]]:
    """Split a set into the groups that become one master each.

    Biases and flats are one group, and of images with fringes a dozen from the whole night; every
    standard is its own; arcs are grouped while telescope and slit stay where they are and lamp
    follows lamp (He, then Ne).
    """
    if not members:
        return []
    if role == "RESPONSE":
        return [(member,) for member in members]
    if role == "FRINGE":
        return [tuple(_spread(members, MOST_FRINGED))]
    if role != "ARC":
        return [tuple(members)]
    groups: list[list[FrameRecord]] = [[members[0]]]
    for member in members[1:]:
        if _continues_arc(groups[-1], member):
            groups[-1].append(member)
        else:
            groups.append([member])
    return [tuple(group) for group in groups]


def _spread(members: Sequence[FrameRecord], most: int) -> list[FrameRecord]:
    """Return at most so many frames, evenly from first to last."""
    if len(members) <= most:
        return list(members)
    return [members[round(n * (len(members) - 1) / (most - 1))] for n in range(most)]


def pending_for(product: str, jobs: Iterable[Job], now: datetime) -> list[str]:
    """Return the keys of the due or running master jobs that may bear on a product.

    The nights do not matter: a morning's biases serve the night before as well.
    """
    return [
        job.key
        for job in jobs
        if job.kind is JobKind.MASTER
        and job.payload.get("role") in NEEDS[product]
        and job.not_before <= now
    ]


def _grow_set(
    role: str,
    frame: FrameRecord,
    members: Sequence[FrameRecord],
    instrument: Instrument,
    now: datetime,
    quiet_s: float | None,
) -> Step:
    rule = rule_of(role, instrument)
    twilight_in_s = (next_twilight(now, instrument) - now).total_seconds()
    state = is_complete(
        [member.identity for member in members],
        rule,
        quiet_s=0.0,
        closes_after_s=quiet_s,
        twilight_in_s=twilight_in_s,
    )
    wait_s = 0.0 if state.complete else state.due_at_s
    if wait_s is None:
        wait_s = min(rule.closes_after_s if quiet_s is None else quiet_s, twilight_in_s)
    request = master_request(role, frame, instrument, now + timedelta(seconds=wait_s))
    return Step(request=request, postpone=not state.complete)


def _set_of(frame: FrameRecord, instrument: Instrument, now: datetime) -> JobRequest | None:
    """Return the job of the set that a frame is or was in; None when it is in none."""
    role = role_of(frame.identity, instrument)
    if role is None or frame.identity.instrument != instrument.name:
        return None
    return master_request(role, frame, instrument, now)


def _when_taken(frame: FrameRecord) -> tuple[datetime, str]:
    return frame.identity.observed_at or frame.arrived_at, frame.stem


def _continues_arc(group: Sequence[FrameRecord], frame: FrameRecord) -> bool:
    first, last = group[0].identity, group[-1].identity
    own = frame.identity
    return (
        _soon_after(last, own)
        and _slit_stayed(first, own)
        and not _lamps_of(group) & set(own.lamps)
        and (same_pointing(_pointing(first), _pointing(own)) or _pointing(own) == _pointing(first))
    )


def _soon_after(first: Identity, second: Identity) -> bool:
    if first.observed_at is None or second.observed_at is None:
        return False
    apart_s = (second.observed_at - first.observed_at).total_seconds()
    return apart_s <= _ONE_ARC_S + first.exposure_s


def _slit_stayed(first: Identity, second: Identity) -> bool:
    if first.aperture_y_px is None or second.aperture_y_px is None:
        return first.aperture_y_px == second.aperture_y_px
    return abs(first.aperture_y_px - second.aperture_y_px) <= _SAME_SLIT_PX


def _lamps_of(group: Iterable[FrameRecord]) -> set[str]:
    return {lamp for frame in group for lamp in frame.identity.lamps}


def _pointing(identity: Identity) -> tuple[float | None, float | None]:
    return identity.ra_deg, identity.dec_deg
