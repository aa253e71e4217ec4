"""Which frames make one master, and when their set is complete: no database, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.identity import Identity
    from reducers.instrument import SetRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Whether a set may be built now; else when to look again (None: a frame must come)."""

    complete: bool
    reason: str
    due_at_s: float | None = None


def set_key(identity: Identity, rule: SetRule) -> str:
    """Return what the members of a calibration set share, as text."""
    setup = identity.setup
    parts = [
        setup.detector_key if name == "detector" else str(getattr(setup, name))
        for name in rule.same
    ]
    return "/".join(part or "-" for part in parts)


def is_complete(
    members: Sequence[Identity],
    rule: SetRule,
    *,
    quiet_s: float,
    followed: bool = False,
    closes_after_s: float | None = None,
    twilight_in_s: float | None = None,
) -> Completeness:
    """Tell whether a set has all its frames.

    Parameters
    ----------
    members
        Frames of the set so far.
    quiet_s
        Seconds since the last of them arrived.
    followed
        A frame of another set-up was taken after the last member.
    closes_after_s
        Overrides the quiet time of the rule.
    twilight_in_s
        Seconds until the twilight that ends the time in which such frames are taken; from zero on
        nothing more is waited for. A frame that comes later opens the set again.
    """
    limit = rule.closes_after_s if closes_after_s is None else closes_after_s
    if len(members) < rule.at_least:
        return Completeness(
            complete=False, reason=f"{len(members)} of at least {rule.at_least} frames"
        )
    declared = max((item.sequence[1] for item in members if item.sequence), default=0)
    if declared and len(members) >= declared:
        return Completeness(complete=True, reason=f"all {declared} declared frames are there")
    if followed:
        return Completeness(complete=True, reason="the set-up was changed")
    if quiet_s >= limit:
        return Completeness(complete=True, reason=f"no further frame for {limit:.0f} s")
    if twilight_in_s is not None and twilight_in_s <= 0:
        return Completeness(complete=True, reason="its twilight is over")
    due_at_s = max(0.0, limit - quiet_s)
    if twilight_in_s is not None:
        due_at_s = min(due_at_s, twilight_in_s)
    return Completeness(complete=False, reason="further frames may come", due_at_s=due_at_s)
