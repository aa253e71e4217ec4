"""How well the people are served: latencies, their time, and nights nobody had to touch."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from daemon.memory.records import FrameRecord, ProductRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Seconds that half, nineteen of twenty, and all take no longer than."""

    count: int
    p50_s: float
    p95_s: float
    max_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The figures of one night.

    Attributes
    ----------
    arrival_to_product, shutter_to_product
        None without a product, or without times in the headers.
    verdict_after_s
        Median time from a product to a person's verdict; None without any.
    accepted, rejected, redone
        What people did with the products of the night.
    untouched_nights
        Nights in a row, this one the last, in which nobody had to redo or reject anything.
    """

    arrival_to_product: Spread | None = None
    shutter_to_product: Spread | None = None
    verdict_after_s: float | None = None
    accepted: int = 0
    rejected: int = 0
    redone: int = 0
    untouched_nights: int = 0


def spread(values: Iterable[float]) -> Spread | None:
    """Return the quantiles of latencies; None without any."""
    ordered = sorted(value for value in values if value == value)
    if not ordered:
        return None
    last = len(ordered) - 1
    return Spread(
        count=len(ordered),
        p50_s=ordered[round(0.50 * last)],
        p95_s=ordered[round(0.95 * last)],
        max_s=ordered[last],
    )


def service_of(
    frames: Sequence[FrameRecord],
    histories: Mapping[int, Sequence[ProductRecord]],
    touched: Mapping[str, bool],
    night: str,
) -> Service:
    """Return the figures of one night.

    Parameters
    ----------
    histories
        Every product that a frame ever had, oldest first.
    touched
        Every night with products -> whether a person redid or rejected one of them.
    """
    first = {frame.id: history[0] for frame in frames if (history := histories.get(frame.id))}
    every = [product for frame in frames for product in histories.get(frame.id, ())]
    verdicts = [item for item in every if item.own_verdict is not None]
    waits = [
        (own.at - item.created_at).total_seconds()
        for item in verdicts
        if (own := item.own_verdict) is not None
    ]
    accepted = sum(item.is_accepted for item in verdicts)
    shutter = (
        (first[frame.id].created_at - closed).total_seconds()
        for frame in frames
        if frame.id in first and (closed := _closed(frame)) is not None
    )
    return Service(
        arrival_to_product=spread(
            item.latency_s for item in first.values() if item.latency_s is not None
        ),
        shutter_to_product=spread(value for value in shutter if value >= 0),
        verdict_after_s=statistics.median(waits) if waits else None,
        accepted=accepted,
        rejected=len(verdicts) - accepted,
        # What is asked once is kept to by every upgrade after it.
        redone=len({(item.frame_id, item.redo.get("at")) for item in every if item.redo}),
        untouched_nights=untouched(touched, night),
    )


def untouched(touched: Mapping[str, bool], night: str) -> int:
    """Return how many nights with products in a row, up to this one, nobody had to touch."""
    count = 0
    for each in sorted((n for n in touched if n <= night), reverse=True):
        if touched[each]:
            break
        count += 1
    return count


def _closed(frame: FrameRecord) -> datetime | None:
    """Return when the shutter closed, by the header."""
    taken = frame.identity.observed_at
    return None if taken is None else taken + timedelta(seconds=frame.identity.exposure_s)
