"""The courier's own process: killed while it posts, it leaves one post; it keeps no one waiting."""

from __future__ import annotations

import os
import signal
import time

import pytest

from daemon.clock import SystemClock
from daemon.config import Config, Paths, Slack
from daemon.memory.archive import Archive
from daemon.memory.messages import DeliveryState, Message, Topic
from daemon.outbox.secrets import credential, without_secrets
from daemon.work.courier_keeper import CourierKeeper
from tests.daemon.fresh_database import fresh_database
from tests.daemon.slack_server import serving


class FastClock(SystemClock):
    """Ten seconds in one: the keeper need not be waited for."""

    def monotonic(self):
        return 10 * time.monotonic()


@pytest.fixture
def slack():
    with serving() as server:
        yield server


@pytest.fixture
def archive(tmp_path):
    engine = fresh_database(tmp_path / "alfoscd.sqlite")
    yield Archive(engine, SystemClock())
    engine.dispose()


@pytest.fixture
def keeper(tmp_path, slack, monkeypatch):
    monkeypatch.setenv("ALFOSCD_SLACK_TOKEN", "xoxb-test")
    channel = Slack(channel="C1", api_url=slack.url, timeout_s=60, pace_s=0)
    made = CourierKeeper(Config(paths=Paths(root=tmp_path), slack=channel), FastClock())
    yield made
    made.stop()


def eventually(condition, tend, within_s=120.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        tend()
        time.sleep(0.05)


@pytest.mark.parametrize("fault", ["hang", "stored-hang"])
def test_a_courier_killed_while_slack_hangs_leaves_one_post(archive, keeper, slack, fault):
    slack.faults = [fault]
    archive.queue_message(Message(key="k", topic=Topic.HINT, text="Take an arc"))
    eventually(lambda: slack.calls == ["chat.postMessage"], keeper.tend)
    eventually(lambda: archive.deliveries_of("k")[0].state is DeliveryState.SENDING, lambda: None)
    killed = keeper.pid
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: archive.deliveries_of("k")[0].state is DeliveryState.SENT, keeper.tend)
    assert keeper.pid != killed
    assert slack.texts() == ["Take an arc"]
    assert "conversations.history" in slack.calls


def test_leaving_does_not_wait_for_a_connection_that_hangs(archive, keeper, slack):
    slack.faults = ["hang"]
    archive.queue_message(Message(key="k", topic=Topic.HINT, text="Take an arc"))
    eventually(lambda: slack.calls, keeper.tend)
    began = time.monotonic()
    keeper.stop()
    assert time.monotonic() - began < 30


def test_secrets_come_from_the_credentials_or_the_environment_and_reach_no_worker(tmp_path):
    (tmp_path / "slack-token").write_text("xoxb-1\n")
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path), "ALFOSCD_WEBHOOK_TNS": "t", "HOME": "/"}
    assert credential("slack-token", given) == "xoxb-1"
    assert credential("webhook-tns", given) == "t"
    assert credential("smtp-password", given) == ""
    assert without_secrets(given | {"ALFOSCD_SLACK_TOKEN": "x"}) == {"HOME": "/"}
