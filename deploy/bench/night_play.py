"""Play a night to the daemon: its own supervisor, workers and courier, and a Slack that fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.cli.simulated_sky import hold_catalogues
from daemon.clock import SystemClock, twilights
from daemon.config import Config, load_config
from daemon.delivery import Style, deliver
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.messages import DeliveryState
from daemon.memory.records import JobKind, JobState
from daemon.schedule.timetable import Timetable
from daemon.work.jobs import JobQueue
from daemon.work.supervisor import SCHEDULED, Supervisor
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from daemon.memory.records import JobRequest
    from daemon.schedule.occasions import Occasion
    from daemon.work.supervisor import EngineRoom
    from deploy.bench.night_plan import Night
    from tests.daemon.slack_server import SlackServer

ALFOSC = load_instrument("alfosc")
REPOSITORY = Path(__file__).resolve().parents[2]
_UNSENT = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.UNKNOWN)
_AFTER_SUNRISE = timedelta(minutes=16)
_SETTINGS = """
[paths]
raw = ["{raw}"]
root = "{root}"
[watch]
settle_s = 0.5
[work]
workers = {workers}
[calibration]
quiet_s = {quiet_s}
[catalogues]
online = false
[canary]
every_h = {canary_h}
[outbox]
digest_after_s = {digest_s}
digest_above = 1000
storm_per_h = 1000
[slack]
channel = "C1"
api_url = "{slack}"
pace_s = 0.05
[programmes."*"]
open = true
"""


class NightClock:
    """The night's own time, which runs so many times as fast as ours."""

    def __init__(self, begin: datetime, pace: float) -> None:
        self._begin, self._pace = begin, pace
        self._since = time.monotonic()

    def now(self) -> datetime:
        """Return the time of the night."""
        return self._begin + timedelta(seconds=self._pace * self.monotonic())

    def monotonic(self) -> float:
        """Return our seconds since the night began."""
        return time.monotonic() - self._since

    def wait_until(self, when: datetime) -> None:
        """Wait for a moment of the night."""
        while (left_s := (when - self.now()).total_seconds() / self._pace) > 0:
            time.sleep(min(left_s, 1.0))


class PromptQueue(JobQueue):
    """Lets what the night's clock asks for begin at once: workers live in our time."""

    def submit(
        self, request: JobRequest, *, postpone: bool = False, within: Session | None = None
    ) -> bool:
        """Add a job that is due now."""
        return super().submit(replace(request, not_before=None), postpone=postpone, within=within)


class NightSupervisor(Supervisor):
    """The daemon as it is, but for a timetable that reads the clock of the night."""

    def __init__(self, config: Config, night: NightClock) -> None:
        super().__init__(config)
        self._config, self._night = config, night

    def _timetable(self, room: EngineRoom) -> Timetable:
        archive = Archive(room.archive.engine, self._night)
        queue = PromptQueue(room.archive.engine, SystemClock())
        every_h = self._config.canary.every_h
        return _OftenTimetable(
            archive, queue, self._night, ALFOSC, SCHEDULED, canary_every_h=every_h
        )


class _OftenTimetable(Timetable):
    """Looks every second: a minute of ours is an hour of the night."""

    def start(self) -> None:
        super().start()
        assert self._scheduler is not None
        self._scheduler.add_job(self._wake, "interval", seconds=1, id="every second")

    def coming(self) -> list[Occasion]:
        return []


@dataclass(slots=True)
class Played:
    """What is left of a played night."""

    config: Config
    settings: Path
    night: str
    frames: int
    took_s: float = 0.0
    said: list[str] = field(default_factory=list)
    redone: str = ""
    rejected: str = ""
    finished: bool = False


def play(
    night: Night,
    folder: Path,
    slack: SlackServer,
    *,
    pace: float,
    workers: int = 2,
    canary_h: float = 6.0,
    say: Callable[[str], None] = print,
    limit_s: float = 1800.0,
) -> Played:
    """Let a night happen, and wait until everything of it is reduced, told and reported.

    An hour of Slack failing begins three hours after the start of the night's science; a person
    redoes one spectrum and rejects another when two thirds of the frames are there.
    """
    raw = folder / "raw"
    raw.mkdir(parents=True)
    settings = folder / "alfoscd.toml"
    text = _SETTINGS.format(
        raw=raw, root=folder / "reduced", workers=workers, slack=slack.url, canary_h=canary_h,
        quiet_s=max(1200 / pace, 2.0), digest_s=max(3600 / pace, 5.0),
    )  # fmt: skip
    settings.write_text(text, encoding="utf-8")
    config = load_config(settings)
    say(f"simulating {len(night.arrivals)} frames")
    files = {item.stem: simulate(item, ALFOSC).content for _, item in night.arrivals}
    hold_catalogues(night.plan, config.catalogue_folder, retrieved=str(night.date))
    first = night.arrivals[0][0] - timedelta(minutes=5)
    clock = NightClock(first, pace)
    played = Played(
        config=config, settings=settings, night=night.date.isoformat(), frames=len(files)
    )
    supervisor = NightSupervisor(config, clock)
    ready = threading.Event()
    daemon = threading.Thread(target=supervisor.run, args=(ready.set,), daemon=True)
    daemon.start()
    ready.wait(60)
    try:
        _happen(night, files, raw, clock, slack, played, say)
        played.finished = _until_quiet(night, clock, played, limit_s)
    finally:
        played.took_s = clock.monotonic()
        supervisor.leave()
        daemon.join(30)
    return played


