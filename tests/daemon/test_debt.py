"""What is owed is said, with what to take; what is in hand is not asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from daemon.account.debt import Standing, debts_of, hints_of
from daemon.cli.main import main
from daemon.clock import observing_night
from daemon.config import Hints
from daemon.memory.messages import Topic
from daemon.memory.records import JobKind
from daemon.publish.debt_text import board_lines, debt_post, owed_lines
from daemon.work.debts import debts_of_night, post_debt
from daemon.work.selecting import select_masters
from tests.daemon.hall import ALFOSC, ARC, BIASES, NOON, SCIENCE, Hall, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.account.debt import Debt

CONTENTS = simulated()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(tmp_path, CONTENTS, hints=Hints(snr_goal=1000.0))
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    yield hall
    hall.bench.engine.dispose()


def owed(hall: Hall) -> dict[str, Debt]:
    found = debts_of_night(hall.bench, hall.frame(SCIENCE).night)
    return {item.role: item for item in found}


def test_a_setup_without_flat_and_standard_owes_both_and_nothing_else(hall: Hall) -> None:
    found = owed(hall)
    assert {role: item.standing for role, item in found.items()} == {
        "BIAS": Standing.HAVE,
        "FLAT": Standing.MISSING,
        "ARC": Standing.HAVE,
        "RESPONSE": Standing.MISSING,
    }
    assert "3 halogen flats, Grism_#4 Slit_1.0" in found["FLAT"].take
    assert found["RESPONSE"].take.startswith("a spectrophotometric standard, Grism_#4")
    assert found["BIAS"].take == ""
    said = "\n".join(board_lines(list(found.values())))
    assert "MISSING" in said
    assert len(owed_lines(list(found.values()))) == 2


def test_an_arc_taken_before_the_slit_moved_is_owed_again(hall: Hall) -> None:
    frame = hall.frame(SCIENCE)
    assert frame.identity.aperture_y_px is not None
    moved = replace(
        frame,
        identity=replace(frame.identity, aperture_y_px=frame.identity.aperture_y_px + 4.0),
    )
    found = debts_of(
        [moved], lambda item: select_masters(hall.bench, item, "SPECTRUM"), hall.bench.instruments
    )
    standing = {item.role: item.standing for item in found}
    assert standing["ARC"] is Standing.MOVED


def test_frames_that_need_nothing_owe_nothing(hall: Hall) -> None:
    assert debts_of([hall.frame(ARC)], lambda _: (), hall.bench.instruments) == []
    assert debt_post([], [], "title") == ""


def test_the_exposures_left_follow_from_the_noise(hall: Hall) -> None:
    product = hall.product()
    alike = [replace(product, target="SN", quality=0, measurements={"snr": 10.0}) for _ in range(4)]
    (hint,) = hints_of(alike, snr_goal=30.0)
    assert "S/N 20 in 4 exposures of 30 wanted: 5 more like the last are" in hint.sentence
    (hint,) = hints_of(alike, snr_goal=20.0)
    assert "is reached" in hint.sentence
    assert hints_of([replace(alike[0], quality=3)], snr_goal=30.0) == []
    assert hints_of(alike, snr_goal=0.0) == []


def posts(hall: Hall) -> list[str]:
    return [item.message.text for item in hall.bench.archive.notices(Topic.HINT)]


def test_before_dawn_the_board_is_posted_once(hall: Hall) -> None:
    night = hall.frame(SCIENCE).night
    job = replace(hall.done[0], payload={"night": night, "occasion": "debt morning"})
    post_debt(hall.bench, job)
    post_debt(hall.bench, job)
    (said,) = posts(hall)
    assert "before dawn" in said
    assert "take 3 halogen flats" in said
    assert "of 1000 wanted" in said


def test_a_new_setup_of_tonight_asks_once_and_an_old_night_not_at_all(
    tmp_path: Path,
) -> None:
    hall = Hall(tmp_path, CONTENTS)
    hall.put(*BIASES, SCIENCE)
    assert hall.frame(SCIENCE).night != observing_night(NOON, ALFOSC.longitude_deg).isoformat()
    assert not [job for job in hall.waiting().values() if job.kind is JobKind.DEBT]
    taken = hall.frame(SCIENCE).identity.observed_at
    assert taken is not None
    hall.bench.engine.dispose()
    other = tmp_path / "tonight"
    other.mkdir()
    hall = Hall(other, CONTENTS)
    hall.clock.seconds = (taken - NOON).total_seconds() + 600
    hall.put(*BIASES, SCIENCE)
    waiting = [job for job in hall.waiting().values() if job.kind is JobKind.DEBT]
    (job,) = waiting
    assert (job.not_before - hall.clock.now()).total_seconds() == pytest.approx(120)
    post_debt(hall.bench, job)
    (said,) = posts(hall)
    assert said.startswith(f"{job.payload['setup']} is new tonight")
    assert "ARC missing" in said
    hall.bench.engine.dispose()


def test_the_command_shows_the_board_and_says_by_its_exit_that_something_is_owed(
    hall: Hall, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["debt", "--root", str(hall.bench.config.root)])
    said = capsys.readouterr().out
    assert code == 1
    assert "take 3 halogen flats" in said
    assert "RESPONSE" in said
