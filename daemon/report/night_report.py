"""Everything a night's report says, as one frozen value; every way of telling it reads only this.

A part that could not be found out is named in `unknown` with the reason, never left blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from daemon.account.debt import Debt
from daemon.account.night import NightAccount
from daemon.clock import Twilights
from daemon.status_lines import ProductSummary, Status, TroubleLine

SPECTRA = frozenset({"SPEC_OBJECT", "SPEC_STD"})
IMAGES = frozenset({"IMG_OBJECT", "ACQUISITION"})
CALIBRATIONS = frozenset({"BIAS", "DARK", "ARC", "SPEC_FLAT", "IMG_FLAT", "SPEC_SKYFLAT"})
#: A product of this quality or worse is looked at by a person.
WORST_GOOD = 2
WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A science frame without a product: `outcome` is 'failed', 'waiting' or 'without product'."""

    stem: str
    kind: str
    target: str
    programme: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A job that was given up.

    Attributes
    ----------
    about
        The stem of its frame, or what it was to build.
    name
        What `alfoscd quarantine retry` knows it by.
    """

    kind: str
    about: str
    error: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One number measured on a master against the earlier nights.

    Attributes
    ----------
    sigma
        Deviation from the median of earlier nights over their scatter; None where there are too
        few of them to tell.
    nights
        How many earlier nights it is held against.
    """

    name: str
    value: float
    median: float | None = None
    sigma: float | None = None
    nights: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterFacts:
    """One master of the night, its numbers against their history, and who uses it."""

    key: str
    role: str
    setup: str
    frames: int
    first: str
    last: str
    state: str
    reason: str
    path: str
    sha256: str
    version: int
    checks: tuple[Check, ...]
    used_by: int
    night: str
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One series of the instrument in this night.

    Attributes
    ----------
    sigma
        Off the band of its own last thirty nights; None without enough of them.
    alarms
        Changes of its level that became certain in this night, one sentence each.
    """

    name: str
    unit: str
    value: float
    sigma: float | None = None
    standing: str = ""
    alarms: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One candidate, or one that people were told of."""

    name: str
    stem: str
    target: str
    programme: str
    standing: str
    headline: str
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that became of a product after it was first made: redo, upgrade, verdict."""

    stem: str
    target: str
    programme: str
    sentence: str
    automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something never seen before, or that looks like a mistake."""

    sentence: str
    programme: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The state of the machine; None where it is unknown."""

    up_s: float | None = None
    disc_used: float | None = None
    disc_free_bytes: int | None = None
    night_bytes: int | None = None
    database_bytes: int | None = None
    backup: str = ""
    canaries: tuple[int, int] | None = None
    canary_problem: str = ""

    @property
    def runway_nights(self) -> float | None:
        """Nights like this one that the disc still holds."""
        if self.disc_free_bytes is None or not self.night_bytes:
            return None
        return self.disc_free_bytes / self.night_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NightReport:
    """The report of one night.

    Attributes
    ----------
    version
        1, 2, ...: of what was sent of this night.
    final
        Whether the night is over and every product was read again and compared with its hash.
    status
        Frames, products and combinations, read for this night.
    account
        The proof of completeness; None where it could not be made, see `unknown`.
    failures, other_failures
        Jobs of this night that were given up, and how many of other nights.
    troubles, other_troubles
        Files that came with this night and were not taken in, and how many of other nights.
    debts
        Calibrations that are still owed.
    trend_lines
        The trends of a month as text, what wants attention first.
    open_jobs
        Jobs of the night that wait or run.
    withheld
        Products whose targets are not told, as their programmes are closed.
    unknown
        Part of the report -> why it could not be found out.
    """

    night: str
    at: datetime
    status: Status
    version: int = 1
    final: bool = False
    software: str = "unknown"
    config_digest: str = "unknown"
    config_change: str = ""
    comment: str = ""
    account: NightAccount | None = None
    lost: tuple[Lost, ...] = ()
    failures: tuple[Failure, ...] = ()
    other_failures: int = 0
    troubles: tuple[TroubleLine, ...] = ()
    other_troubles: int = 0
    masters: tuple[MasterFacts, ...] = ()
    borrowed: Mapping[str, int] = field(default_factory=dict)
    debts: tuple[Debt, ...] = ()
    trends: tuple[Trend, ...] = ()
    trend_lines: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    changes: tuple[Change, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    machine: Machine = field(default_factory=Machine)
    turns: Twilights | None = None
    deliveries: Mapping[str, int] = field(default_factory=dict)
    open_jobs: int = 0
    withheld: int = 0
    advice: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def spectra(self) -> tuple[ProductSummary, ...]:
        """The spectra in order of exposure."""
        return self._of(SPECTRA)

    @property
    def images(self) -> tuple[ProductSummary, ...]:
        """The images in order of exposure."""
        return self._of(IMAGES)

    @property
    def frames(self) -> int:
        """Frames of the night, of whatever kind."""
        return sum(self.status.frames.values())

    @property
    def unexplained(self) -> int:
        """Frames and files of which nobody can say what became of them."""
        if self.account is None:
            return 0
        nameless = sum(not reason for _, reason in self.account.science.without)
        return nameless + len(self.account.files.unexplained)

    @property
    def broken(self) -> tuple[str, ...]:
        """Every identity that does not hold, one sentence each: the report is red."""
        if self.account is None:
            return ()
        said = list(self.account.broken)
        science = self.account.science
        listed = len(self.spectra) + len(self.images)
        if listed != science.final + science.provisional:
            said.append(
                f"products do not add up: {listed} are listed, "
                f"{science.final + science.provisional} are in the account"
            )
        missing = len(science.failed) + len(science.waiting) + len(science.without)
        if missing != len(self.lost):
            said.append(f"frames without product: {len(self.lost)} are listed, {missing} counted")
        return tuple(said)

    def _of(self, kinds: frozenset[str]) -> tuple[ProductSummary, ...]:
        mine = [line for line in self.status.products if line.kind in kinds]
        return tuple(sorted(mine, key=lambda line: (str(line.observed_at or "~"), line.stem)))
