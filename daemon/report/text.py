"""The report as plain text of 90 columns, complete in itself: a phone may show nothing else."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from daemon.outbox.harmless import visible
from daemon.publish.words import clean
from daemon.report.sections import sections_of
from daemon.report.verdict import actions_of, findings_of, verdict_of

if TYPE_CHECKING:
    from daemon.report.night_report import NightReport

WIDTH = 90
#: More actions than this are a list nobody reads to its end; the others are counted.
_MOST_ACTIONS = 40


def render_text(report: NightReport) -> str:
    """Return the report; no line is wider than 90 columns, whatever the headers contain."""
    colour, rule = verdict_of(report)
    sent = f"written {report.at:%Y-%m-%d %H:%M} UT"
    state = "" if report.final else " · files not verified"
    lines = [
        f"ALFOSC night {clean(report.night, 20)}   {colour}",
        f"  rule: {rule}",
        *(f"  also: {each.rule}: {each.sentence}" for each in findings_of(report)[1:]),
        f"  {sent} · report v{report.version} · {report.software}{state}",
    ]
    if report.version > 1:
        lines.append(f"  replaces: report v{report.version - 1}")
    if report.comment:
        lines.append(f"  comment: {clean(report.comment, 2000)}")
    lines += ["", *_actions(report)]
    for section in sections_of(report):
        lines += ["", section.title, *(f"  {line}" for line in section.lines)]
    return "\n".join(folded for line in lines for folded in fold(visible(line))) + "\n"


def fold(line: str) -> list[str]:
    """Return the line, continued on further ones where it is wider than the report."""
    line = line.rstrip()
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent) or [""]


def _actions(report: NightReport) -> list[str]:
    wanted = actions_of(report)
    if not wanted:
        return ["ACTIONS NEEDED: none"]
    lines = [f"ACTIONS NEEDED ({len(wanted)})"]
    for count, each in enumerate(wanted[:_MOST_ACTIONS], start=1):
        lines += [f" {count:>2}. {each.what}", f"      -> {each.command}"]
    if len(wanted) > _MOST_ACTIONS:
        lines.append(f"  and {len(wanted) - _MOST_ACTIONS} more: see report.json, `alfoscd status`")
    return lines
