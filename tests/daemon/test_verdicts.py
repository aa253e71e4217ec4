"""What people decide about products, as the archive keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from daemon.account.service import service_of
from daemon.clock import SystemClock
from daemon.memory import sqlite
from daemon.memory.archive import Archive
from daemon.memory.database import open_database, writing
from daemon.memory.records import Choice, Decision, ProductRecord, ProductState, Verdict
from daemon.report.changes import sentences_of
from tests.daemon.fresh_database import fresh_database
from tests.daemon.test_archive import product, record
from tests.daemon.test_database import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHEN = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    engine = fresh_database(tmp_path / "alfoscd.sqlite")
    yield Archive(engine, SystemClock())
    engine.dispose()


def two_versions(archive: Archive) -> tuple[ProductRecord, ProductRecord]:
    frame, _, _ = record(archive)
    whole = (Choice(role="BIAS", master_key="b", rung="same night", reason="near"),)
    first = product(frame, "p1", choices=whole)
    second = product(frame, "p2", generation=2, choices=whole, redo={"user": "eva"})
    archive.record_product(first)
    archive.record_product(second)
    return first, second


def test_a_verdict_is_kept_beside_the_automatic_quality(archive: Archive) -> None:
    _, second = two_versions(archive)
    archive.decide(second, Verdict(decision=Decision.REJECTED, user="eva", at=WHEN))
    now = archive.current_product(second.frame_id)
    assert now is not None
    assert now == replace(second, verdict=Verdict(decision=Decision.REJECTED, user="eva", at=WHEN))
    assert (now.quality, now.is_accepted) == (second.quality, False)


def test_one_request_and_one_rejection_are_told_once_however_often_the_daemon_makes_it_again(
    archive: Archive,
) -> None:
    frame, _, _ = record(archive)
    asked = {"user": "eva", "at": "2026-11-21T08:00:00+00:00"}
    rejected = Verdict(decision=Decision.REJECTED, user="ivo", at=WHEN)
    later = WHEN + timedelta(hours=1)
    history = [
        product(frame, "p1"),
        product(frame, "p2", generation=2, redo=asked),
        product(frame, "p3", generation=3, redo=asked, verdict=rejected),
        product(frame, "p4", generation=4, redo=asked, verdict=rejected, created_at=later),
    ]
    said = sentences_of(history)
    assert sum("redone by eva" in each for each in said) == 1
    assert sum("rejected by ivo" in each for each in said) == 1
    figures = service_of([frame], {frame.id: history}, {}, frame.night)
    assert (figures.redone, figures.rejected, figures.accepted) == (1, 1, 0)


def test_accepting_an_earlier_version_makes_it_current_again(archive: Archive) -> None:
    first, second = two_versions(archive)
    archive.decide(first, Verdict(decision=Decision.ACCEPTED, user="eva", at=WHEN))
    now = archive.current_product(first.frame_id)
    assert now is not None
    assert (now.key, now.state, now.is_accepted) == ("p1", ProductState.FINAL, True)
    states = [item.state for item in archive.product_history(second.frame_id)]
    assert sorted(states) == [ProductState.FINAL, ProductState.SUPERSEDED]


def test_an_earlier_version_that_lacked_a_master_is_provisional_again(archive: Archive) -> None:
    first, _ = two_versions(archive)
    nothing = (Choice(role="FLAT", master_key="", rung="none", reason="none fits"),)
    lacking = replace(first, generation=3, key="p3", choices=nothing)
    archive.record_product(replace(lacking, state=ProductState.SUPERSEDED))
    archive.make_current(lacking)
    now = archive.current_product(first.frame_id)
    assert now is not None
    assert (now.key, now.state) == ("p3", ProductState.PROVISIONAL)


def test_products_that_other_means_have_made_are_found_but_not_the_accepted(
    archive: Archive,
) -> None:
    ours, other = (record(archive, stem=f"ALDc01000{n}", sha256=f"{n}")[0] for n in (1, 2))
    kept, _, _ = record(archive, stem="ALDc010003", sha256="3")
    archive.record_product(product(ours, "a", recipe_digest="now"))
    archive.record_product(product(other, "b", recipe_digest="before"))
    archive.record_product(product(kept, "c", recipe_digest="before"))
    accepted = Verdict(decision=Decision.ACCEPTED, user="eva", at=WHEN)
    archive.decide(product(kept, "c"), accepted)
    assert archive.products_not_made_by({"now"}) == [(other.id, "1")]


def test_a_database_of_the_first_release_keeps_its_products(tmp_path: Path) -> None:
    path = tmp_path / "alfoscd.sqlite"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = sqlite.writable_engine(path, 1.0)
    with writing(engine) as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0001")
        for statement in _OLD_ROWS:
            session.execute(text(statement))
    engine.dispose()
    engine = open_database(path)
    kept = Archive(engine, SystemClock()).current_product(1)
    engine.dispose()
    assert kept is not None
    assert (kept.key, kept.recipe_digest, kept.redo, kept.verdict) == ("old", "", {}, None)


_OLD_ROWS = (
    "INSERT INTO frame (id, stem, night) VALUES (1, 'ALDc010001', '2026-11-20')",
    "INSERT INTO product (id, key, generation, frame_id, frame_sha256, stem, night, recipe,"
    " recipe_version, state, quality, flag_bits, target, paths, hashes, created_at)"
    " VALUES (1, 'old', 1, 1, 'aa', 'ALDc010001', '2026-11-20', 'spectrum', '1', 'final', 0, 0,"
    " 'SN', '{}', '{}', '2026-11-20 22:00:00.000000')",
)
