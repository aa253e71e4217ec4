"""A product is told of once, in the transaction that records it, whatever is done again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from daemon.config import Outbox, Programme, Slack
from daemon.memory.messages import Topic
from tests.daemon.hall import ARC, BIASES, SCIENCE, Contents, Hall, simulated

if TYPE_CHECKING:
    from pathlib import Path

OPEN = {"*": Programme(open=True)}


@pytest.fixture(scope="module")
def contents() -> Contents:
    return simulated()


def told(hall: Hall) -> list[str]:
    notices = hall.bench.archive.notices(Topic.PRODUCT)
    return [each.message.text for each in reversed(notices)]


def test_each_version_is_told_once_and_nothing_twice(tmp_path: Path, contents: Contents) -> None:
    hall = Hall(tmp_path, contents, slack=Slack(channel="C1"), programmes=OPEN)
    hall.put(SCIENCE)
    hall.work()
    (first,) = hall.bench.archive.notices(Topic.PRODUCT)
    message = first.message
    assert message.text.startswith("ALJa150017  ")
    assert (message.night, message.target) == (hall.product().night, hall.product().target)
    assert message.programme == hall.frame(SCIENCE).identity.programme != ""
    assert message.attachments == (hall.product().paths["plot"],)
    hall.put(*BIASES, ARC)
    hall.work(until_s=4000)
    versions = len(hall.bench.archive.product_history(hall.frame(SCIENCE).id))
    assert versions > 1
    assert len(told(hall)) == versions
    assert "replaces v1 (provisional" in told(hall)[1]
    hall.work(until_s=8000)
    assert len(told(hall)) == versions
    hall.redo(settings={"cosmic_sigma": 6.0})
    assert "asked for by eva" in told(hall)[-1]


def test_nobody_is_told_without_a_channel_or_of_nights_long_past(
    tmp_path: Path, contents: Contents
) -> None:
    hall = Hall(tmp_path, contents)
    hall.put(SCIENCE)
    hall.work()
    assert told(hall) == []
    heard = replace(hall.bench.config, slack=Slack(channel="C1"), outbox=Outbox(fresh_h=36))
    hall.bench = replace(hall.bench, config=heard)
    hall.clock.seconds += timedelta(hours=40).total_seconds()
    hall.redo(settings={"cosmic_sigma": 6.0})
    assert told(hall) == []
