"""Send a canary the whole way: arrival, identification, masters, reduction, plot, file sink.

Intake, queue, workers and courier are those of the daemon, run on a folder and a database of
their own below the products. Nothing that reads the night's database can ever see a canary, and
no query has to remember to leave it out.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from daemon.canary.figures import Figures, figures_of
from daemon.canary.known_set import canary_set, star_of
from daemon.canary.light_tasks import LIGHT_TASKS
from daemon.clock import SystemClock
from daemon.config import Calibration, Catalogues, Config, Disc, Instruments, Outbox, Paths
from daemon.delivery import Style, deliver
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.records import FileState, JobState, ProductState
from daemon.outbox.courier import Courier
from daemon.outbox.sinks import open_sinks
from daemon.selection import Only
from daemon.work.batch import run_until_idle
from daemon.work.jobs import JobQueue
from daemon.work.supervisor import single_instance
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.memory.records import ProductRecord
    from reducers.simulate.records import PlannedExposure, SimulatedFrame

WAVELENGTH_LIMIT_PX = 0.2
FLUX_LIMIT = 0.03
_PACE_S = 0.05
#: Nothing could be measured.
NOWHERE = Figures(wavelength_px=math.nan, flux_ratio=math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """What came of one canary; `problems` is empty when all was as it should be."""

    took_s: float
    figures: Figures
    problems: tuple[str, ...]


def fly(
    config: Config, *, plan: tuple[PlannedExposure, ...] | None = None, limit_s: float = 240.0
) -> Flight:
    """Send one canary below the products of a configuration.

    What it leaves behind is removed when it came through, and left to be looked at when not.

    Parameters
    ----------
    plan
        Other frames than those of `canary_set`.
    limit_s
        It is given up after so long.

    Raises
    ------
    AlreadyRunning
        If another canary is on its way.
    """
    home = config.root / "canary"
    began = time.monotonic()
    try:
        with single_instance(home / "canary.lock"):
            problems, figures = _flown(config, home, plan or canary_set(), limit_s)
            took_s = time.monotonic() - began
            if not problems:
                _tidy(home)
    except OSError as error:
        said = f"{error.filename or home} cannot be used: {error.strerror or error}"
        return Flight(took_s=time.monotonic() - began, figures=NOWHERE, problems=(said,))
    return Flight(took_s=took_s, figures=figures, problems=tuple(problems))


def configuration_of(config: Config, home: Path) -> Config:
    """Return the settings of a canary: the daemon's means, and the defaults of everything else."""
    return Config(
        paths=Paths(raw=(home / "raw",), root=home / "out"),
        watch=replace(config.watch, pattern="", settle_s=0.3, rescan_s=5.0),
        work=replace(config.work, workers=1),
        calibration=Calibration(provisional=False),
        catalogues=Catalogues(online=False),
        disc=Disc(warn_h=0.0, warn_gb=0.0),
        outbox=Outbox(journal=home / "posts.jsonl"),
        instrument=Instruments(profiles=("alfosc",)),
    )


def _flown(
    config: Config, home: Path, plan: tuple[PlannedExposure, ...], limit_s: float
) -> tuple[list[str], Figures]:
    star = star_of(plan)
    # The standard becomes a response; a product of its own would show nothing more.
    own = replace(configuration_of(config, home), only=Only(target=star.target))
    for old in ("raw", "out", "staging"):
        shutil.rmtree(home / old, ignore_errors=True)
    (home / "posts.jsonl").unlink(missing_ok=True)
    own.raw[0].mkdir(parents=True)
    instrument = load_instrument("alfosc")
    frames = [simulate(planned, instrument) for planned in plan]
    failures: list[OSError] = []
    writer = threading.Thread(target=_write, args=(frames, home, failures), daemon=True)
    writer.start()
    outcome = run_until_idle(own, tasks=LIGHT_TASKS, limit_s=limit_s, more_to_come=writer.is_alive)
    if failures:
        raise failures[0]
    engine = open_database(own.database)
    try:
        archive = Archive(engine, SystemClock())
        problems = _unfinished(archive, len(frames), limit_s if not outcome.finished else None)
        product = _product(archive, star.stem)
        if product is None:
            return [*problems, f"{star.object_name} has no product"], NOWHERE
        truth = next(frame.truth for frame in frames if frame.truth.stem == star.stem)
        found = figures_of(product.paths["image2d"], product.paths["spectrum"], truth)
        return [*problems, *judge(found, product), *_told(own, archive, product)], found
    finally:
        engine.dispose()


def _write(frames: Sequence[SimulatedFrame], home: Path, failures: list[OSError]) -> None:
    try:
        deliver(
            [(frame.name, frame.content) for frame in frames],
            home / "raw",
            style_of=lambda name: Style.SLOW if name == frames[-1].name else Style.RENAMED,
            staging=home / "staging",
            pace_s=_PACE_S,
            sleep=time.sleep,
            report=lambda *_: None,
        )
    except OSError as error:
        failures.append(error)


def judge(found: Figures, product: ProductRecord) -> list[str]:
    """Return what is wrong with the star's product, in sentences."""
    said = []
    if not found.wavelength_px <= WAVELENGTH_LIMIT_PX:
        off = "missing" if math.isnan(found.wavelength_px) else f"off by {found.wavelength_px:.2f}"
        said.append(f"wavelengths are {off} pixels, allowed are {WAVELENGTH_LIMIT_PX:g}")
    if not abs(found.flux_ratio - 1) <= FLUX_LIMIT:
        off = "missing" if math.isnan(found.flux_ratio) else f"{found.flux_ratio:.3f} of the truth"
        said.append(f"the flux is {off}, allowed is {FLUX_LIMIT:.0%}")
    if product.state is not ProductState.FINAL:
        flags = ", ".join(flag.name for flag in product.flags)
        said.append(f"its product is {product.state}: {flags or 'no flag says why'}")
    plot = product.paths.get("plot")
    if plot is None or not plot.is_file():
        said.append("it has no verification plot")
    return said


def _unfinished(archive: Archive, frames: int, gave_up_s: float | None) -> list[str]:
    """Return what did not come to its end."""
    said = [] if gave_up_s is None else [f"it was given up after {gave_up_s:.0f} s"]
    taken = sum(record.state is FileState.INGESTED for record in archive.files())
    if taken != frames:
        said.append(f"{taken} of {frames} frames were taken in")
    failed = JobQueue(archive.engine, archive.clock).jobs(JobState.FAILED)
    lines = [job.error.strip().splitlines() for job in failed]
    return said + [f"{job.kind}: {line[-1]}" for job, line in zip(failed, lines, strict=True)]


def _product(archive: Archive, stem: str) -> ProductRecord | None:
    found = archive.find_frames(stem)
    return archive.current_product(found[0].id) if found else None


def _told(own: Config, archive: Archive, product: ProductRecord) -> list[str]:
    """Let the courier post, and return what is wrong with the posts."""
    Courier(own, archive, open_sinks(own)).step()
    journal = own.outbox.journal
    assert journal is not None
    posts = journal.read_text("utf-8").splitlines() if journal.is_file() else []
    count = sum(json.loads(line)["payload"].get("stem") == product.stem for line in posts)
    return [] if count == 1 else [f"it was posted {count} times instead of once"]


def _tidy(home: Path) -> None:
    """Keep only the last verification plot."""
    plots = sorted((home / "out").glob("*/plots/verify_*CANARY*.png"))
    if plots:
        plots[-1].replace(home / "last.png")
    for folder in ("raw", "out", "staging"):
        shutil.rmtree(home / folder, ignore_errors=True)
