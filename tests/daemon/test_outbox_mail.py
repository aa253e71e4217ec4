"""Mail: every mailbox by itself, every fault, hostile text, and the folder without a server."""

from __future__ import annotations

import email
import ssl
from dataclasses import replace
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config import Config, Mail, Paths, Programme
from daemon.memory.messages import DeliveryState, Message, Topic
from daemon.outbox.harmless import one_line, slack_text, visible
from daemon.outbox.mail import MailSink
from daemon.outbox.mail_text import mail_of
from daemon.outbox.sink import Letter, TryAgain
from tests.daemon.hand_clock import START
from tests.daemon.post_office import PostOffice
from tests.daemon.smtp_server import mail_server

NIGHT = "2026-11-20"
REPORT = Message(
    key="report:2026-11-20:1",
    topic=Topic.REPORT,
    subject="[ALFOSC 2026-11-20] GREEN",
    text="All well.\n.\nEnd",
    html="<p>All well.</p>",
    night=NIGHT,
)


@pytest.fixture
def server():
    with mail_server() as made:
        yield made


@pytest.fixture
def post(tmp_path, server):
    mail = Mail(
        host="127.0.0.1",
        port=server.server_address[1],
        security="none",
        sender="alfoscd@not.iac.es",
        recipients=("a@x.org", "b@x.org"),
        timeout_s=30.0,
    )
    made = PostOffice(Config(paths=Paths(root=tmp_path), mail=mail))
    yield made
    made.engine.dispose()


def test_each_mailbox_gets_the_report_once(post, server):
    post.archive.queue_message(REPORT)
    post.run()
    assert [who for who, _ in server.mails] == ["a@x.org", "b@x.org"]
    mail = email.message_from_bytes(server.mails[0][1], policy=default)
    assert mail["Subject"] == REPORT.subject
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == REPORT.text + "\n"
    assert "All well." in mail.get_body(("html",)).get_content()


@pytest.mark.parametrize(
    "script",
    [
        {"RCPT": ["451 4.7.1 greylisted, come back later"]},
        {"RCPT": ["452 4.2.2 mailbox full"]},
        {"MAIL": ["421 too busy"]},
        {"CONNECT": ["421 not now"]},
        {"CONNECT": ["drop"]},
        {"EHLO": ["drop"]},
        {"DATA": ["451 not now"]},
        {"END": ["451 try again"]},
        {"RCPT": ["drop"]},
    ],
)
def test_what_passes_is_waited_for_and_nobody_gets_two(post, server, script):
    server.script = script
    post.archive.queue_message(REPORT)
    post.run()
    assert sorted(who for who, _ in server.mails) == ["a@x.org", "b@x.org"]
    assert post.states(REPORT.key) == ["sent", "sent"]


def test_greylisting_of_one_mailbox_does_not_hold_up_the_other(post, server):
    server.script = {"RCPT": ["451 greylisted"]}
    post.archive.queue_message(REPORT)
    post.courier.step()
    assert [who for who, _ in server.mails] == ["b@x.org"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"RCPT": ["550 5.1.1 no such user"]}, "550 5.1.1 no such user"),
        ({"RCPT": ["552 5.2.2 mailbox full"]}, "552"),
        ({"END": ["554 message refused"]}, "554"),
    ],
)
def test_a_refused_mailbox_is_explained_and_the_other_is_served(post, server, script, words):
    server.script = script
    post.archive.queue_message(REPORT)
    post.run()
    assert [who for who, _ in server.mails] == ["b@x.org"]
    (dead,) = post.archive.undelivered(5)
    assert words in dead.error
    assert "To do:" in dead.error


def test_a_mail_whose_answer_is_lost_is_repeated_under_the_same_message_id(post, server):
    server.script = {"END": ["stored-drop"]}
    post.archive.queue_message(replace(REPORT, to=("mail",)))
    post.run()
    ids = [
        email.message_from_bytes(mail, policy=default)["Message-ID"]
        for who, mail in server.mails
        if who == "a@x.org"
    ]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert post.states(REPORT.key) == ["sent", "sent"]


def test_a_wrong_password_is_told_once_and_not_tried_for_each_mail(post, server):
    post.restart(replace(post.config, mail=replace(post.config.mail, user="alfosc")))
    server.script = {"AUTH": ["535 5.7.8 wrong"] * 50}
    for number in range(3):
        post.archive.queue_message(replace(REPORT, key=f"r{number}"))
    post.run()
    assert sum(each.startswith("AUTH PLAIN") for each in server.commands) == 2  # per mailbox
    dead = post.archive.undelivered(20)
    assert all("smtp-password" in each.error for each in dead)
    assert post.archive.revive("mail") >= 6