def _happen(
    night: Night,
    files: dict[str, bytes],
    raw: Path,
    clock: NightClock,
    slack: SlackServer,
    played: Played,
    say: Callable[[str], None],
) -> None:
    moments = [when for when, _ in night.arrivals]
    dark = moments[len(moments) // 3]
    over = dark + timedelta(hours=1)
    asked = False
    for number, (when, item) in enumerate(night.arrivals):
        clock.wait_until(when)
        _tell_slack(slack, clock.now(), dark, over, say)
        deliver(
            [(f"{item.stem}.fits", files[item.stem])], raw,
            style_of=lambda _: Style.RENAMED, staging=raw.parent / "staging", pace_s=0.0,
            sleep=lambda _: None, report=lambda *_: None,
        )  # fmt: skip
        if not asked and number >= 2 * len(moments) // 3:
            asked = _ask(played, say)
    while clock.now() < over:
        time.sleep(0.2)
    _tell_slack(slack, clock.now(), dark, over, say)
    while not asked:
        asked = _ask(played, say)
        time.sleep(1.0)


def _tell_slack(
    slack: SlackServer, now: datetime, dark: datetime, over: datetime, say: Callable[[str], None]
) -> None:
    """Let Slack fail for an hour of the night."""
    fails = dark <= now < over
    if fails and not slack.faults:
        say(f"{now:%H:%M} Slack fails from now on")
        slack.faults[:] = ["503"] * 100_000
    elif not fails and slack.faults:
        say(f"{now:%H:%M} Slack is back")
        slack.faults.clear()


def _ask(played: Played, say: Callable[[str], None]) -> bool:
    """Redo one spectrum and reject another, as a person does; False while there are no two."""
    with opened(played.config) as archive:
        products = [
            item
            for item in archive.products(played.night)
            if "spectrum" in item.paths and item.quality == 0
        ]
    if len(products) < 2:
        return False
    played.redone, played.rejected = products[0].stem, products[1].stem
    for words in (
        ("redo", played.redone, "--aperture", "6", "--user", "eva"),
        ("redo", played.rejected, "--reject", "--user", "eva"),
    ):
        say(f"$ alfoscd {' '.join(words)}")
        say(command(played, *words))
    return True


def command(played: Played, *words: str) -> str:
    """Return what a command of alfoscd prints."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", *words, "--config", str(played.settings)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return (done.stdout + done.stderr).rstrip()


class opened:
    """The memory of a played night, closed again."""

    def __init__(self, config: Config) -> None:
        self._engine = open_database(config.database)

    def __enter__(self) -> Archive:
        return Archive(self._engine, SystemClock())

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()


def _until_quiet(night: Night, clock: NightClock, played: Played, limit_s: float) -> bool:
    """Wait for the report and for an empty queue and outbox; tell whether they came."""
    rise = twilights(night.date, ALFOSC).sunrise
    assert rise is not None
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        time.sleep(1.0)
        with opened(played.config) as archive:
            queue = JobQueue(archive.engine, SystemClock())
            now = datetime.now(UTC)
            left = [
                job
                for state in (JobState.RUNNING, JobState.WAITING)
                for job in queue.jobs(state, 10_000)
                # What catalogues lack is asked for again much later.
                if job.kind is not JobKind.FETCH and job.not_before < now + timedelta(hours=1)
            ]
            counts = archive.count_deliveries()
            unsent = sum(counts.get(state, 0) for state in _UNSENT)
            for job in left:
                # It looks every few minutes whether the last reduction has ended.
                if {each.kind for each in left} == {JobKind.REPORT}:
                    queue.hasten(job.key, now)
            if clock.now() > rise + _AFTER_SUNRISE and not left and not unsent:
                return True
    return False
