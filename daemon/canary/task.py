"""The task that sends a canary from a worker, so that it waits where a real frame would."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.canary.news import note
from daemon.memory.archive_canaries import CanaryRecord
from daemon.work.outcomes import TryLater

if TYPE_CHECKING:
    from datetime import datetime

    from daemon.canary.flight import Flight
    from daemon.memory.records import Job
    from daemon.work.bench import Bench

#: So long before a worker's time limit the canary is given up and says so itself.
_MARGIN_S = 30.0
_AGAIN_S = 60.0


def run_canary(bench: Bench, job: Job) -> None:
    """Send one canary and write down what came of it.

    Raises
    ------
    TryLater
        If another canary is on its way.
    """
    # Heavy, and wanted once in hours: other jobs do not wait for it.
    from daemon.canary.flight import fly
    from daemon.work.supervisor import AlreadyRunning

    config = bench.config
    limit_s = min(config.canary.limit_s, max(config.work.job_limit_s - _MARGIN_S, 1.0))
    try:
        flight = fly(config, limit_s=limit_s)
    except AlreadyRunning:
        raise TryLater("another canary is on its way", after_s=_AGAIN_S) from None
    flown = record_of(flight, job.submitted_at, bench.clock.now())
    note(bench.archive, judged(flown, config.canary.limit_s))


def record_of(flight: Flight, asked: datetime, ended: datetime) -> CanaryRecord:
    """Return what is remembered of a flight."""
    found = flight.figures
    return CanaryRecord(
        asked_at=asked,
        ended_at=ended,
        took_s=flight.took_s,
        wavelength_px=None if math.isnan(found.wavelength_px) else found.wavelength_px,
        flux_ratio=None if math.isnan(found.flux_ratio) else found.flux_ratio,
        problems=flight.problems,
    )


def judged(record: CanaryRecord, limit_s: float) -> CanaryRecord:
    """Return the record, with a problem more if it took longer than it may."""
    if record.latency_s <= limit_s:
        return record
    waited_s = max(record.latency_s - record.took_s, 0.0)
    late = (
        f"it ended {record.latency_s:.0f} s after it was due, allowed are {limit_s:.0f}: "
        f"{waited_s:.0f} s it waited for a worker"
    )
    return replace(record, problems=(*record.problems, late))
