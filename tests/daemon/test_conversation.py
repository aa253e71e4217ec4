"""What people do below a product in Slack is done once, by who may, on what they saw."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from astropy.io import fits

from daemon.config import Outbox, Programme, Slack
from daemon.conversation.hearing import Said, hear
from daemon.conversation.poll import ReplyReader
from daemon.conversation.socket_mode import said_with
from daemon.layout import version_of
from daemon.memory.messages import Topic
from daemon.memory.records import Decision
from daemon.outbox.courier import Courier
from daemon.outbox.gathering import OPENING
from daemon.outbox.sinks import open_sinks
from tests.daemon.hall import ARC, BIASES, SCIENCE, Hall, edited, simulated
from tests.daemon.slack_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.daemon.slack_server import SlackServer

STEM = SCIENCE.removesuffix(".fits")
TOKEN = {"ALFOSCD_SLACK_TOKEN": "xoxb-test"}


class Channel:
    """A reduced frame, its post in a local Slack, and people who answer below it."""

    def __init__(self, hall: Hall, slack: SlackServer) -> None:
        self.hall, self.slack, self.bench = hall, slack, hall.bench
        sinks = open_sinks(hall.bench.config, TOKEN)
        self.courier = Courier(hall.bench.config, hall.bench.archive, sinks, chance=lambda: 0.5)
        self.reader = ReplyReader(hall.bench.archive, hall.bench.config, "xoxb-test")

    def carry(self) -> None:
        for _ in range(40):
            self.hall.clock.seconds += 1.0
            self.courier.step()

    @property
    def thread(self) -> str:
        (found,) = [p for p in self.slack.posts if p["text"].endswith(f", night {self.night}")]
        return found["ts"]

    @property
    def night(self) -> str:
        return self.hall.product().night

    def answers(self) -> list[str]:
        self.carry()
        return [p["text"] for p in self.slack.posts if p["thread_ts"] and "bot_id" in p][2:]

    def write(self, text: str, user: str = "U1EVA", at: float | None = None) -> str:
        """Let somebody write below the product now; return what the daemon answers."""
        now = self.bench.clock.now().timestamp()
        self.hall.clock.seconds += 1
        mark = self.slack.reply(self.thread, text, user, at=int(at if at is not None else now + 1))
        before = len(self.answers())
        self.reader.step()
        new = self.answers()[before:]
        assert len(new) <= 1
        return new[0] if new else f"nothing, to {mark}"

    def press(self, verb: str, user: str = "U1EVA", when: str = "1800000000.000100") -> str:
        """Press a button of the newest product post."""
        (post,) = [p for p in self.slack.posts if p.get("blocks")][-1:]
        (button,) = [b for b in post["blocks"][1]["elements"] if b["action_id"].endswith(verb)]
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": "eva"},
            "container": {
                "type": "message",
                "channel_id": "C1",
                "message_ts": post["ts"],
                "thread_ts": post["thread_ts"],
            },
            "actions": [{**button, "block_id": "b", "action_ts": when}],
        }
        (said,) = said_with("interactive", payload)
        return hear(self.bench.archive, self.bench.config, said)


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    """Return a channel with one product; tests answer below it in turn."""
    with serving() as slack:
        settings = Slack(
            channel="C1",
            api_url=slack.url,
            timeout_s=30.0,
            pace_s=0.0,
            users=("U1EVA", "U2BOB"),
            interaction="socket",
        )
        hall = Hall(
            tmp_path_factory.mktemp("night"),
            simulated(),
            slack=settings,
            programmes={"*": Programme(open=True)},
            outbox=Outbox(storm_per_h=50),
        )
        hall.put(*BIASES, ARC, SCIENCE)
        hall.work(until_s=200)
        channel = Channel(hall, slack)
        channel.carry()
        yield channel
        hall.bench.engine.dispose()


def test_a_product_is_one_post_with_buttons_and_its_plot_beside_it(reduced: Channel) -> None:
    below = [p for p in reduced.slack.posts if p["thread_ts"]]
    (post,) = [p for p in below if p.get("blocks")]
    assert post["text"].startswith(STEM)
    assert [b["text"]["text"] for b in post["blocks"][1]["elements"]] == [
        "accept", "reject", "redo",
    ]  # fmt: skip
    (plot,) = [p for p in below if p["files"]]
    assert plot["text"] == f"plot of {STEM} v1"
    assert len(below) == 2


def test_a_verdict_in_the_thread_is_that_of_the_command_line(reduced: Channel) -> None:
    said = reduced.write("accept")
    assert said == (
        f"U1EVA: {STEM} version 1 is accepted by slack:U1EVA; "
        "nothing automatic replaces it any more"
    )
    verdict = reduced.hall.product().verdict
    assert verdict is not None
    assert (verdict.decision, verdict.user) == (Decision.ACCEPTED, "slack:U1EVA")
    assert "is rejected by slack:U2BOB" in reduced.write("reject trailing", "U2BOB")
    assert [each.verdict.remark for each in reduced.bench.archive.judgements()] == ["trailing"]


def test_a_redo_moves_the_centre_from_where_it_is(reduced: Channel) -> None:
    was = fits.getheader(reduced.hall.product().paths["spectrum"])["OBJCOL"]
    said = reduced.write("redo center=+3 aperture=8")
    assert f"{STEM} is reduced again (aperture_px = 8.0, centroid_px = {was + 3:.2f}" in said
    reduced.hall.work(until_s=10)
    product = reduced.hall.product()
    assert product.redo["user"] == "slack:U1EVA"
    assert product.redo["settings"]["centroid_px"] == pytest.approx(was + 3, abs=0.01)
    assert fits.getheader(product.paths["spectrum"])["REDOUSER"] == "slack:U1EVA"


def test_a_reply_that_was_heard_is_never_heard_again(reduced: Channel) -> None:
    reduced.write("accept")
    interactions = reduced.bench.archive.interactions()
    judgements = len(reduced.bench.archive.judgements())
    reader = ReplyReader(reduced.bench.archive, reduced.bench.config, "xoxb-test")
    assert reader.step() == 0  # a new reader reads everything again
    assert reduced.bench.archive.interactions() == interactions
    assert len(reduced.bench.archive.judgements()) == judgements


def test_what_people_say_to_each_other_is_not_answered(reduced: Channel) -> None:
    assert reduced.write("what a spectrum!").startswith("nothing")
    assert reduced.write("who would accept this", "U9STRANGER").startswith("nothing")


def test_who_is_not_on_the_list_is_refused_in_words_and_in_the_log(
    reduced: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    before = reduced.hall.product()
    with caplog.at_level(logging.WARNING):
        said = reduced.write("reject", "U9STRANGER")
    assert said.startswith("not done: U9STRANGER may not do this")
    assert "U9STRANGER in C1 is refused" in caplog.text
    assert reduced.hall.product() == before
    last = reduced.bench.archive.interactions()[-1]
    assert (last.user, last.done) == ("U9STRANGER", False)


@pytest.mark.parametrize(
    "text",
    ["redo center=../../etc", "redo skip-cr", "redo center=-99999", "accept /etc/passwd"],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_queued(reduced: Channel, text: str) -> None:
    waiting = reduced.hall.waiting().keys()
    assert reduced.write(text).startswith("not done: ")
    assert reduced.hall.waiting().keys() == waiting


def test_what_was_written_before_the_version_that_counts_is_refused(reduced: Channel) -> None:
    long_ago = reduced.hall.product().created_at.timestamp() - 100
    assert "was made again after you wrote" in reduced.write("accept", at=long_ago)


def test_a_button_works_once_and_a_delivery_that_is_repeated_is_not_answered_twice(
    reduced: Channel,
) -> None:
    reduced.carry()
    version = version_of(reduced.hall.product().main_path)
    assert f"version {version} is rejected by slack:U1EVA" in reduced.press("reject")
    told = len(reduced.answers())
    assert reduced.press("reject") == ""
    assert len(reduced.answers()) == told
    again = reduced.press("reject", "U2BOB", when="1800000000.000200")
    assert again.startswith("not done: this button was used by U1EVA at ")


def test_a_button_of_an_older_version_is_refused_with_a_sentence(reduced: Channel) -> None:
    (post,) = [p for p in reduced.slack.posts if p.get("blocks")][:1]
    button = post["blocks"][1]["elements"][0]
    old = Said(
        user="U1EVA",
        channel="C1",
        thread=post["thread_ts"],
        mark="1800000000.000300",
        verb="accept",
        product=button["value"],
    )
    reduced.hall.redo(settings={"cosmic_sigma": 6.5})
    said = hear(reduced.bench.archive, reduced.bench.config, old)
    assert said.startswith(f"not done: {STEM} has been made again since: version ")
    forged = replace(old, product="1 ../../etc 1", mark="1800000000.000400")
    said = hear(reduced.bench.archive, reduced.bench.config, forged)
    assert said == "not done: this button is not one of alfoscd's"


@pytest.mark.parametrize(
    "changed",
    [
        {"user": "../eva"},
        {"user": "<!channel>"},
        {"channel": "C2"},
        {"thread": "1.1"},
        {"mark": "yesterday"},
        {"thread": ""},
    ],
)
def test_what_is_no_message_below_one_of_our_posts_is_left_alone(
    reduced: Channel, changed: dict[str, str]
) -> None:
    before = len(reduced.bench.archive.interactions())
    said = Said(
        user="U1EVA", channel="C1", thread=reduced.thread, mark="1800000000.000500", text="accept"
    )
    assert hear(reduced.bench.archive, reduced.bench.config, replace(said, **changed)) == ""
    assert len(reduced.bench.archive.interactions()) == before


def test_of_several_products_in_a_thread_one_must_be_named(reduced: Channel) -> None:
    name = "ALJa150099.fits"
    content = edited(reduced.hall.contents[SCIENCE], "OBSERVER", "Another")
    reduced.hall.put(name, content=content)
    reduced.hall.work(until_s=10)
    reduced.carry()
    said = reduced.write("accept")
    assert said.startswith("not done: this thread is about ALJa1500")
    assert "ALJa150099 version 1 is accepted" in reduced.write("accept ALJa150099")


def test_edits_bots_and_posts_outside_threads_are_no_replies() -> None:
    plain = {"type": "message", "user": "U1EVA", "channel": "C1", "ts": "2.0", "text": "accept"}
    below = {**plain, "thread_ts": "1.0"}
    assert [said.thread for said in said_with("events_api", {"event": below})] == ["1.0"]
    for other in (
        plain,
        {**below, "subtype": "message_changed"},
        {**below, "bot_id": "B1"},
        {**below, "type": "reaction_added"},
    ):
        assert said_with("events_api", {"event": other}) == []
    assert said_with("slash_commands", {"command": "/accept"}) == []
    foreign = {"type": "block_actions", "actions": [{"action_id": "other.app", "value": "x"}]}
    assert said_with("interactive", foreign) == []


def test_threads_of_nights_long_past_are_not_read(reduced: Channel) -> None:
    now = reduced.bench.clock.now()
    assert len(reduced.bench.archive.threads("slack", OPENING, now)) == 0
    notices = reduced.bench.archive.notices(Topic.CHANGE)
    assert all(each.message.to == ("slack",) for each in notices if "answer" in each.message.key)


def test_people_of_a_programme_judge_its_own_frames_and_no_others(reduced: Channel) -> None:
    own = reduced.hall.frame(SCIENCE).identity.programme
    config = reduced.bench.config
    said = Said(
        user="U3ZOE", channel="C1", thread=reduced.thread, mark="1900000000.000100",
        text=f"accept {STEM}",
    )  # fmt: skip

    def allowed(programme: str) -> str:
        rules = {programme: Programme(open=True, users=("U3ZOE",)), "*": Programme(open=True)}
        return hear(reduced.bench.archive, replace(config, programmes=rules), said)

    refused = allowed("99-999")
    assert refused.startswith("not done: U3ZOE may not do this")
    assert f'[programmes."{own}"] users' in refused
    said = replace(said, mark="1900000000.000200")
    assert "is accepted by slack:U3ZOE" in allowed(own)
