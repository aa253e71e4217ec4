"""The tables of the report: spectra, images and calibrations, each row on one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.health.bands import WARN_SIGMA
from daemon.publish.image_lines import REPORT_HEAD, judged_state_of, report_row
from daemon.publish.status_text import combination_lines
from daemon.publish.words import clean, clock, number, table
from daemon.report.verdict import is_far

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.report.night_report import Check, MasterFacts, NightReport
    from daemon.status_lines import ProductSummary

_WIDTH, _SHORTEST_NAME = 90, 8
_HEAD = ("target", "frame", "UT", "exp", "air", "see", "set-up", "Q", "S/N", "shift", "arc",
         "state", "z")  # fmt: skip


def science_lines(report: NightReport) -> list[str]:
    """Return the spectra, one line each, every flag once with its sentence, the combinations."""
    spectra = report.spectra
    lines = _columns([_HEAD, *(_spectrum(line) for line in spectra)]) if spectra else []
    if not lines:
        lines = ["none: no spectrum of an object or a standard has a product"]
    lines += flag_lines(spectra)
    said = combination_lines(report.status, _WIDTH)
    return [*lines, *(["combinations:", *said] if said else [])]


def image_lines(report: NightReport) -> list[str]:
    """Return the images, one line each, the scatter of their zero points and their depths."""
    images = report.images
    if not images:
        return ["none: no image has a product"]
    lines = _bare(table(REPORT_HEAD, [report_row(line) for line in images], _WIDTH))
    for name, label, form in (
        ("zero_point_scatter_mag", "scatter about the zero points", ".3f"),
        ("limit_5_sigma_mag", "depth (5 sigma)", ".1f"),
    ):
        known = sorted(v for line in images if (v := line.measurements.get(name)) is not None)
        if known:
            lines.append(f"{label} {known[0]:{form}} to {known[-1]:{form}}")
    return [*lines, *flag_lines(images)]


def calibration_lines(report: NightReport) -> list[str]:
    """Return the masters, their numbers against earlier nights, and who uses them."""
    if not report.masters:
        return ["none: no master was built of this night's frames"]
    head = ("role", "set-up", "n", "UT", "verdict", "used", "measured (sigma off earlier nights)")
    lines = _bare(table(head, [_master(each) for each in report.masters], 10_000))
    known = max((check.nights for each in report.masters for check in each.checks), default=0)
    if known < 1:
        lines.append("(?): no earlier night to compare with")
    return [
        *lines,
        *(f"{each.role}: {clean(each.reason)}" for each in report.masters if each.reason),
    ]


def flag_lines(products: Sequence[ProductSummary]) -> list[str]:
    """Return every flag of these products once, with its sentence and how often it is raised."""
    reasons: dict[str, list[str]] = {}
    for line in products:
        for name, said in line.flags:
            reasons.setdefault(name, []).append(said)
    return [f"{name} x{len(said)}: {clean(said[0], 140)}" for name, said in sorted(reasons.items())]


def _spectrum(line: ProductSummary) -> tuple[str, ...]:
    found = line.measurements
    age = found.get("arc_age_h")
    return (
        clean(line.target, 20),
        clean(line.stem, 12),
        clock(line.observed_at)[:5],
        number(line.exposure_s, ".0f"),
        number(found.get("airmass"), ".2f"),
        number(found.get("fwhm_arcsec"), ".1f"),
        _slit_setup(line.setup),
        f"{line.quality}{'*' if line.quality > 2 else ''}",
        number(found.get("snr"), ".0f"),
        number(found.get("flexure_px"), "+.1f").replace("-0.0", "+0.0"),
        "-" if age is None else f"{age:.1f}h",
        judged_state_of(line),
        _type(found),
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with one space between columns; names give way when they would be too wide."""
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    over = sum(wide) + len(wide) - 1 - (_WIDTH - 2)
    wide[0] = max(wide[0] - max(over, 0), _SHORTEST_NAME)
    return [
        " ".join(clean(each, w).ljust(w) for each, w in zip(row, wide, strict=True)).rstrip()
        for row in rows
    ]


def _slit_setup(setup: str) -> str:
    """Return grism, slit and binning: what tells spectra of a night apart."""
    words = setup.split()
    optics = [w for w in words[:-1] if w.startswith(("Grism_", "Slit_"))] or words[:2]
    return clean("/".join(short(word) for word in (*optics, *words[-1:])), 14)


def _type(found: Mapping[str, float]) -> str:
    redshift = found.get("class_redshift")
    if redshift is None:
        return "-"
    return f"{redshift:.3f}" + ("" if found.get("class_sure") else "?")


def _master(each: MasterFacts) -> tuple[str, ...]:
    return (
        each.role,
        short(each.setup),
        str(each.frames),
        clock(each.observed_at)[:5],
        "OK" if each.state == "current" else each.state.upper(),
        str(each.used_by),
        "; ".join(check_text(check) for check in each.checks) or "-",
    )


def check_text(check: Check) -> str:
    """Return a number with its deviation; `!` beyond 3 sigma, `!!` beyond 5, `?` untold."""
    if check.sigma is None:
        return f"{check.name} {check.value:.5g} (?)"
    mark = "!!" if is_far(check.sigma) else "!" if abs(check.sigma) > WARN_SIGMA else ""
    return f"{check.name} {check.value:.5g} ({check.sigma:+.1f}{mark})"


def short(setup: str) -> str:
    """Return a set-up without what every reader knows."""
    return clean(setup.replace("Grism_", "").replace("Slit_", ""), 24)


def _bare(lines: Sequence[str]) -> list[str]:
    return [line.removeprefix("  ") for line in lines]
