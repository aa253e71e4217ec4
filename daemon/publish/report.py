"""The report of one night as plain text: the verdict first, then what to do about it."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from daemon.publish.image_lines import (
    IMAGE_KINDS,
    REPORT_HEAD,
    images_of,
    new_source_line,
    report_row,
    spectra_of,
)
from daemon.publish.status_text import combination_lines
from daemon.publish.words import clean, clock, counted, last_line, number, table
from daemon.status_words import advice_on, completeness, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.status_lines import MasterLine, ProductSummary, Status

WIDTH = 90
_SPECTRA = ("SPEC_OBJECT", "SPEC_STD")
_CHECKS = {
    "BIAS": ("level_adu", "read_noise_adu"),
    "FLAT": ("level_adu",),
    "ILLUMINATION": ("frames", "illumination_rms"),
    "ARC": ("rms_px", "lines"),
    "RESPONSE": ("rms_mag", "points"),
    "DARK": ("dark_e_per_hour",),
    "SKY_FLAT": ("frames", "gain_e_per_adu"),
    "FRINGE": ("frames", "amplitude"),
    "STAR_FLAT": ("stars", "rms_mag"),
}


def render_report(status: Status, advice: Mapping[str, str] | None = None) -> str:
    """Return the report of the night that `status` was read for.

    Parameters
    ----------
    status
        Read with `recent` large enough to hold the whole night.
    advice
        Flag name -> what to do about it.
    """
    advice = advice or {}
    colour, rule = verdict(status)
    lines = [
        f"ALFOSC night {status.night or 'unknown'}  {colour}: {rule}",
        f"written {status.at:%Y-%m-%d %H:%M} UT",
        "",
        *_actions(status, advice),
        "",
        "COMPLETENESS",
        f"  {completeness(status)}",
        f"  frames of the night: {counted(dict(status.frames))}",
        f"  spectra {_balance(status, _SPECTRA)}",
        *_image_balance(status),
        "",
        *_spectra(status),
        "",
        *_images(status),
        *_combinations(status),
        *_calibrations(status),
        "",
        *_errors(status),
        "",
        *_system(status),
    ]
    return "\n".join(folded for line in lines for folded in _fold(line)) + "\n"


def _fold(line: str) -> list[str]:
    """Return the line, continued on further ones where it is wider than the report."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent)


def verdict(status: Status) -> tuple[str, str]:
    """Return GREEN, AMBER or RED and the rule that made it."""
    bad = [line for line in status.products if line.quality >= 3]
    if status.jobs.get("failed"):
        return "RED", f"{status.jobs['failed']} jobs failed"
    if bad:
        return "AMBER", f"products of quality 3 or worse: {len(bad)}"
    if any(_is_missed(line) for line in status.masters):
        return "AMBER", "a master was rejected"
    if status.troubles:
        return "AMBER", f"{len(status.troubles)} files held or quarantined"
    if not status.frames:
        return "GREEN", "nothing was taken"
    return "GREEN", "every frame accounted for, no product worse than quality 2"


def _actions(status: Status, advice: Mapping[str, str]) -> list[str]:
    wanted = []
    for line in status.products:
        if line.quality >= 3:
            name, said = line.flags[0] if line.flags else ("", "no reason recorded")
            todo = f"{advice.get(name) or 'judge it by eye.'} (alfoscd redo {line.stem})"
            what = f"{line.stem} {clean(line.target, 30)}: {clean(said)}"
            wanted.append((what, todo + _plot_of(line)))
    for job in status.failed:
        wanted.append(
            (
                f"{job.kind} {job.about}: {clean(last_line(job.error), 160)}",
                f"alfoscd quarantine retry {clean(job.about, 60)}",
            )
        )
    wanted += [
        (f"{line.role} {line.setup}: {clean(line.reason)}", "take this calibration again")
        for line in status.masters
        if _is_missed(line)
    ]
    wanted += [(f"{line.path}: {clean(line.reason)}", advice_on(line)) for line in status.troubles]
    lines = [f"ACTIONS NEEDED ({len(wanted)})"]
    for count, (what, todo) in enumerate(wanted, start=1):
        lines += [f" {count}. {what}", f"      -> {todo}"]
    return lines if wanted else ["ACTIONS NEEDED: none"]


