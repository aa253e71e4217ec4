"""What `alfoscd status` and the night report say, as fixed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

_EXIT_CODES = {"ok": 0, "degraded": 1, "down": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLine:
    """One exposure; `state` says in words what has become of it."""

    stem: str
    kind: str
    target: str
    observed_at: datetime | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterLine:
    """One master calibration in hand."""

    role: str
    setup: str
    frames: int
    observed_at: datetime | None
    state: str
    reason: str
    path: str
    measurements: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSummary:
    """One current product; `flags` are (name, sentence), `verdict` is a person's, in words."""

    stem: str
    kind: str
    target: str
    state: str
    quality: int
    observed_at: datetime | None
    exposure_s: float | None
    setup: str
    flags: tuple[tuple[str, str], ...]
    measurements: Mapping[str, float]
    choices: Mapping[str, str]
    paths: Mapping[str, str]
    version: int
    latency_s: float | None
    verdict: str = ""
    programme: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinationLine:
    """One combination; `members` are (stem, factor, weight, remark), `excluded` (stem, reason)."""

    target: str
    setup: str
    state: str
    quality: int
    exposure_s: float
    members: tuple[tuple[str, float, float, str], ...]
    excluded: tuple[tuple[str, str], ...]
    measurements: Mapping[str, float]
    paths: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleLine:
    """One file that is held or quarantined, and why."""

    path: str
    state: str
    reason: str
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One running or failed job."""

    kind: str
    about: str
    state: str
    attempts: int
    error: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    """One process and the age of its last sign of life."""

    who: str
    pid: int
    state: str
    age_s: float
    progress: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterLine:
    """One delivery that needs attention or has not come through yet."""

    topic: str
    title: str
    sink: str
    address: str
    state: str
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLines:
    """Deliveries by state, and those in trouble, the dead ones first."""

    counts: Mapping[str, int] = field(default_factory=dict)
    troubled: tuple[LetterLine, ...] = ()

    @property
    def dead(self) -> int:
        """How many were given up."""
        return self.counts.get("dead", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryLine:
    """The last canary; `latency_s` counts from when it was due, `problems` are sentences."""

    ended_at: datetime
    took_s: float
    latency_s: float
    wavelength_px: float | None
    flux_ratio: float | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that `alfoscd status` and the night report say.

    Attributes
    ----------
    verdict : str
        'ok', 'degraded' or 'down', with its reasons in `why`.
    night, newest_night : str
        The night that is shown, and the last that has frames at all (`newest_frames`); the same
        when a night was asked for.
    nights : tuple of str
        Every night with frames, oldest first.
    files : mapping
        How many files are in which state.
    on_disk : int or None
        Files in the watched tree; None when not counted.
    missing : tuple of TroubleLine
        Raw files that were taken in and are no longer there.
    frames, products : mapping
        Of `night`: frames by kind, current products by 'state quality'.
    jobs : mapping
        How many jobs are in which state.
    latency_s, shutter_latency_s : mapping
        'p50', 'p95', 'max' from arrival, and from the closing of the shutter, to first product.
    untouched_nights : int
        Nights with products in a row in which nobody had to redo or reject anything.
    verdicts : mapping
        How many products people accepted and rejected, ever.
    outbox : OutboxLines
        What leaves the machine, and what could not.
    canary : CanaryLine or None
        The last synthetic set that went the whole way; None before the first.
    """

    at: datetime
    database: str
    verdict: str
    why: tuple[str, ...]
    night: str = ""
    newest_night: str = ""
    newest_frames: Mapping[str, int] = field(default_factory=dict)
    nights: tuple[str, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict)
    on_disk: int | None = None
    frames_total: int = 0
    frames: Mapping[str, int] = field(default_factory=dict)
    last_frames: tuple[FrameLine, ...] = ()
    masters: tuple[MasterLine, ...] = ()
    products: tuple[ProductSummary, ...] = ()
    combinations: tuple[CombinationLine, ...] = ()
    product_counts: Mapping[str, int] = field(default_factory=dict)
    troubles: tuple[TroubleLine, ...] = ()
    missing: tuple[TroubleLine, ...] = ()
    jobs: Mapping[str, int] = field(default_factory=dict)
    running: tuple[JobLine, ...] = ()
    failed: tuple[JobLine, ...] = ()
    workers: tuple[WorkerLine, ...] = ()
    latency_s: Mapping[str, float] = field(default_factory=dict)
    shutter_latency_s: Mapping[str, float] = field(default_factory=dict)
    untouched_nights: int = 0
    verdicts: Mapping[str, int] = field(default_factory=dict)
    outbox: OutboxLines = field(default_factory=OutboxLines)
    canary: CanaryLine | None = None

    @property
    def exit_code(self) -> int:
        """0 when all is well, 1 when something wants attention, 2 when the daemon is down."""
        return _EXIT_CODES[self.verdict]
