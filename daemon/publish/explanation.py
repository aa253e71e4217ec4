"""Why a frame was reduced as it was, in words."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from daemon.layout import version_of
from daemon.publish.words import clean, clock, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calibration_store.policy import Selection
    from daemon.memory.records import Choice, FlagRecord, FrameRecord, KindChange, ProductRecord
    from reducers.quality import Rule

    #: Key of a master -> the name that people know it by.
    Names = Mapping[str, str]

WIDTH = 100
#: More masters than this that were left for one reason are counted.
_ONE_BY_ONE = 3


def frame_lines(frame: FrameRecord, changes: Sequence[KindChange] = ()) -> list[str]:
    """Return what the frame is and how that is known."""
    own = frame.identity
    setup = own.setup
    optics = " ".join(clean(word, 30) for word in (setup.grism, setup.slit, setup.filter) if word)
    lines = [
        f"{frame.stem}  {own.kind}  {clean(own.target or own.object_name, 40) or 'no target'}  "
        f"night {frame.night}  {clock(own.observed_at)} UT  {own.exposure_s:g} s",
        f"  set-up   {optics or 'no grism, slit or filter'}  {setup.detector_key}",
        f"  raw      {frame.path}  (revision {frame.revision}, sha256 {frame.sha256[:12]})",
    ]
    lines += [f"  because  {clean(reason, 160)}" for reason in own.reasons]
    if own.missing:
        lines.append(f"  missing  header keys {', '.join(own.missing)}")
    lines += [
        f"  changed  from {item.kind_before} to {item.kind} by {clean(item.user, 40)}, "
        f"{item.changed_at:%Y-%m-%d %H:%M} UT{': ' * bool(item.reason)}{clean(item.reason, 100)}"
        for item in changes
    ]
    return [folded for line in lines for folded in _fold(line)]


def product_lines(product: ProductRecord) -> list[str]:
    """Return one product in words: version, state, quality, who asked and who judged."""
    said = (
        f"version {version_of(product.main_path)}, {product.state}, quality {product.quality}, "
        f"made {product.created_at:%Y-%m-%d %H:%M} UT, recipe {product.recipe} "
        f"{product.recipe_version}"
    )
    lines = [said]
    if product.redo:
        lines.append(f"asked for by {clean(product.redo.get('user', 'unknown'), 40)}")
    if product.verdict is not None:
        verdict = product.verdict
        lines.append(f"{verdict.decision} by {clean(verdict.user, 40)}, {verdict.at:%H:%M} UT")
    return ["PRODUCT", *(f"  {line}" for line in lines)]


def choice_lines(choices: Sequence[Choice], names: Names) -> list[str]:
    """Return for every role the master that was chosen and why each other was not."""
    lines = ["CALIBRATIONS"]
    for choice in choices:
        chosen = names.get(choice.master_key, choice.master_key[:12]) or "none"
        lines += _fold(f"  {choice.role:<12} {chosen}: {choice.reason}")
        lines += _rejections(choice.rejected, names)
    return lines if choices else [*lines, "  none were needed"]


def selection_lines(selections: Sequence[Selection], names: Names) -> list[str]:
    """Return what would be chosen, in the words of `choice_lines`."""
    lines = []
    for item in selections:
        chosen = "none" if item.master is None else names.get(item.master.key, item.master.key[:12])
        lines += _fold(f"  {item.role:<12} {chosen}: {item.reason}")
        lines += _rejections(item.rejected, names)
    return lines


def difference_lines(
    before: Sequence[Choice], after: Sequence[Selection], names: Names
) -> list[str]:
    """Return the roles whose master would be another one."""
    was = {choice.role: choice for choice in before}
    lines = []
    for item in after:
        old = was.get(item.role)
        old_key, new_key = (old.master_key if old else ""), item.master.key if item.master else ""
        if old_key != new_key:
            lines += _fold(
                f"  {item.role:<12} {names.get(old_key, old_key[:12]) or 'none'} -> "
                f"{names.get(new_key, new_key[:12]) or 'none'}: {item.reason}"
            )
    return lines


def flag_lines(flags: Iterable[FlagRecord], rules: Mapping[str, Rule]) -> list[str]:
    """Return every flag with its number, its limit, and what to do."""
    lines = ["FLAGS"]
    for flag in flags:
        value, limit = _shown(flag.value), _shown(flag.threshold)
        lines.append(f"  {flag.name}  quality {flag.quality}: measured {value}, limit {limit}")
        rule = rules.get(flag.name)
        lines += _fold(f"    {flag.sentence}")
        if rule is not None:
            lines += _fold(f"    usually: {rule.cause}") if rule.cause else []
            lines += _fold(f"    do: {rule.advice}")
    return lines if len(lines) > 1 else ["FLAGS: none"]


def measurement_lines(measurements: Mapping[str, float]) -> list[str]:
    """Return every number measured, two columns of names and values."""
    rows = [(name, _shown(value)) for name, value in sorted(measurements.items())]
    return ["MEASUREMENTS", *table(("name", "value"), rows, WIDTH)] if rows else []


def file_lines(product: ProductRecord) -> list[str]:
    """Return the files of a product by role; what is gone is said."""
    rows = [
        f"  {role:<16} {path}{'' if path.is_file() else '  (gone)'}"
        for role, path in sorted(product.paths.items())
    ]
    return ["FILES", *rows]


def _rejections(rejected: Iterable[tuple[str, str]], names: Names) -> list[str]:
    """Return why the others were not chosen; many with the same reason share a line."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in rejected:
        by_reason.setdefault(reason, []).append(names.get(key, key[:12]))
    lines: list[str] = []
    for reason, masters in by_reason.items():
        if len(masters) <= _ONE_BY_ONE:
            lines += (f"    not {name}: {reason}" for name in masters)
        else:
            lines.append(f"    not {masters[0]} and {len(masters) - 1} others: {reason}")
    return [folded for line in lines for folded in _fold(line)]


def _shown(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "unknown"
    return f"{value:.5g}"


def _fold(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(clean_right(line), WIDTH, subsequent_indent=indent) or [line]


def clean_right(line: str) -> str:
    """Return the line without anything a terminal would obey; its indent is kept."""
    indent = len(line) - len(line.lstrip())
    return " " * indent + "".join(c if c.isprintable() else "?" for c in line.strip())