def _is_missed(line: MasterLine) -> bool:
    """Tell whether a master was rejected that somebody has to take again.

    Exposures that share no fringe pattern, and stars that show the flat to be right, are no
    calibration that failed.
    """
    return line.state == "rejected" and line.role not in ("FRINGE", "STAR_FLAT")


def _plot_of(line: ProductSummary) -> str:
    """Return where its verification plot is, below the night's folder."""
    path = line.paths.get("plot", "")
    return f"; see plots/{clean(path.rpartition('/')[2], 120)}" if path else ""


def _image_balance(status: Status) -> list[str]:
    taken = any(status.frames.get(kind) for kind in IMAGE_KINDS)
    return [f"  images {_balance(status, IMAGE_KINDS)}"] if taken else []


def _balance(status: Status, kinds: tuple[str, ...]) -> str:
    """Return the arithmetic that shows that no exposure of these kinds was forgotten."""
    total = sum(status.frames.get(kind, 0) for kind in kinds)
    made = Counter(line.state for line in status.products if line.kind in kinds)
    rest = total - sum(made.values())
    terms = f"{total} = final {made['final']} + provisional {made['provisional']}"
    return f"{terms} + not reduced {rest}"


def _spectra(status: Status) -> list[str]:
    head = ("target", "frame", "UT", "exp", "air", "set-up", "Q", "S/N", "shift", "state")
    spectra = spectra_of(status.products)
    lines = table(head, [_spectrum(line) for line in reversed(spectra)], WIDTH)
    return ["SPECTRA", *(lines or ["  no spectrum yet"]), *_reasons(spectra)]


def _images(status: Status) -> list[str]:
    images = images_of(status.products)
    if not images:
        return []
    lines = table(REPORT_HEAD, [report_row(line) for line in reversed(images)], WIDTH)
    new = new_source_line(images)
    return ["IMAGES", *lines, *_reasons(images), *([f"  {new}"] if new else []), ""]


def _reasons(products: Sequence[ProductSummary]) -> list[str]:
    """Return every flag of these products once, with its sentence."""
    reasons = {name: said for line in products for name, said in line.flags}
    return [f"  {name}: {clean(said, 80)}" for name, said in sorted(reasons.items())]


def _spectrum(line: ProductSummary) -> tuple[str, ...]:
    found = line.measurements
    return (
        clean(line.target, 14),
        clean(line.stem, 12),
        clock(line.observed_at)[:5],
        number(line.exposure_s, ".0f"),
        number(found.get("airmass"), ".2f"),
        line.setup.replace("Grism_", "").replace("Slit_", ""),
        str(line.quality),
        number(found.get("snr"), ".0f"),
        number(found.get("flexure_px"), "+.1f"),
        f"{line.state[:5]} v{line.version}",
    )


def _combinations(status: Status) -> list[str]:
    if not status.combinations:
        return []
    return ["COMBINATIONS", *combination_lines(status, WIDTH), ""]


def _calibrations(status: Status) -> list[str]:
    rows = [
        (
            line.role,
            line.setup.replace("Grism_", "").replace("Slit_", ""),
            str(line.frames),
            clock(line.observed_at),
            " ".join(
                f"{name}={line.measurements[name]:.4g}"
                for name in _CHECKS.get(line.role, ())
                if name in line.measurements
            ),
            line.state,
        )
        for line in status.masters
    ]
    lines = table(("role", "set-up", "n", "UT", "measured", "verdict"), rows, WIDTH)
    return ["CALIBRATIONS", *(lines or ["  no master yet"])]


def _errors(status: Status) -> list[str]:
    grouped = Counter((job.kind, clean(last_line(job.error), 160)) for job in status.failed)
    lines = [f"  {count} x {kind}: {said}" for (kind, said), count in grouped.most_common()]
    return ["ERRORS (grouped)", *(lines or ["  none"])]


def _system(status: Status) -> list[str]:
    if not status.latency_s:
        return ["SYSTEM", "  latency unknown: no product yet"]
    said = ", ".join(f"{name} {duration(value)}" for name, value in status.latency_s.items())
    return [
        "SYSTEM",
        f"  arrival to first product: {said}",
        f"  jobs: {counted(dict(status.jobs))}",
    ]
