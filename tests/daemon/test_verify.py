"""People judge products; their verdicts measure the automatic checks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.account.check_statistics import OVERALL, score_checks, wilson
from daemon.cli.main import main
from daemon.cli.verify import to_judge, walk
from daemon.memory.records import Decision, Judgement, Verdict
from daemon.publish.verify_text import QUESTIONS, score_lines, verify_page
from tests.daemon.hall import ARC, BIASES, NOON, SCIENCE, Hall, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def judged(flags: tuple[str, ...], *, quality: int, rejected: bool) -> Judgement:
    decision = Decision.REJECTED if rejected else Decision.ACCEPTED
    return Judgement(
        stem="x",
        night="2026-11-20",
        recipe="spectrum",
        quality=quality,
        flags=flags,
        verdict=Verdict(decision=decision, user="eva", at=NOON),
    )


def test_precision_and_recall_are_counted_by_hand() -> None:
    labels = [
        *(judged(("TRACE",), quality=3, rejected=True) for _ in range(3)),
        judged(("TRACE",), quality=3, rejected=False),
        judged((), quality=0, rejected=True),
        *(judged((), quality=0, rejected=False) for _ in range(5)),
    ]
    scores = {item.name: item for item in score_checks(labels, ["TRACE", "NEVER"])}
    assert (scores["TRACE"].precision, scores["TRACE"].recall) == (0.75, 0.75)
    assert scores[OVERALL].precision == 0.75
    assert math.isnan(scores["NEVER"].precision)
    said = "\n".join(score_lines(list(scores.values()), len(labels)))
    assert "never raised among them: NEVER" in said
    assert score_lines([], 0)[0].startswith("nobody has judged")


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_holds_the_proportion_and_shrinks(successes: int, failures: int) -> None:
    trials = successes + failures
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= high <= 1.0
    if trials:
        assert low <= successes / trials <= high
        assert high - low <= wilson(0, 0)[1]


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return simulated()


@pytest.fixture
def hall(tmp_path: Path, contents: dict[str, bytes]) -> Iterator[Hall]:
    hall = Hall(tmp_path, contents)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    yield hall
    hall.bench.engine.dispose()


def test_a_rejection_keeps_the_answers_and_the_flags_of_its_day(hall: Hall) -> None:
    archive, night = hall.bench.archive, hall.frame(SCIENCE).night
    pairs = to_judge(archive, night)
    said = iter(["?", "r", "y", "n", "x", "y", "ghost on the slit"])
    assert walk(archive, pairs, "eva", lambda _: next(said)) == 1
    (label,) = archive.judgements()
    assert label.verdict.decision is Decision.REJECTED
    assert list(label.verdict.answers.values()) == ["yes", "no", "yes"]
    assert tuple(label.verdict.answers) == QUESTIONS["spectrum"]
    assert label.verdict.remark == "ghost on the slit"
    assert set(label.flags) == {flag.name for flag in hall.product().flags}
    assert to_judge(archive, night) == []
    assert len(to_judge(archive, night, again=True)) == 1


def test_who_changes_their_mind_counts_once(hall: Hall) -> None:
    archive, product = hall.bench.archive, hall.product()
    for decision in (Decision.REJECTED, Decision.ACCEPTED):
        archive.decide(product, Verdict(decision=decision, user="eva", at=NOON))
    (label,) = archive.judgements()
    assert label.verdict.decision is Decision.ACCEPTED


def test_leaving_judges_nothing_more_and_so_does_the_end_of_input(hall: Hall) -> None:
    archive, night = hall.bench.archive, hall.frame(SCIENCE).night
    pairs = to_judge(archive, night)

    def ended(_: str) -> str:
        raise EOFError

    assert walk(archive, pairs, "eva", lambda _: "q") == 0
    assert walk(archive, pairs, "eva", ended) == 0
    assert archive.judgements() == []


def test_the_page_shows_no_header_text_as_markup(hall: Hall) -> None:
    frame, product = hall.frame(SCIENCE), hall.product()
    page = verify_page([(frame, replace(product, target="<script>alert(1)</script>"))], "n")
    assert "<script>" not in page
    assert f"alfoscd redo {frame.stem} --night {frame.night} --accept" in page


def test_the_command_lists_scores_and_refuses_to_ask_nobody(
    hall: Hall, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = ("--root", str(hall.bench.config.root))
    assert main(["verify", "--list", *root]) == 0
    assert hall.frame(SCIENCE).stem in capsys.readouterr().out
    assert main(["verify", "--statistics", *root]) == 0
    assert "nobody has judged" in capsys.readouterr().out
    page = tmp_path / "verify.html"
    assert main(["verify", "--html", str(page), *root]) == 0
    assert "1 products without a verdict" in page.read_text()
    assert main(["verify", *root]) == 2
    assert "--list" in capsys.readouterr().err
