"""What a report promises: complete, true in its sums, harmless, and the same for the same night."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from calibration_store.records import MasterRecord
from daemon.report.audience import for_everybody
from daemon.report.documents import cell, masters_csv, products_csv, report_json
from daemon.report.history import checks_of
from daemon.report.page import PAGE_BYTES, TEXT_BYTES, render_page
from daemon.report.programme_mail import programme_mail, programmes_in
from daemon.report.text import WIDTH, render_text
from daemon.report.thumbnails import thumbnails_of
from daemon.report.verdict import actions_of, subject_of, verdict_of
from reducers.identity import Setup
from tests.daemon.nights import (
    AT,
    HOSTILE,
    NIGHT,
    bad,
    hostile,
    image,
    long_night,
    lost,
    master,
    night,
    perfect,
    spectrum,
)

if TYPE_CHECKING:
    from daemon.account.night import NightAccount

GOLDEN = Path(__file__).with_name("golden")
NIGHTS = {
    "empty": lambda: night(calibrations=0),
    "perfect": perfect,
    "everything_failed": bad,
    "three_hundred_frames": long_night,
    "hostile": hostile,
}


@pytest.mark.parametrize("name", NIGHTS)
def test_the_text_of_a_known_night_is_the_one_that_was_read_by_a_person(
    name: str, request: pytest.FixtureRequest
) -> None:
    report = NIGHTS[name]()
    told = f"Subject: {subject_of(report)}\n\n{render_text(report)}"
    path = GOLDEN / f"report_{name}.txt"
    assert told == path.read_text("utf8"), f"read the new text, then write it to {path}"


@pytest.mark.parametrize("name", NIGHTS)
def test_no_line_is_wider_than_a_phone_shows_and_none_can_command_a_terminal(name: str) -> None:
    told = render_text(NIGHTS[name]())
    assert max(len(line) for line in told.splitlines()) <= WIDTH
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", told)


def test_every_section_says_something() -> None:
    lines = render_text(night(calibrations=0)).splitlines()
    titles = [n for n, line in enumerate(lines) if re.fullmatch(r"[A-Z][A-Z/& ]+", line)]
    assert len(titles) == 12
    assert all(lines[n + 1].strip() for n in titles)


@pytest.mark.parametrize(
    ("report", "colour", "rule"),
    [
        (night(calibrations=0), "GREEN", "nothing was taken"),
        (perfect(), "GREEN", "every frame accounted for"),
        (night((spectrum(1, 3), spectrum(2))), "AMBER", "quality"),
        (night((spectrum(1), spectrum(2)), (lost(3),)), "AMBER", "no product"),
        (night((spectrum(1),), (lost(2, "waiting"),), open_jobs=1), "AMBER", "work open"),
        (night((spectrum(1),), masters=(master("BIAS", sigma=-5.2),)), "AMBER", "history"),
        (night((spectrum(1),), masters=(master("FRINGE", "rejected"),)), "GREEN", "every frame"),
        (bad(), "RED", "science lost"),
        (night((spectrum(1),), unknown={"COMPLETENESS": "locked"}), "RED", "not provable: locked"),
    ],
)
def test_the_verdict_is_the_worst_of_named_rules(report: object, colour: str, rule: str) -> None:
    found = verdict_of(report)
    assert found[0] == colour
    assert found[1].startswith(rule)


def broken_account(report: object, **changed: object) -> NightAccount:
    return replace(report.account, **changed)


def test_a_broken_identity_makes_the_report_red_whatever_else_it_says() -> None:
    good = perfect()
    files = replace(good.account.files, unexplained=("/raw/ALDk200999.fits",))
    report = replace(good, account=broken_account(good, files=files))
    assert verdict_of(report)[0] == "RED"
    assert "ALDk200999" in actions_of(report)[0].what
    assert "37/38 frames" in subject_of(report)


def test_what_a_person_rejected_is_marked_and_not_counted_as_good() -> None:
    good = perfect()
    refused = {good.spectra[0].stem, good.images[0].stem}
    products = tuple(
        replace(line, verdict="rejected by eva") if line.stem in refused else line
        for line in good.status.products
    )
    report = replace(good, status=replace(good.status, products=products))
    assert subject_of(report).count("1 rejected") == 2
    assert "rejected" not in subject_of(good)
    assert render_text(report).count("✗") == 2


@given(
    final=st.integers(0, 5), provisional=st.integers(0, 5), gone=st.integers(0, 5),
    off=st.integers(-2, 2),
)  # fmt: skip
def test_the_tables_hold_what_the_account_counts_or_the_report_is_red(
    final: int, provisional: int, gone: int, off: int
) -> None:
    products = (
        *(spectrum(n) for n in range(final)),
        *(image(100 + n, state="provisional") for n in range(provisional)),
    )
    report = night(products, tuple(lost(200 + n) for n in range(gone)))
    assert report.broken == ()
    science = replace(report.account.science, final=final + off)
    moved = replace(report, account=broken_account(report, science=science))
    assert bool(moved.broken) == (off != 0)


def test_every_action_names_the_command_that_mends_it() -> None:
    for action in actions_of(bad()):
        assert "alfoscd" in action.command or "take" in action.command or "copy" in action.command


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_obeys_no_header_and_loads_nothing_from_elsewhere() -> None:
    reader = _Tags()
    reader.feed(page := render_page(hostile(), {}))
    assert {tag for tag, _ in reader.found} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "span", "p", "ol", "li",
        "br", "code", "pre", "figure", "img", "figcaption",
    }  # fmt: skip
    attributes = {name for _, attrs in reader.found for name in attrs}
    assert attributes <= {"lang", "charset", "name", "content", "class", "style", "src", "alt"}
    assert "\u202e" not in page
    assert "<!channel>" not in page


def test_the_page_shows_plots_small_and_stays_below_its_limit(tmp_path: Path) -> None:
    plot = tmp_path / "verify.png"
    Image.effect_noise((1800, 1200), 90).save(plot)
    many = tuple(spectrum(n, n % 4, paths={"plot": str(plot)}) for n in range(1, 8))
    report = night(many)
    found = thumbnails_of(report, PAGE_BYTES - TEXT_BYTES)
    page = render_page(report, found)
    assert len(page) <= PAGE_BYTES
    assert page.count('src="data:image/jpeg;base64,') == len(found) > 2
    few = thumbnails_of(report, len(next(iter(found.values()))) + 10)
    assert set(few) == {"ALDk200003"}, "the worst product is shown first"
    assert "plots beside these: verify.png" in render_page(report, few)


def test_a_plot_that_cannot_be_read_is_named_not_shown(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    report = night((spectrum(1, paths={"plot": str(tmp_path / "broken.png")}),))
    assert thumbnails_of(report, 10**6) == {}
    assert "broken.png" in render_page(report, {})


def test_the_json_is_valid_and_knows_every_product() -> None:
    nan = spectrum(1, measurements={"snr": float("nan")})
    document = json.loads(report_json(night((nan, image(2)))))
    assert document["schema"] == 1
    assert [item["stem"] for item in document["products"]] == ["ALDk200001", "ALDk200002"]
    assert document["products"][0]["measurements"]["snr"] is None
    assert json.loads(report_json(hostile()))["verdict"] == "RED"


def test_no_cell_of_a_table_is_a_formula() -> None:
    for text in (products_csv(hostile()), masters_csv(perfect())):
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        for value in (value for row in rows[1:] for value in row):
            harmless = not value.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert harmless or re.fullmatch(r"-?[\d.e+-]+", value)
            assert len(value) <= 1001
    assert cell(-0.25) == "-0.25"
    assert cell("-0.25") == "'-0.25"


def test_closed_programmes_are_counted_and_not_told() -> None:
    star = spectrum(2, kind="SPEC_STD", target="SP0305+261", paths={})
    report = night((spectrum(1, 3), star))
    told = for_everybody(report, lambda name: name == "")
    text = render_text(told) + render_page(told, {}) + report_json(told) + products_csv(told)
    assert "AT2026abc" not in text
    assert "SP0305+261" in text, "a standard is everybody's"
    assert subject_of(told) == subject_of(report)
    assert "told without their targets: 1" in text
    assert for_everybody(report, lambda name: True) is report


def test_a_programme_is_told_of_its_own_frames_only() -> None:
    other = spectrum(2, target="SECRET", programme="72-999")
    report = night((spectrum(1, 3), other), (lost(3), lost(4, "waiting", programme="72-999")))
    assert programmes_in(report) == ("72-010", "72-999")
    mail = programme_mail(report, "72-010")
    assert "SECRET" not in mail.text
    assert "ALDk200004" not in mail.text
    assert "1 of 2 exposures reduced, 1 doubtful" in mail.subject
    assert "Doubtful: look at its verification plot" in mail.text
    assert "The raw frame is safe" in mail.text
    for text in HOSTILE:
        assert programme_mail(hostile(), text[:60]).subject.isprintable()


def test_the_night_of_a_report_has_its_turns_in_order() -> None:
    turns = night().turns
    assert turns.sunset < turns.dark < turns.dawn < turns.sunrise
    assert turns.noon.date() > date.fromisoformat(NIGHT)


def a_master(night: str, level: float) -> MasterRecord:
    setup = Setup(x_binning=1, y_binning=2, window=(1, 500, 1, 2102), readout="D-8-200")
    return MasterRecord(
        key=night, instrument="alfosc", role="BIAS", setup=setup, set_key="b", night=night,
        observed_at=AT, built_at=AT, path=Path("m.fits"), measurements={"level_adu": level},
    )  # fmt: skip


def test_a_master_is_held_against_the_nights_before_it_and_no_others() -> None:
    nights = [f"2026-11-{n:02d}" for n in range(1, 20)]
    history = [a_master(name, 100.0 + (n % 5) * 2) for n, name in enumerate(nights)]
    later = a_master("2026-12-01", 9999.0)
    (check,) = checks_of(a_master(NIGHT, 160.0), [*history, later])
    assert check.nights == 19
    assert check.median == pytest.approx(104.0)
    assert check.sigma > 5
    (check,) = checks_of(a_master(NIGHT, 104.0), history)
    assert abs(check.sigma) < 1
    (alone,) = checks_of(a_master(NIGHT, 104.0), history[:3])
    assert alone.sigma is None, "three nights say nothing about their scatter"
