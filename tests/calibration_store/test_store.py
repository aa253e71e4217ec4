from __future__ import annotations

import math
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from calibration_store.codec import from_json, to_json
from calibration_store.columns import decode_name, encode_name
from calibration_store.records import MasterRecord, MasterState
from calibration_store.store import CalibrationStore
from calibration_store.tables import Base
from calibration_store.transactions import writing
from reducers.identity import Setup

SETUP = Setup(
    x_binning=1, y_binning=1, window=(1, 500, 1, 2102), readout="D-8-200", grism="Grism_#4"
)
EVENING = datetime(2026, 3, 1, 19, 0, tzinfo=UTC)


def master(key="k1", **changes):
    plain = MasterRecord(
        key=key,
        instrument="alfosc",
        role="BIAS",
        setup=SETUP,
        set_key="1x1/D-8-200",
        night="2026-03-01",
        observed_at=EVENING,
        built_at=EVENING + timedelta(minutes=5),
        path=Path("/out/2026-03-01/calibrations/bias.fits"),
    )
    return replace(plain, **changes)


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/store.sqlite")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine):
    return CalibrationStore(engine)


def keys(records):
    return [record.key for record in records]


def test_a_master_comes_back_as_it_was_recorded(store):
    record = master(
        version=3,
        inputs=(("aa", "ALDb0001"), ("bb", "odd\udcff\\name")),
        parents=(("BIAS", "b"), ("FLAT", "f")),
        measurements={"rms_px": 0.08, "hot": 3.0, "gain": math.inf},
        aperture_y_px=1024.5,
        sha256="cc",
        path=Path(os.fsdecode(b"/out/caf\xe9\\x41.fits")),
        observed_at=EVENING.astimezone(datetime.now(UTC).astimezone().tzinfo),
    )
    assert store.add(record) == record
    assert store.get("k1") == record
    assert store.get("k2") is None


def test_a_measurement_that_is_not_a_number_stays_so(store):
    store.add(master(measurements={"rms_px": math.nan}))
    assert math.isnan(store.get("k1").measurements["rms_px"])


def test_a_new_version_supersedes_the_one_before(store):
    first = store.add(master("k1"))
    second = store.add(master("k2"))
    assert (first.version, second.version) == (1, 2)
    assert store.get("k1").state is MasterState.SUPERSEDED
    assert keys(store.candidates("BIAS", "alfosc")) == ["k2"]
    assert keys(store.versions("1x1/D-8-200", "2026-03-01")) == ["k1", "k2"]


@pytest.mark.parametrize(
    "other",
    [
        {"night": "2026-03-02"},
        {"set_key": "2x2/D-8-200"},
        {"role": "FLAT"},
        {"instrument": "efosc2"},
    ],
)
def test_a_master_of_another_set_supersedes_nothing(store, other):
    store.add(master("k1"))
    assert store.add(master("k2", **other)).version == 1
    assert store.get("k1").state is MasterState.CURRENT


def test_a_rejected_version_leaves_the_good_one_in_use(store):
    store.add(master("k1"))
    store.add(master("k2", state=MasterState.REJECTED, reason="too noisy"))
    assert keys(store.candidates("BIAS", "alfosc")) == ["k1"]
    assert store.get("k2").reason == "too noisy"
    assert keys(store.of_night("2026-03-01")) == ["k1", "k2"]


def test_adding_the_same_key_again_changes_nothing(store):
    record = store.add(master("k1", inputs=(("aa", "a"), ("bb", "b")), parents=(("BIAS", "p"),)))
    assert store.add(record) == record
    assert store.add(replace(record, version=0)) == record
    assert store.versions(record.set_key, record.night, "BIAS") == [record]


def test_an_older_version_that_is_built_again_is_in_use_again(store):
    store.add(master("k1"))
    store.add(master("k2"))
    store.add(master("k1"))
    assert keys(store.candidates("BIAS", "alfosc")) == ["k1"]


def test_a_banned_master_stays_banned_when_it_is_built_again(store):
    store.add(master("k1"))
    assert store.set_state("k1", MasterState.BANNED, "light leak")
    again = store.add(master("k1"))
    assert (again.state, again.reason) == (MasterState.BANNED, "light leak")
    assert store.candidates("BIAS", "alfosc") == []
    assert not store.set_state("unknown", MasterState.BANNED, "x")


def test_taking_a_ban_back_leaves_one_version_in_use(store):
    store.add(master("k1"))
    store.set_state("k1", MasterState.BANNED, "light leak")
    store.add(master("k2"))
    store.set_state("k1", MasterState.CURRENT, "")
    assert keys(store.candidates("BIAS", "alfosc")) == ["k1"]
    assert store.get("k2").state is MasterState.SUPERSEDED


def test_candidates_are_the_masters_of_the_role_in_order_of_observation(store):
    store.add(master("late", night="2026-03-02", observed_at=EVENING + timedelta(days=1)))
    store.add(master("early"))
    store.add(master("flat", role="FLAT"))
    store.add(master("other", instrument="efosc2"))
    assert keys(store.candidates("BIAS", "alfosc")) == ["early", "late"]


def test_what_was_built_with_a_master_is_found(store):
    store.add(master("bias"))
    store.add(master("flat", role="FLAT", parents=(("BIAS", "bias"),)))
    store.add(master("arc", role="ARC", parents=(("BIAS", "bias"), ("FLAT", "flat"))))
    store.add(master("old", role="RESPONSE", parents=(("BIAS", "bias"),)))
    store.add(master("new", role="RESPONSE", parents=(("BIAS", "bias2"),)))
    assert keys(store.dependents_of("bias")) == ["flat", "arc"]
    assert keys(store.dependents_of("flat")) == ["arc"]
    assert store.dependents_of("arc") == []


def test_what_holds_a_raw_frame_is_found(store):
    store.add(master("k1", inputs=(("aa", "a"), ("bb", "b"))))
    store.add(master("k2", role="FLAT", inputs=(("bb", "b"),)))
    assert keys(store.built_from("bb")) == ["k1", "k2"]
    assert keys(store.built_from("aa")) == ["k1"]


def test_a_master_of_a_transaction_that_fails_was_never_recorded(engine, store):
    def half():
        with writing(engine) as session:
            store.add(master("k2"), within=session)
            assert keys(store.candidates("BIAS", "alfosc", within=session)) == ["k2"]
            raise InterruptedError

    store.add(master("k1"))
    with pytest.raises(InterruptedError):
        half()
    assert keys(store.candidates("BIAS", "alfosc")) == ["k1"]


def test_a_naive_time_is_refused(store):
    with pytest.raises(Exception, match="naive time"):
        store.add(master(observed_at=datetime(2026, 3, 1)))  # noqa: DTZ001 - naive on purpose: it must be refused


def test_a_setup_written_before_a_field_existed_takes_its_default():
    encoded = to_json(SETUP)
    del encoded["filter"]
    assert from_json(Setup, {**encoded, "unheard_of": 1}) == SETUP


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_every_file_name_survives_and_is_storable(name):
    text = os.fsdecode(name)
    encode_name(text).encode("utf-8")
    assert decode_name(encode_name(text)) == text


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=2, unique=True))
def test_no_two_file_names_are_stored_alike(names):
    assert len({encode_name(os.fsdecode(name)) for name in names}) == len(names)
