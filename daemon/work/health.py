"""The task that looks after the instrument: tells changes, keeps the page of trends."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from daemon.health.condition import DAYS_BACK, Condition, health_of
from daemon.health.lines import change_words
from daemon.health.readings import flexure_of
from daemon.layout import slug, write_atomically
from daemon.memory.messages import Message, Topic
from daemon.publish.trend_page import trend_pages
from daemon.publish.trends_html import trends_html

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.health.changes import Change
    from daemon.memory.archive import Archive
    from daemon.memory.records import Job
    from daemon.work.bench import Bench

#: A change is told this many days late at most: nights on which nobody looked are made up for.
_LATE_DAYS = 3
#: The folder of the page below the root, and what messages of changes share.
FOLDER, STORM = "trends", "instrument health"


def look_after_instrument(bench: Bench, job: Job) -> None:
    """Judge the series of a night, tell every new change once and draw the page of trends."""
    night = str(job.payload["night"])
    found = health_of(bench.archive, night)
    for message in messages_of(found, night):
        bench.archive.queue_message(message)
    save_trends(bench.config.root / FOLDER, found, bending(bench.archive, night))


def messages_of(conditions: Sequence[Condition], night: str) -> list[Message]:
    """Return one message for every change that became certain in the last nights."""
    since = (date.fromisoformat(night) - timedelta(days=_LATE_DAYS)).isoformat()
    return [
        _message(item, change)
        for item in conditions
        if item.series.rule.alarm
        for change in item.course.changes
        if since <= change.told <= night
    ]


def _message(item: Condition, change: Change) -> Message:
    rule = item.series.rule
    said = (
        f"{change_words(item, change)} ({change.sigmas:+.1f} sigma).",
        rule.sentence,
        f"Usual cause: {rule.cause}",
        f"What to do: {rule.advice}",
        f'See it: alfoscd trends --series "{item.series.name}" --plot trend.png',
    )
    return Message(
        key=f"health:{slug(item.series.name)}:{change.told}",
        topic=Topic.HINT if change.back else Topic.TROUBLE,
        subject=f"Instrument: {change_words(item, change)}",
        text="\n".join(said),
        storm=STORM,
    )


def bending(archive: Archive, night: str) -> list[str]:
    """Return in words how the spectrograph bends, a line for each grism that has shown it."""
    first = (date.fromisoformat(night) - timedelta(days=DAYS_BACK)).isoformat()
    masters = archive.master_measurements(first, night)
    products = archive.product_measurements(["flexure_px"], first, night)
    lines = []
    for grism in sorted({each.setup.grism for each in products if each.setup.grism}):
        model = flexure_of(grism, masters, products)
        if model is not None:
            lines.append(
                f"flexure {grism}: {model.amplitude_px:.2f} px x cos(altitude), highest at rotator "
                f"{model.phase_deg:+.0f} deg, {model.altitude_px:+.2f} px x sin(altitude); "
                f"{model.scatter_px:.2f} px are left ({model.shifts} exposures)"
            )
    return lines


def save_trends(
    place: Path, conditions: Sequence[Condition], remarks: Sequence[str], nights: int = 30
) -> list[Path]:
    """Draw the series into one .png file, or into a folder with trends.html; return the files."""
    pages = trend_pages(conditions, nights)
    if place.suffix.casefold() == ".png":
        names = [place.stem, *(f"{place.stem}_{n}" for n in range(2, len(pages) + 1))]
        paths = [place.with_name(f"{name}.png") for name in names[: len(pages)]]
    else:
        paths = [place / f"trends_{number}.png" for number in range(1, len(pages) + 1)]
    for path, page in zip(paths, pages, strict=True):
        write_atomically(path, page.png)
    if place.suffix.casefold() == ".png":
        return paths
    html = trends_html(conditions, [path.name for path in paths], remarks, min(nights, 60))
    write_atomically(place / "trends.html", html.encode())
    return [*paths, place / "trends.html"]
