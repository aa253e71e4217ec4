"""A product that replaces itself tells what changed, does so a few times, and asks the accepted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

import pytest

from calibration_store.records import MasterState
from daemon.config import Calibration, Programme, Slack
from daemon.memory.database import writing
from daemon.memory.messages import Topic
from daemon.memory.records import Decision, Verdict
from daemon.publish.upgrade_text import redo_command
from daemon.work.plan import reduce_request
from daemon.work.upgrades import Upgrade, tell_change
from tests.daemon.hall import ARC, BIASES, SCIENCE, Contents, Hall, simulated

HEARD = {"slack": Slack(channel="C1"), "programmes": {"*": Programme(open=True)}}


@pytest.fixture(scope="module")
def contents() -> Contents:
    return simulated()


def told(hall: Hall, topic: Topic) -> list[str]:
    return [each.message.text for each in reversed(hall.bench.archive.notices(topic))]


def again(hall: Hall) -> None:
    hall.bench.queue.submit(reduce_request(hall.frame(SCIENCE), priority=1, now=hall.clock.now()))
    hall.work()


def test_an_upgrade_is_measured_against_what_it_replaces(
    tmp_path: Path, contents: Contents
) -> None:
    hall = Hall(tmp_path, contents, **HEARD)
    hall.put(SCIENCE)
    hall.work()
    assert not any(name.startswith("upgrade_") for name in hall.product().measurements)
    hall.put(*BIASES, ARC)
    hall.work(until_s=4000)
    found = hall.product().measurements
    assert found["upgrade_count"] >= 1
    assert {"upgrade_flux_ratio", "upgrade_flux_scatter"} <= found.keys()
    # The simulated frame was as good without: a change below its limits is no news.
    assert abs(found["upgrade_shift_px"]) < 0.2
    assert told(hall, Topic.CHANGE) == []
    hall.redo(settings={"cosmic_sigma": 6.0})
    assert "upgrade_count" not in hall.product().measurements
    hall.bench.engine.dispose()


def test_a_change_beyond_its_limits_is_one_message_in_the_thread_of_the_target(
    tmp_path: Path, contents: Contents
) -> None:
    hall = Hall(tmp_path, contents, **HEARD)
    hall.put(SCIENCE)
    hall.work()
    frame, before = hall.frame(SCIENCE), hall.product()
    moved = {"upgrade_shift_px": 1.0, "upgrade_shift_angstrom": 7.1}
    product = replace(before, generation=2, measurements=moved)
    upgrade = Upgrade(frame=frame, before=before, count=1)
    for _ in range(2):
        with writing(hall.bench.engine) as session:
            tell_change(hall.bench, frame, product, upgrade, session)
    (notice,) = hall.bench.archive.notices(Topic.CHANGE)
    message = notice.message
    assert message.text.startswith("ALJa150017 v1 of ")
    assert "wavelengths moved by +7.10 A" in message.text
    assert (message.night, message.target) == (before.night, before.target)
    assert message.programme == frame.identity.programme != ""
    assert message.storm != ""
    hall.bench.engine.dispose()


def test_a_product_that_keeps_changing_stays_and_a_hint_says_so_but_a_ban_is_obeyed(
    tmp_path: Path, contents: Contents
) -> None:
    hall = Hall(tmp_path, contents, calibration=Calibration(most_upgrades=0), **HEARD)
    hall.put(SCIENCE)
    hall.work()
    first = hall.product()
    hall.put(*BIASES)
    hall.work(until_s=300)
    assert hall.product() == first
    (hint,) = told(hall, Topic.HINT)
    assert "was replaced 0 times by itself and stays as it is" in hint
    assert "BIAS: master_bias" in hint
    assert "alfoscd redo ALJa150017" in hint
    asked = hall.redo()
    bias = next(item for item in hall.bench.store.everything() if item.role == "BIAS")
    hall.bench.store.set_state(bias.key, MasterState.BANNED, "a test")
    again(hall)
    assert hall.product().key != asked.key
    hall.bench.engine.dispose()


def test_what_a_person_accepted_is_offered_better_calibrations_and_not_given_them(
    tmp_path: Path, contents: Contents
) -> None:
    before = list(Path(gettempdir()).glob("alfoscd-trial-*"))
    hall = Hall(tmp_path, contents, **HEARD)
    hall.put(SCIENCE)
    hall.work()
    asked = hall.redo(settings={"centroid_px": 45.0, "background_px": ((5.0, 20.0), (90.0, 110.0))})
    verdict = Verdict(decision=Decision.ACCEPTED, user="eva", at=hall.clock.now())
    hall.bench.archive.decide(asked, verdict)
    hall.put(*BIASES)
    hall.work(until_s=300)
    again(hall)
    assert hall.product().key == asked.key
    (offer,) = told(hall, Topic.CHANGE)
    assert "was accepted by eva and stays" in offer
    assert "BIAS: master_bias" in offer
    assert re.search(r"Tried out, that gives: S/N [\d.]+ -> [\d.]+, .*flux x [01]\.\d{3}", offer)
    assert list(Path(gettempdir()).glob("alfoscd-trial-*")) == before
    assert "alfoscd redo ALJa150017 --center 45 --background 5:20,90:110" in offer
    hall.bench.engine.dispose()


def test_a_rejected_product_stays_rejected_when_the_daemon_makes_it_again_but_not_when_asked(
    tmp_path: Path, contents: Contents
) -> None:
    hall = Hall(tmp_path, contents, **HEARD)
    hall.put(SCIENCE)
    hall.work()
    first = hall.product()
    verdict = Verdict(decision=Decision.REJECTED, user="eva", at=hall.clock.now())
    hall.bench.archive.decide(first, verdict)
    hall.put(*BIASES)
    hall.work(until_s=300)
    again(hall)
    made = hall.product()
    assert made.key != first.key
    assert made.verdict == verdict
    assert made.own_verdict is None
    assert "rejected by eva as the version before" in told(hall, Topic.PRODUCT)[-1]
    assert "alfoscd redo ALJa150017 --accept" in told(hall, Topic.PRODUCT)[-1]
    assert hall.redo(settings={"cosmic_sigma": 6.0}).verdict is None
    hall.bench.engine.dispose()


def test_the_command_that_is_offered_asks_for_what_was_asked_before() -> None:
    asked = {"settings": {"find_cosmics": False, "region_px": [30, 60], "strange": "x; rm"}}
    said = redo_command("ALDc200205", asked)
    assert said == "alfoscd redo ALDc200205 --skip-cr --region 30:60"
