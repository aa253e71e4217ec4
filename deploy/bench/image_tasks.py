#!/usr/bin/env python3
"""Time quick looks and whole images as a warm worker makes them: files, pages and archive too.

The frames are simulated and taken in by one process; a second one, which has the surroundings of a
worker and none of the simulator's memory, does the work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from calibration_store.catalogues.sky import Cone  # noqa: E402 - after the path is set
from daemon.memory.records import JobKind  # noqa: E402
from daemon.publish.image_page import image_picture  # noqa: E402
from daemon.publish.look_page import look_picture  # noqa: E402
from daemon.work.confine import SURROUNDINGS  # noqa: E402
from daemon.work.images import calibrate_image  # noqa: E402
from daemon.work.looks import show_image  # noqa: E402
from daemon.work.sky_catalogues import open_catalogues  # noqa: E402
from reducers.simulate.catalogue import cones_of, survey_catalogue  # noqa: E402
from reducers.simulate.frames import simulate  # noqa: E402
from reducers.simulate.night_images import image_biases, sky_flats, target_field  # noqa: E402
from reducers.simulate.observer import Observer  # noqa: E402
from reducers.simulate.sky import Sky  # noqa: E402
from tests.daemon.hall import ALFOSC, Hall  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.memory.records import Job
    from reducers.simulate.records import PlannedExposure

FULL = (1, 2148, 1, 2102)
BAND = "r_SDSS"
PARTS = {JobKind.LOOK: "quick look", JobKind.IMAGE: "whole image"}


class ImageBench(Hall):
    """A hall that draws the true pages, stacks nothing, and keeps the time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {})
        self.spent: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS.values()}

    @property
    def tasks(self) -> dict[JobKind, Any]:
        """The tasks by their kind."""
        return {
            **super().tasks,
            JobKind.LOOK: lambda job: self._timed(show_image, job, look_picture),
            JobKind.IMAGE: lambda job: self._timed(calibrate_image, job, image_picture),
        }

    def _timed(self, task: Callable[..., None], job: Job, draw: Callable[..., object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        task(self.bench, job, draw)
        took = time.perf_counter() - wall, time.process_time() - cpu
        self.spent[PARTS[job.kind]].append(took)


def measure_tasks(folder: Path, images: int, stars_per_deg2: float) -> list[str]:
    """Return p50 and p95 of wall and CPU seconds of both tasks, and the memory."""
    take_in(folder, plan(images, stars_per_deg2))
    command = [sys.executable, str(Path(__file__)), str(folder)]
    surroundings = {**os.environ, **SURROUNDINGS}
    said = subprocess.run(command, env=surroundings, check=True, stdout=subprocess.PIPE, text=True)
    return figures_of(json.loads(said.stdout))


def take_in(folder: Path, planned: list[PlannedExposure]) -> None:
    """Simulate exposures, take them in, make their masters and the catalogues of their sky."""
    hall = ImageBench(folder)
    catalogues = open_catalogues(hall.bench.config)
    for sky, ra, dec, radius in cones_of(planned):
        for name in ("gaia", "ps1", "sdss"):
            catalogues.write_cone(
                name, survey_catalogue(name, sky, ra, dec, radius), Cone(ra, dec, radius)
            )
    for item in planned:
        frame = simulate(item, ALFOSC)
        hall.put(frame.name, content=frame.content)
    hall.work({JobKind.MASTER}, until_s=900)
    hall.bench.engine.dispose()


def plan(images: int, stars_per_deg2: float) -> list[PlannedExposure]:
    """Return biases, flats and dithered images of one field, all of the whole detector."""
    observer = Observer(seed=4, night=date(2026, 1, 15), steady=False)
    image_biases(observer, 5, FULL, 1)
    observer.at(-5.0)
    sky_flats(observer, (BAND,), 3, FULL, 1)
    observer.at(-2.0)
    sky = Sky(stars_per_deg2=stars_per_deg2)
    while len(observer.taken) < 8 + images:
        target_field(
            observer, bands=(BAND,), exposure_s=120.0, sky=sky, window=FULL, binning=1,
            exposures=min(5, 8 + images - len(observer.taken)),
        )  # fmt: skip
    return list(observer.taken)


def do_work(folder: Path) -> dict[str, Any]:
    """Show and calibrate every image in this process; the first of each kind only warms it up."""
    before_mb = forget_peak()
    hall = ImageBench(folder)
    hall.clock.seconds = 5000.0
    hall.work({JobKind.LOOK})
    hall.work({JobKind.IMAGE})
    stars = sorted(made.measurements["stars"] for made in hall.bench.archive.products())
    return {
        "spent": {part: times[1:] for part, times in hall.spent.items()},
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
        "stars": stars[len(stars) // 2],
    }


def forget_peak() -> float:
    """Let the kernel count the peak from now on, and return what is resident (MB).

    `getrusage` would go on with the peak of the process that started this one.
    """
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def peak_mb() -> float:
    """Return the largest resident memory since `forget_peak`, MB."""
    said = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return int(said.split()[0]) / 1024


def figures_of(said: dict[str, Any]) -> list[str]:
    """Return the lines to print."""
    lines = []
    for part, times in said["spent"].items():
        wall, cpu = (sorted(each) for each in zip(*times, strict=True))
        least, most = len(wall) // 2, int(0.95 * (len(wall) - 1) + 0.5)
        lines.append(
            f"{part:<12} {len(wall)} times: wall p50 {wall[least]:.2f} s, p95 {wall[most]:.2f} s; "
            f"CPU p50 {cpu[least]:.2f} s, p95 {cpu[most]:.2f} s"
        )
    lines.append(
        f"memory       {said['peak_mb']:.0f} MB at most, {said['before_mb']:.0f} MB before the "
        f"first image; {said['stars']:.0f} sources in the middle image"
    )
    return lines


if __name__ == "__main__":
    print(json.dumps(do_work(Path(sys.argv[1]))))
