"""What `status` tells of the last canary."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daemon.status_lines import CanaryLine

if TYPE_CHECKING:
    from daemon.status_queries import Reader

_LAST = (
    "SELECT asked_at, ended_at, took_s, wavelength_px, flux_ratio, problems FROM canary"
    " ORDER BY ended_at DESC, id DESC LIMIT 1"
)


def last_canary(reader: Reader) -> CanaryLine | None:
    """Return the canary that ended last; None before the first."""
    for row in reader.rows(_LAST):
        asked, ended = _time(row["asked_at"]), _time(row["ended_at"])
        return CanaryLine(
            ended_at=ended,
            took_s=row["took_s"],
            latency_s=(ended - asked).total_seconds(),
            wavelength_px=row["wavelength_px"],
            flux_ratio=row["flux_ratio"],
            problems=tuple(json.loads(row["problems"])),
        )
    return None


def canary_text(line: CanaryLine | None) -> str:
    """Return one line on the last canary."""
    if line is None:
        return "none yet; the first is sent some minutes after a start"
    when = f"{line.ended_at:%Y-%m-%d %H:%M} UT"
    if line.problems:
        return f"failed {when}: {'; '.join(line.problems)}"
    figures = ""
    if line.wavelength_px is not None and line.flux_ratio is not None:
        figures = f" (wavelengths {line.wavelength_px:.2f} px, flux {line.flux_ratio:.3f})"
    return f"ok {when}, {line.latency_s:.0f} s{figures}"


def _time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
