"""Notices in the spool: each read once, told of when it is bad, matched with images."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from daemon.cli.main import main
from daemon.memory.records import JobKind, JobState
from daemon.sections import Triggers
from daemon.status import read_status
from daemon.triggers.listen import listen
from daemon.triggers.matching import localisations_for, separation_deg
from daemon.triggers.spool import drop, waiting_in
from daemon.triggers.watch import SpoolWatch, triggers_request
from daemon.work.trigger_notices import images_concerned, read_triggers
from reducers.transients.notices.reading import LARGEST_BYTES, read_notice
from tests.daemon.hall import NOON, Hall
from tests.daemon.image_hall import IMAGES, planned, simulated_images
from tests.reducers.transients.notices_by_hand import (
    einstein_probe,
    fermi_gbm,
    swift_bat,
    swift_json,
    swift_xrt,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: An image of half an hour after the hall's noon.
HERE, RADIUS_DEG = (150.0, 2.2), 0.08
T0 = (NOON - timedelta(minutes=30)).isoformat()


class TriggerHall(Hall):
    """A hall with a spool."""

    @property
    def spool(self) -> Path:
        return self.bench.config.trigger_spool

    @property
    def tasks(self) -> dict[JobKind, object]:
        return {**super().tasks, JobKind.TRIGGERS: partial(read_triggers, self.bench)}

    def drop(self, *contents: bytes, age_s: float = 60.0) -> None:
        """Let notices come, the first so long ago, and read them."""
        for number, content in enumerate(contents):
            path = drop(self.spool, f"{number}.xml" if content[:1] == b"<" else "n.json", content)
            then = self.clock.now().timestamp() - age_s
            os.utime(path, (then, then))
        self.bench.queue.submit(triggers_request(self.clock.now()))
        self.work({JobKind.TRIGGERS})

    def kinds(self, when: datetime | None = None, **settings: float) -> list[str]:
        found = localisations_for(
            self.bench.archive, HERE, RADIUS_DEG, when or NOON, Triggers(**settings)
        )
        return [each.kind for each in found]


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[TriggerHall]:
    hall = TriggerHall(tmp_path, {})
    yield hall
    hall.bench.engine.dispose()


def test_notices_fill_the_circles_of_an_image(hall: TriggerHall) -> None:
    hall.drop(swift_bat(when=T0), swift_xrt(when=T0))
    bat, xrt = localisations_for(hall.bench.archive, HERE, RADIUS_DEG, NOON)
    assert (bat.kind, xrt.kind, bat.event) == ("BAT", "XRT", "Swift 1253910")
    assert bat.happened_at == NOON - timedelta(minutes=30)
    assert not waiting_in(hall.spool)
    assert len(list((hall.spool / "taken").iterdir())) == 2


def test_a_notice_that_comes_twice_counts_once(hall: TriggerHall) -> None:
    hall.drop(swift_bat(when=T0))
    hall.drop(swift_bat(when=T0))
    assert len(hall.bench.archive.triggers()) == 1
    assert not waiting_in(hall.spool)


def test_a_drill_and_a_retracted_event_colour_nothing(hall: TriggerHall) -> None:
    hall.drop(swift_bat(when=T0, role="test"))
    assert hall.kinds() == []
    gone = swift_bat(
        serial=2, when=T0, issued="2026-11-21T21:05:00", params={"Def_NOT_a_GRB": "true"}
    )
    hall.drop(gone, swift_xrt(when=T0))
    assert hall.kinds() == [], "the retraction was issued last, though it came first"
    assert len(hall.bench.archive.triggers()) == 3


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (swift_bat(when=T0, ra=150.14), ["BAT"]),
        (swift_bat(when=T0, ra=151.0), []),
        (swift_bat(when=(NOON + timedelta(minutes=50)).isoformat()), ["BAT"]),
        (swift_bat(when=(NOON + timedelta(minutes=70)).isoformat()), []),
        (swift_bat(when=(NOON - timedelta(days=6.9)).isoformat()), ["BAT"]),
        (swift_bat(when=(NOON - timedelta(days=7.1)).isoformat()), []),
        (fermi_gbm(115, when=T0, error_deg=3.0), []),
        (swift_json("BAT", trigger_time=T0), []),
    ],
)
def test_a_circle_counts_where_it_touches_the_image_in_its_time(
    hall: TriggerHall, content: bytes, seen: list[str]
) -> None:
    hall.drop(content)
    assert hall.kinds() == seen


def test_a_larger_circle_counts_when_the_site_wants_it(hall: TriggerHall) -> None:
    hall.drop(fermi_gbm(115, when=T0, error_deg=3.0))
    assert hall.kinds(largest_arcmin=600) == ["BAT"]


def test_circles_reach_across_the_meridian_and_the_pole(hall: TriggerHall) -> None:
    hall.drop(swift_bat(when=T0, ra=0.01, dec=0.0), swift_bat(7, when=T0, ra=10.0, dec=89.99))
    around_zero = localisations_for(hall.bench.archive, (359.99, 0.0), 0.01, NOON)
    at_the_pole = localisations_for(hall.bench.archive, (190.0, 89.99), 0.01, NOON)
    assert [each.event for each in around_zero] == ["Swift 1253910"]
    assert [each.event for each in at_the_pole] == ["Swift 7"]
    assert separation_deg((0.0, 90.0), (123.0, -90.0)) == pytest.approx(180.0)


def test_what_cannot_be_read_is_set_aside_with_its_reason_and_told(hall: TriggerHall) -> None:
    hall.drop(b"<html>&nope;</html>")
    (moved,) = [p for p in (hall.spool / "bad").iterdir() if p.suffix == ".xml"]
    assert "no well-formed XML" in moved.with_name(moved.name + ".why.txt").read_text()
    assert not waiting_in(hall.spool)
    config = hall.bench.config
    status = read_status(config.database, now=NOON)
    assert "1 notice unread: `alfoscd trigger list`" in status.why
    later = read_status(config.database, now=NOON + timedelta(days=2))
    assert not any("notice" in why for why in later.why)


def test_a_notice_that_is_still_being_written_is_waited_for(hall: TriggerHall) -> None:
    whole = swift_bat(when=T0)
    path = drop(hall.spool, "slow.xml", whole[:300])
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    hall.bench.queue.submit(triggers_request(hall.clock.now()))
    hall.work({JobKind.TRIGGERS})
    assert hall.bench.archive.triggers() == []
    path.write_bytes(whole)
    hall.work({JobKind.TRIGGERS}, until_s=10)
    assert hall.kinds() == ["BAT"]


def test_what_is_no_plain_notice_is_left_alone_or_set_aside(hall: TriggerHall) -> None:
    hall.spool.mkdir(parents=True)
    os.mkfifo(hall.spool / "pipe.xml")
    (hall.spool / "loop.json").symlink_to("loop.json")
    (hall.spool / "folder.xml").mkdir()
    (hall.spool / "note.txt").write_text("not ours")
    huge = hall.spool / "huge.xml"
    with huge.open("wb") as stream:
        stream.truncate(LARGEST_BYTES + 1)
    os.utime(huge, (NOON.timestamp() - 60,) * 2)
    hall.drop()
    left = {path.name for path in hall.spool.iterdir()}
    assert left == {"pipe.xml", "loop.json", "folder.xml", "note.txt", "bad"}
    assert "no notice has" in hall.bench.archive.triggers()[0].reason


def test_hostile_names_stay_inside_the_spool(hall: TriggerHall) -> None:
    path = drop(hall.spool, "../../etc/<script>.xml", swift_bat())
    assert path.parent == hall.spool
    assert path.name.startswith("etc_script")


def test_a_new_circle_concerns_the_images_it_reaches_once(hall: TriggerHall) -> None:
    image = planned()[8]
    hall.contents = simulated_images()
    hall.put(IMAGES[0])
    observed = hall.frame(IMAGES[0]).identity.observed_at
    assert observed is not None
    hall.clock.seconds = (observed + timedelta(days=1) - NOON).total_seconds()
    about = {"ra": image.ra_deg, "dec": image.dec_deg, "when": observed.isoformat()}

    def concerned(content: bytes) -> list[str]:
        hall.drop(content)
        return [each.stem for each in images_concerned(hall.bench, [read_notice(content)])]

    assert concerned(swift_bat(**about)) == [hall.frame(IMAGES[0]).stem]
    assert concerned(swift_bat(serial=2, **about)) == [], "it says the same"
    assert concerned(swift_xrt(**{**about, "dec": image.dec_deg + 20})) == [], "it is elsewhere"


def test_the_daemon_asks_for_a_look_when_a_notice_lies_there(hall: TriggerHall) -> None:
    watch = SpoolWatch(hall.spool, hall.bench.queue, hall.clock)

    def steps() -> list[str]:
        for _ in range(200):
            hall.clock.seconds += 0.6
            watch.step()
            if watch._errand is not None:
                watch._errand.is_back(wait_s=5)
            watch.step()
        return [job.key for job in hall.bench.queue.jobs(JobState.WAITING)]

    assert steps() == []
    drop(hall.spool, "a.json", einstein_probe())
    assert steps() == ["triggers"]


class Message:
    def __init__(self, content: bytes | None, error: str | None = None) -> None:
        self._content, self._error = content, error

    def error(self) -> str | None:
        return self._error

    def value(self) -> bytes | None:
        return self._content

    def topic(self) -> str:
        return "gcn.notices.einstein_probe.wxt.alert"


class Broker:
    """Hands out one batch, then nothing."""

    def __init__(self, *messages: Message) -> None:
        self.messages, self.topics = list(messages), []

    def subscribe(self, topics: list[str]) -> None:
        self.topics = topics

    def consume(self, num_messages: int, timeout: float) -> list[Message]:
        batch, self.messages = self.messages, []
        return batch


def test_what_gcn_sends_is_written_into_the_spool_and_errors_are_not(tmp_path: Path) -> None:
    content = einstein_probe()
    broker = Broker(Message(content), Message(None, "broker down"), Message(content))
    turns = iter([True, True, False])
    assert listen(broker, ("a.topic",), tmp_path, lambda: next(turns)) == 2
    (path,) = waiting_in(tmp_path)
    assert (broker.topics, path.read_bytes()) == (["a.topic"], content)


def test_a_circle_given_by_hand_goes_the_way_of_every_notice(
    hall: TriggerHall, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(hall.bench.config.root)]
    given = ["--ra", "10:00:00", "--dec=02:12:00", "--r90", "4.9", "--event", "<!channel> GRB"]
    assert main(["trigger", "add", *given, "--time", T0, *root]) == 0
    assert 'within 4.9" of 150.00000 +2.20000' in capsys.readouterr().out
    hall.drop()
    assert hall.kinds() == ["XRT"]
    assert main(["trigger", "list", *root]) == 0
    assert "<!channel> GRB" in capsys.readouterr().out
    assert main(["trigger", "retract", "<!channel> GRB", *root]) == 0
    hall.drop()
    assert hall.kinds() == []


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--ra", "150"],
        ["--ra", "150", "--dec", "95", "--r90", "3"],
        ["--ra", "150", "--dec", "9", "--r90", "3", "--time", "soon"],
        ["/nowhere/n.xml"],
        ["/nowhere/n.xml", "--ra", "1"],
    ],
)
def test_what_is_no_circle_is_refused_at_once(
    tmp_path: Path, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trigger", "add", *given, "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("alfoscd: ")
    assert not list(tmp_path.iterdir())


def test_listening_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trigger", "listen", "--root", str(tmp_path)]) == 2
    assert "[triggers] topics" in capsys.readouterr().err
