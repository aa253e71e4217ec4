"""Real worker processes under a real crew, with light tasks."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.clock import SystemClock
from daemon.config import Config, Paths, Work
from daemon.memory.records import JobKind, JobRequest, JobState
from daemon.work.crew import Crew, attempts_limit, death_of
from daemon.work.jobs import JobQueue
from tests.daemon.fresh_database import fresh_database

TASKS = "light_tasks:open_tasks"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    work = Work(workers=2, job_limit_s=60.0, memory_limit_mb=2000)
    return Config(paths=Paths(raw=(), root=tmp_path / "out"), work=work)


@pytest.fixture
def queue(config):
    engine = fresh_database(config.database)
    yield JobQueue(engine, SystemClock())
    engine.dispose()


def submit(queue, tmp_path, key, **payload):
    payload = {"note": str(tmp_path / "note"), **payload}
    queue.submit(JobRequest(kind=JobKind.REDUCE, key=key, payload=payload))


def run(config, queue, until, *, limit_s=120.0, each=lambda crew: None):
    crew = Crew(config, queue, SystemClock(), tasks=TASKS)
    deadline = time.monotonic() + limit_s
    try:
        while not until() and time.monotonic() < deadline:
            crew.tend()
            each(crew)
            time.sleep(0.05)
    finally:
        crew.stop(5.0)
    assert until(), queue.counts()
    return crew


def ended(queue):
    return lambda: queue.unfinished() == 0


def outcome(queue, key):
    found = [job for state in JobState for job in queue.jobs(state, 1000) if job.key == key]
    return found[0]


def test_every_way_a_task_may_end_becomes_a_state_of_its_job(config, queue, tmp_path):
    for act in ("nothing", "fail", "later", "full"):
        submit(queue, tmp_path, act, act=act)
    run(config, queue, lambda: queue.unfinished() == 1 and "paused" in outcome(queue, "full").error)
    assert outcome(queue, "nothing").state is JobState.DONE
    assert outcome(queue, "later").state is JobState.DONE
    assert outcome(queue, "fail").error == "No object was found on the slit."
    assert outcome(queue, "full").state is JobState.WAITING
    assert outcome(queue, "full").attempts == 0


def test_a_full_disc_pauses_a_job_also_when_a_library_hides_its_number(config, queue, tmp_path):
    submit(queue, tmp_path, "fits", act="full_fits")
    run(config, queue, lambda: "paused" in outcome(queue, "fits").error)
    found = outcome(queue, "fits")
    assert (found.state, found.attempts) == (JobState.WAITING, 0)
    assert found.error == "paused: No space left on device"


def test_a_bug_is_tried_again_and_then_given_up_with_its_name(config, queue, tmp_path):
    config = replace(config, work=replace(config.work, attempts=2))
    submit(queue, tmp_path, "bug", act="bug")
    run(config, queue, ended(queue))
    assert (tmp_path / "note").read_text().count("bug") == 2
    assert outcome(queue, "bug").error == "RuntimeError: a bug"


def test_a_poison_job_is_given_up_and_disturbs_no_other(config, queue, tmp_path):
    submit(queue, tmp_path, "poison", act="segfault")
    for number in range(20):
        submit(queue, tmp_path, f"good {number}")
    run(config, queue, ended(queue))
    poison = outcome(queue, "poison")
    assert poison.state is JobState.FAILED
    assert poison.error == "worker died: SIGSEGV"
    assert poison.attempts == config.work.attempts
    assert len([job for job in queue.jobs(JobState.DONE) if job.attempts == 1]) == 20


def test_a_hanging_job_is_stopped_with_everything_it_started(config, queue, tmp_path):
    config = replace(config, work=replace(config.work, attempts=1, job_limit_s=4.0))
    submit(queue, tmp_path, "hang", act="hang")
    run(config, queue, ended(queue))
    assert "stopped at its time limit of 4 s" in outcome(queue, "hang").error
    assert is_gone(int((tmp_path / "note.grandchild").read_text()))


def test_a_job_that_wants_too_much_memory_fails_alone(config, queue, tmp_path):
    config = replace(config, work=replace(config.work, attempts=1))
    submit(queue, tmp_path, "huge", act="allocate")
    submit(queue, tmp_path, "small")
    crew = run(config, queue, ended(queue))
    assert outcome(queue, "huge").error.startswith("out of memory")
    assert outcome(queue, "small").state is JobState.DONE
    assert crew.deaths == 0


def test_workers_killed_at_work_lose_no_job(config, queue, tmp_path):
    for number in range(30):
        submit(queue, tmp_path, f"job {number}", takes_s=0.1)
    kills = []

    def kill_one_now_and_then(crew):
        if len(kills) < 5 and crew.busy and crew.pids:
            kills.append(crew.pids[0])
            os.kill(crew.pids[0], signal.SIGKILL)

    run(config, queue, ended(queue), each=kill_one_now_and_then)
    assert len(kills) == 5
    assert len(queue.jobs(JobState.DONE, 100)) == 30
    assert set((tmp_path / "note").read_text().split("\n")) >= {f"job {n}" for n in range(30)}


def test_a_worker_is_replaced_after_its_share_of_jobs(config, queue, tmp_path):
    config = replace(config, work=replace(config.work, workers=1, jobs_per_worker=3))
    seen = set()
    for number in range(7):
        submit(queue, tmp_path, f"job {number}")
    crew = run(config, queue, ended(queue), each=lambda crew: seen.update(crew.pids))
    assert len(seen) >= 3
    assert crew.deaths == 0


def test_a_job_that_is_too_early_does_not_use_up_its_worker(config, queue, tmp_path):
    config = replace(config, work=replace(config.work, workers=1, jobs_per_worker=5))
    seen = set()
    for number in range(4):
        submit(queue, tmp_path, f"job {number}", note=str(tmp_path / f"{number}"), act="later")
    run(config, queue, ended(queue), each=lambda crew: seen.update(crew.pids))
    assert len(seen) == 1


def test_a_kill_from_outside_says_less_about_a_job_than_a_crash():
    assert attempts_limit(3, killed=True) > attempts_limit(3, killed=False) == 3


def test_a_death_is_named_by_its_signal():
    assert death_of(-11) == "SIGSEGV"
    assert death_of(3) == "exit code 3"


def is_gone(pid):
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.1)
    return False
