"""Which spectra of a night belong together, and who takes part in their combination."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.memory.records import Decision, FrameRecord, JobKind, JobRequest, ProductRecord
from reducers.identity import FrameKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from daemon.memory.archive import Archive


#: After everything that could still change a member.
PRIORITY_COMBINATION = 70
#: The worst quality that may take part.
WORST_QUALITY = 2
#: Telescope positions farther apart than this show different objects (moving targets stay inside).
SAME_PLACE_ARCSEC = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One target in one set-up in one night."""

    instrument: str
    night: str
    target: str
    grism: str
    slit: str

    @property
    def key(self) -> str:
        """The same for every exposure of the group."""
        parts = (self.instrument, self.night, self.target, self.grism, self.slit)
        return ":".join(parts)

    @classmethod
    def of_key(cls, key: str) -> Group:
        """Return the group of a key; only a target's name may hold a colon."""
        instrument, night, rest = key.split(":", 2)
        target, grism, slit = rest.rsplit(":", 2)
        return cls(instrument=instrument, night=night, target=target, grism=grism, slit=slit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One exposure of a group with its current product."""

    frame: FrameRecord
    product: ProductRecord


def group_of(frame: FrameRecord) -> Group | None:
    """Return the group of a science spectrum; None for every other frame."""
    own = frame.identity
    target = " ".join((own.target or own.object_name).split())
    if own.kind is not FrameKind.SPEC_OBJECT or not (target and own.setup.grism):
        return None
    return Group(
        instrument=own.instrument,
        night=frame.night,
        target=target,
        grism=own.setup.grism,
        slit=own.setup.slit,
    )


def combine_request(group: Group, now: datetime) -> JobRequest:
    """Return the job that combines what there is of a group."""
    return JobRequest(
        kind=JobKind.COMBINE,
        key=f"combine:{group.key}",
        payload={
            "instrument": group.instrument,
            "night": group.night,
            "target": group.target,
            "grism": group.grism,
            "slit": group.slit,
        },
        priority=PRIORITY_COMBINATION,
        not_before=now,
    )


def frames_of(archive: Archive, group: Group, within: Session | None = None) -> list[FrameRecord]:
    """Return the exposures of a group."""
    night = archive.current_frames(
        FrameKind.SPEC_OBJECT, group.night, group.instrument, within=within
    )
    return [frame for frame in night if group_of(frame) == group]


def after_product(
    archive: Archive, frame: FrameRecord, within: Session | None = None
) -> list[JobRequest]:
    """Return the jobs that a new product, or a person's verdict on one, asks for.

    The group of the exposure looks again when it has another member, and so does every group that
    the exposure was in before its header was corrected.
    """
    own, now = group_of(frame), archive.clock.now()
    known = archive.combinations(frame.night, within=within)
    groups = [
        Group.of_key(each.group)
        for each in known
        # What a person combined across nights only a person combines again.
        if not each.group.startswith("images:")
        and Group.of_key(each.group).night == each.night
        and any(member.stem == frame.stem for member in each.members)
    ]
    if own is not None and own not in groups and len(frames_of(archive, own, within)) > 1:
        groups.append(own)
    return [combine_request(group, now) for group in groups]


def members_and_others(
    candidates: Iterable[Candidate],
) -> tuple[tuple[Candidate, ...], dict[str, str]]:
    """Return the exposures that are combined, by stem, and why each of the others is not."""
    ordered = sorted(candidates, key=lambda each: each.frame.stem)
    excluded: dict[str, str] = {}
    good = []
    for each in ordered:
        reason = _own_fault(each.product)
        if reason:
            excluded[each.frame.stem] = reason
        else:
            good.append(each)
    good = _of_one_kind(good, excluded)
    return tuple(good), excluded


def _own_fault(product: ProductRecord) -> str:
    if product.verdict is not None and product.verdict.decision is Decision.REJECTED:
        return f"rejected by {product.verdict.user or 'a person'}"
    if any(flag.name == "PIXELS_ONLY" for flag in product.flags):
        return "no wavelengths"
    if product.quality > WORST_QUALITY:
        names = ", ".join(flag.name for flag in product.flags if flag.quality > WORST_QUALITY)
        return f"quality {product.quality}" + (f": {names}" if names else "")
    return ""


def _of_one_kind(good: list[Candidate], excluded: dict[str, str]) -> list[Candidate]:
    """Keep the exposures of the commonest filter and place."""
    filters = [each.frame.identity.setup.filter for each in good]
    usual = _commonest(filters)
    same = []
    for each in good:
        own = each.frame.identity.setup.filter
        if own == usual:
            same.append(each)
        else:
            excluded[each.frame.stem] = f"filter {own or 'none'}, the others {usual or 'none'}"
    near = _largest_cluster(same)
    for each in same:
        if each not in near:
            excluded[each.frame.stem] = "the telescope pointed elsewhere"
    return near


def _commonest(names: Sequence[str]) -> str:
    counts = Counter(names)
    return min(counts, key=lambda name: (-counts[name], name), default="")


def _largest_cluster(candidates: list[Candidate]) -> list[Candidate]:
    """Return the exposures near the one that has the most others near it."""
    around = [
        [other for other in candidates if _apart_arcsec(each, other) <= SAME_PLACE_ARCSEC]
        for each in candidates
    ]
    return max(around, key=len, default=[])


def _apart_arcsec(first: Candidate, second: Candidate) -> float:
    """Return the distance on the sky; 0 where a header does not tell the position."""
    a, b = first.frame.identity, second.frame.identity
    if a.ra_deg is None or b.ra_deg is None or a.dec_deg is None or b.dec_deg is None:
        return 0.0
    across = (a.ra_deg - b.ra_deg + 180) % 360 - 180
    across *= math.cos(math.radians((a.dec_deg + b.dec_deg) / 2))
    return 3600 * math.hypot(across, a.dec_deg - b.dec_deg)
