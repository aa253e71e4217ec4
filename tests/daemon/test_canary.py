"""A synthetic set goes the whole way, is judged by the truth, and never mixes with the night."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from daemon.canary.figures import figures_of, true_wavelength
from daemon.canary.flight import FLUX_LIMIT, NOWHERE, WAVELENGTH_LIMIT_PX, Flight, fly
from daemon.canary.known_set import canary_set, star_of
from daemon.canary.news import note
from daemon.canary.task import judged, record_of, run_canary
from daemon.canary.watch import FIRST_AFTER_S, CanaryWatch, first_request
from daemon.config import Canary
from daemon.memory.messages import Topic
from daemon.memory.records import JobKind
from daemon.publish.metrics import metrics_text
from daemon.publish.status_text import render
from daemon.status import read_status
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate
from tests.daemon.hall import Hall

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.memory.archive_canaries import CanaryRecord

ALFOSC = load_instrument("alfosc")


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return Hall(tmp_path, {})


def told(hall: Hall) -> list[str]:
    return [each.message.subject for each in hall.bench.archive.notices(Topic.TROUBLE)][::-1]


def outcome(hall: Hall, *problems: str) -> CanaryRecord:
    hall.clock.seconds += 60
    now = hall.clock.now()
    flight = Flight(took_s=20.0, figures=NOWHERE, problems=problems)
    return record_of(flight, now - timedelta(seconds=30), now)


def test_a_canary_comes_through_and_the_night_knows_nothing_of_it(hall: Hall) -> None:
    archive, queue = hall.bench.archive, hall.bench.queue
    queue.submit(first_request())
    job = queue.claim("worker", [JobKind.CANARY])
    assert job is not None
    run_canary(hall.bench, job)
    last = archive.last_canary()
    assert last is not None
    assert last.problems == ()
    assert last.wavelength_px is not None
    assert last.wavelength_px < WAVELENGTH_LIMIT_PX
    assert last.flux_ratio == pytest.approx(1.0, abs=FLUX_LIMIT)
    assert archive.files() == []
    assert archive.latest_night() == ""
    assert archive.products() == []
    assert archive.notices() == []
    assert list(hall.raw.iterdir()) == []
    left = sorted(path.name for path in (hall.bench.config.root / "canary").iterdir())
    assert left == ["canary.lock", "last.png", "posts.jsonl"]


@pytest.mark.slow
def test_a_dead_arc_lamp_fails_the_canary_and_its_files_stay(hall: Hall) -> None:
    plan = tuple(
        replace(item, lamp_power=0.0) if item.kind is FrameKind.ARC else item
        for item in canary_set()
    )
    flight = fly(hall.bench.config, plan=plan)
    said = "\n".join(flight.problems)
    assert "no lamp light" in said
    assert "the flux is missing" in said
    # The sky lines stand in for the arc, and the product says that they do.
    assert "its product is provisional: " in said
    assert "ARC_REFUSED" in said
    assert (hall.bench.config.root / "canary" / "out").is_dir()


def test_wavelengths_that_are_off_by_half_a_pixel_are_seen(tmp_path: Path) -> None:
    truth = simulate(star_of(canary_set()), ALFOSC).truth
    y = np.arange(1051) * 2 + 0.5
    header = fits.Header({"OBJCOL": 58.0, "DETX0": 900, "DETY0": 0, "DETYBIN": 2})
    real = truth.objects[0]
    wave = true_wavelength(truth, y, 958)
    flux = np.interp(wave, real.wavelength_angstrom, real.flux)
    found = []
    for off_px, factor in ((0.0, 1.0), (0.5, 1.05)):
        shifted = true_wavelength(truth, y + 2 * off_px, 958)
        plane = np.repeat(shifted[:, None], 120, axis=1)
        hdus = [fits.PrimaryHDU(header=header), fits.ImageHDU(plane, name="WAVE")]
        fits.HDUList(hdus).writeto(tmp_path / f"{off_px}_2d.fits")
        columns = [
            fits.Column("WAVE", "D", array=wave),
            fits.Column("FLUX", "D", array=flux * factor),
            fits.Column("MASK", "J", array=np.zeros(len(wave), dtype=int)),
        ]
        table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
        table.writeto(tmp_path / f"{off_px}_1d.fits")
        image, spectrum = tmp_path / f"{off_px}_2d.fits", tmp_path / f"{off_px}_1d.fits"
        found.append(figures_of(image, spectrum, truth))
    assert found[0].wavelength_px == pytest.approx(0.0, abs=0.001)
    assert found[0].flux_ratio == pytest.approx(1.0, abs=0.001)
    assert found[1].wavelength_px == pytest.approx(0.5, abs=0.02)
    assert found[1].flux_ratio == pytest.approx(1.05, abs=0.001)


def test_a_folder_that_cannot_be_used_fails_the_canary_in_words(hall: Hall) -> None:
    hall.bench.config.root.mkdir(exist_ok=True)
    (hall.bench.config.root / "canary").write_text("in the way")
    flight = fly(hall.bench.config)
    assert len(flight.problems) == 1
    assert "cannot be used" in flight.problems[0]


def test_a_failure_is_told_once_and_so_is_the_recovery(hall: Hall) -> None:
    archive = hall.bench.archive
    for problems in ((), ("the flux is off",), ("the flux is off",), (), ()):
        note(archive, outcome(hall, *problems))
    assert told(hall) == ["alfoscd: the canary failed", "alfoscd: the canary is well again"]
    assert "the flux is off" in archive.notices(Topic.TROUBLE)[1].message.text


def test_what_waited_too_long_for_a_worker_has_failed(hall: Hall) -> None:
    record = outcome(hall)
    assert judged(record, 600.0).is_well
    late = replace(record, asked_at=record.ended_at - timedelta(seconds=700))
    (problem,) = judged(late, 600.0).problems
    assert "700 s after it was due" in problem
    assert "680 s it waited for a worker" in problem


def watch_of(hall: Hall, **settings: float) -> CanaryWatch:
    return CanaryWatch(hall.bench.archive, hall.bench.queue, hall.clock, Canary(**settings))


def test_a_stuck_worker_shows_by_the_canary_that_does_not_end(hall: Hall) -> None:
    watch = watch_of(hall, limit_s=600.0)
    watch.step()
    assert hall.waiting() == {}
    for _ in range(40):
        hall.clock.seconds += 60
        watch.step()
    assert list(hall.waiting()) == ["canary start"]
    assert told(hall) == ["alfoscd: the canary failed"]
    (said,) = hall.bench.archive.last_canary().problems
    assert "waits for a worker" in said
    note(hall.bench.archive, outcome(hall))
    watch.step()
    assert told(hall)[-1] == "alfoscd: the canary is well again"


def test_a_canary_whose_worker_dies_is_told_of(hall: Hall) -> None:
    watch = watch_of(hall)
    hall.clock.seconds += FIRST_AFTER_S + 1
    watch.step()
    job = hall.bench.queue.claim("worker", [JobKind.CANARY])
    hall.bench.queue.fail(job, "worker died: SIGSEGV")
    hall.clock.seconds += 60
    watch.step()
    assert hall.bench.archive.last_canary().problems == (
        "its worker gave up: worker died: SIGSEGV",
    )


def test_canaries_can_be_left_out(hall: Hall) -> None:
    watch = watch_of(hall, every_h=0.0)
    hall.clock.seconds += 10 * FIRST_AFTER_S
    watch.step()
    assert hall.waiting() == {}


def test_status_and_metrics_tell_of_the_last_canary(hall: Hall) -> None:
    def shown() -> tuple[str, str, str]:
        status = read_status(hall.bench.config.database, now=hall.clock.now())
        return render(status), metrics_text(status), "; ".join(status.why)

    assert "none yet" in shown()[0]
    note(hall.bench.archive, outcome(hall))
    text, metrics, why = shown()
    assert "ok 2026-11-21 13:01 UT, 30 s" in text
    assert "alfoscd_canary_ok 1" in metrics
    assert "canary" not in why
    note(hall.bench.archive, outcome(hall, "the flux is missing"))
    text, metrics, why = shown()
    assert "failed 2026-11-21 13:02 UT: the flux is missing" in text
    assert "alfoscd_canary_ok 0" in metrics
    assert "the last canary failed" in why
