"""The mail to those whose frames were taken: only theirs, in words, with what happens next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.outbox.harmless import visible
from daemon.publish.words import clean, clock, last_line, number
from daemon.report.night_report import IMAGES, WORST_GOOD
from daemon.report.night_tables import short
from daemon.report.text import fold

if TYPE_CHECKING:
    from daemon.report.night_report import Lost, NightReport
    from daemon.status_lines import ProductSummary

#: Quality -> what it means to somebody who never saw the pipeline.
_MEANS = {
    0: "Good: nothing speaks against it.",
    1: "Good: usable as it is, with a remark.",
    2: "Usable with care: read the remarks before you measure on it.",
    3: "Doubtful: look at its verification plot before you use it.",
    4: "Poor: do not use it as it is.",
    5: "Not usable: what was to be seen is not there, or nobody can say that it is.",
}
_NEXT = {
    False: "Nothing more happens to it unless better calibrations come.",
    True: "The observatory was asked to look at it; when it is reduced again you are told.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammeMail:
    """One mail."""

    programme: str
    subject: str
    text: str


def programmes_in(report: NightReport) -> tuple[str, ...]:
    """Return every PROPID of the night's science."""
    of_products = {line.programme for line in report.status.products}
    of_lost = {each.programme for each in report.lost}
    return tuple(sorted((of_products | of_lost) - {""}))


def programme_mail(report: NightReport, programme: str) -> ProgrammeMail:
    """Return what one programme is told of its own frames, and of no others."""
    products = [p for p in (*report.spectra, *report.images) if p.programme == programme]
    lost = [each for each in report.lost if each.programme == programme]
    doubtful = sum(line.quality > WORST_GOOD for line in products)
    subject = (
        f"[ALFOSC {clean(report.night, 20)}] programme {clean(programme, 40)}: "
        f"{len(products)} of {len(products) + len(lost)} exposures reduced"
        + (f", {doubtful} doubtful" if doubtful else "")
    )
    lines = [subject, "", f"written {report.at:%Y-%m-%d %H:%M} UT, in UT throughout"]
    for line in products:
        lines += ["", *_product(line)]
    for each in lost:
        lines += ["", *_lost(each)]
    lines += ["", "Every spectrum and image comes with a verification plot and a log that names"
              " each step and each calibration; raw frames are never changed."]  # fmt: skip
    text = "\n".join(folded for line in lines for folded in fold(visible(line))) + "\n"
    return ProgrammeMail(programme=programme, subject=subject, text=text)


def _product(line: ProductSummary) -> list[str]:
    found = line.measurements
    reached = f"S/N {number(found.get('snr'), '.0f')}"
    if line.kind in IMAGES:
        depth = number(found.get("limit_5_sigma_mag"), ".1f")
        reached = f'seeing {number(found.get("seeing_arcsec"), ".1f")}", 5 sigma at {depth} mag'
    head = (
        f"{clean(line.target, 40)}  {clock(line.observed_at)}  {line.stem}  "
        f"{number(line.exposure_s, '.0f')} s  {short(line.setup)}"
    )
    said = [head, f"  {_MEANS[min(max(line.quality, 0), 5)]} {reached}."]
    said += [f"  - {clean(sentence, 300)}" for _, sentence in line.flags]
    if line.state == "provisional":
        said.append("  Made with the calibrations at hand; it is made again when its own come.")
    else:
        said.append(f"  {_NEXT[line.quality > WORST_GOOD]}")
    path = line.paths.get("spectrum") or line.paths.get("image", "")
    return [*said, f"  file: {clean(path or 'unknown', 300)}"]


def _lost(each: Lost) -> list[str]:
    head = f"{clean(each.target, 40)}  {each.stem}"
    if each.outcome == "waiting":
        return [head, "  Not reduced yet: it waits its turn, and you are told when it is done."]
    return [
        head,
        f"  Not reduced: {clean(last_line(each.reason), 200)}.",
        "  The raw frame is safe; the observatory was asked to look at it.",
    ]
