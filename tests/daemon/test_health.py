"""From masters and products in the database to the trends, the page and one message a change."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.cli.main import main
from daemon.health.bands import Standing
from daemon.health.condition import health_of
from daemon.health.lines import trend_lines
from daemon.memory.messages import Topic
from daemon.memory.records import Job, JobKind, JobRequest
from daemon.work.health import look_after_instrument, messages_of
from tests.daemon.hall import ARC, BIASES, SCIENCE, Hall, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from calibration_store.records import MasterRecord

CONTENTS = simulated()
NIGHTS, CHANGED = 40, 36


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """One reduced night, and its masters on the forty nights before it."""
    hall = Hall(tmp_path_factory.mktemp("health"), CONTENTS)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    rng = np.random.default_rng(1)
    for master in hall.bench.store.everything():
        for day in range(NIGHTS):
            hall.bench.store.add(aged(master, day, rng))
    yield hall
    hall.bench.engine.dispose()


def aged(master: MasterRecord, day: int, rng: np.random.Generator) -> MasterRecord:
    """Return a master as it would have been on an earlier night; its helium lamp fades once."""
    back = timedelta(days=NIGHTS - day)
    numbers = {
        name: value * (1 + 0.01 * rng.normal()) if np.isfinite(value) else value
        for name, value in master.measurements.items()
    }
    if "lamp_he_e_per_s" in numbers and day >= CHANGED - 3:
        numbers["lamp_he_e_per_s"] *= 0.5
    when = master.observed_at - back
    return replace(
        master,
        key=f"{master.key}-{day}",
        version=0,
        night=night_of(master.night, day),
        observed_at=when,
        built_at=when,
        measurements=numbers,
    )


def night_of(last: str, day: int) -> str:
    return str(np.datetime64(last) - np.timedelta64(NIGHTS - day, "D"))


def job(hall: Hall, night: str) -> Job:
    hall.bench.queue.submit(
        JobRequest(kind=JobKind.HEALTH, key=f"health:{night}", payload={"night": night})
    )
    found = hall.bench.queue.claim("worker", {JobKind.HEALTH})
    assert found is not None
    return found


def last_night(hall: Hall) -> str:
    return hall.frame(SCIENCE).night


def test_the_masters_of_a_night_give_their_series(hall: Hall) -> None:
    night = night_of(last_night(hall), 20)
    found = {item.series.name: item for item in health_of(hall.bench.archive, night)}
    assert {
        "read noise D-8-200 1x1",
        "bias level D-8-200 1x1",
        "He lamp gr4 slit 1.0 1x1",
        "Ne lamp gr4 slit 1.0 1x1",
        "arc line width gr4 slit 1.0 1x1",
        "arc zero point gr4",
    } <= {name.replace("1x2", "1x1") for name in found}
    assert {item.standing for item in found.values()} <= {Standing.OK, Standing.WARN}


def test_a_product_gives_its_latency_and_what_its_header_says(hall: Hall) -> None:
    found = {item.series.name: item for item in health_of(hall.bench.archive, last_night(hall))}
    assert found["latency"].standing is Standing.NO_HISTORY
    latest = found["detector temperature"].latest
    assert latest is not None
    assert latest.value == pytest.approx(-120, abs=0.2)


def test_a_lamp_that_fades_is_told_once_with_cause_and_advice(hall: Hall) -> None:
    archive, night = hall.bench.archive, night_of(last_night(hall), CHANGED - 2)
    (message,) = messages_of(health_of(archive, night), night)
    assert message.topic is Topic.TROUBLE
    assert message.subject.startswith("Instrument: He lamp")
    assert "Usual cause: The lamp ages" in message.text
    assert "What to do: Let it burn a minute" in message.text
    later = night_of(last_night(hall), CHANGED - 1)
    again = messages_of(health_of(archive, later), later)
    assert [each.key for each in again] == [message.key]
    much_later = night_of(last_night(hall), CHANGED + 2)
    assert messages_of(health_of(archive, much_later), much_later) == []


def test_the_task_queues_the_message_once_and_keeps_the_page(hall: Hall) -> None:
    night = night_of(last_night(hall), CHANGED - 2)
    for _ in range(2):
        done = job(hall, night)
        look_after_instrument(hall.bench, done)
        hall.bench.queue.finish(done)
    queued = [item.message.subject for item in hall.bench.archive.notices()]
    assert sum(subject.startswith("Instrument: He lamp") for subject in queued) == 1
    folder = hall.bench.config.root / "trends"
    page = (folder / "trends.html").read_text(encoding="utf-8")
    assert "Let it burn a minute before the arc" in page
    assert "trends_1.png" in page
    assert (folder / "trends_1.png").read_bytes().startswith(b"\x89PNG")


def test_thirty_nights_are_judged_within_a_second(hall: Hall) -> None:
    begun = time.process_time()
    lines = trend_lines(health_of(hall.bench.archive, last_night(hall)))
    assert time.process_time() - begun < 1.0
    assert all(len(line) <= 90 for line in lines)


def test_trends_are_printed_for_people_and_machines(
    hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "alfoscd.toml"
    paths = hall.bench.config.paths
    config.write_text(f'[paths]\nraw = ["{paths.raw[0]}"]\nroot = "{paths.root}"\n')
    night = night_of(last_night(hall), CHANGED - 2)
    asked = ["trends", "--config", str(config), "--night", night]
    assert main([*asked, "--series", "He lamp"]) == 1
    said = capsys.readouterr().out
    assert "1 series" in said
    assert "! He lamp" in said
    assert main([*asked, "--series", "read noise", "--json"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert series["unit"] == "ADU"
    assert len(series["nights"]) == 30
    plot = tmp_path / "trend.png"
    assert main([*asked, "--series", "He lamp", "--plot", str(plot)]) == 1
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert main([*asked, "--series", "no such"]) == 0


@pytest.mark.parametrize("wrong", [["--night", "yesterday"], ["--nights", "0"]])
def test_a_mistyped_night_is_said_to_be_one(
    hall: Hall, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trends", "--root", str(hall.bench.config.root), *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err
