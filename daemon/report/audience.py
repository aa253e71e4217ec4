"""Who may read what: targets of closed programmes are withheld from what goes to everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.report.night_report import WITHHELD, Oddity

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.report.night_report import NightReport
    from daemon.status_lines import ProductSummary


def for_everybody(report: NightReport, is_open: Callable[[str], bool]) -> NightReport:
    """Return the report without what belongs to closed programmes alone.

    The arithmetic stays whole: their exposures are counted and listed, without target, plot and
    sources. Standards and what carries no PROPID are everybody's.
    """

    def closed(programme: str, kind: str = "") -> bool:
        return kind != "SPEC_STD" and not is_open(programme)

    shut = {p.stem for p in report.status.products if closed(p.programme, p.kind)}
    shut |= {each.stem for each in report.lost if closed(each.programme, each.kind)}
    if not shut and all(is_open(each.programme) for each in report.sources):
        return report
    status = replace(
        report.status,
        products=tuple(_anonymous(p) if p.stem in shut else p for p in report.status.products),
        combinations=tuple(
            replace(line, target=WITHHELD, paths={})
            if shut.intersection(member[0] for member in line.members)
            else line
            for line in report.status.combinations
        ),
        last_frames=(),
    )
    return replace(
        report,
        status=status,
        lost=tuple(
            replace(each, target=WITHHELD) if each.stem in shut else each for each in report.lost
        ),
        sources=tuple(each for each in report.sources if is_open(each.programme)),
        changes=tuple(
            replace(each, target=WITHHELD) if each.stem in shut else each for each in report.changes
        ),
        oddities=tuple(
            each if is_open(each.programme) else Oddity(sentence=_SOME_OBJECT)
            for each in report.oddities
        ),
        withheld=len(shut),
    )


_SOME_OBJECT = "an OBJECT of a closed programme looks like a misspelt standard"


def _anonymous(line: ProductSummary) -> ProductSummary:
    return replace(line, target=WITHHELD, paths={})
