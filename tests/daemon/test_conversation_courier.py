"""People answer a courier that runs as it does beside the daemon: in a process of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from daemon.clock import SystemClock
from daemon.config import Config, Paths, Programme, Slack
from daemon.memory.database import writing
from daemon.memory.records import Decision, JobState, ProductRecord, ProductState
from daemon.work.announce import announce
from daemon.work.bench import open_bench
from daemon.work.courier_keeper import CourierKeeper
from reducers.identity import FrameKind, Identity, Setup
from tests.daemon.slack_server import serving
from tests.daemon.web_socket import WebSocketServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from tests.daemon.slack_server import SlackServer

STEM, NIGHT = "ALDc200205", "2020-03-20"
#: The machine may be busy: what comes at all comes within so long.
PATIENCE_S = 120.0


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    monkeypatch.setenv("ALFOSCD_SLACK_TOKEN", "xoxb-test")
    monkeypatch.setenv("ALFOSCD_SLACK_APP_TOKEN", "xapp-test")
    with serving() as server:
        yield server


def configuration(root: Path, slack: SlackServer, interaction: Literal["poll", "socket"]) -> Config:
    settings = Slack(
        channel="C1",
        api_url=slack.url,
        timeout_s=10,
        pace_s=0,
        users=("U1EVA",),
        interaction=interaction,
        poll_s=1.0,
    )
    return Config(paths=Paths(root=root), slack=settings, programmes={"*": Programme(open=True)})


def told_of_a_product(bench: Bench) -> tuple[FrameRecord, ProductRecord]:
    """Record an exposure with its product, and announce it."""
    now = bench.clock.now()
    setup = Setup(x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200")
    identity = Identity(
        instrument="ALFOSC_FASU",
        kind=FrameKind.SPEC_OBJECT,
        setup=replace(setup, grism="Grism_#4", slit="Slit_1.0"),
        observed_at=now,
        exposure_s=1030.0,
        target="GQ125005+280041",
    )
    with writing(bench.engine) as session:
        frame, _, _ = bench.archive.record_frame(
            stem=STEM,
            sha256="ab" * 32,
            path=bench.config.root / f"{STEM}.fits",
            size=1,
            identity=identity,
            night=NIGHT,
            arrived_at=now,
            set_keys=(),
            within=session,
        )
        product = ProductRecord(
            key="cd" * 32,
            frame_id=frame.id,
            frame_sha256=frame.sha256,
            stem=STEM,
            night=NIGHT,
            recipe="spectrum",
            recipe_version="1",
            generation=1,
            state=ProductState.FINAL,
            quality=0,
            flag_bits=0,
            target=identity.target,
            paths={"spectrum": bench.config.root / f"{STEM}_1d.fits"},
            hashes={},
            measurements={},
            flags=(),
            choices=(),
            created_at=now,
            latency_s=1.0,
            recipe_digest="ef" * 32,
        )
        bench.archive.record_product(product, within=session)
        announce(bench, frame, product, None, session)
    return frame, product


def eventually(condition: Callable[[], Any], keeper: CourierKeeper) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        keeper.tend()
        time.sleep(0.1)
    return found


def post_of(slack: SlackServer) -> list[dict[str, Any]]:
    return [post for post in slack.posts if post["text"].startswith(STEM)]


def test_a_reply_below_the_post_is_a_verdict_in_the_database(
    tmp_path: Path, slack: SlackServer
) -> None:
    bench = open_bench(configuration(tmp_path, slack, "poll"), SystemClock())
    frame, _ = told_of_a_product(bench)
    keeper = CourierKeeper(bench.config, SystemClock())
    try:
        (post,) = eventually(lambda: post_of(slack), keeper)
        said_at = int(time.time()) + 2
        slack.reply(post["thread_ts"], "reject trailing", at=said_at)
        verdict = eventually(lambda: bench.archive.current_product(frame.id).verdict, keeper)
        eventually(lambda: "is rejected by slack:U1EVA" in slack.posts[-1]["text"], keeper)
    finally:
        keeper.stop()
        remarks = [each.verdict.remark for each in bench.archive.judgements()]
        bench.engine.dispose()
    assert (verdict.decision, verdict.user) == (Decision.REJECTED, "slack:U1EVA")
    assert remarks == ["trailing"]
    assert slack.posts[-1]["thread_ts"] == post["thread_ts"]


def test_the_redo_button_asks_for_one_reduction_however_often_slack_repeats_it(
    tmp_path: Path, slack: SlackServer
) -> None:
    bench = open_bench(configuration(tmp_path, slack, "socket"), SystemClock())
    frame, _ = told_of_a_product(bench)
    server = WebSocketServer()
    slack.socket_url = server.url
    keeper = CourierKeeper(bench.config, SystemClock())
    try:
        (post,) = eventually(lambda: post_of(slack), keeper)
        server.say(pressed(post, "redo"))
        assert server.heard.get(timeout=PATIENCE_S)["envelope_id"] == "e1"
        job = bench.queue.claim("worker")
        assert job is not None
        assert job.payload["frame_id"] == frame.id
        assert job.payload["redo"]["user"] == "slack:U1EVA"
        # What was carried out does not begin again when the envelope comes once more.
        bench.queue.finish(job)
        server.say(pressed(post, "redo"))
        assert server.heard.get(timeout=PATIENCE_S)["envelope_id"] == "e1"
        assert bench.queue.claim("worker") is None
        assert [each.key for each in bench.queue.jobs(JobState.DONE)] == [job.key]
        eventually(lambda: "is reduced again" in slack.posts[-1]["text"], keeper)
    finally:
        keeper.stop()
        server.close()
        bench.engine.dispose()
    answers = [each for each in slack.posts if "reduced again" in each["text"]]
    assert len(answers) == 1


def pressed(post: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return the envelope in which Slack tells that a button was pressed."""
    (button,) = [b for b in post["blocks"][1]["elements"] if b["action_id"].endswith(verb)]
    payload = {
        "type": "block_actions",
        "user": {"id": "U1EVA", "username": "eva"},
        "container": {
            "type": "message",
            "channel_id": "C1",
            "message_ts": post["ts"],
            "thread_ts": post["thread_ts"],
        },
        "actions": [{**button, "block_id": "b", "action_ts": "1800000000.000100"}],
    }
    return {
        "envelope_id": "e1",
        "type": "interactive",
        "accepts_response_payload": True,
        "payload": payload,
    }
