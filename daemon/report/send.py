"""The task of the morning: write the night's report and queue it, once for each version."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from daemon.layout import write_atomically
from daemon.memory.database import writing
from daemon.memory.messages import Message, Topic
from daemon.outbox.routing import programme_rules
from daemon.report.audience import for_everybody
from daemon.report.changes import later_lines, state_of
from daemon.report.documents import masters_csv, products_csv, report_json
from daemon.report.gather import gather, open_jobs
from daemon.report.page import MAIL_BYTES, PAGE_BYTES, TEXT_BYTES, render_page
from daemon.report.programme_mail import programme_mail, programmes_in
from daemon.report.text import render_text
from daemon.report.thumbnails import thumbnails_of
from daemon.report.verdict import subject_of, verdict_of
from daemon.work.outcomes import TryLater

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.memory.messages import Notice
    from daemon.memory.records import Job
    from daemon.report.night_report import NightReport
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)

#: Work that is still open at dawn is waited for so long, then named as open.
PATIENCE = timedelta(minutes=60)
_AGAIN_S = 120.0
_EARLIER = 40


def send_report(bench: Bench, job: Job) -> None:
    """Send the report of a night, or what has changed since it was sent.

    Raises
    ------
    TryLater
        While reductions of the night are still open, for an hour at most.
    """
    night = str(job.payload["night"])
    if job.payload.get("occasion") == "addendum":
        send_addendum(bench, night)
        return
    if bench.archive.notice(report_key(night, 1)) is not None:
        return
    patient = bench.clock.now() < job.submitted_at + PATIENCE
    waiting = open_jobs(bench, night)
    if waiting and patient:
        raise TryLater(f"{len(waiting)} jobs of {night} are still open", after_s=_AGAIN_S)
    state = state_of(bench.archive.products(night))
    # Reading every product may have been what took the last attempt too long.
    report = gather(bench, night, final=job.attempts < 2)
    if report.open_jobs and patient:  # they came while the products were being read
        raise TryLater(f"{report.open_jobs} jobs of {night} are still open", after_s=_AGAIN_S)
    if report.unknown and patient:
        part, why = next(iter(report.unknown.items()))
        raise TryLater(f"{part} of {night} cannot be read: {why}", after_s=_AGAIN_S)
    publish(bench, report, state)


def publish(bench: Bench, report: NightReport, state: dict[str, list[object]]) -> bool:
    """Write the files of a report and queue its messages; False when it was queued before.

    Parameters
    ----------
    state
        What stood of each frame before the report was gathered: later changes are told against it.
    """
    report = replace(report, config_change=_config_change(bench, report))
    files = write_files(bench, report)
    said = for_everybody(report, lambda name: programme_rules(name, bench.config).open)
    told = [path for path in files if said is report or path.name.startswith("masters")]
    with writing(bench.engine) as session:
        new = bench.archive.queue_message(message_of(said, state, told), within=session)
        if new:
            for message in programme_messages(bench, report):
                bench.archive.queue_message(message, within=session)
    return new


def message_of(
    report: NightReport, state: dict[str, list[object]], attachments: Sequence[Path]
) -> Message:
    """Return the message that carries a report to everybody."""
    colour, rule = verdict_of(report)
    payload: dict[str, Any] = {
        "night": report.night,
        "version": report.version,
        "verdict": colour,
        "rule": rule,
        "configuration": report.config_digest,
        "state": state,
    }
    return Message(
        key=report_key(report.night, report.version),
        topic=Topic.REPORT,
        text=render_text(report),
        subject=subject_of(report),
        html=render_page(report, thumbnails_of(report, MAIL_BYTES)),
        night=report.night,
        attachments=tuple(attachments),
        payload=payload,
    )


def programme_messages(bench: Bench, report: NightReport) -> list[Message]:
    """Return the mails to programmes that named a mailbox."""
    found = []
    for name in programmes_in(report):
        if not programme_rules(name, bench.config).mail:
            continue
        mail = programme_mail(report, name)
        found.append(
            Message(
                key=f"{report_key(report.night, report.version)}:{name}",
                topic=Topic.REPORT,
                text=mail.text,
                subject=mail.subject,
                night=report.night,
                programme=name,
                to=("mail",),
            )
        )
    return found


def write_files(bench: Bench, report: NightReport) -> list[Path]:
    """Write the report into the night's folder; return the tables, which a mail carries."""
    folder = bench.layout.report(report.night)
    suffix = f"_v{report.version}" if report.version > 1 else ""
    page = render_page(report, thumbnails_of(report, PAGE_BYTES - TEXT_BYTES))
    contents = {
        f"products{suffix}.csv": products_csv(report),
        f"masters{suffix}.csv": masters_csv(report),
        f"report{suffix}.json": report_json(report),
        f"report{suffix}.html": page,
        f"report{suffix}.txt": render_text(report),
    }
    for name, text in contents.items():
        write_atomically(folder / name, text.encode("utf-8", "replace"))
    return [folder / name for name in contents if name.endswith(".csv")]


def send_addendum(bench: Bench, night: str) -> bool:
    """Tell, in one message, what has changed since the report was sent; False when nothing has."""
    sent = last_sent(bench, night)
    if sent is None:
        return False
    found = bench.archive.product_histories(night)
    histories = {history[0].stem: history for history in found.values()}
    state = state_of(bench.archive.products(night))
    lines = later_lines(sent.message.payload.get("state", {}), state, histories)
    if not lines:
        return False
    today = f"{bench.clock.now():%Y-%m-%d}"
    count = f"{len(lines)} change{'s' * (len(lines) > 1)}"
    subject = f"[ALFOSC {night}] addendum: {count} since the report"
    told = "\n".join(
        [subject, "", *lines, "", f"the night as it is now: alfoscd report --night {night}"]
    )
    return bench.archive.queue_message(
        Message(
            key=f"addendum:{night}:{today}",
            topic=Topic.REPORT,
            text=told,
            subject=subject,
            night=night,
            payload={"night": night, "addendum": today, "state": state},
        )
    )


def last_sent(bench: Bench, night: str) -> Notice | None:
    """Return what was told last of a whole night: its newest report, or an addendum to it."""
    version = last_version(bench, night)
    if not version:
        return None
    found = bench.archive.notice(report_key(night, version))
    for notice in bench.archive.notices(Topic.REPORT, 1000):
        if notice.message.key.startswith(f"addendum:{night}:") and (
            found is None or notice.id > found.id
        ):
            return notice
    return found


def last_version(bench: Bench, night: str) -> int:
    """Return the version of the newest report that was sent of a night; 0 for none."""
    version = 0
    while bench.archive.notice(report_key(night, version + 1)) is not None:
        version += 1
    return version


def report_key(night: str, version: int) -> str:
    """Return the key by which a report is sent once, whatever restarts."""
    return f"report:{night}:v{version}"


def _config_change(bench: Bench, report: NightReport) -> str:
    """Return whether the settings are those of the report before."""
    for notice in bench.archive.notices(Topic.REPORT, _EARLIER):
        own = notice.message.payload
        if "configuration" not in own or own.get("night") == report.night:
            continue
        if own["configuration"] == report.config_digest:
            return f"configuration unchanged since the report of {own['night']}"
        return f"configuration changed since the report of {own['night']}: {own['configuration']}"
    return ""
