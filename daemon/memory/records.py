"""What crosses the borders of the daemon: frozen records, never database rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from reducers.identity import Identity


class FileState(StrEnum):
    """How a file in the watched tree ended; every file has exactly one."""

    HELD = "held"
    INGESTED = "ingested"
    QUARANTINED = "quarantined"
    IGNORED = "ignored"
    MISSING = "missing"


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    BLOCKED = "blocked"
    DONE = "done"
    FAILED = "failed"


class JobKind(StrEnum):
    """What a job does."""

    INGEST = "ingest_frame"
    MASTER = "build_master"
    REDUCE = "reduce_frame"
    REVIEW = "review_products"
    COMBINE = "combine_spectra"
    IMAGE = "reduce_image"
    LOOK = "show_image"
    DIFFERENCE = "subtract_template"
    STACK = "stack_images"
    FETCH = "fetch_catalogues"
    TRIGGERS = "read_triggers"
    REPORT = "send_report"
    DEBT = "post_debt"
    HEALTH = "look_after_instrument"
    CANARY = "run_canary"
    BACKUP = "back_up"


class ProductState(StrEnum):
    """Whether a product is the last word."""

    PROVISIONAL = "provisional"
    FINAL = "final"
    SUPERSEDED = "superseded"


#: Smaller runs first. Masters of tonight whose set is complete take seconds, and spare every
#: exposure behind them a second reduction.
PRIORITY_LOOK = 5
PRIORITY_INGEST = 10
PRIORITY_MASTER_TONIGHT = 16
PRIORITY_SCIENCE = 20
PRIORITY_DIFFERENCE = 25
PRIORITY_CALIBRATION = 30
PRIORITY_BACKLOG = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file seen in the watched tree."""

    path: Path
    state: FileState
    reason: str
    size: int
    mtime_ns: int
    sha256: str = ""
    first_seen: datetime | None = None
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRecord:
    """One revision of one exposure, identified by its content.

    Attributes
    ----------
    id
        Of the exposure: the same for all its revisions.
    """

    id: int
    stem: str
    revision: int
    sha256: str
    path: Path
    night: str
    identity: Identity
    ingested_at: datetime
    arrived_at: datetime
    current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KindChange:
    """A person's word on what a frame is, in place of what its header says."""

    sha256: str
    kind_before: str
    kind: str
    user: str
    reason: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """Something that should be done once.

    Attributes
    ----------
    key
        No two unfinished jobs share it.
    payload
        JSON-able arguments of the task.
    not_before
        Do not start earlier; None means at once.
    blocked
        Wait until something releases it.
    """

    kind: JobKind
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    priority: int = PRIORITY_BACKLOG
    not_before: datetime | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as a worker holds it."""

    id: int
    kind: JobKind
    key: str
    payload: Mapping[str, Any]
    priority: int
    state: JobState
    attempts: int
    not_before: datetime
    lease_until: datetime | None
    worker: str
    error: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRecord:
    """One quality flag of one product, with the number that raised it."""

    name: str
    bit: int
    quality: int
    value: float | None
    threshold: float | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which master was chosen for one role, and why the others were not.

    Attributes
    ----------
    role
        'BIAS', 'FLAT', 'ARC', 'RESPONSE', 'DARK', 'SKY_FLAT', 'FRINGE'.
    master_key
        Key of the chosen master; '' when none fits.
    rung
        Step of the fallback ladder that gave it, e.g. 'same night', 'within 30 days'.
    reason
        One sentence.
    rejected
        (master key, reason) of every other candidate.
    """

    role: str
    master_key: str
    rung: str
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()


class Decision(StrEnum):
    """What a person decided about a product."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A person's decision, kept beside the automatic quality.

    Attributes
    ----------
    answers
        Question of the check list -> 'yes' or 'no'; empty when none was asked.
    remark
        In the person's words.
    """

    decision: Decision
    user: str
    at: datetime
    answers: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One verdict as it was given, with what the automatic checks had said of that product.

    Attributes
    ----------
    flags
        Names of the flags that were raised.
    """

    stem: str
    night: str
    recipe: str
    quality: int
    flags: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRecord:
    """One reduced exposure.

    Attributes
    ----------
    key
        SHA-256 over raw content, recipe, version, masters, settings and profile.
    paths
        Role ('spectrum', 'spectrum:OBJ2', 'image2d', 'plot', 'ascii', 'iraf') -> file.
    hashes
        Role -> SHA-256 of the file.
    recipe_digest
        SHA-256 over recipe, settings and profile: what made it, whatever it was made from.
    redo
        What a person asked for, as `daemon.work.redo.Redo` writes it; empty when nobody did.
    """

    key: str
    frame_id: int
    frame_sha256: str
    stem: str
    night: str
    recipe: str
    recipe_version: str
    generation: int
    state: ProductState
    quality: int
    flag_bits: int
    target: str
    paths: Mapping[str, Path]
    hashes: Mapping[str, str]
    measurements: Mapping[str, float]
    flags: tuple[FlagRecord, ...]
    choices: tuple[Choice, ...]
    created_at: datetime
    latency_s: float | None = None
    recipe_digest: str = ""
    redo: Mapping[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def main_path(self) -> str:
        """The file that the product is about, the spectrum or the image; '' for none."""
        return str(self.paths.get("spectrum") or self.paths.get("image") or "")

    @property
    def own_verdict(self) -> Verdict | None:
        """What a person said of this very version; a rejection may be that of an earlier one."""
        given = self.verdict
        return given if given is not None and given.at >= self.created_at else None

    @property
    def is_accepted(self) -> bool:
        """Whether a person wants it to stay as it is."""
        return self.verdict is not None and self.verdict.decision is Decision.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """One spectrum in a combination: its share, and its flux over that of the best ones."""

    stem: str
    product_key: str
    factor: float
    weight: float
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinationRecord:
    """Spectra of one target and set-up in one night, made one.

    Attributes
    ----------
    group
        What its members share; one combination per group is remembered.
    key
        SHA-256 over the members' product keys and the version of the recipe.
    excluded
        (stem, reason) of the exposures that take no part.
    paths, hashes
        Role ('combined', 'combined_ascii') -> file, and its SHA-256.
    """

    group: str
    key: str
    night: str
    target: str
    setup: str
    state: ProductState
    quality: int
    exposure_s: float
    members: tuple[MemberRecord, ...]
    excluded: tuple[tuple[str, str], ...]
    paths: Mapping[str, Path]
    hashes: Mapping[str, str]
    measurements: Mapping[str, float]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life: who, when last, doing what, and how often it got something done."""

    who: str
    pid: int
    at: datetime
    state: str
    progress: int
