from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from calibration_store.codec import from_json, to_json
from calibration_store.tables import MasterRow
from daemon.memory.archive import Archive
from daemon.memory.database import open_read_only, writing
from daemon.memory.messages import DeliveryState, Message, Topic
from daemon.memory.records import (
    Choice,
    FileRecord,
    FileState,
    FlagRecord,
    JobKind,
    JobRequest,
    JobState,
    ProductRecord,
    ProductState,
)
from daemon.memory.tables import FileRow, FrameRow, JobRow, ProductRow, RevisionRow
from daemon.work.jobs import JobQueue
from reducers.identity import FrameKind, Identity, Setup
from tests.daemon.fresh_database import fresh_database
from tests.daemon.hand_clock import HandClock

START = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
NIGHT = "2026-03-01"
SETUP = Setup(x_binning=1, y_binning=1, window=(1, 500, 1, 2102), readout="D-8-200")
BIAS = Identity(
    instrument="alfosc", kind=FrameKind.BIAS, setup=SETUP, observed_at=START, exposure_s=0.0
)
SCIENCE = replace(BIAS, kind=FrameKind.SPEC_OBJECT, exposure_s=900.0, target="SN 2026abc")


@pytest.fixture
def clock():
    return HandClock(START)


@pytest.fixture
def engine(tmp_path):
    engine = fresh_database(tmp_path / "alfoscd.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def archive(engine, clock):
    return Archive(engine, clock)


def record(archive, stem="ALDc010001", sha256="aa", *, path=None, identity=BIAS, **changes):
    given = {"size": 2880, "night": NIGHT, "arrived_at": START, "set_keys": (), **changes}
    path = path or Path("/raw") / f"{stem}.fits"
    return archive.record_frame(stem=stem, sha256=sha256, path=path, identity=identity, **given)


def product(frame, key="p1", **changes):
    plain = ProductRecord(
        key=key,
        frame_id=frame.id,
        frame_sha256=frame.sha256,
        stem=frame.stem,
        night=frame.night,
        recipe="spectrum",
        recipe_version="1",
        generation=1,
        state=ProductState.FINAL,
        quality=1,
        flag_bits=5,
        target="SN 2026abc",
        paths={"spectrum": Path("/out/a_1d.fits"), "plot": Path("/out/caf\udce9.png")},
        hashes={"spectrum": "ff"},
        measurements={"rms_px": 0.08, "snr": 21.0},
        flags=(
            FlagRecord(
                name="NO_FLAT", bit=4, quality=1, value=None, threshold=None, sentence="No flat."
            ),
            FlagRecord(
                name="FLEXURE", bit=1, quality=2, value=1.5, threshold=1.0, sentence="It bends."
            ),
        ),
        choices=(
            Choice(
                role="BIAS",
                master_key="b1",
                rung="same night",
                reason="0.2 h away",
                rejected=(("b0", "superseded"), ("b2", "another binning")),
            ),
            Choice(role="FLAT", master_key="", rung="", reason="none fits"),
        ),
        created_at=START,
        latency_s=12.5,
    )
    return replace(plain, **changes)


def stems(frames):
    return [frame.stem for frame in frames]


# --- files


def test_a_file_keeps_when_it_was_first_seen(archive, clock):
    path = Path(os.fsdecode(b"/raw/b\xffd\\.fits"))
    seen = FileRecord(path=path, state=FileState.HELD, reason="growing", size=10, mtime_ns=2**62)
    archive.record_file(seen)
    clock.time += timedelta(minutes=1)
    archive.record_file(replace(seen, state=FileState.INGESTED, reason="", sha256="aa"))
    found = archive.file_at(path)
    assert (found.first_seen, found.last_seen) == (START, START + timedelta(minutes=1))
    assert (found.path, found.state, found.sha256) == (path, FileState.INGESTED, "aa")
    assert found.mtime_ns == 2**62
    assert archive.file_at(Path("/raw/other.fits")) is None


def test_files_are_listed_by_state(archive):
    for name, state in [("b", FileState.HELD), ("a", FileState.HELD), ("c", FileState.IGNORED)]:
        archive.record_file(FileRecord(path=Path(name), state=state, reason="", size=0, mtime_ns=0))
    assert [str(file.path) for file in archive.files()] == ["a", "b", "c"]
    assert [str(file.path) for file in archive.files(FileState.HELD)] == ["a", "b"]


def test_every_copy_of_a_content_is_known(archive, clock):
    for name in ("/raw/a.fits", "/copy/a.fits", "/copy/other.fits"):
        clock.time += timedelta(seconds=1)
        sha256 = "bb" if "other" in name else "aa"
        archive.record_file(
            FileRecord(
                path=Path(name),
                state=FileState.INGESTED,
                reason="",
                size=0,
                mtime_ns=0,
                sha256=sha256,
            )
        )
    assert archive.copies("aa") == [Path("/copy/a.fits"), Path("/raw/a.fits")]


# --- frames


def test_a_new_frame_comes_back_as_it_was_recorded(archive):
    frame, new, new_revision = record(archive, identity=SCIENCE)
    assert (new, new_revision) == (True, True)
    assert frame.identity == SCIENCE
    assert (frame.stem, frame.revision, frame.sha256) == ("ALDc010001", 1, "aa")
    assert (frame.night, frame.path) == (NIGHT, Path("/raw/ALDc010001.fits"))
    assert (frame.ingested_at, frame.arrived_at, frame.current) == (START, START, True)
    assert archive.frame(frame.id) == frame
    assert archive.frame(frame.id + 1) is None


def test_ingesting_the_same_file_again_changes_nothing(archive):
    frame, _, _ = record(archive)
    assert record(archive) == (frame, False, False)


def test_the_same_content_under_another_name_is_one_exposure(archive):
    frame, _, _ = record(archive)
    assert record(archive, "copy_of_it", path=Path("/raw/copy.fits")) == (frame, False, False)
    assert len(archive.current_frames()) == 1


def test_new_content_under_the_same_name_is_a_new_revision(archive):
    old, _, _ = record(archive)
    new, is_new, is_new_revision = record(archive, sha256="bb", identity=SCIENCE)
    assert (is_new, is_new_revision) == (False, True)
    assert (new.id, new.revision) == (old.id, 2)
    assert archive.frame(old.id) == new
    assert archive.current_frames() == [new]
    assert archive.frame_of_content("aa") == replace(old, current=False)


def test_a_third_revision_after_a_return_has_its_own_number(archive):
    record(archive, sha256="aa")
    record(archive, sha256="bb")
    back, is_new, is_new_revision = record(archive, sha256="aa")
    assert (back.revision, back.current, is_new, is_new_revision) == (1, True, False, True)
    assert archive.current_frames() == [back]
    assert record(archive, sha256="cc")[0].revision == 3


def test_a_stale_copy_elsewhere_does_not_bring_an_old_revision_back(archive):
    record(archive, sha256="aa")
    new, _, _ = record(archive, sha256="bb")
    stale, _, is_new_revision = record(archive, sha256="aa", path=Path("/backup/a.fits"))
    assert (stale.current, is_new_revision) == (False, False)
    assert archive.current_frames() == [new]


def test_the_same_name_in_another_night_is_another_exposure(archive):
    first, _, _ = record(archive, "bias_001", path=Path("/raw/n1/bias_001.fits"))
    second, new, _ = record(
        archive, "bias_001", "bb", path=Path("/raw/n2/bias_001.fits"), night="2026-03-02"
    )
    assert new
    assert second.id != first.id
    assert archive.find_frames("bias_001") == [first, second]


def test_a_mended_date_moves_the_exposure_to_its_night(archive):
    old, _, _ = record(archive, night="2026-02-28")
    new, is_new, _ = record(archive, sha256="bb")
    assert (new.id, is_new) == (old.id, False)
    assert archive.current_frames(night=NIGHT) == [new]
    assert archive.current_frames(night="2026-02-28") == []
    # The name is now known in the new night, wherever the file is.
    assert record(archive, sha256="cc", path=Path("/else/a.fits"))[0].id == old.id


@pytest.mark.parametrize(
    "name",
    ["ALDc010001", "ALDc010001.fits", "/raw/ALDc010001.fits", "ALDc010001.fits.gz", "x/ALDc010001"],
)
def test_a_frame_is_found_by_what_people_call_it(archive, name):
    frame, _, _ = record(archive)
    assert archive.find_frames(name) == [frame]
    assert archive.find_frames("ALDc01") == []


def test_frames_are_listed_by_kind_night_and_instrument_in_order_of_observation(archive):
    late = replace(BIAS, observed_at=START + timedelta(hours=1))
    record(archive, "b", "1", identity=late)
    record(archive, "a", "2")
    record(archive, "c", "3", identity=SCIENCE)
    record(archive, "d", "4", night="2026-03-02")
    record(archive, "e", "5", identity=replace(BIAS, instrument="efosc2"))
    assert stems(archive.current_frames(FrameKind.BIAS, NIGHT, "alfosc")) == ["a", "b"]
    assert stems(archive.current_frames(night="2026-03-02")) == ["d"]
    assert stems(archive.current_frames(instrument="efosc2")) == ["e"]
    assert len(archive.current_frames()) == 5


def test_frames_of_a_time_come_with_those_whose_time_is_unknown(archive):
    for stem, hours in (("a", 0), ("b", 1), ("c", 30)):
        record(
            archive, stem, stem, identity=replace(BIAS, observed_at=START + timedelta(hours=hours))
        )
    record(archive, "d", "d", identity=replace(BIAS, observed_at=None))
    found = archive.current_frames(taken=(START, START + timedelta(hours=1)))
    assert sorted(stems(found)) == ["a", "b", "d"]


def test_the_products_of_several_exposures_are_those_that_count(archive):
    frames = [record(archive, stem, stem)[0] for stem in ("a", "b", "c")]
    archive.record_product(product(frames[0], "one"))
    archive.record_product(product(frames[1], "two", state=ProductState.PROVISIONAL))
    archive.record_product(product(frames[2], "old"))
    archive.record_product(product(frames[2], "new", state=ProductState.PROVISIONAL))
    assert archive.final_among([frame.id for frame in frames]) == {frames[0].id}
    assert archive.final_among([]) == frozenset()
    counting = archive.current_products([frame.id for frame in frames[1:]])
    assert {id_: each.key for id_, each in counting.items()} == {
        frames[1].id: "two",
        frames[2].id: "new",
    }


def test_members_of_a_set_are_its_current_revisions_of_that_night(archive):
    record(archive, "a", "1", set_keys=("1x1", "again"))
    record(archive, "b", "2", set_keys=("2x2",))
    record(archive, "c", "3", set_keys=("1x1", "1x1"))
    record(archive, "d", "4", set_keys=("1x1",), night="2026-03-02")
    record(archive, "e", "5", set_keys=("1x1",), identity=SCIENCE)
    assert stems(archive.set_members(FrameKind.BIAS, "1x1", NIGHT)) == ["a", "c"]
    record(archive, "c", "6", set_keys=("2x2",))
    assert stems(archive.set_members(FrameKind.BIAS, "1x1", NIGHT)) == ["a"]
    assert stems(archive.set_members(FrameKind.BIAS, "2x2", NIGHT)) == ["b", "c"]


def test_a_frame_can_be_read_from_where_it_was_moved_to(archive):
    frame, _, _ = record(archive)
    assert archive.move_frame("aa", Path("/archive/a.fits"))
    assert archive.frame(frame.id).path == Path("/archive/a.fits")
    assert not archive.move_frame("zz", Path("/archive/a.fits"))


def test_a_frame_and_its_jobs_are_recorded_together_or_not_at_all(engine, archive, clock):
    queue = JobQueue(engine, clock)

    def ingest(sha256, *, killed):
        with writing(engine) as session:
            frame, _, _ = record(archive, sha256, sha256, within=session)
            job = JobRequest(kind=JobKind.REDUCE, key=f"reduce:{frame.id}")
            queue.submit(job, within=session)
            if killed:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        ingest("aa", killed=True)
    assert archive.current_frames() == []
    assert queue.unfinished() == 0
    ingest("aa", killed=False)
    assert len(archive.current_frames()) == queue.unfinished() == 1


finite_or_not = st.floats(allow_nan=False)
texts = st.text(st.characters(codec=None), max_size=8)
times = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(fold=0)) | st.none()
setups = st.builds(Setup, readout=texts, grism=texts, slit=texts, filter=texts)
identities = st.builds(
    Identity,
    setup=setups,
    instrument=texts,
    observed_at=times,
    exposure_s=finite_or_not,
    object_name=texts,
    ra_deg=finite_or_not | st.none(),
    lamps=st.lists(texts, max_size=3).map(tuple),
    sequence=st.tuples(st.integers(), st.integers()) | st.none(),
    reasons=st.lists(texts, max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.builds(Identity, observed_at=times) | identities)
def test_an_identity_survives_json_without_loss(identity):
    encoded = json.loads(json.dumps(to_json(identity), allow_nan=False))
    decoded = from_json(Identity, encoded)
    # NaN differs from itself; its text does not.
    assert repr(decoded) == repr(identity)


@settings(max_examples=20, deadline=None)
@given(identities)
def test_an_identity_survives_the_database_without_loss(identity):
    with TemporaryDirectory() as folder:
        engine = fresh_database(Path(folder) / "alfoscd.sqlite")
        archive = Archive(engine, HandClock(START))
        frame, _, _ = record(archive, identity=identity)
        assert archive.frame(frame.id).identity == identity
        engine.dispose()


# --- products


def test_a_product_comes_back_as_it_was_recorded(archive):
    frame, _, _ = record(archive)
    made = product(frame)
    archive.record_product(made)
    assert archive.current_product(frame.id) == made
    assert archive.product_by_key("p1") == made
    assert archive.products(NIGHT) == archive.products() == [made]
    assert archive.products("2026-03-02") == []
    assert archive.product_by_key("p2") is archive.current_product(99) is None


def test_a_better_product_supersedes_the_provisional_one(archive):
    frame, _, _ = record(archive)
    other, _, _ = record(archive, "other", "bb")
    archive.record_product(product(frame, "p1", state=ProductState.PROVISIONAL))
    archive.record_product(product(other, "q1"))
    archive.record_product(product(frame, "p2"))
    assert archive.current_product(frame.id).key == "p2"
    assert archive.product_by_key("p1").state is ProductState.SUPERSEDED
    assert [each.key for each in archive.products()] == ["q1", "p2"]
    assert [each.key for each in archive.product_history(frame.id)] == ["p1", "p2"]


def test_a_product_of_a_new_revision_supersedes_the_old_ones(archive):
    frame, _, _ = record(archive)
    archive.record_product(product(frame, "p1"))
    revised, _, _ = record(archive, sha256="bb")
    archive.record_product(product(revised, "p2"))
    assert [each.key for each in archive.products()] == ["p2"]


def test_recording_the_same_product_twice_changes_nothing(archive):
    frame, _, _ = record(archive)
    archive.record_product(product(frame))
    archive.record_product(product(frame))
    assert archive.product_history(frame.id) == [product(frame)]


def test_going_back_to_an_earlier_choice_makes_its_product_current_again(archive):
    frame, _, _ = record(archive)
    for key in ("p1", "p2", "p1"):
        archive.record_product(product(frame, key))
    assert archive.current_product(frame.id).key == "p1"
    assert len(archive.product_history(frame.id)) == 2


def test_a_new_generation_supersedes_the_one_before_it(archive):
    frame, _, _ = record(archive)
    for generation in (1, 2):
        archive.record_product(product(frame, generation=generation))
    assert archive.product_by_key("p1").generation == 2
    assert [each.generation for each in archive.products()] == [2]


def test_an_already_superseded_product_leaves_the_current_one_alone(archive):
    frame, _, _ = record(archive)
    archive.record_product(product(frame, "p1"))
    archive.record_product(product(frame, "p0", state=ProductState.SUPERSEDED))
    assert archive.current_product(frame.id).key == "p1"


def test_what_was_made_with_a_master_or_a_raw_content_is_found(archive):
    frame, _, _ = record(archive)
    made = product(frame)
    archive.record_product(made)
    assert archive.products_using("b1") == archive.products_using("aa") == [made]
    assert archive.products_using("b0") == archive.products_using("") == []


def test_a_measurement_may_be_nan_or_infinite(archive):
    frame, _, _ = record(archive)
    archive.record_product(product(frame, measurements={"nan": math.nan, "inf": math.inf}))
    found = archive.current_product(frame.id).measurements
    assert math.isnan(found["nan"])
    assert found["inf"] == math.inf


def test_a_product_of_a_transaction_that_fails_leaves_the_old_one_current(engine, archive):
    frame, _, _ = record(archive)
    archive.record_product(product(frame, "p1"))

    def half():
        with writing(engine) as session:
            archive.record_product(product(frame, "p2"), within=session)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half()
    assert archive.current_product(frame.id) == product(frame, "p1")


# --- notices and heartbeats


def test_a_message_is_queued_once_whatever_became_of_it(archive):
    assert archive.queue_notice("night:1", "report", "All well.", [Path("/out/\udce9.png")])
    assert not archive.queue_notice("night:1", "report", "All well again.")
    (notice,) = archive.unrouted_notices(START)
    assert (notice.message.topic, notice.message.text) == (Topic.REPORT, "All well.")
    assert notice.message.attachments == (Path("/out/\udce9.png"),)
    archive.route_notice(notice.id, [("slack", "C1", ""), ("slack", "C1", "")])
    (delivery,) = archive.due_deliveries(START)
    archive.mark(delivery.id, DeliveryState.SENT, remote="17.1")
    assert archive.due_deliveries(START) == archive.unrouted_notices(START) == []
    assert not archive.queue_notice("night:1", "report", "All well.")


def test_a_message_keeps_all_it_was_given(archive):
    message = Message(
        key="k",
        topic=Topic.ALERT,
        text="New source.",
        subject="A source",
        html="<p>New</p>",
        night="2026-11-20",
        target="M 31",
        programme="61-001",
        attachments=(Path("/out/a.png"),),
        blocks=({"type": "divider"},),
        payload={"ra_deg": 10.5},
        to=("slack",),
        not_to=("mail",),
        slot="s",
        storm="c",
        priority=10,
        not_before=START + timedelta(hours=1),
    )
    archive.queue_message(message)
    assert archive.unrouted_notices(START) == []
    (notice,) = archive.unrouted_notices(START + timedelta(hours=1))
    assert notice.message == message


def test_a_message_of_an_interrupted_transaction_was_never_queued(archive, engine):
    def half():
        with writing(engine) as session:
            archive.queue_notice("a", "alert", "x", within=session)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half()
    assert archive.notices() == []


def test_a_newer_message_overtakes_what_waits_in_its_slot(archive):
    old = Message(key="1", topic=Topic.HINT, text="no arc", slot="arc")
    archive.queue_message(old)
    archive.route_notice(archive.notices()[0].id, [("slack", "C1", "")])
    archive.queue_message(replace(old, key="2", text="never routed"))
    archive.queue_message(replace(old, key="3", text="arc taken"))
    assert archive.deliveries_of("1")[0].state is DeliveryState.OVERTAKEN
    assert [each.message.text for each in archive.unrouted_notices(START)] == ["arc taken"]


def test_a_delivery_that_failed_is_tried_again_later_or_given_up(archive):
    archive.queue_notice("a", "alert", "x")
    archive.route_notice(archive.notices()[0].id, [("slack", "C1", "")])
    (delivery,) = archive.due_deliveries(START)
    later = START + timedelta(minutes=5)
    archive.mark(delivery.id, DeliveryState.WAITING, error="timeout", next_try=later)
    assert archive.due_deliveries(START) == []
    assert archive.next_delivery_at() == later
    (again,) = archive.due_deliveries(later)
    assert (again.error, again.state) == ("timeout", DeliveryState.WAITING)
    archive.mark(delivery.id, DeliveryState.DEAD, error="channel is gone")
    assert archive.due_deliveries(later) == []
    seen = archive.overview()
    assert seen.deliveries == {DeliveryState.DEAD: 1}
    assert [each.error for each in seen.undelivered] == ["channel is gone"]


def test_heartbeats_count_progress(archive, clock):
    archive.heartbeat("supervisor", 10, "watching")
    archive.heartbeat("worker-1", 11, "idle", progressed=True)
    clock.time += timedelta(seconds=5)
    archive.heartbeat("worker-1", 12, "reducing", progressed=True)
    archive.heartbeat("worker-1", 12, "reducing")
    first, second = archive.heartbeats()
    assert (first.who, first.pid, first.at, first.progress) == ("supervisor", 10, START, 0)
    assert (second.pid, second.state, second.progress) == (12, "reducing", 2)
    assert second.at == START + timedelta(seconds=5)
    archive.forget_heartbeat("supervisor")
    archive.forget_heartbeat("nobody")
    assert [each.who for each in archive.heartbeats()] == ["worker-1"]


# --- overview


def test_the_overview_counts_the_last_night_and_names_the_troubles(engine, archive, clock):
    record(archive, "old", "0", night="2026-02-28")
    frame, _, _ = record(archive, "a", "1", identity=SCIENCE)
    record(archive, "b", "2", arrived_at=START + timedelta(minutes=3))
    archive.record_product(product(frame, "p1", state=ProductState.PROVISIONAL))
    archive.record_product(product(frame, "p2"))
    for name, state in [("x", FileState.QUARANTINED), ("y", FileState.HELD)]:
        clock.time += timedelta(seconds=1)
        archive.record_file(
            FileRecord(path=Path(name), state=state, reason="odd", size=0, mtime_ns=0)
        )
    queue = JobQueue(engine, clock)
    queue.submit(JobRequest(kind=JobKind.REDUCE, key="r"))
    queue.fail(queue.claim("w"), "no trace")
    view = archive.overview()
    assert (view.night, view.frames_total) == (NIGHT, 3)
    assert view.frames == {"SPEC_OBJECT": 1, "BIAS": 1}
    assert view.products == {(ProductState.FINAL, 1): 1}
    assert view.files == {FileState.QUARANTINED: 1, FileState.HELD: 1}
    assert [str(file.path) for file in view.troubles] == ["y", "x"]
    assert view.jobs == {(JobKind.REDUCE, JobState.FAILED): 1}
    assert [job.error for job in view.broken] == ["no trace"]
    assert [(line.stem, line.state, line.latency_s) for line in view.latest] == [
        ("a", ProductState.FINAL, 12.5)
    ]
    assert view.last_arrival == START + timedelta(minutes=3)
    assert archive.overview("2026-02-28").frames == {"BIAS": 1}


def fill(engine, frames=100_000, per_night=500):
    """Write a few years of nights straight into the tables."""
    numbers = range(1, frames + 1)
    nights = {n: str((START + timedelta(days=n // per_night)).date()) for n in numbers}
    kinds = [FrameKind.BIAS.value, FrameKind.SPEC_OBJECT.value]
    at = {n: START + timedelta(minutes=n) for n in numbers}
    identity = to_json(SCIENCE)
    common = {"recipe": "s", "recipe_version": "1", "target": "x", "paths": {}, "hashes": {}}
    with writing(engine) as session:
        session.execute(
            insert(FileRow),
            [
                {"path": Path(f"/raw/{n}.fits"), "state": "held" if n % 50 == 0 else "ingested"}
                | {"reason": "", "size": 1, "mtime_ns": n, "sha256": str(n)}
                | {"first_seen": at[n], "last_seen": at[n]}
                for n in numbers
            ],
        )
        session.execute(
            insert(FrameRow), [{"id": n, "stem": str(n), "night": nights[n]} for n in numbers]
        )
        session.execute(
            insert(RevisionRow),
            [
                {"frame_id": n, "revision": 1, "current": True, "sha256": str(n), "size": 1}
                | {"path": Path(f"/raw/{n}.fits"), "night": nights[n], "kind": kinds[n % 2]}
                | {"instrument": "alfosc", "observed_at": at[n], "identity": identity}
                | {"ingested_at": at[n], "arrived_at": at[n]}
                for n in numbers
            ],
        )
        session.execute(
            insert(JobRow),
            [
                {"kind": kind.value, "key": f"{kind}:{n}", "payload": {"n": n}, "priority": 20}
                | {"state": "waiting" if n > frames - 200 else "failed" if n % 99 == 0 else "done"}
                | {"attempts": 1, "not_before": at[n], "worker": "w", "error": ""}
                | {"submitted_at": at[n]}
                for n in numbers
                for kind in (JobKind.INGEST, JobKind.REDUCE)
            ],
        )
        session.execute(
            insert(ProductRow),
            [
                common
                | {"key": f"{n}:{state}", "generation": 1, "frame_id": n, "frame_sha256": str(n)}
                | {"stem": str(n), "night": nights[n], "state": state, "quality": n % 6}
                | {"flag_bits": 0, "created_at": at[n], "latency_s": 9.0}
                for n in numbers
                for state in ("superseded", "final")
            ],
        )
        session.execute(
            insert(MasterRow),
            [
                {"key": str(n), "instrument": "alfosc", "role": "BIAS", "set_key": "1x1"}
                | {"night": nights[n], "version": 1, "state": "current", "reason": ""}
                | {"setup": to_json(SETUP), "observed_at": at[n], "built_at": at[n]}
                | {"path": Path("/out/b.fits"), "sha256": "", "measurements": {}}
                for n in range(1, frames, 100)
            ],
        )


STATUS = """
import sys
from pathlib import Path
from daemon.clock import SystemClock
from daemon.memory.archive import Archive
from daemon.memory.database import open_read_only
Archive(open_read_only(Path(sys.argv[1])), SystemClock()).overview()
"""


@pytest.mark.slow
def test_the_overview_of_100_000_frames_takes_less_than_a_tenth_of_a_second(
    engine, tmp_path, record_property
):
    fill(engine)
    looking = Archive(open_read_only(tmp_path / "alfoscd.sqlite"), HandClock(START))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        view = looking.overview()
        times.append(time.perf_counter() - start)
    assert view.frames_total == 100_000
    assert sum(view.jobs.values()) == 200_000
    record_property("overview_s", min(times))
    assert min(times) < 0.1


@pytest.mark.slow
def test_everyday_calls_stay_quick_with_100_000_frames(engine, archive, clock):
    fill(engine)
    clock.time += timedelta(days=400)
    queue = JobQueue(engine, clock)
    calls = {
        "record_frame": lambda: record(archive, "new", "new-content"),
        "claim": lambda: queue.claim("w"),
        "submit": lambda: queue.submit(JobRequest(kind=JobKind.REDUCE, key="new")),
        "current_product": lambda: archive.current_product(77_777),
        "current_frames": lambda: archive.current_frames(FrameKind.BIAS, NIGHT),
        "find_frames": lambda: archive.find_frames("77777"),
        "file_at": lambda: archive.file_at(Path("/raw/77777.fits")),
        "release_expired": queue.release_expired,
        "next_due": queue.next_due,
        "unfinished": queue.unfinished,
    }
    taken = {}
    for name, call in calls.items():
        tries = []
        for _ in range(4):
            start = time.perf_counter()
            call()
            tries.append(time.perf_counter() - start)
        taken[name] = min(tries)
    assert {name: s for name, s in taken.items() if s > 0.1} == {}


def test_status_does_not_import_what_only_the_daemon_needs(engine, tmp_path):
    root = str(Path(__file__).parents[2])
    code = STATUS + "\nsys.exit(bool({'alembic', 'astropy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "alfoscd.sqlite")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert done.returncode == 0
