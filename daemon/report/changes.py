"""What became of products after they were first made: redone, upgraded, judged."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from daemon.memory.messages import Topic
from daemon.memory.records import ProductState
from daemon.report.night_report import Change
from daemon.work.roles import MEASURED
from reducers.product_change import news_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord, ProductRecord

#: (measurement, what it is called, form, unit) whose change is told.
_TOLD = (
    ("snr", "S/N", ".0f", ""),
    ("arc_rms_angstrom", "arc rms", ".2f", " A"),
    ("zero_point_mag", "zero point", ".2f", ""),
)

_OFFERED = ("offer:", "held:")
_MANY = 500
#: What the daemon does by itself.
_AUTOMATIC = ("upgraded", "made anew with other settings or recipes")


def changes_of(
    archive: Archive,
    night: str,
    frames: Sequence[FrameRecord],
    histories: Mapping[int, Sequence[ProductRecord]],
) -> tuple[Change, ...]:
    """Return what happened to the products of a night, one line each, and what is offered."""
    found: list[Change] = _offers(archive, night)
    for frame in frames:
        if frame.identity.kind not in MEASURED:
            continue
        found += [_change(frame, said) for said in sentences_of(histories.get(frame.id, ()))]
    return tuple(found)


def _offers(archive: Archive, night: str) -> list[Change]:
    """Return the upgrades that wait for a person: of accepted products, or after too many."""
    queued = [*archive.notices(Topic.CHANGE, _MANY), *archive.notices(Topic.HINT, _MANY)]
    return [
        Change(
            stem=notice.message.text.split(" ")[0],
            target=notice.message.target,
            programme=notice.message.programme,
            sentence=f"waits for a person: {notice.message.text.splitlines()[-1]}",
        )
        for notice in reversed(queued)
        if notice.message.night == night and notice.message.key.startswith(_OFFERED)
    ]


def sentences_of(history: Sequence[ProductRecord]) -> list[str]:
    """Return what became of one exposure's products, oldest first."""
    said = []
    for before, after in pairwise(history):
        how = _AUTOMATIC[0]
        if after.redo.get("user") and after.redo != before.redo:
            how = f"redone by {after.redo['user']}"
        elif before.recipe_digest != after.recipe_digest:
            how = _AUTOMATIC[1]
        said.append(f"{how}: {difference(before, after)}")
    for product in history:
        own = product.own_verdict
        if own is not None:
            said.append(f"{own.decision.value} by {own.user} {own.at:%Y-%m-%d %H:%M} UT")
    if history and all(p.state is ProductState.SUPERSEDED for p in history):
        said.append("no product counts any more")
    return said


def difference(before: ProductRecord, after: ProductRecord) -> str:
    """Return what another product of the same frame changed, in words."""
    parts = []
    old = {choice.role: choice.master_key for choice in before.choices}
    roles = [c.role for c in after.choices if c.master_key and old.get(c.role) != c.master_key]
    if roles:
        parts.append(f"other {', '.join(roles)}")
    if before.quality != after.quality:
        parts.append(f"quality {before.quality} -> {after.quality}")
    measured = news_of(after.measurements)
    if measured:  # the two files were compared when it was made
        return ", ".join([*parts, *measured])
    for name, label, form, unit in _TOLD:
        a, b = before.measurements.get(name), after.measurements.get(name)
        if a is not None and b is not None and format(a, form) != format(b, form):
            parts.append(f"{label} {a:{form}} -> {b:{form}}{unit}")
    return ", ".join(parts) or "the same numbers"


def state_of(products: Sequence[ProductRecord]) -> dict[str, list[object]]:
    """Return what stands of each frame, in a form that can be compared after a day."""
    return {
        item.stem: [
            item.key[:12],
            item.generation,
            item.quality,
            item.verdict.decision.value if item.verdict else "",
        ]
        for item in products
    }


def later_lines(
    sent: Mapping[str, Sequence[object]],
    now: Mapping[str, Sequence[object]],
    histories: Mapping[str, Sequence[ProductRecord]],
) -> list[str]:
    """Return one line for every frame of which something else is true than was told."""
    lines = []
    for stem in sorted({*sent, *now}):
        before, after = sent.get(stem), now.get(stem)
        if before is not None and after is not None and list(before) == list(after):
            continue
        said = sentences_of(histories.get(stem, ()))
        if before is None:
            lines.append(f"{stem}: now has a product, quality {after[2] if after else 'unknown'}")
        elif after is None:
            lines.append(f"{stem}: {said[-1] if said else 'has no product any more'}")
        else:
            lines.append(f"{stem}: {_what(before, after, said)}")
    return lines


def _what(before: Sequence[object], after: Sequence[object], said: Sequence[str]) -> str:
    parts = []
    if list(before[:2]) != list(after[:2]):
        made = [each for each in said if ": " in each]
        parts.append(made[-1] if made else "made anew")
    if before[3] != after[3]:
        judged = [each for each in said if " by " in each and ": " not in each.split(" by ")[0]]
        parts.append(judged[-1] if judged and after[3] else "a verdict was taken back")
    return "; ".join(dict.fromkeys(parts)) or f"quality {before[2]} -> {after[2]}"


def _change(frame: FrameRecord, sentence: str) -> Change:
    own = frame.identity
    return Change(
        stem=frame.stem,
        target=own.target or own.object_name,
        programme=own.programme,
        sentence=sentence,
        automatic=sentence.startswith(_AUTOMATIC),
    )
