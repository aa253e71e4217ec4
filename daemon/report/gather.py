"""Reads a night's report from the memory, the calibration store and the disc."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from daemon.account.night import account_of_night
from daemon.clock import twilights
from daemon.health.condition import health_of
from daemon.health.lines import trend_lines
from daemon.memory.errors import StoreError
from daemon.memory.records import FileState, JobKind, JobState, ProductState
from daemon.publish.words import number
from daemon.report.changes import changes_of
from daemon.report.history import trends_of
from daemon.report.machine import config_digest, machine_of, software
from daemon.report.masters import borrowed_by, master_facts
from daemon.report.night_report import Failure, Lost, Machine, NightReport, Source
from daemon.report.strange import oddities_of
from daemon.status import read_status
from daemon.status_lines import TroubleLine
from daemon.work.debts import debts_of_night
from reducers.errors import ReductionError
from reducers.quality import load_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from daemon.account.night import NightAccount
    from daemon.memory.records import FrameRecord, Job, ProductRecord
    from daemon.report.night_report import Oddity
    from daemon.status_lines import Status
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What a part may fail with: the memory, the disc, or a record that is not as it should be. The
#: others are told all the same.
_UNREADABLE = (
    StoreError, SQLAlchemyError, OSError, ReductionError,
    ValueError, LookupError, ArithmeticError, TypeError,
)  # fmt: skip

_ALL = 100_000
_SOURCES = 60
#: Jobs about the night itself that the report does not wait for, or it would wait for itself.
_NOT_OF_SCIENCE = (JobKind.REPORT, JobKind.DEBT, JobKind.BACKUP, JobKind.CANARY, JobKind.FETCH)


def gather(
    bench: Bench, night: str, *, final: bool = False, version: int = 1, comment: str = ""
) -> NightReport:
    """Return the report of a night as it stands now.

    Parameters
    ----------
    final
        Read every product of the night again and compare it with its hash.
    version
        Number of this report among those sent of the night.
    """
    return _Gathering(bench, night).report(final=final, version=version, comment=comment)


class _Gathering:
    """One night being read; what cannot be read is noted with its reason."""

    def __init__(self, bench: Bench, night: str) -> None:
        self.bench, self.night, self.unknown = bench, night, dict[str, str]()

    def report(self, *, final: bool, version: int, comment: str) -> NightReport:
        bench, night = self.bench, self.night
        now = bench.clock.now()
        status = read_status(
            bench.config.database, now=now, raw=bench.config.raw, night=night, recent=_ALL
        )
        if status.verdict == "down" and not status.nights and not status.workers and status.why:
            self._note_unread(status)
        frames = self.many("FRAMES", lambda: bench.archive.current_frames(night=night))
        histories = self.one("SCIENCE", lambda: bench.archive.product_histories(night)) or {}
        products = [
            item
            for history in histories.values()
            for item in history
            if item.state is not ProductState.SUPERSEDED
        ]
        report = NightReport(
            night=night,
            at=now,
            status=status,
            version=version,
            final=final,
            comment=comment,
            software=software(products),
            config_digest=config_digest(bench.config),
            turns=twilights(date.fromisoformat(night), next(iter(bench.instruments.values()))),
            advice=_advice(),
        )
        report = self._with_account(report, frames, products, verify=final)
        report = self._with_calibrations(report, products)
        return self._with_the_rest(report, frames, histories)

    def _with_account(
        self,
        report: NightReport,
        frames: Sequence[FrameRecord],
        products: Sequence[ProductRecord],
        *,
        verify: bool,
    ) -> NightReport:
        """Add what became of every frame, and of every job and file that came with them."""
        account = self.one("COMPLETENESS", lambda: self._account(verify=verify))
        failed = self.many("ERRORS", lambda: self.bench.queue.jobs(JobState.FAILED, _ALL))
        failed = tuple(job for job in failed if job.kind is not JobKind.INGEST)
        stems = {frame.id: frame.stem for frame in frames}
        begin, end = span = self._span(frames)
        mine = [job for job in failed if self._is_mine(job, stems, span)]
        made = {product.frame_id for product in products}
        troubles = self.many("FILES", self._troubles)
        own = [t for t in troubles if t.since is not None and begin <= t.since <= end]
        return replace(
            report,
            account=account,
            lost=_lost(frames, account),
            failures=tuple(
                self._failure(job, stems) for job in mine if job.payload.get("frame_id") not in made
            ),
            other_failures=len(failed) - len(mine),
            troubles=tuple(own),
            other_troubles=len(troubles) - len(own),
            open_jobs=len(self.many("JOBS", lambda: open_jobs(self.bench, self.night))),
        )

    def _with_calibrations(
        self, report: NightReport, products: Sequence[ProductRecord]
    ) -> NightReport:
        """Add the masters against their history, the debts, and the trends of a month."""
        bench, night = self.bench, self.night
        masters = self.many("CALIBRATIONS", lambda: bench.store.of_night(night))
        conditions = self.many("TRENDS", lambda: health_of(bench.archive, night))
        debts = self.many("DEBT", lambda: debts_of_night(bench, night))
        return replace(
            report,
            masters=self.many("CALIBRATIONS", lambda: master_facts(bench.store, masters, products)),
            borrowed=borrowed_by(products, masters),
            debts=tuple(each for each in debts if each.is_owed),
            trends=trends_of(conditions),
            trend_lines=tuple(trend_lines(conditions)) if conditions else (),
        )

    def _with_the_rest(
        self,
        report: NightReport,
        frames: Sequence[FrameRecord],
        histories: Mapping[int, Sequence[ProductRecord]],
    ) -> NightReport:
        bench, night, span = self.bench, self.night, self._span(frames)
        changes = self.many(
            "REDO & UPGRADES", lambda: changes_of(bench.archive, night, frames, histories)
        )
        machine = self.one("SYSTEM", lambda: machine_of(bench, night, report.status, span))
        counts = self.one("OUTBOX", bench.archive.count_deliveries) or {}
        return replace(
            report,
            sources=self.many("TRANSIENTS", lambda: self._sources(frames)),
            changes=changes,
            oddities=self.many("NEW OR STRANGE", lambda: self._oddities(frames)),
            machine=machine or Machine(),
            deliveries={state.value: count for state, count in counts.items()},
            unknown=self.unknown,
        )

    def many(self, name: str, read: Callable[[], Iterable[T]]) -> tuple[T, ...]:
        """Return one part, or nothing with the reason noted."""
        return tuple(self.one(name, read) or ())

    def one(self, name: str, read: Callable[[], T]) -> T | None:
        """Return one part, or None with the reason noted."""
        try:
            return read()
        except _UNREADABLE as error:
            log.exception("report of %s: %s unknown", self.night, name)
            self.unknown.setdefault(
                name, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            )
            return None

    def _note_unread(self, status: Status) -> None:
        """Note that the state could not be read; that no daemon runs is nothing to note."""
        if status.files or status.frames_total:
            return
        if "cannot be read" in status.why[0] or "no database" in status.why[0]:
            self.unknown["COMPLETENESS"] = status.why[0]

    def _account(self, *, verify: bool) -> NightAccount:
        return account_of_night(
            self.bench.archive,
            self.bench.queue,
            self.night,
            raw=self.bench.config.raw,
            instruments=self.bench.instruments.values(),
            verify=verify,
        )

    def _span(self, frames: Sequence[FrameRecord]) -> tuple[datetime, datetime]:
        """Return when the night was at work: from noon to noon, or when its frames came in."""
        noon = twilights(
            date.fromisoformat(self.night), next(iter(self.bench.instruments.values()))
        ).noon
        begins = [noon - timedelta(days=1), *(frame.ingested_at for frame in frames)]
        ends = [noon, *(frame.ingested_at + timedelta(hours=1) for frame in frames)]
        return min(begins), max(ends)

    def _troubles(self) -> list[TroubleLine]:
        archive = self.bench.archive
        found = [*archive.files(FileState.QUARANTINED), *archive.files(FileState.HELD)]
        return [
            TroubleLine(
                path=str(each.path),
                state=each.state.value,
                reason=each.reason,
                since=each.first_seen,
            )
            for each in found
        ]

    def _is_mine(self, job: Job, stems: Mapping[int, str], span: tuple[datetime, datetime]) -> bool:
        if "frame_id" in job.payload:
            return job.payload["frame_id"] in stems
        if "night" in job.payload:
            return bool(job.payload["night"] == self.night)
        return span[0] <= job.submitted_at <= span[1]

    def _failure(self, job: Job, stems: Mapping[int, str]) -> Failure:
        name = stems.get(job.payload.get("frame_id", -1), "") or job.key
        about = name
        if "role" in job.payload:
            about = f"{job.payload['role']} of {self.night}"
        return Failure(kind=job.kind.value, about=about, error=job.error, name=name)

    def _sources(self, frames: Sequence[FrameRecord]) -> tuple[Source, ...]:
        programmes = {frame.id: frame.identity.programme for frame in frames}
        told = {alert.name: alert for alert in self.bench.archive.alerts(self.night)}
        found = [
            Source(
                name=alert.name,
                stem="",
                target="",
                programme=alert.programme,
                standing="new",
                headline=alert.headline,
                told=_told(alert.told_as.value, alert.reports),
            )
            for alert in told.values()
        ]
        for record in self.bench.archive.candidates(self.night)[:_SOURCES]:
            own = record.candidate
            found.append(
                Source(
                    name=own.name or f"source {record.source_id}",
                    stem=record.stem,
                    target=record.target,
                    programme=programmes.get(record.frame_id, ""),
                    standing=own.standing.value,
                    headline=f"{own.ra_deg:.5f} {own.dec_deg:+.5f}  "
                    f"{own.band} {number(own.magnitude, '.2f')}  "
                    f"S/N {number(own.snr, '.0f')}  {own.method}",
                )
            )
        return tuple(found)

    def _oddities(self, frames: Sequence[FrameRecord]) -> tuple[Oddity, ...]:
        seen = self.bench.archive.last_seen(self.night)
        stars = [star for profile in self.bench.instruments.values() for star in profile.standards]
        return oddities_of(frames, seen, stars, self.night)


def open_jobs(bench: Bench, night: str) -> list[Job]:
    """Return the jobs of a night that wait or run and will still change its products."""
    frames = {frame.id for frame in bench.archive.current_frames(night=night)}
    found = [
        job
        for state in (JobState.RUNNING, JobState.WAITING)
        for job in bench.queue.jobs(state, _ALL)
        if job.kind not in _NOT_OF_SCIENCE
    ]
    return [
        job
        for job in found
        if job.payload.get("frame_id") in frames or job.payload.get("night") == night
    ]


def _advice() -> dict[str, str]:
    """Return flag -> what to do about it."""
    limits = (load_limits(of) for of in ("images", "spectra"))
    return {rule.name: rule.advice for each in limits for rule in each.rules}


def _lost(frames: Sequence[FrameRecord], account: NightAccount | None) -> tuple[Lost, ...]:
    if account is None:
        return ()
    known = {frame.stem: frame.identity for frame in frames}
    found = []
    for outcome, pairs in (
        ("failed", account.science.failed),
        ("waiting", account.science.waiting),
        ("without product", account.science.without),
    ):
        for stem, reason in pairs:
            own = known.get(stem)
            found.append(
                Lost(
                    stem=stem,
                    kind=own.kind.value if own else "unknown",
                    target=(own.target or own.object_name) if own else "unknown",
                    programme=own.programme if own else "",
                    outcome=outcome,
                    reason=reason or "no reason recorded",
                )
            )
    return tuple(found)


def _told(urgency: str, reports: object) -> str:
    services = ", ".join(sorted(reports)) if isinstance(reports, dict) else ""
    return f"told ({urgency})" + (f", reported to {services}" if services else ", 0 uploaded")
