"""The daemon as a process: one at a time, quick to leave, and nothing lost when it is killed."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.clock import SystemClock
from daemon.config import Config, Paths, Watch, Work
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.records import FileRecord, FileState, JobKind, JobRequest, JobState
from daemon.work.batch import run_until_idle
from daemon.work.jobs import JobQueue
from daemon.work.notify_systemd import SystemdNotifier
from daemon.work.supervisor import AlreadyRunning, lock_path, single_instance
from tests.daemon.fresh_database import fresh_database

TASKS = "light_tasks:open_tasks"
HERE = Path(__file__).parent
RUN = (
    "import pickle, sys; from daemon.work.supervisor import run_daemon; "
    "run_daemon(pickle.load(sys.stdin.buffer), tasks=sys.argv[1])"
)


@pytest.fixture
def config(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    return Config(
        paths=Paths(raw=(raw,), root=tmp_path / "out"),
        watch=Watch(settle_s=0.1, rescan_s=1.0, pattern="*.fits"),
        work=Work(workers=2, job_limit_s=60.0),
    )


@pytest.fixture
def daemons():
    started = []

    def start(config, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, TASKS],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
                **environment,
            },
        )
        with process.stdin as pipe:
            pipe.write(pickle.dumps(config))
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def memory(config):
    engine = fresh_database(config.database)
    yield JobQueue(engine, SystemClock()), Archive(engine, SystemClock())
    engine.dispose()


def eventually(condition, within_s=120.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def job(tmp_path, number, **payload):
    payload = {"note": str(tmp_path / "note"), **payload}
    return JobRequest(kind=JobKind.REDUCE, key=f"job {number}", payload=payload)


def workers_of(pid):
    names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {int(name): Path(f"/proc/{name}/cmdline").read_bytes() for name in names}
    return [pid for pid, line in lines.items() if b"daemon.work.worker" in line]


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_a_file_that_lands_becomes_a_job_that_is_done(config, daemons, memory):
    queue, archive = memory
    daemons(config)
    eventually(lambda: archive.heartbeats())
    (config.raw[0] / "a.fits").write_bytes(b"x" * 2880)
    eventually(lambda: queue.jobs(JobState.DONE))
    assert queue.jobs(JobState.DONE)[0].payload["path"].endswith("a.fits")


def test_workers_show_that_they_live_and_are_forgotten_when_they_leave(config, daemons, memory):
    _, archive = memory
    daemon = daemons(config)
    eventually(lambda: len(archive.heartbeats()) == 4)  # with the supervisor and the courier
    beats = {beat.who: beat for beat in archive.heartbeats()}
    workers = {beat.pid for who, beat in beats.items() if who.startswith("worker ")}
    assert workers == set(workers_of(daemon.pid))
    os.kill(min(workers), signal.SIGKILL)
    eventually(lambda: min(workers) not in {beat.pid for beat in archive.heartbeats()})
    eventually(lambda: len(archive.heartbeats()) == 4)


def test_when_the_kernel_drops_events_no_file_is_lost(config, daemons, memory):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip(f"the kernel queues {limit} events: too many files to overflow it")
    _, archive = memory
    calm = replace(config, watch=replace(config.watch, rescan_s=3600.0, polling="never"))
    daemon = daemons(calm)
    eventually(lambda: archive.heartbeats())
    (config.raw[0] / "first.fits").write_bytes(b"x")
    eventually(lambda: archive.files())
    os.kill(daemon.pid, signal.SIGSTOP)
    here, there = config.raw[0] / "here.tmp", config.raw[0] / "there.tmp"
    here.touch()
    for _ in range(limit // 4 + 1):  # four events each: the queue is full and stays so
        here.rename(there)
        there.rename(here)
    for number in range(20):
        (config.raw[0] / f"{number}.fits").write_bytes(b"x")
    os.kill(daemon.pid, signal.SIGCONT)
    eventually(lambda: len(archive.files()) == 21)


def test_a_second_daemon_is_refused_with_the_number_of_the_first(config):
    path = lock_path(config)
    refused = pytest.raises(AlreadyRunning, match=f"process {os.getpid()}")
    with single_instance(path), refused, single_instance(path):
        pytest.fail("the lock was given twice")
    with single_instance(path):
        assert path.exists()


def test_asked_to_leave_it_leaves_soon_and_gives_its_jobs_back(config, daemons, memory, tmp_path):
    queue, archive = memory
    queue.submit(job(tmp_path, 1, act="hang"))
    daemon = daemons(config)
    eventually(lambda: (tmp_path / "note.grandchild").exists())
    workers = workers_of(daemon.pid)
    started = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert time.monotonic() - started < 20
    assert queue.jobs(JobState.RUNNING) == []
    assert [item.key for item in queue.jobs(JobState.WAITING)] == ["job 1"]
    assert archive.heartbeats() == []
    assert workers
    eventually(lambda: all(is_gone(pid) for pid in workers))


def test_a_killed_daemon_leaves_no_orphans_and_the_next_one_finishes_its_work(
    config, daemons, memory, tmp_path
):
    queue, _ = memory
    for number in range(20):
        queue.submit(job(tmp_path, number, takes_s=0.2))
    for _ in range(3):
        daemon = daemons(config)
        eventually(lambda: queue.jobs(JobState.RUNNING))
        workers = workers_of(daemon.pid)
        daemon.kill()
        daemon.wait()
        eventually(lambda pids=workers: all(is_gone(pid) for pid in pids))
    daemons(config)
    eventually(lambda: queue.unfinished() == 0)
    assert len(queue.jobs(JobState.DONE, 100)) == 20
    assert queue.jobs(JobState.FAILED) == []


def test_when_its_database_is_taken_away_it_leaves_and_the_next_one_takes_all_in_again(
    config, daemons, memory
):
    _, archive = memory
    first = daemons(config)
    eventually(lambda: archive.heartbeats())
    (config.raw[0] / "a.fits").write_bytes(b"x" * 2880)
    eventually(lambda: archive.files())
    archive.engine.dispose()  # nobody who still held the old file may share its index with the new
    config.database.unlink()
    assert first.wait(60) != 0
    assert b"moved, replaced or deleted" in first.stderr.read()
    second = daemons(config)
    eventually(lambda: second.poll() is not None or config.database.is_file())
    again = open_database(config.database)
    eventually(lambda: Archive(again, SystemClock()).files())
    again.dispose()


def test_a_file_whose_reading_was_given_up_is_quarantined_with_the_reason(config, memory, tmp_path):
    queue, archive = memory
    path = config.raw[0] / "deadly.txt"
    archive.record_file(
        FileRecord(path=path, state=FileState.HELD, reason="waiting", size=1, mtime_ns=5)
    )
    request = JobRequest(
        kind=JobKind.INGEST,
        key="ingest:deadly",
        payload={"path": str(path), "size": 1, "mtime_ns": 5},
    )
    queue.submit(request)
    queue.fail(queue.claim("w"), "worker died: SIGSEGV")
    run_until_idle(replace(config, work=replace(config.work, workers=1)), tasks=TASKS)
    record = archive.file_at(path)
    assert record.state is FileState.QUARANTINED
    assert record.reason == "reading it failed: worker died: SIGSEGV"


def test_a_batch_ends_when_nothing_is_left_and_tells_of_every_job(config, memory, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    for number in range(5):
        (config.raw[0] / f"f{number}.fits").write_bytes(b"x" * 2880)
    events = []
    outcome = run_until_idle(config, events.append, tasks=TASKS, limit_s=120)
    assert outcome.finished
    assert outcome.done == len(events) == 5
    assert {event.job.state for event in events} == {JobState.DONE}


def test_systemd_is_told_of_readiness_progress_and_leaving(tmp_path):
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "120000000"})
        notifier.ready("2 workers")
        notifier.alive("busy")
        notifier.stopping()
        heard = [manager.recv(100).decode() for _ in range(3)]
    assert heard == ["READY=1\nSTATUS=2 workers", "WATCHDOG=1\nSTATUS=busy", "STOPPING=1"]
    assert notifier.watchdog_s == 120.0


def test_without_a_service_manager_nothing_is_sent():
    notifier = SystemdNotifier({})
    notifier.ready("up")
    assert notifier.watchdog_s is None