def test_starttls_is_asked_for_and_a_server_without_it_gets_nothing(post, server):
    post.restart(replace(post.config, mail=replace(post.config.mail, security="starttls")))
    post.archive.queue_message(REPORT)
    post.run(hours=0.1)
    assert server.mails == []
    assert not any(each.startswith("MAIL") for each in server.commands)
    assert "STARTTLS" in post.archive.deliveries_of(REPORT.key)[0].error


def test_a_server_that_speaks_no_tls_is_an_outage(server):
    settings_ = Mail(host="127.0.0.1", port=server.server_address[1], security="tls", timeout_s=1)
    sink = MailSink(settings_, "", ssl.create_default_context())
    answer = sink.send(letter(REPORT))
    assert isinstance(answer, TryAgain)


def test_a_server_that_is_not_there_is_given_up_after_a_day(post, server):
    server.server_close()
    post.restart(replace(post.config, mail=replace(post.config.mail, port=1)))
    post.archive.queue_message(REPORT)
    post.run(hours=26, step_s=900)
    assert post.states(REPORT.key) == ["dead", "dead"]
    assert "given up after 24 h" in post.archive.undelivered(1)[0].error


def test_a_programme_gets_mail_about_its_own_frames_only(post, server):
    rules = {"61-001": Programme(mail=("pi@uni.edu",)), "61-002": Programme()}
    post.restart(replace(post.config, programmes=rules))
    for number in (1, 2):
        message = replace(REPORT, key=f"r{number}", programme=f"61-00{number}")
        post.archive.queue_message(message)
    post.run()
    assert [who for who, _ in server.mails] == ["pi@uni.edu"]
    kept = post.archive.deliveries_of("r2")
    assert {each.state for each in kept} == {DeliveryState.WITHHELD}


def test_without_a_server_mails_are_written_into_the_folder_of_the_night(tmp_path):
    post = PostOffice(Config(paths=Paths(root=tmp_path)))
    post.archive.queue_message(REPORT)
    post.run()
    folder = tmp_path / NIGHT / "report"
    (eml,) = folder.glob("*.eml")
    (html,) = folder.glob("*.html")
    assert "All well." in html.read_text()
    mail = email.message_from_bytes(eml.read_bytes(), policy=default)
    assert mail["Subject"] == REPORT.subject
    post.archive.queue_message(REPORT)
    post.run()
    assert len(list(folder.iterdir())) == 2
    post.engine.dispose()


def letter(message, address="a@x.org"):
    return Letter(message=message, address=address, since=START)


HOSTILE = st.text(
    st.sampled_from("aé\u202e\u200f\0\r\n\t<>&@\ud800:,;\"'\\*_~`|=+-") | st.characters(),
    max_size=300,
)


@given(HOSTILE, HOSTILE)
@settings(max_examples=150, deadline=None)
def test_no_text_can_add_a_header_or_a_second_mail(subject, text):
    message = replace(REPORT, subject=subject, text=text or "x", night=subject, html=text)
    mail = mail_of(letter(message), "alfoscd@not.iac.es")
    raw = mail.as_bytes()
    back = email.message_from_bytes(raw, policy=default)
    assert sorted(back.keys()) == sorted(mail.keys())
    assert back["To"] == "a@x.org"
    assert not {"\r", "\n", "\0", "\u202e"} & set(str(back["Subject"]))


@given(
    HOSTILE | st.sampled_from(["<!channel>", "@channel @here", "<@U1>", "x" * 5000, "&<" * 3000])
)
@settings(max_examples=150, deadline=None)
def test_slack_finds_nothing_to_obey_in_any_text(text):
    made = slack_text(text)
    assert "<" not in made
    assert ">" not in made
    assert "@channel" not in made.lower()
    assert "@here" not in made.lower()
    assert "\0" not in made
    assert "\u202e" not in made
    assert len(made) <= 4000
    assert made.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&") == 0
    made.encode("utf-8")


def test_ordinary_text_stays_as_it_is():
    assert visible("SN 2026abc σ = 0.3\nα Ori\t½") == "SN 2026abc σ = 0.3\nα Ori\t½"
    assert slack_text("R & D <3") == "R &amp; D &lt;3"
    assert one_line("a\r\nBcc: x", 50) == "a Bcc: x"
    assert slack_text("y" * 5000).endswith("more characters)")
