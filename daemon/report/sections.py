"""The sections of the report below its actions, in the order of what a reader needs first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.publish.words import clean, counted, last_line
from daemon.report.night_report import CALIBRATIONS, IMAGES, SPECTRA
from daemon.report.night_tables import calibration_lines, image_lines, science_lines
from daemon.report.system_lines import system_lines, times_lines
from daemon.report.verdict import lost_together, names_of
from daemon.status_words import completeness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.report.night_report import NightReport, Source

_MOST = 25
#: More upgrades than this are counted instead of listed.
_SINGLY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A title and its lines; `is_table` where columns matter."""

    title: str
    lines: tuple[str, ...]
    is_table: bool = False


def sections_of(report: NightReport) -> list[Section]:
    """Return every section; one without content says why it has none."""
    parts = (
        ("COMPLETENESS", _completeness(report), False),
        ("SCIENCE", science_lines(report), True),
        ("IMAGES", image_lines(report), True),
        ("CALIBRATIONS", calibration_lines(report), True),
        ("TRENDS", _trends(report), True),
        ("TRANSIENTS", _transients(report), False),
        ("REDO & UPGRADES", _changes(report), False),
        ("ERRORS", _errors(report), False),
        ("SYSTEM", system_lines(report), False),
        ("WEATHER/TIMES", times_lines(report), False),
        ("NEW OR STRANGE", _oddities(report), False),
        ("PROVENANCE", _provenance(report), False),
    )
    return [
        Section(title=title, lines=tuple(_or_why(report, title, lines)), is_table=table)
        for title, lines, table in parts
    ]


def _or_why(report: NightReport, title: str, lines: Sequence[str]) -> Sequence[str]:
    if title in report.unknown:
        return [f"unknown: {clean(report.unknown[title])}", *lines]
    return lines or ["none"]


def _completeness(report: NightReport) -> list[str]:
    lines = [_frames(report)]
    if report.account is None:
        return [completeness(report.status), *lines, "proof: unknown, it could not be made"]
    said = report.account
    lines = [said.files.sentence, *lines, said.science.sentence]
    masters = Counter(each.state for each in report.masters)
    borrowed = sum(report.borrowed.values())
    lines.append(
        f"masters built {sum(masters.values())}, rejected {masters['rejected']}; "
        f"{borrowed} uses of masters of other nights"
    )
    if report.final:
        lines.append(said.products.sentence)
    else:
        lines.append("product files not verified by their hashes: `alfoscd report --final` does it")
    lines += [run.sentence for run in said.runs]
    lines += list(said.clocks.sentences)
    groups = lost_together(report)
    lines += [
        f"{outcome} {len(frames)}: {reason} ({names_of([each.stem for each in frames])})"
        for outcome, reason, frames in groups[:_MOST]
    ]
    return [*lines, *_more(len(groups), "reasons")]


def _frames(report: NightReport) -> str:
    """Return what the frames of the night were taken for; the terms are all there are."""
    kinds = dict(report.status.frames)
    science = sum(n for kind, n in kinds.items() if kind in SPECTRA | IMAGES)
    calibration = sum(n for kind, n in kinds.items() if kind in CALIBRATIONS)
    rest = report.frames - science - calibration
    said = (
        f"frames of the night {report.frames} = science {science} + calibration {calibration} "
        f"+ focus, tests and other {rest}"
    )
    return f"{said} ({counted(kinds)})" if kinds else said


def _trends(report: NightReport) -> list[str]:
    if not report.trend_lines:
        return ["none: nothing that is followed was measured this night"]
    return [line.removeprefix("  ") for line in report.trend_lines]


def _transients(report: NightReport) -> list[str]:
    if not report.images and not report.sources:
        return ["none searched: no image was reduced"]
    counts = Counter(each.standing for each in report.sources if not each.told)
    told = [each for each in report.sources if each.told]
    shown = [each for each in report.sources if each.told or each.standing in ("new", "unvetted")]
    lines = [
        f"images {len(report.images)}; candidates: {counted(dict(counts))}; "
        f"told of {len(told)} source{'s' * (len(told) != 1)}"
    ]
    return [*lines, *(_source(each) for each in shown[:_MOST]), *_more(len(shown), "candidates")]


def _source(each: Source) -> str:
    where = f" {each.stem} {clean(each.target, 20)}".rstrip()
    return (
        f"{clean(each.name, 30)}{where}: {clean(each.headline, 120)}; {each.told or each.standing}"
    )


def _changes(report: NightReport) -> list[str]:
    upgrades = [each for each in report.changes if each.automatic]
    others = [each for each in report.changes if not each.automatic]
    lines = [f"{each.stem} {clean(each.target, 20)}: {clean(each.sentence)}"
             for each in others[:_MOST]]  # fmt: skip
    lines += _more(len(others), "changes")
    if len(upgrades) > _SINGLY:
        alike = Counter(_without_numbers(each.sentence) for each in upgrades)
        lines += [f"{n} x {said}" for said, n in alike.most_common(_MOST)]
    else:
        lines += [f"{each.stem} {clean(each.target, 20)}: {clean(each.sentence)}"
                  for each in upgrades]  # fmt: skip
    waiting = [each.stem for each in (*report.spectra, *report.images)
               if each.state == "provisional"]  # fmt: skip
    if waiting:
        more = f" and {len(waiting) - 8} more" if len(waiting) > 8 else ""
        lines.append(
            f"provisional {len(waiting)}, upgraded when their calibrations come: "
            f"{', '.join(waiting[:8])}{more}"
        )
    return lines


def _without_numbers(sentence: str) -> str:
    """Return what alike upgrades share: the masters and the quality, not each one's numbers."""
    parts = sentence.split(", ")
    return ", ".join(part for part in parts if " -> " not in part or part.startswith("quality"))


def _errors(report: NightReport) -> list[str]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for job in report.failures:
        grouped.setdefault((job.kind, clean(last_line(job.error), 160)), []).append(job.about)
    lines = []
    for (kind, said), about in sorted(grouped.items(), key=lambda item: -len(item[1])):
        names = ", ".join(clean(name, 40) for name in about[:4])
        more = f" and {len(about) - 4} more" if len(about) > 4 else ""
        lines.append(f"{len(about)} x {kind}: {said} ({names}{more})")
    if report.other_failures:
        lines.append(f"besides, {report.other_failures} of other nights: `alfoscd quarantine list`")
    if report.other_troubles:
        lines.append(f"besides, {report.other_troubles} files of other nights held or quarantined")
    return lines


def _oddities(report: NightReport) -> list[str]:
    return [clean(each.sentence, 200) for each in report.oddities]


def _provenance(report: NightReport) -> list[str]:
    lines = [f"{report.software}; configuration {report.config_digest}"]
    lines.append(
        report.config_change or "configuration before: unknown, no earlier report was sent"
    )
    if report.masters:
        lines.append(f"masters {len(report.masters)}, with their hashes: masters.csv")
    lines.append("products: products.csv; everything: report.json")
    if report.withheld:
        lines.append(
            f"exposures of closed programmes, told without their targets: {report.withheld}; "
            '[programmes."PROPID"] open = true tells of them'
        )
    return lines


def _more(count: int, what: str) -> list[str]:
    return [f"and {count - _MOST} more {what}: see report.json"] if count > _MOST else []
