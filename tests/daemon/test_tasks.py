"""What the tasks do, on small simulated frames, with the real database and no worker process."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import insert

from calibration_store.codec import to_json
from calibration_store.records import MasterState
from calibration_store.sets import set_key
from daemon.memory.database import writing
from daemon.memory.records import JobKind, ProductState
from daemon.memory.tables import FrameRow, RevisionRow, RevisionSetRow
from daemon.status import read_status
from daemon.work.bench import file_sha256
from daemon.work.outcomes import TryLater
from daemon.work.plan import master_request, reduce_request
from daemon.work.reductions import reduce_frame
from daemon.work.tasks import plan_frame
from reducers.identity import FrameKind, Identity, Setup
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night
from tests.daemon.hall import (
    ALFOSC,
    ARC,
    BIASES,
    NOON,
    SCIENCE,
    WINDOW,
    Contents,
    Hall,
    draw,
    edited,
    simulated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.work.bench import Bench


@pytest.fixture(scope="module")
def contents() -> Contents:
    return simulated()


@pytest.fixture
def hall(tmp_path: Path, contents: Contents) -> Iterator[Hall]:
    hall = Hall(tmp_path, contents)
    yield hall
    hall.bench.engine.dispose()


def test_an_arrival_asks_for_the_set_after_its_quiet_time_and_for_science_at_once(
    hall: Hall,
) -> None:
    hall.put(*BIASES[:5], SCIENCE)
    keys = {job.kind: job for job in hall.waiting().values()}
    assert set(keys) == {JobKind.MASTER, JobKind.REDUCE}
    assert keys[JobKind.REDUCE].not_before == hall.clock.now()


def test_a_spectrum_behind_masters_that_are_due_is_reduced_once_with_them(hall: Hall) -> None:
    hall.put(ARC)
    taken = hall.frame(ARC).identity.observed_at
    assert taken is not None
    hall.clock.seconds = (taken - NOON).total_seconds() + 60
    hall.put(*BIASES)
    hall.clock.seconds += 3600  # nobody has worked for an hour: every set is complete
    hall.put(SCIENCE)
    did = [job.kind for job in hall.work() if job.error == ""]
    first = did.index(JobKind.REDUCE)
    assert did[:first] == [JobKind.MASTER] * first
    assert {m.role for m in hall.bench.store.everything()} == {"BIAS", "ARC"}
    assert did.count(JobKind.REDUCE) == 1
    assert hall.product().generation == 1


def test_a_bias_alone_waits_for_more_of_its_set(hall: Hall) -> None:
    hall.put(BIASES[0])
    (job,) = hall.waiting().values()
    assert job.kind is JobKind.MASTER
    assert job.not_before == hall.clock.now() + timedelta(seconds=120)


def test_a_set_that_grew_is_built_once_and_nothing_is_done_when_it_is_current(hall: Hall) -> None:
    hall.put(*BIASES)
    hall.work(until_s=200)
    (master,) = hall.bench.store.everything()
    assert (master.role, master.version, len(master.inputs)) == ("BIAS", 1, 6)
    before = master.path.stat().st_mtime_ns
    member = hall.frame(BIASES[0])
    hall.bench.queue.submit(master_request("BIAS", member, ALFOSC, hall.clock.now()))
    assert [job.kind for job in hall.work()] == [JobKind.MASTER]
    assert hall.bench.store.everything() == [master]
    assert master.path.stat().st_mtime_ns == before


def test_a_product_is_provisional_until_its_masters_have_come(hall: Hall) -> None:
    hall.put(SCIENCE)
    hall.work()
    first = hall.product()
    assert (first.state, first.generation) == (ProductState.PROVISIONAL, 1)
    assert "NO_BIAS" in {flag.name for flag in first.flags}
    hall.put(*BIASES, ARC)
    hall.work(until_s=200)
    better = hall.product()
    assert "NO_BIAS" not in {flag.name for flag in better.flags}
    assert better.paths["spectrum"] == first.paths["spectrum"]
    assert {choice.role for choice in better.choices if choice.master_key} == {"BIAS", "ARC"}
    assert better.latency_s == first.latency_s


def test_a_damaged_master_is_built_anew_before_it_is_used(hall: Hall) -> None:
    hall.put(*BIASES)
    hall.work(until_s=200)
    (master,) = hall.bench.store.everything()
    whole = master.path.read_bytes()
    master.path.write_bytes(whole[: len(whole) // 2])
    hall.put(SCIENCE)
    hall.work(until_s=400)
    assert hall.bench.store.everything()[0].state is MasterState.CURRENT
    assert "NO_BIAS" not in {flag.name for flag in hall.product().flags}


def test_a_master_of_another_version_is_left_out_by_name_and_stops_nothing(hall: Hall) -> None:
    hall.put(*BIASES)
    hall.work(until_s=200)
    (master,) = hall.bench.store.everything()
    with fits.open(master.path) as hdus:
        del hdus["DQ"]
        hdus.writeto(master.path, overwrite=True)
    hall.bench.store.add(replace(master, sha256=file_sha256(master.path)))
    hall.put(SCIENCE)
    hall.work(until_s=400)
    assert "another version" in hall.bench.store.everything()[0].reason
    assert "NO_BIAS" in {flag.name for flag in hall.product().flags}


def test_spectra_say_that_their_arc_was_refused(hall: Hall) -> None:
    hall.put(SCIENCE)
    hall.work()
    assert "ARC_REFUSED" not in {flag.name for flag in hall.product().flags}
    # The lamp was off: the header of an arc over the counts of a bias.
    lit, dark = hall.contents[ARC], hall.contents[BIASES[0]]
    with fits.open(BytesIO(lit)) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
    hall.put(ARC, content=lit[:start] + dark[start:])
    hall.work(until_s=200, failing=("no lamp light",))
    refused = hall.product()
    assert "ARC_REFUSED" in {flag.name for flag in refused.flags}
    assert refused.quality == 2, "the sky lines confirm the nominal wavelengths"
    (arc,) = [choice for choice in refused.choices if choice.role == "ARC"]
    assert arc.reason.endswith("the night's own was refused")


def test_an_arc_behind_another_slit_is_moved_once_to_where_the_slit_stands(hall: Hall) -> None:
    # ALAPRSLY 6 px lower, and so is the light: three rows of two pixels.
    with fits.open(BytesIO(hall.contents[ARC])) as hdus:
        hdus[0].header["ALAPRTNM"] = "Slit_1.3"
        hdus[0].header["ALAPRSLY"] -= 6.0
        hdus[1].data = np.roll(hdus[1].data, -3, axis=0)
        moved = BytesIO()
        hdus.writeto(moved)
    hall.put(ARC, content=moved.getvalue())
    hall.put(SCIENCE)
    hall.work(until_s=200)
    product = hall.product()
    told = {flag.name for flag in product.flags}
    assert "ARC_SLIT" in told
    assert not told & {"FLEXURE_LARGE", "SKYLINE_RESID", "WAVE_GUESSED"}
    assert product.quality == 2
    assert product.measurements["arc_slit_moved_px"] == pytest.approx(6.0)
    assert abs(product.measurements["flexure_px"]) < 2.0


def test_twilight_along_the_slit_is_applied_once_there_is_a_flat(hall: Hall) -> None:
    flats = [f"ALJa15000{k}.fits" if k < 10 else f"ALJa1500{k}.fits" for k in (9, 10, 11)]
    planned = {f"{each.stem}.fits": each for each in plan_night(seed=5)}
    lamp = {name: simulate(replace(planned[name], window=WINDOW), ALFOSC).content for name in flats}
    # The header of a spectrum of the sky, over lamp light that falls off along the slit.
    sky = edited(hall.contents[SCIENCE], "IMAGETYP", "FLAT,SKY")
    with fits.open(BytesIO(lamp[flats[0]])) as lit, fits.open(BytesIO(sky)) as hdus:
        counts = lit[1].data.astype(np.int64)
        ramp = np.linspace(1.05, 0.95, counts.shape[1])
        hdus[1].data = (12000 + np.maximum(counts - 12000, 0) * ramp).astype(np.uint32)
        twilight = BytesIO()
        hdus.writeto(twilight)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.put("ALJa150099.fits", content=twilight.getvalue())
    assert hall.frame("ALJa150099.fits").identity.kind is FrameKind.SPEC_SKYFLAT
    hall.work(until_s=400)
    assert not [m for m in hall.bench.store.everything() if m.role == "ILLUMINATION"]
    assert hall.product().measurements["no_illumination"] == 1.0
    for name in flats:
        hall.put(name, content=lamp[name])
    hall.work(until_s=800)
    (master,) = [m for m in hall.bench.store.everything() if m.role == "ILLUMINATION"]
    assert master.state is MasterState.CURRENT
    assert master.measurements["illumination_range"] == pytest.approx(0.1, abs=0.02)
    product = hall.product()
    assert product.measurements["no_illumination"] == 0.0
    assert product.measurements["illumination_rms"] == pytest.approx(0.029, abs=0.005)
    (choice,) = [each for each in product.choices if each.role == "ILLUMINATION"]
    assert choice.master_key == master.key


def test_spectra_of_an_unknown_grism_are_made_in_pixels_and_their_arc_says_why(hall: Hall) -> None:
    for name in (SCIENCE, ARC):
        hall.put(name, content=edited(hall.contents[name], "ALGRNM", "Grism_#99"))
    hall.work(until_s=200, failing=("the profile of ALFOSC knows no wavelengths",))
    product = hall.product()
    assert product.quality == 4
    (line,) = read_status(hall.bench.config.database, now=hall.clock.now()).products
    assert {name for name, _ in line.flags[:2]} == {"PIXELS_ONLY", "ARC_REFUSED"}, "worst first"
    assert {"spectrum", "objects", "image2d", "rectified", "ascii", "plot"} <= set(product.paths)
    assert np.isfinite(fits.getdata(product.paths["spectrum"], 1)["PIXEL"]).all()


def test_a_bias_that_turns_out_to_be_a_dark_leaves_its_master(hall: Hall) -> None:
    hall.put(*BIASES)
    hall.work(until_s=200)
    dark = edited(hall.contents[BIASES[2]], "IMAGETYP", "DARK")
    dark = edited(dark, "OBJECT", "dark").replace(b"0.002", b"600.0")
    hall.put(BIASES[2], content=dark)
    assert hall.frame(BIASES[2]).identity.kind is not FrameKind.BIAS
    hall.work(until_s=200)
    states = {
        item.version: (item.state, len(item.inputs)) for item in hall.bench.store.everything()
    }
    assert states == {1: (MasterState.SUPERSEDED, 6), 2: (MasterState.CURRENT, 5)}


def test_a_master_that_lost_too_many_frames_is_not_used_and_its_products_are_remade(
    hall: Hall,
) -> None:
    hall.put(*BIASES[:5], SCIENCE)
    hall.work(until_s=200)
    assert "NO_BIAS" not in {flag.name for flag in hall.product().flags}
    another_night = hall.contents[BIASES[0]].replace(b"2026-01-15T", b"2026-01-18T")
    assert another_night != hall.contents[BIASES[0]]
    hall.put(BIASES[0], content=another_night)
    assert hall.frame(BIASES[0]).night != hall.frame(BIASES[1]).night
    hall.work(until_s=200)
    (master,) = hall.bench.store.everything()
    assert (master.state, master.reason) == (
        MasterState.SUPERSEDED,
        f"{BIASES[0][:-5]} is no longer in its set",
    )
    assert "NO_BIAS" in {flag.name for flag in hall.product().flags}


def test_a_spectrum_that_turns_out_to_be_none_has_no_product_any_more(hall: Hall) -> None:
    hall.put(SCIENCE)
    hall.work()
    frame = hall.frame(SCIENCE)
    focus = edited(hall.contents[SCIENCE], "IMAGETYP", "FOCUS")
    focus = edited(focus, "ALGRNM", "Focus_Pyr")
    hall.put(SCIENCE, content=focus)
    hall.work()
    assert hall.frame(SCIENCE).identity.kind is FrameKind.FOCUS
    assert hall.bench.archive.current_product(frame.id) is None


def test_a_reduction_that_has_a_product_waits_for_masters_that_are_due(hall: Hall) -> None:
    hall.put(SCIENCE)
    hall.work()
    hall.put(*BIASES)
    hall.clock.seconds += 130
    request = reduce_request(hall.frame(SCIENCE), priority=1, now=hall.clock.now())
    hall.bench.queue.submit(request)
    job = hall.bench.queue.claim("worker", {JobKind.REDUCE})
    assert job is not None
    with pytest.raises(TryLater, match="waits for master:BIAS"):
        reduce_frame(hall.bench, job, draw)
    hall.bench.queue.put_back(job, "waits")


def test_one_more_frame_of_a_long_night_is_taken_in_quickly(hall: Hall) -> None:
    fill_night(hall.bench, frames=10_000)
    hall.put(BIASES[0])
    tries = []
    frame = hall.frame(BIASES[0])
    assert frame.night == "2026-01-15"
    for _ in range(4):
        with writing(hall.bench.engine) as session:
            start = time.process_time()
            plan_frame(hall.bench, frame, ALFOSC, session)
            tries.append(time.process_time() - start)
    assert min(tries) < 0.03


def fill_night(bench: Bench, frames: int) -> None:
    """Write a night of biases, arcs, flats and spectra, in sets of fifty, into the tables."""
    kinds = (FrameKind.BIAS, FrameKind.ARC, FrameKind.SPEC_FLAT, FrameKind.SPEC_OBJECT)
    identities = {
        number: Identity(
            instrument=ALFOSC.name,
            kind=kinds[number % 4],
            setup=Setup(x_binning=1, y_binning=1, window=(1, number // 200, 1, 9), readout="A"),
            observed_at=datetime(2026, 1, 15, 18, tzinfo=UTC) + timedelta(seconds=4 * number),
            exposure_s=1.0,
        )
        for number in range(1, frames + 1)
    }
    with writing(bench.engine) as session:
        session.execute(
            insert(FrameRow),
            [{"id": n, "stem": f"F{n}", "night": "2026-01-15"} for n in identities],
        )
        session.execute(
            insert(RevisionRow),
            [
                {"id": n, "frame_id": n, "revision": 1, "current": True, "sha256": str(n)}
                | {"size": 1, "path": bench.config.root / str(n), "night": "2026-01-15"}
                | {"kind": own.kind.value, "instrument": own.instrument}
                | {"observed_at": own.observed_at, "identity": to_json(own)}
                | {"ingested_at": NOON, "arrived_at": NOON}
                for n, own in identities.items()
            ],
        )
        rules = ((n, own, ALFOSC.sets.get(own.kind)) for n, own in identities.items())
        session.execute(
            insert(RevisionSetRow),
            [{"revision_id": n, "set_key": set_key(own, r)} for n, own, r in rules if r],
        )
