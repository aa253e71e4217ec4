"""Sentences about the state: what it means and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.status_lines import Status, TroubleLine

#: Parts what the daemon does from what troubles it, in its sign of life.
WARNING = "; WARNING: "
#: Words in a reason -> what to do about it; the first that occurs counts.
_ADVICE = (
    ("no longer there", "nothing if it was archived; put back it counts again by itself"),
    ("zeros", "wait for the writer; if it has died, copy the file again"),
    ("permission", "make the file readable for the user that runs the daemon"),
    ("incomplete", "copy the file again from the instrument; it is then taken in by itself"),
    ("shorter", "copy the file again from the instrument; it is then taken in by itself"),
    ("empty", "copy the file again from the instrument; it is then taken in by itself"),
    ("not begin", "nothing, if it is no raw frame; else copy it again"),
    ("not fits", "nothing, if it is no raw frame; else copy it again"),
    ("loop", "remove the link"),
    ("link", "mend or remove the link"),
    ("profile", "name the instrument's profile in [instrument] profiles"),
    ("more than the limit", "raise [watch] size_limit_mb if the file is meant"),
    ("never completed", "copy the file again from the instrument; it is then taken in by itself"),
    ("not a regular file", "nothing, if nobody put it there as a frame; else remove it"),
)


def advice_on(trouble: TroubleLine) -> str:
    """Return what a person should do about a held or quarantined file."""
    reason = trouble.reason.casefold()
    for word, advice in _ADVICE:
        if word in reason:
            return advice
    if trouble.state == "held":
        return "wait: it is looked at again by itself"
    return "look at the file; when it is replaced it is taken in by itself"


def completeness(status: Status) -> str:
    """Return the arithmetic that shows no file was lost."""
    states = ("ingested", "held", "quarantined", "ignored")
    missing = status.files.get("missing", 0)
    recorded = sum(status.files.values()) - missing
    terms = " + ".join(f"{state} {status.files.get(state, 0)}" for state in states)
    if missing:
        terms += f" (besides, {missing} raw missing)"
    if status.on_disk is None:
        return f"recorded {recorded} = {terms} (files on disk not counted)"
    if status.on_disk == recorded:
        return f"on disk {status.on_disk} = {terms}; unexplained 0"
    if status.on_disk > recorded:
        return f"on disk {status.on_disk} = {terms} + not yet seen {status.on_disk - recorded}"
    return f"on disk {status.on_disk} = {terms} - since removed {recorded - status.on_disk}"


def duration(seconds: float) -> str:
    """Return a time span as people say it: '12 s', '4 min', '3.5 h', '2.1 d'."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} d"
