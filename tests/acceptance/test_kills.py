"""SIGKILL at random moments of a simulated night: nothing is lost, nothing comes out different."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.clock import SystemClock
from daemon.config import Calibration, Catalogues, Config, Paths, Watch, Work
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.records import FileState, JobKind, JobState
from daemon.work.batch import run_until_idle
from daemon.work.jobs import JobQueue
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night

RUN = (
    "import pickle, sys; from daemon.work.supervisor import run_daemon; "
    "run_daemon(pickle.load(sys.stdin.buffer))"
)
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Return a folder with the raw frames of a small night."""
    folder = tmp_path_factory.mktemp("night") / "raw"
    folder.mkdir()
    alfosc = load_instrument("alfosc")
    for planned in plan_night(seed=3):
        frame = simulate(planned, alfosc)
        (folder / frame.name).write_bytes(frame.content)
    return folder


def config_for(raw, root):
    return Config(
        paths=Paths(raw=(raw,), root=root),
        watch=Watch(settle_s=0.2, rescan_s=1.0),
        work=Work(workers=2),
        calibration=Calibration(quiet_s=0.5),
        catalogues=Catalogues(online=False),
    )


@pytest.fixture(scope="module")
def undisturbed(night, tmp_path_factory):
    """Return what the night gives when nothing goes wrong."""
    config = config_for(night, tmp_path_factory.mktemp("calm"))
    calm = replace(config, calibration=Calibration(provisional=False))
    assert run_until_idle(calm, limit_s=300).finished
    return result_of(config)


def result_of(config):
    """Return every file's state and every current product, by content, never by name."""
    engine = open_database(config.database)
    archive = Archive(engine, SystemClock())
    files = {record.path.name: record.state for record in archive.files()}
    products = {
        product.stem: (product.key, product.state, product.quality, dict(product.hashes))
        for product in archive.products()
    }
    queue = JobQueue(engine, SystemClock())
    failed = [(job.key, job.error) for job in queue.jobs(JobState.FAILED)]
    engine.dispose()
    return files, products, failed


def start(config):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with process.stdin as pipe:
        pipe.write(pickle.dumps(config))
    return process


def workers_of(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(name) for name in text.split()]


def nothing_left(queue):
    """Tell whether all work is done; catalogues that cannot be had are asked for ever again."""
    left = [*queue.jobs(JobState.WAITING), *queue.jobs(JobState.RUNNING)]
    return all(job.kind is JobKind.FETCH for job in left)


def kill_now_and_then(config, kills, chance, limit_s=600.0):
    """Let the daemon reduce the night under fire, and return how many shots were fired."""
    engine = open_database(config.database)
    queue, archive = JobQueue(engine, SystemClock()), Archive(engine, SystemClock())
    expected = len(list(config.raw[0].iterdir()))
    deadline = time.monotonic() + limit_s
    fired, daemon = 0, start(config)
    try:
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(0.3, 1.5))
            taken_in = len(archive.files(FileState.INGESTED)) == expected
            if taken_in and nothing_left(queue):
                break
            if fired < kills and queue.jobs(JobState.RUNNING):
                workers = workers_of(daemon.pid)
                victim = chance.choice([daemon.pid, *workers]) if workers else daemon.pid
                os.kill(victim, signal.SIGKILL)
                fired += 1
                if victim == daemon.pid:
                    daemon.wait()
                    daemon = start(config)
    finally:
        daemon.terminate()
        daemon.wait(25)
        engine.dispose()
    return fired


@pytest.mark.parametrize(
    "kills", [3, pytest.param(20, marks=pytest.mark.slow)], ids=["3 kills", "20 kills"]
)
def test_killed_again_and_again_the_night_comes_out_the_same(kills, night, undisturbed, tmp_path):
    config = config_for(night, tmp_path / "fire")
    fired = kill_now_and_then(config, kills, random.Random(kills))
    files, products, failed = result_of(config)
    assert fired == kills, "the night was over before every shot was fired"
    assert failed == []
    assert set(files.values()) == {FileState.INGESTED}
    assert (files, products) == undisturbed[:2]
    assert products
    assert not list(config.root.rglob("*.tmp")), "temporary files were left behind"
