"""The status as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.publish.image_lines import HEAD as IMAGE_HEAD
from daemon.publish.image_lines import image_row, images_of, new_source_line, spectra_of
from daemon.publish.words import (
    VERDICT_COLOURS,
    Paint,
    argument,
    clean,
    clock,
    counted,
    last_line,
    no_paint,
    number,
    table,
)
from daemon.status import SILENT_AFTER_S
from daemon.status_canary import canary_text
from daemon.status_words import advice_on, completeness, duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.status_lines import OutboxLines, ProductSummary, Status


#: Frames that came so long after their shutter closed were copied from an archive.
_ARCHIVED_S = 86400.0
_LONGEST_REASON = 1000


def render(status: Status, *, paint: Paint = no_paint, width: int = 100) -> str:
    """Return the status as lines of text, the verdict first."""
    verdict = paint(status.verdict.upper(), VERDICT_COLOURS[status.verdict])
    lines = [f"alfoscd {verdict}  {status.at:%Y-%m-%d %H:%M:%S} UT  {status.database}"]
    # Not cut to the width: a reason may end with the command that mends it.
    lines += [f"  - {clean(reason, _LONGEST_REASON)}" for reason in status.why]
    for title, body in _sections(status, width):
        if body:
            lines += ["", paint(title, "bold"), *body]
    return "\n".join(lines) + "\n"


def _sections(status: Status, width: int) -> Sequence[tuple[str, list[str]]]:
    shown = night = status.night or "no night yet"
    if status.newest_night > status.night:
        so_far = counted(dict(status.newest_frames))
        night += f" (the newest with science; {status.newest_night} has {so_far} so far)"
    elif status.nights and status.night not in status.nights:
        night += f" is not known; the last nights are {', '.join(status.nights[-3:])}"
    return (
        (f"FILES  {completeness(status)}", _troubles(status, width)),
        (
            f"FRAMES  {status.frames_total} in all; night {night}: {counted(dict(status.frames))}",
            _frames(status, width),
        ),
        (f"MASTERS  of {shown}", _masters(status, width)),
        (
            f"PRODUCTS  of {shown}: {counted(dict(status.product_counts))}",
            product_lines(spectra_of(status.products), width),
        ),
        (_images_title(status, shown), image_lines(images_of(status.products), width)),
        ("COMBINATIONS" if status.combinations else "", combination_lines(status, width)),
        (f"JOBS  {counted(dict(status.jobs))}", _jobs(status, width)),
        ("WORKERS", _workers(status, width)),
        ("SERVICE", _latency(status)),
        ("CANARY", [f"  {clean(canary_text(status.canary), 3 * width)}"]),
        (f"OUTBOX  {counted(dict(status.outbox.counts))}", outbox_lines(status.outbox, width)),
    )


def _troubles(status: Status, width: int) -> list[str]:
    lines = []
    for line in (*status.troubles, *status.missing):
        lines.append(f"  {line.state}: {clean(line.path, width - 16)}")
        lines.append(f"    why: {clean(line.reason, width - 10)}")
        lines.append(f"    do:  {advice_on(line)}")
    return [line for line in lines if line] or ["  nothing held or quarantined"]


def _frames(status: Status, width: int) -> list[str]:
    rows = [
        (line.stem, line.kind, clean(line.target, 20), clock(line.observed_at), line.state)
        for line in status.last_frames
    ]
    return table(("frame", "kind", "target", "taken", "state"), rows, width) or ["  none"]


def _masters(status: Status, width: int) -> list[str]:
    rows = [
        (
            line.role,
            line.setup,
            str(line.frames),
            clock(line.observed_at),
            f"{line.state}: {line.reason}" if line.reason else line.state,
        )
        for line in status.masters
    ]
    return table(("role", "set-up", "frames", "taken", "state"), rows, width)


def product_lines(products: Sequence[ProductSummary], width: int) -> list[str]:
    """Return one line per product and one per flag, in words."""
    rows = [
        (
            line.stem,
            clean(line.target, 18),
            f"{line.quality}",
            number(line.measurements.get("snr"), ".1f"),
            number(line.measurements.get("arc_rms_angstrom"), ".3f"),
            number(line.measurements.get("sky5577_angstrom"), ".2f"),
            f"{line.state} v{line.version}" + (f", {line.verdict}" if line.verdict else ""),
        )
        for line in products
    ]
    lines = table(("frame", "target", "Q", "S/N", "rms A", "5577 A", "state"), rows, width)
    out = lines[:1]
    for text, line in zip(lines[1:], products, strict=True):
        out.append(text)
        out += [f"      {name}: {clean(said, width - 8 - len(name))}" for name, said in line.flags]
    return out


def _images_title(status: Status, night: str) -> str:
    images = images_of(status.products)
    return f"IMAGES  of {night}, the last {len(images)}" if images else ""


def image_lines(images: Sequence[ProductSummary], width: int) -> list[str]:
    """Return one line per image and one per flag, in words."""
    lines = table(IMAGE_HEAD, [image_row(line) for line in images], width)
    out = lines[:1]
    for text, line in zip(lines[1:], images, strict=True):
        out.append(text)
        out += [f"      {name}: {clean(said, width - 8 - len(name))}" for name, said in line.flags]
    new = new_source_line(images)
    return [*out, f"  {clean(new, width - 2)}"] if new else out


def combination_lines(status: Status, width: int) -> list[str]:
    """Return one line per combination, and one per exposure that is odd or takes no part."""
    lines = []
    for line in status.combinations:
        head = f"{clean(line.target, 24)} {line.setup}: {len(line.members)} exposures"
        said = _reached(line.measurements)
        lines.append(f"  {head}, {line.exposure_s:.0f} s, Q {line.quality}, {said}, {line.state}")
        odd = [(stem, remark) for stem, _, _, remark in line.members if remark]
        odd += [(stem, f"left out, {reason}") for stem, reason in line.excluded]
        lines += [f"      {stem}: {clean(said, width - 10 - len(stem))}" for stem, said in odd]
    return lines


def _reached(found: Mapping[str, float]) -> str:
    """Return what a combination came to: the S/N of spectra, seeing and zero point of images."""
    if "snr" in found:
        return f"S/N {number(found['snr'], '.1f')}"
    seeing = number(found.get("seeing_arcsec"), ".2f")
    return f'seeing {seeing}", zero point {number(found.get("zero_point_mag"), ".2f")}'


def _jobs(status: Status, width: int) -> list[str]:
    lines = [f"  running: {job.kind} {clean(job.about, 60)}" for job in status.running]
    for job in status.failed:
        lines.append(f"  failed after {job.attempts}: {job.kind} {clean(job.about, 60)}")
        lines.append(f"    why: {clean(last_line(job.error), width - 10)}")
        if job.kind == "reduce_frame":
            lines.append(f"    do:  alfoscd redo {argument(job.about)}")
    return lines or ["  nothing running, nothing failed"]


def _workers(status: Status, width: int) -> list[str]:
    rows = [
        (
            line.who,
            str(line.pid),
            ("silent for " if line.age_s > SILENT_AFTER_S else "") + duration(line.age_s) + " ago",
            str(line.progress),
            line.state,
        )
        for line in status.workers
    ]
    return table(("who", "pid", "last sign", "done", "doing"), rows, width) or ["  none"]


def outbox_lines(outbox: OutboxLines, width: int) -> list[str]:
    """Return what could not be delivered, why, and what to do; empty when all is well."""
    lines = []
    for line in outbox.troubled:
        where = clean(f"{line.sink} {line.address}", 50)
        lines.append(f"  {line.state}: {clean(line.title, width - 70)}, to {where}")
        lines.append(f"    why: {clean(line.error, 3 * width)}")
    if outbox.dead:
        lines.append("    do:  mend it, then `alfoscd outbox --retry`; nothing is lost")
    return lines if outbox.counts else []


def _latency(status: Status) -> list[str]:
    if not status.latency_s:
        return ["  unknown: no product of this night yet"]
    lines = [f"  from arrival to first product: {_spread(status.latency_s)}"]
    if status.shutter_latency_s.get("p50", _ARCHIVED_S) < _ARCHIVED_S:
        lines.append(f"  from shutter to first product: {_spread(status.shutter_latency_s)}")
    lines.append(f"  nights in a row that nobody had to touch: {status.untouched_nights}")
    judged = sum(status.verdicts.values())
    if judged:
        lines.append(
            f"  accepted by people: {status.verdicts.get('accepted', 0)} of {judged} judged"
        )
    return lines


def _spread(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {duration(value)}" for name, value in values.items())
