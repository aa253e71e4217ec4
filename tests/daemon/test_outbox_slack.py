"""Exactly one post for each message, whatever Slack answers and whenever the courier dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.config import Config, Outbox, Paths, Programme, Slack
from daemon.memory.messages import DeliveryState, Message, Topic
from daemon.outbox.courier import Courier
from daemon.outbox.sinks import open_sinks
from tests.daemon.post_office import PostOffice
from tests.daemon.slack_server import serving

NIGHT = "2026-11-20"
TOKEN = {"ALFOSCD_SLACK_TOKEN": "xoxb-test"}


@pytest.fixture
def slack():
    with serving() as server:
        yield server


@pytest.fixture
def post(tmp_path, slack):
    settings = Slack(channel="C1", api_url=slack.url, timeout_s=30.0, pace_s=0.0)
    made = PostOffice(Config(paths=Paths(root=tmp_path), slack=settings), TOKEN)
    yield made
    made.engine.dispose()


def product(number=1, target="SN 2026abc", plot=None, **more):
    return Message(
        key=f"product:{number}",
        topic=Topic.PRODUCT,
        text=f"ALDk2000{number:02d} {target}",
        night=NIGHT,
        target=target,
        attachments=(plot,) if plot else (),
        **more,
    )


@pytest.fixture
def plot(tmp_path):
    path = tmp_path / "verify_ALDk200031.png"
    path.write_bytes(b"\x89PNG picture")
    return path


def test_a_night_has_one_post_a_target_one_thread_and_each_product_one_reply(post, slack, plot):
    post.archive.queue_message(product(1, plot=plot))
    post.archive.queue_message(product(2, plot=plot))
    post.archive.queue_message(product(3, target="GRB 260101A"))
    post.run()
    roots = [each["text"] for each in slack.posts if not each["thread_ts"]]
    assert roots == [f"Night {NIGHT}", f"SN 2026abc, night {NIGHT}", f"GRB 260101A, night {NIGHT}"]
    by_ts = {each["ts"]: each["text"] for each in slack.posts}
    replies = [(by_ts[p["thread_ts"]], p["text"]) for p in slack.posts if p["thread_ts"]]
    assert replies == [
        (f"SN 2026abc, night {NIGHT}", "ALDk200001 SN 2026abc"),
        (f"SN 2026abc, night {NIGHT}", "ALDk200002 SN 2026abc"),
        (f"GRB 260101A, night {NIGHT}", "ALDk200003 GRB 260101A"),
    ]
    assert [each["content"] for each in slack.files.values()] == [plot.read_bytes()] * 2


FAULTS = [
    "429:7",
    "500",
    "503",
    "504",
    "408",
    "hang",
    "reset",
    "stored-408",
    "stored-504",
    "stored-500",
    "stored-hang",
    "stored-reset",
    "fatal_error",
    "stored-fatal_error",
    "stored-internal_error",
]


def bear(post, fault):
    """Wait for a slow answer, but not for one that never comes."""
    if "hang" in fault:
        post.restart(replace(post.config, slack=replace(post.config.slack, timeout_s=0.3)))


@pytest.mark.parametrize("fault", FAULTS)
def test_exactly_one_post_whatever_slack_answers(post, slack, fault):
    bear(post, fault)
    slack.faults = [fault, fault] if not fault.startswith("stored") else [fault]
    post.archive.queue_message(Message(key="k", topic=Topic.ALERT, text="New source"))
    post.run()
    assert slack.texts() == ["New source"]
    assert post.states("k") == ["sent", "sent"]  # the other one is the mail in the folder


@pytest.mark.parametrize("fault", FAULTS)
def test_exactly_one_picture_whatever_slack_answers(post, slack, plot, fault):
    post.archive.queue_message(product(1))
    post.run()
    bear(post, fault)
    slack.faults = [fault]
    post.archive.queue_message(product(2, plot=plot))
    post.run()
    shown = [each for each in slack.posts if each["files"]]
    assert [each["text"] for each in shown] == ["ALDk200002 SN 2026abc"]
    assert post.states("product:2") == ["sent"]


def test_a_repeat_waits_as_long_as_slack_asks(post, slack):
    slack.faults = ["429:300"]
    post.archive.queue_message(Message(key="k", topic=Topic.HINT, text="Take an arc"))
    post.courier.step()
    post.clock.time += timedelta(seconds=299)
    assert post.courier.step() == 0
    assert slack.texts() == []
    post.clock.time += timedelta(seconds=2)
    post.courier.step()
    assert slack.texts() == ["Take an arc"]


def test_a_look_that_fails_repeats_nothing(post, slack):
    slack.faults, slack.read_faults = ["stored-504"], ["500", "reset", "429:60"]
    post.archive.queue_message(Message(key="k", topic=Topic.HINT, text="Take an arc"))
    post.run()
    assert slack.texts() == ["Take an arc"]
    assert post.states("k") == ["sent"]


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


@pytest.mark.parametrize("with_plot", [False, True])
@pytest.mark.parametrize("point", range(12))
def test_a_courier_killed_at_any_point_leaves_one_post(post, slack, plot, point, with_plot):
    """Kill it at every write to the database, before or after what it sent."""
    post.archive.queue_message(product(1, plot=plot if with_plot else None))
    real, count = post.archive.mark, iter(range(1000))

    def mark(*arguments, **values):
        if next(count) == point:
            raise Killed
        real(*arguments, **values)

    post.courier._archive = type(
        "Dying", (), {"__getattr__": lambda _, n: getattr(post.archive, n)}
    )()
    post.courier._archive.mark = mark
    died = False
    try:
        post.courier.step()
    except Killed:
        died = True
    assert died == (point < 9)
    post.restart()
    post.run()
    assert slack.texts() == [
        f"Night {NIGHT}",
        f"SN 2026abc, night {NIGHT}",
        "ALDk200001 SN 2026abc",
    ]


def test_a_revoked_token_gives_one_notice_elsewhere_and_loses_nothing(post, slack, tmp_path):
    slack.faults = ["token_revoked"]
    for number in range(1, 5):
        post.archive.queue_message(product(number))
    post.run()
    assert slack.calls.count("chat.postMessage") == 1  # no loop
    assert {each for n in range(1, 5) for each in post.states(f"product:{n}")} == {"dead"}
    (letter,) = (tmp_path / "spool").glob("*.eml")
    assert "cannot reach slack C1" in letter.read_text()
    (dead, *_) = post.archive.undelivered(5)
    assert "the token was revoked" in dead.error
    assert "credential `slack-token`" in dead.error
    assert post.archive.revive("slack") == 5  # with the post that opens the night
    post.run()
    assert slack.texts()[-4:] == [f"ALDk2000{n:02d} SN 2026abc" for n in range(1, 5)]


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel"])
def test_a_dead_channel_is_explained(post, slack, error):
    slack.faults = [error]
    post.archive.queue_message(Message(key="k", topic=Topic.HINT, text="Take an arc"))
    post.run()
    (dead,) = post.archive.undelivered(5)
    assert error in dead.error
    assert "[slack] channel" in dead.error


def test_without_a_token_nobody_is_asked(post, slack):
    sinks = open_sinks(post.config, {})
    courier = Courier(post.config, post.archive, sinks)
    post.archive.queue_message(Message(key="k", topic=Topic.HINT, text="x"))
    courier.step()
    assert slack.calls == []
    assert "there is no token" in post.archive.deliveries_of("k")[0].error


def test_what_never_gets_through_is_given_up_after_a_day(post, slack):
    slack.faults = ["429:600"] * 1000
    post.archive.queue_message(Message(key="k", topic=Topic.ALERT, text="x", to=("slack",)))
    post.run(hours=26, step_s=600)
    (dead,) = post.archive.undelivered(5)
    assert dead.error.startswith("given up after 24 h")


def test_an_outage_ends_with_digests_that_name_each_product_once(post, slack, tmp_path):
    slack.faults = ["503"] * 1000
    for number in range(1, 81):
        plot = tmp_path / f"verify_{number}.png"
        plot.write_bytes(b"png")
        post.archive.queue_message(product(number, target=f"T{number % 9}", plot=plot))
        post.courier.step()
        post.clock.time += timedelta(minutes=9)
    slack.faults = []
    post.run()
    digests = [each for each in slack.posts if "messages of" in each["text"]]
    assert [len(each["files"]) for each in digests] == [10, 10]
    assert len(slack.posts) <= 4
    told = post.archive.count_deliveries()[DeliveryState.GATHERED]
    assert told >= 79
    assert sum(each["text"].count("•") for each in digests) == told
    assert sum(int(each["text"].split(" messages")[0]) for each in digests) == told
    assert str(tmp_path / "verify_2.png") in digests[0]["text"]
    assert not any("more characters" in each["text"] for each in digests)
    titles = [line for text in slack.texts() for line in text.splitlines()]
    for number in range(1, 81):
        (one,) = post.archive.deliveries_of(f"product:{number}")
        assert one.state in (DeliveryState.GATHERED, DeliveryState.SENT)
        name = f" {one.message.title} "
        assert sum(name in f" {line.removesuffix('.')} " for line in titles) == 1, name


def test_a_digest_is_one_post_even_if_its_answer_is_lost(post, slack):
    for number in range(1, 31):
        post.archive.queue_message(product(number))
    slack.faults = ["", "stored-504"]
    post.run()
    assert sum("30 messages" in each for each in slack.texts()) == 1
    assert len(slack.posts) == 2


def test_a_storm_is_counted(post, slack):
    for number in range(40):
        message = Message(
            key=f"h{number}", topic=Topic.HINT, text=f"frame {number} suspicious", storm="wcs"
        )
        post.archive.queue_message(message)
        post.courier.step()
        post.clock.time += timedelta(seconds=20)
    assert len(slack.posts) == 5
    post.run(hours=2)
    assert len(slack.posts) == 6
    assert slack.texts()[-1].startswith("35 more of this kind")
    assert "frame 39" in slack.texts()[-1]


def test_only_the_newest_of_a_slot_is_posted(post, slack):
    post.archive.queue_message(Message(key="1", topic=Topic.HINT, text="no arc", slot="debt"))
    post.archive.queue_message(Message(key="2", topic=Topic.HINT, text="no flat", slot="debt"))
    post.run()
    assert slack.texts() == ["no flat"]


def test_a_deleted_conversation_does_not_swallow_its_replies(post, slack):
    post.archive.queue_message(product(1))
    post.run()
    slack.posts.clear()
    post.archive.queue_message(product(2))
    post.run()
    assert slack.texts() == ["ALDk200002 SN 2026abc"]


def test_a_closed_programme_is_withheld_and_says_how_to_open_it(post, slack):
    post.archive.queue_message(product(1, programme="61-001"))
    post.run()
    assert slack.posts == []
    (kept,) = post.archive.deliveries_of("product:1")
    assert kept.state is DeliveryState.WITHHELD
    assert '[programmes."61-001"]' in kept.error


@pytest.mark.parametrize(
    ("programmes", "channels"),
    [
        ({"61-001": Programme(open=True)}, {"C1"}),
        ({"*": Programme(open=True)}, {"C1"}),
        ({"61-001": Programme(slack_channel="C2")}, {"C2"}),
        ({"61-001": Programme(open=True, slack_channel="C2")}, {"C1", "C2"}),
        ({"61-001": Programme(), "*": Programme(open=True)}, set()),
    ],
)
def test_a_programme_is_told_where_its_section_says(post, slack, programmes, channels):
    slack.channels.add("C2")
    post.config = replace(post.config, programmes=programmes)
    post.restart()
    post.archive.queue_message(product(1, programme="61-001"))
    post.run()
    assert {each["channel"] for each in slack.posts if each["thread_ts"]} == channels


def test_a_message_that_breaks_a_sink_does_not_stop_the_others(post, slack):
    class Broken:
        has_threads, pace_s = False, 0.0

        def prepare(self, letter):
            raise RuntimeError("defect")

        send = find = prepare

    post.courier._sinks = {**post.courier._sinks, "webhook.x": Broken()}
    post.archive.queue_message(Message(key="k", topic=Topic.HINT, text="x"))
    post.archive.queue_message(Message(key="b", topic=Topic.HINT, text="x", to=("webhook.x",)))
    post.archive.route_notice(post.archive.notices()[0].id, [("webhook.x", "u", "")])
    post.run(hours=0.2)
    assert slack.texts() == ["x"]
    assert "a defect in the sink" in post.archive.deliveries_of("b")[0].error


def test_settings_of_the_outbox_are_obeyed(post, slack):
    post.config = replace(post.config, outbox=Outbox(digest_above=2))
    post.restart()
    for number in range(1, 4):
        post.archive.queue_message(product(number))
    post.run()
    assert sum("3 messages" in each for each in slack.texts()) == 1


def test_a_digest_names_every_message_before_the_place_of_any_picture(post, slack, tmp_path):
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    for number in range(1, 31):
        plot = folder / f"verify_{number}.png"
        plot.write_bytes(b"png")
        post.archive.queue_message(product(number, plot=plot))
    post.run()
    (digest,) = [text for text in slack.texts() if "30 messages" in text]
    assert digest.count("•") == 30
    assert "more characters" not in digest
