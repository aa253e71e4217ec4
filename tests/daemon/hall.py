"""A bench, a raw folder and small simulated frames: tasks without a worker process."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from daemon.arrival.sighting import Sighting
from daemon.config import Catalogues, Config, Paths
from daemon.memory.records import JobKind, JobState, ProductRecord
from daemon.publish.page import Picture
from daemon.work.bench import open_bench
from daemon.work.masters import build_master
from daemon.work.plan import reduce_request
from daemon.work.redo import Redo
from daemon.work.reductions import reduce_frame
from daemon.work.review import review_products
from daemon.work.tasks import ingest_frame
from daemon.work.worker import settle
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from daemon.memory.records import FrameRecord, Job

Contents = dict[str, bytes]
ALFOSC = load_instrument("alfosc")
NOON = datetime(2026, 11, 21, 13, tzinfo=UTC)
SCIENCE, ARC = "ALJa150017.fits", "ALJa150018.fits"
BIASES = tuple(f"ALJa15000{number}.fits" for number in range(1, 7))
#: A strip around the target: the recipes take a third of the time.
WINDOW = (991, 1110, 1, 2102)


def simulated() -> Contents:
    """Return six biases, a spectrum and its arc by file name."""
    wanted = {*BIASES, SCIENCE, ARC}
    planned = [item for item in plan_night(seed=5) if f"{item.stem}.fits" in wanted]
    frames = [simulate(replace(item, window=WINDOW), ALFOSC) for item in planned]
    return {frame.name: frame.content for frame in frames}


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def draw(*_: object) -> Picture:
    return Picture(png=b"a picture", json=b"{}")


class Hall:
    """A bench, a raw folder, and a worker that does what is due when it is told to."""

    def __init__(self, folder: Path, contents: Mapping[str, bytes], **sections: object) -> None:
        self.raw, self.contents, self.clock = folder / "raw", contents, FakeClock()
        self.raw.mkdir(exist_ok=True)
        config = Config(
            paths=Paths(raw=(self.raw,), root=folder / "out"), catalogues=Catalogues(online=False)
        )
        config = replace(config, **sections)
        self.bench = open_bench(config, self.clock, engine=fresh_database(config.database))
        self.done: list[Job] = []

    @property
    def tasks(self) -> dict[JobKind, object]:
        return {
            JobKind.INGEST: lambda job: ingest_frame(self.bench, job),
            JobKind.MASTER: lambda job: build_master(self.bench, job),
            JobKind.REDUCE: lambda job: reduce_frame(self.bench, job, draw),
            JobKind.REVIEW: lambda job: review_products(self.bench, job),
        }

    def put(self, *names: str, content: bytes | None = None) -> None:
        """Let files arrive and take them in."""
        for name in names:
            path = self.raw / name
            path.write_bytes(content or self.contents[name])
            status = path.stat()
            seen = Sighting(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)
            self.bench.queue.submit(seen.request(self.clock.now()))
        self.work({JobKind.INGEST})

    def work(
        self,
        kinds: set[JobKind] | None = None,
        *,
        until_s: float = 0.0,
        failing: tuple[str, ...] = (),
    ) -> list[Job]:
        """Do every job that is due, later also those due within so long; return them.

        The errors of those that fail begin as `failing` says.
        """
        queue, did = self.bench.queue, []
        end = self.clock.seconds + until_s
        while True:
            job = queue.claim("worker", kinds or set(self.tasks))
            if job is not None:
                settle(job, queue, self.tasks[job.kind], attempts=1)
                did.append(job)
            elif self.clock.seconds >= end:
                break
            else:
                self.clock.seconds = min(end, self.clock.seconds + 10.0)
        self.done += did
        failed = [job.error for job in queue.jobs(JobState.FAILED)]
        assert len(failed) == len(failing)
        assert all(error.startswith(said) for error, said in zip(failed, failing, strict=True))
        return did

    def frame(self, name: str) -> FrameRecord:
        (found,) = self.bench.archive.find_frames(name)
        return found

    def product(self, name: str = SCIENCE) -> ProductRecord:
        found = self.bench.archive.current_product(self.frame(name).id)
        assert found is not None
        return found

    def waiting(self) -> dict[str, Job]:
        return {job.key: job for job in self.bench.queue.jobs(JobState.WAITING)}

    def redo(self, **asked: object) -> ProductRecord:
        request = Redo(user="eva", at="2026-11-21T13:00:00+00:00", **asked)
        self.bench.queue.submit(
            reduce_request(
                self.frame(SCIENCE), priority=1, now=self.clock.now(), redo=request.to_json()
            )
        )
        self.work(until_s=10)
        return self.product()


def edited(content: bytes, card: str, value: str) -> bytes:
    """Return the frame with another text on one card."""
    start = content.index(f"{card:<8}= ".encode())
    line = f"{card:<8}= '{value}'".ljust(80).encode()
    return content[:start] + line + content[start + 80 :]
