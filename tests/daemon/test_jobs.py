from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from daemon.clock import SystemClock
from daemon.memory.database import writing
from daemon.memory.records import JobKind, JobRequest, JobState
from daemon.work.jobs import JobQueue
from tests.daemon.fresh_database import fresh_database
from tests.daemon.hand_clock import HandClock

START = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)


def request(key="frame:1", *, kind=JobKind.REDUCE, **changes):
    return JobRequest(kind=kind, key=key, **changes)


@pytest.fixture
def clock():
    return HandClock(START)


@pytest.fixture
def engine(tmp_path):
    engine = fresh_database(tmp_path / "alfoscd.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def queue(engine, clock):
    return JobQueue(engine, clock)


def test_a_job_comes_back_as_it_was_submitted(queue):
    queue.submit(request(payload={"path": "/raw/a.fits", "generation": 2}, priority=20))
    job = queue.claim("w1", lease_s=30)
    assert job == queue.get(job.id)
    assert (job.kind, job.key, job.priority, job.worker) == (JobKind.REDUCE, "frame:1", 20, "w1")
    assert job.payload == {"path": "/raw/a.fits", "generation": 2}
    assert (job.state, job.attempts) == (JobState.RUNNING, 1)
    assert job.lease_until == START + timedelta(seconds=30)
    assert job.submitted_at == START


def test_the_most_urgent_job_comes_first_and_then_the_oldest(queue):
    for key, priority in [("a", 60), ("b", 20), ("c", 60), ("d", 10), ("e", 20)]:
        queue.submit(request(key, priority=priority))
    assert [queue.claim("w").key for _ in range(5)] == ["d", "b", "e", "a", "c"]
    assert queue.claim("w") is None


def test_a_worker_may_ask_for_some_kinds_only(queue):
    queue.submit(request("a", kind=JobKind.INGEST, priority=10))
    queue.submit(request("b", kind=JobKind.MASTER, priority=30))
    assert queue.claim("w", [JobKind.MASTER, JobKind.REDUCE]).key == "b"
    assert queue.claim("w", []) is None


def test_two_triggers_make_one_job(queue):
    assert queue.submit(request())
    assert not queue.submit(request())
    assert queue.finish(queue.claim("w"))
    assert queue.claim("w") is None
    assert queue.submit(request())


def test_a_second_request_makes_the_waiting_job_more_urgent_never_less(queue):
    queue.submit(request(priority=30))
    queue.submit(request(priority=20))
    queue.submit(request(priority=60))
    assert queue.claim("w").priority == 20


def test_a_second_request_adds_to_the_payload(queue):
    queue.submit(request(payload={"frame": 1, "generation": 1}))
    queue.submit(request(payload={"generation": 2}))
    assert queue.claim("w").payload == {"frame": 1, "generation": 2}


def test_a_late_member_of_a_set_postpones_its_master(queue, clock):
    queue.submit(request(not_before=START + timedelta(seconds=100)))
    queue.submit(request(not_before=START + timedelta(seconds=160)), postpone=True)
    clock.advance(120)
    assert queue.claim("w") is None
    queue.submit(request(not_before=START + timedelta(seconds=150)), postpone=True)
    clock.advance(39)
    assert queue.claim("w") is None
    clock.advance(1)
    assert queue.claim("w") is not None


def test_a_complete_set_hastens_its_master(queue):
    queue.submit(request(not_before=START + timedelta(hours=1)))
    assert queue.claim("w") is None
    queue.submit(request())
    assert queue.claim("w") is not None


def test_a_waiting_job_can_be_postponed_and_hastened_by_key(queue, clock):
    queue.submit(request())
    later = START + timedelta(seconds=60)
    assert queue.postpone("frame:1", later)
    assert queue.next_due() == later
    assert queue.postpone("frame:1", START)
    assert queue.next_due() == later
    assert queue.hasten("frame:1", START)
    assert queue.next_due() == START
    assert queue.claim("w") is not None
    assert not queue.hasten("frame:1", START)
    assert not queue.postpone("frame:1", START)
    assert queue.next_due() is None


def test_a_request_that_comes_while_the_job_runs_is_kept_and_handed_out_after(queue):
    queue.submit(request(payload={"seen": 1}))
    first = queue.claim("w1")
    assert queue.submit(request(payload={"seen": 2}))
    assert not queue.submit(request(payload={"seen": 3}))
    assert queue.claim("w2") is None
    assert queue.finish(first)
    second = queue.claim("w2")
    assert second.payload == {"seen": 3}
    assert second.id != first.id


def test_another_key_is_handed_out_while_the_first_is_running(queue):
    queue.submit(request("a", priority=1))
    queue.submit(request("b", priority=2))
    queue.claim("w1")
    queue.submit(request("a", priority=1))
    assert queue.claim("w2").key == "b"


def test_a_failure_with_a_delay_is_tried_again_then(queue, clock):
    queue.submit(request())
    queue.fail(queue.claim("w"), "no memory", 30)
    assert queue.claim("w") is None
    clock.advance(30)
    job = queue.claim("w")
    assert (job.attempts, job.error) == (2, "no memory")
    queue.fail(job, "no memory again")
    assert queue.claim("w") is None
    assert [each.error for each in queue.jobs(JobState.FAILED)] == ["no memory again"]


def test_a_retry_takes_in_the_request_that_came_meanwhile(queue):
    queue.submit(request(payload={"frame": 1}, priority=30))
    job = queue.claim("w")
    queue.submit(request(payload={"generation": 2}, priority=20))
    queue.fail(job, "crashed", 600)
    again = queue.claim("w")
    assert (again.attempts, again.priority) == (2, 20)
    assert again.payload == {"frame": 1, "generation": 2}
    queue.finish(again)
    assert queue.claim("w") is None


def test_trying_later_costs_no_attempt(queue, clock):
    queue.submit(request())
    for _ in range(5):
        assert queue.put_back(queue.claim("w"), "file still growing", 10)
        assert queue.claim("w") is None
        clock.advance(10)
    assert queue.claim("w").attempts == 1


def test_a_blocked_job_waits_for_its_release(queue):
    for key in ("flat:g4", "flat:g7", "flat%", "arc:g4"):
        queue.submit(request(key, blocked=True))
    assert queue.claim("w") is None
    assert queue.release("flat%") == 1
    assert queue.claim("w").key == "flat%"
    assert queue.release("flat:") == 2
    assert {queue.claim("w").key, queue.claim("w").key} == {"flat:g4", "flat:g7"}
    assert queue.release("flat:") == 0
    assert queue.claim("w") is None


def test_an_open_request_unblocks_and_a_blocked_one_does_not_block(queue):
    queue.submit(request(blocked=True))
    queue.submit(request())
    queue.submit(request(blocked=True))
    assert queue.claim("w") is not None


def test_a_silent_workers_job_is_handed_out_again(queue, clock):
    queue.submit(request())
    lost = queue.claim("w1", lease_s=60)
    clock.advance(60)
    assert queue.release_expired() == []
    clock.advance(1)
    assert [job.id for job in queue.release_expired()] == [lost.id]
    again = queue.claim("w2")
    assert (again.id, again.attempts, again.worker) == (lost.id, 2, "w2")


def test_a_renewed_lease_holds(queue, clock):
    queue.submit(request())
    job = queue.claim("w1", lease_s=60)
    clock.advance(50)
    assert queue.renew(job.id, "w1", 60)
    assert not queue.renew(job.id, "w2", 60)
    clock.advance(50)
    assert queue.release_expired() == []
    assert queue.finish(job)
    assert not queue.renew(job.id, "w1", 60)


def test_a_worker_that_lost_its_lease_changes_nothing(queue, clock):
    queue.submit(request())
    lost = queue.claim("w1", lease_s=60)
    clock.advance(61)
    queue.release_expired()
    held = queue.claim("w1")
    assert not queue.finish(lost)
    assert not queue.fail(lost, "late")
    assert not queue.put_back(lost, "late")
    assert queue.get(held.id) == held
    assert queue.finish(held)
    assert not queue.finish(held)


def test_a_dead_workers_job_comes_back_at_once_with_the_reason(queue):
    for key in "ab":
        queue.submit(request(key))
    queue.claim("w1")
    other = queue.claim("w2")
    assert [job.error for job in queue.release_worker("w1", "SIGSEGV")] == ["SIGSEGV"]
    assert queue.get(other.id) == other
    assert queue.claim("w3").key == "a"


def test_a_failure_counts_until_the_task_has_been_done_again(queue):
    for outcome, failures in (("fail", 1), ("fail", 1), ("finish", 0)):
        queue.submit(request("arc"))
        job = queue.claim("w")
        queue.fail(job, "no light") if outcome == "fail" else queue.finish(job)
        assert len(queue.jobs(JobState.FAILED)) == failures


def test_a_job_that_kills_its_workers_fails_at_the_limit(queue):
    queue.submit(request())
    for attempt in (1, 2, 3):
        assert queue.claim("w").attempts == attempt
        (job,) = queue.release_worker("w", "SIGSEGV", attempts_limit=3)
    assert (job.state, job.error) == (JobState.FAILED, "SIGSEGV")
    assert queue.claim("w") is None
    assert queue.submit(request())


def test_counts_tell_every_kind_and_state(queue):
    for key, kind in [("a", JobKind.INGEST), ("b", JobKind.INGEST), ("c", JobKind.MASTER)]:
        queue.submit(request(key, kind=kind))
    queue.finish(queue.claim("w"))
    queue.claim("w")
    assert queue.counts() == {
        (JobKind.INGEST, JobState.DONE): 1,
        (JobKind.INGEST, JobState.RUNNING): 1,
        (JobKind.MASTER, JobState.WAITING): 1,
    }
    assert queue.unfinished() == 2


def test_jobs_of_a_transaction_that_fails_were_never_submitted(engine, queue):
    def half():
        with writing(engine) as session:
            queue.submit(request("a"), within=session)
            queue.submit(request("b"), within=session)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half()
    assert queue.counts() == {}


def test_an_error_that_is_no_text_is_still_kept(queue):
    queue.submit(request())
    queue.fail(queue.claim("w"), "bad name \udcff and \0")
    (job,) = queue.jobs(JobState.FAILED)
    assert job.error == "bad name \\udcff and \\x00"


WORKER = """
import os, sys
from pathlib import Path
from daemon.clock import SystemClock
from daemon.memory.database import open_database
from daemon.work.jobs import JobQueue
queue = JobQueue(open_database(Path(sys.argv[1])), SystemClock())
sys.stdin.readline()
while (job := queue.claim(sys.argv[2], lease_s=3600)) is not None:
    os.write(1, b"%d\\n" % job.id)
    if job.id % 40 == 7 and job.attempts == 1:
        os.kill(os.getpid(), 9)
    queue.finish(job)
"""


def start_worker(path, name):
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    process.stdin.write("\n")
    process.stdin.flush()
    return process


def test_four_processes_hand_out_every_job_once_though_some_are_killed(engine, tmp_path):
    queue = JobQueue(engine, SystemClock())
    with writing(engine) as session:
        for number in range(200):
            queue.submit(request(f"frame:{number}"), within=session)
    handed: Counter[int] = Counter()
    killed = 0
    for turn in range(20):
        names = [f"{turn}-{number}" for number in range(4)]
        workers = [start_worker(tmp_path / "alfoscd.sqlite", name) for name in names]
        for worker, name in zip(workers, names, strict=True):
            handed.update(map(int, worker.communicate()[0].split()))
            assert worker.returncode in (0, -9)
            killed += len(queue.release_worker(name, "SIGKILL"))
        if not queue.unfinished():
            break
    assert queue.counts() == {(JobKind.REDUCE, JobState.DONE): 200}
    assert killed == 5
    assert sorted(handed) == list(range(1, 201))
    assert handed.total() == 205


KEYS = st.sampled_from(["a", "b"])


@pytest.fixture
def machine(tmp_path):
    engine = fresh_database(tmp_path / "model.sqlite")

    class Model(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            with writing(engine) as session:
                session.connection().exec_driver_sql("DELETE FROM job")
            self.clock = HandClock(START)
            self.queue = JobQueue(engine, self.clock)
            self.wanted = set()
            self.running = {}

        @rule(
            key=KEYS,
            priority=st.integers(0, 3),
            wait=st.sampled_from([0, 0, 3]),
            postpone=st.booleans(),
        )
        def submit(self, key, priority, wait, postpone):
            start = self.clock.now() + timedelta(seconds=wait)
            wish = request(key, priority=priority, not_before=start)
            assert self.queue.submit(wish, postpone=postpone) == (key not in self.wanted)
            self.wanted.add(key)

        @rule(seconds=st.integers(1, 10))
        def advance(self, seconds):
            self.clock.advance(seconds)

        @rule(lease=st.integers(1, 10))
        def claim(self, lease):
            job = self.queue.claim("w", lease_s=lease)
            if job is not None:
                assert job.key in self.wanted
                assert job.key not in self.running
                self.wanted.remove(job.key)
                self.running[job.key] = job

        @precondition(lambda self: self.running)
        @rule(data=st.data(), outcome=st.sampled_from(["finish", "fail", "retry", "put back"]))
        def end(self, data, outcome):
            job = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
            if outcome == "finish":
                assert self.queue.finish(job)
            elif outcome == "fail":
                assert self.queue.fail(job, "x")
            else:
                retry = self.queue.fail if outcome == "retry" else self.queue.put_back
                assert retry(job, "x", 2)
                self.wanted.add(job.key)

        @rule()
        def expire(self):
            for job in self.queue.release_expired():
                del self.running[job.key]
                self.wanted.add(job.key)

        @invariant()
        def nothing_is_lost_or_doubled(self):
            assert {job.key for job in self.queue.jobs(JobState.WAITING)} == self.wanted
            assert {job.key for job in self.queue.jobs(JobState.RUNNING)} == set(self.running)
            assert self.queue.unfinished() == len(self.wanted) + len(self.running)

        def teardown(self):
            self.clock.advance(3600)
            self.expire()
            for _ in range(len(self.wanted)):
                self.claim(1)
            assert not self.wanted

    yield Model
    engine.dispose()


def test_no_order_of_events_loses_a_request_or_hands_a_key_out_twice(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
