"""The lines about the machine, the service that people had, and the night itself."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from daemon.publish.words import counted
from daemon.status_words import duration

if TYPE_CHECKING:
    from datetime import datetime

    from daemon.account.service import Spread
    from daemon.report.night_report import Machine, NightReport

#: Frames that are reduced later than this were brought from elsewhere.
_AT_ONCE_S = 86400.0


def system_lines(report: NightReport) -> list[str]:
    """Return how the machine did; what is not known says so."""
    machine, status = report.machine, report.status
    up = "unknown (the daemon is not running)" if machine.up_s is None else duration(machine.up_s)
    lines = [f"up {up}; jobs {counted(dict(status.jobs))}"]
    service = report.account.service if report.account else None
    shutter = service.shutter_to_product if service else None
    arrival = service.arrival_to_product if service else None
    lines.append(f"shutter-close to product: {_spread(shutter)}")
    lines.append(f"arrival to product: {_spread(arrival)}")
    if service is not None:
        wait = service.verdict_after_s
        after = "" if wait is None else f", {duration(wait)} after the product"
        lines.append(
            f"people: accepted {service.accepted}, rejected {service.rejected}, redid "
            f"{service.redone}{after}; nights in a row untouched {service.untouched_nights}"
        )
    lines.append(f"outbox: {_outbox(report)}")
    lines.append(f"canary: {_canary(machine)}")
    lines.append(_disc(machine))
    size = machine.database_bytes
    known = "size unknown" if size is None else f"{size / 1e6:.0f} MB"
    copy = machine.backup or "never"
    lines.append(f"database: {known}; copied and checked: {copy}")
    offset = report.account.clocks.offset_s if report.account else None
    said = "unknown, too few frames came as they were taken"
    if offset is not None:
        said = f"{offset:.0f} s from the end of an exposure to its arrival (median)"
    lines.append(f"clocks: {said}")
    return lines


def times_lines(report: NightReport) -> list[str]:
    """Return the turns of the night and its seeing."""
    turns = report.turns
    if turns is None:
        return ["unknown: no site"]
    lines = [
        f"sunset {_at(turns.sunset)}, dark {_at(turns.dark)}, dawn {_at(turns.dawn)}, "
        f"sunrise {_at(turns.sunrise)} UT"
    ]
    for name, products in (("images", report.images), ("spectra", report.spectra)):
        seen = [v for p in products if (v := p.measurements.get("seeing_arcsec")) is not None]
        if seen:
            lines.append(
                f'seeing, {name} {len(seen)}: median {median(seen):.2f}", '
                f'best {min(seen):.2f}", worst {max(seen):.2f}"'
            )
    if len(lines) == 1:
        lines.append("seeing: unknown, nothing measured it")
    through = [v for p in report.images if (v := p.measurements.get("transparency")) is not None]
    if through:
        lines.append(f"transparency, images {len(through)}: median {100 * median(through):.0f} %")
    lines.append("humidity, wind, dome: unknown, the headers do not give them")
    return lines


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "unknown: no product with both times"
    if spread.p50_s > _AT_ONCE_S:
        return f"not told: frames came {duration(spread.p50_s)} after they were taken"
    return (
        f"p50 {duration(spread.p50_s)}, p95 {duration(spread.p95_s)}, max "
        f"{duration(spread.max_s)} ({spread.count} products)"
    )


def _outbox(report: NightReport) -> str:
    counts = report.deliveries
    if not counts:
        return report.unknown.get("OUTBOX", "nothing was ever sent")
    return f"{counts.get('waiting', 0) + counts.get('unknown', 0)} waiting; {counted(dict(counts))}"


def _canary(machine: Machine) -> str:
    if machine.canaries is None:
        return "unknown: none was run this night"
    good, total = machine.canaries
    return f"{good}/{total} came through" + (
        f"; the last did not: {machine.canary_problem}" if machine.canary_problem else ""
    )


def _disc(machine: Machine) -> str:
    if machine.disc_used is None or machine.disc_free_bytes is None:
        return "disc: unknown"
    said = (
        f"disc: {100 * machine.disc_used:.0f} % used, {machine.disc_free_bytes / 1e9:.0f} GB free"
    )
    if machine.runway_nights is None or machine.night_bytes is None:
        return f"{said}; runway unknown: this night wrote nothing"
    per = f"{machine.night_bytes / 1e9:.2f} GB"
    return f"{said}; runway {machine.runway_nights:.0f} nights like this one ({per} of products)"


def _at(when: datetime | None) -> str:
    return "never" if when is None else f"{when:%H:%M}"
