"""Webhooks and the journal: once, whatever the service answers."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from daemon.config import Config, Outbox, Paths, Webhook
from daemon.memory.archive import Archive
from daemon.memory.messages import Message, Topic
from daemon.outbox.courier import Courier
from daemon.outbox.sinks import open_sinks
from tests.daemon.fresh_database import fresh_database
from tests.daemon.hand_clock import HandClock

ALERT = Message(
    key="alert:1",
    topic=Topic.ALERT,
    text="A new source",
    payload={"ra_deg": 10.5},
    to=("webhook.broker",),
)


class Service(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Keep quiet."""

    def do_GET(self):
        known = {each["key"] for each in self.server.bodies}
        self.say(200 if self.path.rpartition("/")[2] in known else 404)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.headers.append(dict(self.headers))
        answer = self.server.answers.pop(0) if self.server.answers else "200"
        if answer.startswith("stored-") or answer == "200":
            self.server.bodies.append(body)
        self.say(int(answer.removeprefix("stored-")))

    def say(self, status):
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "120")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    server.bodies, server.answers, server.headers = [], [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@contextlib.contextmanager
def post(root, service, **hook):
    url = f"http://127.0.0.1:{service.server_port}"
    broker = Webhook(url=f"{url}/in", timeout_s=30, **hook)
    config = Config(
        paths=Paths(root=root),
        webhook={"broker": broker},
        outbox=Outbox(journal=root / "journal.jsonl"),
    )
    engine, clock = fresh_database(root / "alfoscd.sqlite"), HandClock()
    archive = Archive(engine, clock)
    sinks = open_sinks(config, {"ALFOSCD_WEBHOOK_BROKER": "secret"})

    def run(hours=1.0):
        courier = Courier(config, archive, sinks, chance=lambda: 0.5)
        courier.begin()
        until = clock.time + timedelta(hours=hours)
        while clock.time < until and archive.next_delivery_at() is not None:
            courier.step()
            clock.time += timedelta(seconds=20)

    yield archive, run
    engine.dispose()


@pytest.mark.parametrize("answer", ["429", "500", "503", "409", "408", "stored-504", "stored-408"])
def test_a_service_that_can_be_asked_gets_each_message_once(tmp_path, service, answer):
    look = f"http://127.0.0.1:{service.server_port}/known/{{key}}"
    with post(tmp_path, service, lookup_url=look) as (archive, run):
        service.answers = [answer]
        archive.queue_message(ALERT)
        run()
        (body,) = service.bodies
        assert body["payload"] == {"ra_deg": 10.5}
        assert archive.deliveries_of(ALERT.key)[0].state == "sent"


def test_a_service_that_cannot_be_asked_gets_the_same_key_again(tmp_path, service):
    with post(tmp_path, service) as (archive, run):
        service.answers = ["stored-504"]
        archive.queue_message(ALERT)
        run()
        keys = [each["Idempotency-Key"] for each in service.headers]
        assert len(keys) == 2
        assert len(set(keys)) == 1
        assert service.headers[0]["Authorization"] == "Bearer secret"


def test_a_service_that_refuses_us_is_explained(tmp_path, service):
    with post(tmp_path, service) as (archive, run):
        service.answers = ["401"] * 5
        archive.queue_message(ALERT)
        run()
        (dead,) = archive.undelivered(5)
        assert "webhook-broker" in dead.error
        assert len(service.headers) == 1


def test_every_message_is_one_line_of_the_journal_even_after_half_a_line(tmp_path, service):
    journal = tmp_path / "journal.jsonl"
    journal.write_text('{"key": "half')
    with post(tmp_path, service) as (archive, run):
        for number in range(3):
            archive.queue_message(replace(ALERT, key=f"a{number}", to=(), topic=Topic.HINT))
        run()
        (first, *_) = archive.deliveries_of("a0")
        archive.mark(first.id, first.state.SENDING)  # as if killed before it was written down
        run()
    lines = journal.read_text().splitlines()
    assert lines[0] == '{"key": "half'
    assert len({json.loads(line)["key"] for line in lines[1:]}) == len(lines[1:]) == 3
