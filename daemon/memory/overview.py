"""Everything at one moment, counted: what the archive tells of its own state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from daemon.memory.messages import Delivery, DeliveryState
from daemon.memory.records import (
    FileRecord,
    FileState,
    Heartbeat,
    Job,
    JobKind,
    JobState,
    ProductState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductLine:
    """One current product as a line of a table."""

    stem: str
    night: str
    target: str
    state: ProductState
    quality: int
    flag_bits: int
    created_at: datetime
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What `status` shows, from one state of the database.

    Attributes
    ----------
    frames, products
        Current frames by kind, current products by (state, quality), of `night`.
    troubles
        Files held or quarantined, newest first.
    broken
        Failed jobs, newest first.
    latest
        Current products, newest first.
    undelivered
        What the outbox gave up or cannot place, newest first.
    """

    night: str
    files: Mapping[FileState, int]
    frames_total: int
    frames: Mapping[str, int]
    products: Mapping[tuple[ProductState, int], int]
    jobs: Mapping[tuple[JobKind, JobState], int]
    masters: Mapping[tuple[str, str], int]
    deliveries: Mapping[DeliveryState, int]
    undelivered: tuple[Delivery, ...]
    heartbeats: tuple[Heartbeat, ...]
    troubles: tuple[FileRecord, ...]
    broken: tuple[Job, ...]
    latest: tuple[ProductLine, ...]
    last_arrival: datetime | None
