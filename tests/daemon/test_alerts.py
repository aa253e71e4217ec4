"""Who is told of what: rules, one name per place, closed programmes, hostile names."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from daemon.config import Programme
from daemon.memory.database import writing
from daemon.memory.messages import Topic
from daemon.memory.records import FrameRecord
from daemon.publish.alert_documents import json_bytes, voevent_of
from daemon.publish.alert_words import blocks_of, html_of, sexagesimal, subject_of, text_of
from daemon.sections import Alerts
from daemon.work.alerts import Finding, announce
from reducers.identity import FrameKind, Identity, Setup
from reducers.quality import Flag
from reducers.transients.alert import Alert, Change, SeenOn, Urgency, name_of, why_not
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.localisation import Colour, Localisation
from reducers.transients.notices.reading import read_notice
from tests.daemon.hall import NOON, Hall
from tests.daemon.test_archive import product, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.memory.messages import Message

T0 = NOON - timedelta(minutes=30)
XRT = Localisation(
    kind="XRT", ra_deg=150.119, dec_deg=2.2059, r90_arcsec=5.0, event="Swift 1253910",
    happened_at=T0, instrument="Swift XRT",
)  # fmt: skip
OPEN = {"72-010": Programme(alerts=True, slack_channel="C1")}
HOSTILE = "<!channel> @here *x* <https://evil|click> <b>&amp;\r\nBcc: a@b\x07"
GRAVE = Flag(
    name="NEAR_SATURATION", bit=2, quality=3, value=1, threshold=20, sentence="s", advice="a"
)
SLIGHT = replace(GRAVE, name="GHOST_PLACE", quality=2, sentence="It may be a reflection.")


def candidate(**how: Any) -> Candidate:
    usual: dict[str, Any] = {
        "number": 7, "x_px": 500.0, "y_px": 500.0, "ra_deg": 150.1192100, "dec_deg": 2.2058900,
        "position_error_arcsec": 0.08, "magnitude": 19.124, "magnitude_error": 0.031, "band": "r",
        "a_px": 2.0, "b_px": 2.0, "theta_deg": 0.0, "flux_auto": 9e4, "flux_auto_error": 3e2,
        "snr": 35.0, "colour": Colour.GREEN, "standing": Standing.NEW, "score": 0.93,
    }  # fmt: skip
    return Candidate(**{**usual, **how})


def frame(stem: str = "ALKk210101", programme: str = "72-010", target: str = "GRB") -> FrameRecord:
    identity = Identity(
        instrument="ALFOSC_FASU", kind=FrameKind.IMG_OBJECT,
        setup=Setup(x_binning=1, y_binning=1, window=(1, 2148, 1, 2102), readout="A",
                    filter="r_SDSS"),
        observed_at=NOON - timedelta(minutes=2), exposure_s=60.0, target=target,
        programme=programme, ra_deg=150.1, dec_deg=2.2,
    )  # fmt: skip
    return FrameRecord(
        id=1, stem=stem, revision=1, sha256=stem, path=None, night="2026-11-20",
        identity=identity, ingested_at=NOON, arrived_at=NOON,
    )  # fmt: skip


class AlertHall(Hall):
    """A hall that announces."""

    def tell(self, *found: Candidate, where: FrameRecord | None = None, **how: Any) -> list[Alert]:
        own = where or frame()
        own = replace(own, identity=replace(own.identity, instrument=self.instrument))
        finding = Finding(candidates=found, **{"localisations": (XRT,), **how})
        with writing(self.bench.engine) as session:
            return list(announce(self.bench, own, finding, session))

    @property
    def instrument(self) -> str:
        return next(iter(self.bench.instruments))

    @property
    def messages(self) -> list[Message]:
        return [each.message for each in reversed(self.bench.archive.notices())]

    @property
    def unsent(self) -> list[Message]:
        waiting = self.bench.archive.unrouted_notices(self.clock.now() + timedelta(days=9))
        return [each.message for each in waiting]


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[AlertHall]:
    hall = AlertHall(tmp_path, {}, programmes=OPEN)
    yield hall
    hall.bench.engine.dispose()


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (candidate(standing=Standing.UNVETTED), "not new"),
        (candidate(standing=Standing.VETOED), "not new"),
        (candidate(standing=Standing.KNOWN), "not new"),
        (candidate(magnitude=float("nan")), "no magnitude"),
        (candidate(magnitude_error=float("inf")), "no magnitude"),
        (candidate(dec_deg=float("nan")), "no place"),
        (candidate(vetoes=(GRAVE,)), "NEAR_SATURATION"),
    ],
)
def test_nobody_is_told_on_a_guess(hall: AlertHall, found: Candidate, reason: str) -> None:
    assert reason in why_not(found)
    assert hall.tell(found) == []
    assert hall.messages == []
    assert not (hall.bench.config.root / "alerts").exists()


@pytest.mark.parametrize(
    ("colour", "circles", "urgency"),
    [
        (Colour.GREEN, (XRT,), Urgency.PAGE),
        (Colour.ORANGE, (XRT,), Urgency.AT_ONCE),
        (Colour.RED, (XRT,), Urgency.DIGEST),
        (Colour.ORANGE, (), Urgency.DIGEST),
        (Colour.GREEN, (), Urgency.DIGEST),
    ],
)
def test_only_what_lies_in_a_circle_is_told_at_once(
    hall: AlertHall, colour: Colour, circles: tuple[Localisation, ...], urgency: Urgency
) -> None:
    (alert,) = hall.tell(candidate(colour=colour), localisations=circles)
    (message,) = hall.messages
    assert alert.urgency is urgency
    at_once = message.not_before is None or message.not_before <= hall.clock.now()
    assert at_once is (urgency is not Urgency.DIGEST)
    assert (message.topic, message.programme) == (Topic.ALERT, "72-010")


def test_a_source_keeps_its_name_and_is_told_of_once_in_a_day(hall: AlertHall) -> None:
    (first,) = hall.tell(candidate())
    moved = candidate(dec_deg=2.20589 + 1.5 / 3600)
    assert hall.tell(moved, where=frame("ALKk210102")) == []
    assert hall.tell(candidate(), where=frame()) == [], "the same image, reduced again"
    assert len(hall.messages) == 1
    (record,) = hall.bench.archive.alerts()
    assert (record.name, record.detections) == (first.name, 3)
    hall.clock.seconds = 25 * 3600
    (again,) = hall.tell(moved, where=frame("ALKk220001"))
    assert (again.name, again.change) == (first.name, Change.AGAIN)
    assert len(hall.messages) == 2
    (other,) = hall.tell(candidate(dec_deg=2.20589 + 3.5 / 3600))
    assert other.name != first.name


def test_a_better_class_is_one_update_and_no_new_alert(hall: AlertHall) -> None:
    (first,) = hall.tell(candidate(colour=Colour.ORANGE))
    (better,) = hall.tell(candidate(), where=frame("ALKk210102"))
    assert (better.name, better.change) == (first.name, Change.UPGRADE)
    assert subject_of(better).startswith("better placed: GREEN")
    assert hall.tell(candidate(colour=Colour.ORANGE), where=frame("ALKk210103")) == []
    assert hall.tell(candidate(), where=frame("ALKk210104")) == []
    (record,) = hall.bench.archive.alerts()
    assert (record.urgency, len(hall.messages)) == (Urgency.PAGE, 2)


def test_an_image_with_too_many_new_sources_is_doubted_once(hall: AlertHall) -> None:
    many = [candidate(number=n, dec_deg=2.2 + n / 100) for n in range(6)]
    assert hall.tell(*many) == []
    assert hall.tell(*many) == []
    (message,) = hall.messages
    assert message.topic is Topic.TROUBLE
    assert "6 new sources, more than can be true" in message.text
    assert hall.bench.archive.alerts() == []


def test_a_storm_of_alerts_ends_in_the_digest_with_one_warning(hall: AlertHall) -> None:
    for n in range(14):
        hall.tell(candidate(dec_deg=n / 10.0), where=frame(f"ALKk2101{n:02d}"))
    topics = [each.topic for each in hall.messages]
    urgent = [each for each in hall.unsent if each.key.startswith("alert:")]
    assert (topics.count(Topic.TROUBLE), len(urgent)) == (1, 10)
    (digest,) = [each for each in hall.unsent if each.slot]
    assert digest.text.startswith("4 new sources")


def test_what_no_satellite_told_of_goes_into_one_digest_in_the_morning(hall: AlertHall) -> None:
    hall.clock.seconds = -10 * 3600
    hall.tell(candidate(score=0.5), localisations=())
    hall.tell(candidate(dec_deg=3.0, score=0.9), localisations=(), where=frame("ALKk210102"))
    (digest,) = hall.unsent
    lines = digest.text.splitlines()
    assert lines[0] == "2 new sources in the night 2026-11-20 without a trigger"
    assert "+030000.0" in lines[1]
    assert digest.not_before is not None
    assert datetime(2026, 11, 21, 7, tzinfo=UTC) < digest.not_before < NOON


def test_what_nothing_proves_new_is_listed_in_the_digest_with_its_reason(hall: AlertHall) -> None:
    own = frame()
    unproved = candidate(standing=Standing.UNVETTED, reasons=("A star may be forgotten.",))
    at = record(hall.bench.archive, own.stem, own.stem, identity=own.identity, night=own.night)[0]
    made = replace(product(at, own.stem), night=own.night)
    hall.bench.archive.record_product(made)
    hall.bench.archive.record_candidates(made, [unproved])
    assert hall.tell(unproved, localisations=()) == []
    (digest,) = hall.unsent
    assert digest.text.splitlines()[0].startswith("1 source is in no catalogue")
    assert "r = 19.12" in digest.text
    assert digest.text.endswith("A star may be forgotten.")
    assert digest.programme == "72-010"
    hall.tell(candidate(), localisations=())
    (digest,) = hall.unsent
    assert "no catalogue" not in digest.text, "it is new now, and told as such"


def test_stamps_of_a_difference_follow_an_alert_once(hall: AlertHall, tmp_path: Path) -> None:
    hall.tell(candidate())
    on_difference = candidate(number=1, method="difference", reasons=("X does not show it.",))
    for _ in range(2):
        assert hall.tell(on_difference, pictures={1: (tmp_path / "stamps.png",)}) == []
    _, stamps = hall.messages
    assert stamps.attachments == (tmp_path / "stamps.png",)
    assert "on the difference too: X does not show it." in stamps.text


@pytest.mark.parametrize("programme", ["60-001", ""])
def test_a_programme_without_a_word_of_it_is_closed(hall: AlertHall, programme: str) -> None:
    (alert,) = hall.tell(candidate(), where=frame(programme=programme))
    assert hall.messages == []
    assert hall.bench.archive.alerts()[0].programme == (programme or "none")
    folder = hall.bench.config.root / "alerts" / "2026-11-20"
    assert {path.name for path in folder.iterdir()} == {f"{alert.name}.json", f"{alert.name}.xml"}


def test_a_section_for_all_others_opens_them_and_not_those_with_their_own(tmp_path: Path) -> None:
    rules = {"*": Programme(alerts=True), "60-001": Programme(open=True)}
    hall = AlertHall(tmp_path, {}, programmes=rules)
    hall.tell(candidate(), where=frame(programme="99-123"))
    hall.tell(candidate(dec_deg=9.0), where=frame("ALKk210102", programme="60-001"))
    assert [each.programme for each in hall.messages] == ["99-123"]
    hall.bench.engine.dispose()


def test_limits_are_settings(tmp_path: Path) -> None:
    hall = AlertHall(tmp_path, {}, programmes=OPEN, alerts=Alerts(most_per_frame=1))
    assert hall.tell(candidate(), candidate(number=8, dec_deg=3.0)) == []
    hall.bench.engine.dispose()


def an_alert(**how: Any) -> Alert:
    image = SeenOn(
        stem="ALKk210101", night="2026-11-20", target=HOSTILE, programme="72-010",
        telescope="NOT", instrument="ALFOSC", filter="r_SDSS", observed_at=NOON, exposure_s=60.0,
        limit_mag=21.93,
    )  # fmt: skip
    circle = replace(XRT, event=HOSTILE)
    found = candidate(vetoes=(SLIGHT,), **how)
    return Alert(
        name=name_of(found.ra_deg, found.dec_deg), candidate=found, image=image,
        urgency=Urgency.PAGE, localisations=(circle,),
    )  # fmt: skip


def test_a_text_says_all_that_decides_whether_to_look() -> None:
    text = text_of(an_alert())
    for words in (
        "GREEN: r = 19.12 ± 0.03 (AB) at 10:00:28.61 +02:12:21.2",
        "ALF-J100028.61+021221.2",
        '= 150.119210 +2.205890, 0.08" per axis',
        '0.8" from the middle of the circle of Swift XRT (r90 5.0")',
        "30 min after the event",
        "searched to 21.9",
        "It may be a reflection.",
    ):
        assert words in text, words


def test_hostile_names_ring_for_nobody_and_write_no_markup() -> None:
    alert = an_alert()
    assert "\n" not in subject_of(alert)
    assert "\r" not in text_of(alert)
    mrkdwn = json.dumps([block for block in blocks_of(alert) if block["type"] == "section"])
    assert "<" not in mrkdwn
    assert "@here" not in mrkdwn
    assert "@\\u2060here" in mrkdwn
    assert "&lt;!channel&gt;" in mrkdwn
    assert "<b>" not in html_of(alert)
    assert "&lt;https://evil|click&gt;" in html_of(alert)
    root = ET.fromstring(voevent_of(alert, NOON))
    (target,) = [each for each in root.iter("Param") if each.get("name") == "target"]
    assert "<!channel>" in (target.get("value") or "")


def test_the_documents_keep_the_place_to_a_milliarcsecond_and_are_read_back() -> None:
    alert = an_alert(ra_deg=150.1192103, dec_deg=-2.2058904, score=float("nan"))
    said = json.loads(json_bytes(alert, NOON))
    assert (said["ra"], said["dec"], said["score"]) == (150.1192103, -2.2058904, None)
    assert (said["schema_version"], said["alert_type"], said["class"]) == (
        "1.0",
        "initial",
        "GREEN",
    )
    assert said["ra_dec_error"] == pytest.approx(0.08 * 2.146 / 3600, rel=1e-3)
    voevent = voevent_of(alert, NOON)
    assert b"<C1>150.1192103</C1>" in voevent
    swift = voevent.replace(b"ivo://alfoscd/", b"ivo://nasa.gsfc.gcn/SWIFT#").replace(
        b"<What>",
        b'<What><Param name="Packet_Type" value="67"/><Param name="TrigID" value="1"/>',
    )
    circle = read_notice(swift).circle
    assert circle is not None
    assert (circle.ra_deg, circle.dec_deg) == (150.1192103, -2.2058904)


@pytest.mark.parametrize(
    ("ra", "dec", "name", "shown"),
    [
        (0.0, 0.0, "ALF-J000000.00+000000.0", "00:00:00.00 +00:00:00.0"),
        (359.9999999, -89.9999999, "ALF-J235959.99-895959.9", "00:00:00.00 -90:00:00.0"),
        (150.11921, 2.20589, "ALF-J100028.61+021221.2", "10:00:28.61 +02:12:21.2"),
    ],
)
def test_names_are_cut_and_places_are_rounded(ra: float, dec: float, name: str, shown: str) -> None:
    assert name_of(ra, dec) == name
    assert sexagesimal(ra, dec) == shown
