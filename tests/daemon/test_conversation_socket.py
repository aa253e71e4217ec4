"""Slack's own client over a local web socket: what is written down is acknowledged, once done."""

from __future__ import annotations

import pytest

from daemon.clock import SystemClock
from daemon.config import Config, Paths, Slack
from daemon.conversation.keeper import Ears
from daemon.conversation.socket_mode import Listener
from daemon.memory.archive import Archive
from daemon.memory.messages import DeliveryState, Message, Topic
from daemon.outbox.gathering import OPENING
from tests.daemon.fresh_database import fresh_database
from tests.daemon.slack_server import serving
from tests.daemon.web_socket import WebSocketServer


@pytest.fixture
def slack():
    with serving() as server:
        yield server


@pytest.fixture
def config(tmp_path, slack):
    settings = Slack(channel="C1", api_url=slack.url, interaction="socket", users=("U1EVA",))
    return Config(paths=Paths(root=tmp_path), slack=settings)


@pytest.fixture
def archive(config):
    engine = fresh_database(config.database)
    yield Archive(engine, SystemClock())
    engine.dispose()


def envelope(user, number):
    event = {
        "type": "message", "user": user, "channel": "C1", "text": "accept",
        "ts": f"1800000000.00000{number}", "thread_ts": "1700000001.000100",
    }  # fmt: skip
    return {
        "envelope_id": f"e{number}",
        "type": "events_api",
        "accepts_response_payload": False,
        "payload": {"type": "event_callback", "event": event},
    }


def test_what_comes_over_the_socket_is_answered_and_acknowledged(config, archive, slack) -> None:
    opened = Message(
        key=f"{OPENING}2026-11-20:SN", topic=Topic.PRODUCT, text="SN, night 2026-11-20"
    )
    delivery = archive.add_delivery(opened, "slack", "C1")
    archive.mark(
        delivery.id, DeliveryState.SENT, remote="1700000001.000100", sent_at=archive.clock.now()
    )
    server = WebSocketServer()
    slack.socket_url = server.url
    listener = Listener(archive, config, "xapp-test")
    try:
        listener.connect()
        assert listener.is_connected
        for number, user in ((0, "U1EVA"), (1, "U9STRANGER"), (1, "U9STRANGER")):
            server.say(envelope(user, number))
            assert server.heard.get(timeout=60)["envelope_id"] == f"e{number}"
    finally:
        listener.close()
        server.close()
    answers = [each.message.text for each in reversed(archive.notices(Topic.CHANGE))]
    assert answers == [
        "not done: this thread has no product yet",
        "not done: U9STRANGER may not do this; who runs alfoscd can add this id to [slack] users",
    ]
    assert [each.user for each in archive.interactions()] == ["U1EVA", "U9STRANGER"]


def test_what_trips_the_ear_is_logged_and_acknowledged_and_the_next_is_heard(
    config, archive, slack, caplog
) -> None:
    server = WebSocketServer()
    slack.socket_url = server.url
    listener = Listener(archive, config, "xapp-test")
    broken = envelope("U1EVA", 0) | {"payload": {"event": "not what Slack documents"}}
    try:
        listener.connect()
        for number, said in enumerate((broken, envelope("U1EVA", 1))):
            server.say(said)
            assert server.heard.get(timeout=10)["envelope_id"] == f"e{number}"
    finally:
        listener.close()
        server.close()
    assert "the ear at Slack's socket failed" in caplog.text


def test_a_refused_token_is_told_once_and_posts_go_on(config, archive) -> None:
    ears = Ears(archive, config, {"ALFOSCD_SLACK_APP_TOKEN": "xapp-revoked"})
    listener = Listener(archive, config, "xapp-revoked")
    try:
        for _ in range(2):
            assert ears._connect(listener.connect) > 60
    finally:
        listener.close()
    (told,) = archive.notices(Topic.TROUBLE)
    assert "invalid_auth" in told.message.text
    assert "slack-app-token" in told.message.text


def test_with_interaction_off_nothing_is_opened(config, archive) -> None:
    ears = Ears(archive, Config(paths=config.paths))
    ears.open()
    assert ears._thread is None
    ears.close()
