"""Spectra of one target become one, whatever order they come in and whoever is killed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from daemon.config import Classification, Config, Paths, Programme, Slack
from daemon.memory.database import writing
from daemon.memory.messages import Topic
from daemon.memory.records import (
    Decision,
    FlagRecord,
    JobState,
    ProductRecord,
    ProductState,
    Verdict,
)
from daemon.publish.status_text import render
from daemon.status import read_status, to_json
from daemon.work.bench import file_sha256, open_bench
from daemon.work.combinations import combine_group
from daemon.work.groups import (
    Candidate,
    Group,
    after_product,
    combine_request,
    group_of,
    members_and_others,
)
from daemon.work.outcomes import TryLater
from daemon.work.plan import reduce_request
from reducers.identity import FrameKind, Identity, Setup
from tests.daemon.fresh_database import fresh_database
from tests.reducers.supernovae import observed, write_templates

START = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
NIGHT = "2026-03-01"
SETUP = Setup(
    x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200",
    grism="Grism_#4", slit="Slit_1.0", filter="WG345",
)  # fmt: skip
SCIENCE = Identity(
    instrument="ALFOSC", kind=FrameKind.SPEC_OBJECT, setup=SETUP, observed_at=START,
    exposure_s=300.0, target="SN 2026abc", ra_deg=150.0, dec_deg=20.0,
)  # fmt: skip


class HandClock:
    """Stands still until it is moved."""

    def __init__(self):
        self.time = START + timedelta(hours=2)

    def now(self):
        return self.time

    def monotonic(self):
        return 0.0


@pytest.fixture
def bench(tmp_path):
    config = Config(paths=Paths(raw=(tmp_path / "raw",), root=tmp_path / "root"))
    bench = open_bench(config, HandClock(), engine=fresh_database(config.database))
    yield bench
    bench.engine.dispose()


def write_spectrum(path, seed, *, factor=1.0, calibrated=True, seen=None):
    rng = np.random.default_rng(seed)
    wave = np.linspace(4000.0, 9000.0, 500)
    error = np.full(500, 1e-17)
    flux = factor * 1e-16 * (1 + 0.3 * np.sin(wave / 400)) + rng.normal(0, error)
    if seen is not None:
        flux, error = (np.interp(wave, seen.wavelength, each) for each in (seen.flux, seen.error))
    columns = {
        "WAVE": wave, "FLUX": flux, "ERR": error, "MASK": np.zeros(500, int), "SKY": error,
        "COUNTS": flux * 1e18, "COUNTS_ERR": error * 1e18, "BOXCAR": flux, "DQ": np.zeros(500, int),
    }  # fmt: skip
    header = fits.Header()
    header["OBJECT"], header["INSTRUME"] = "SN 2026abc", "ALFOSC"
    header["FLUXCAL"] = "ABSOLUTE" if calibrated else "UNCALIBRATED"
    header["DATE-OBS"] = f"2026-03-01T22:{seed:02d}:00.000"
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus = fits.HDUList([fits.PrimaryHDU(header=header), fits.BinTableHDU(Table(columns))])
    hdus.writeto(path, overwrite=True)


def take(bench, number, **changes):
    """Record an exposure and return it."""
    frame, _, _ = bench.archive.record_frame(
        stem=f"ALGc01{number:04d}", sha256=f"{number:064x}", path=Path(f"/raw/{number}.fits"),
        size=2880, identity=replace(SCIENCE, **changes), night=NIGHT, arrived_at=START, set_keys=(),
    )  # fmt: skip
    return frame


def ask(bench, frame, session):
    """Submit what follows from a product, as the reduction does."""
    for request in after_product(bench.archive, frame, session):
        bench.queue.submit(request, within=session)


def reduced(bench, frame, *, key=None, quality=0, state=ProductState.FINAL, **spectrum):
    """Record a product of an exposure, and submit what follows as the reduction does."""
    path = bench.layout.product(NIGHT, "SN 2026abc", frame.stem, "1d.fits")
    write_spectrum(path, int(frame.stem[-4:]), **spectrum)
    bad = FlagRecord(
        name="NEG_FLUX", bit=3, quality=quality, value=1.0, threshold=0.2, sentence="Negative."
    )
    product = ProductRecord(
        key=key or f"key of {frame.stem}", frame_id=frame.id, frame_sha256=frame.sha256,
        stem=frame.stem, night=NIGHT, recipe="spectrum", recipe_version="1", generation=1,
        state=state, quality=quality, flag_bits=0, target="SN 2026abc", paths={"spectrum": path},
        hashes={"spectrum": file_sha256(path)}, measurements={}, flags=(bad,) if quality else (),
        choices=(), created_at=START,
    )  # fmt: skip
    with writing(bench.engine) as session:
        bench.archive.record_product(product, within=session)
        ask(bench, frame, session)
    return product


def run(bench):
    """Do every waiting combination."""
    done = 0
    while (job := bench.queue.claim("w1")) is not None:
        combine_group(bench, job)
        bench.queue.finish(job)
        done += 1
    return done


def only(bench):
    (record,) = bench.archive.combinations(NIGHT)
    return record


def test_two_spectra_of_one_target_become_one(bench) -> None:
    for number in (1, 2):
        reduced(bench, take(bench, number))
    assert run(bench) == 1
    record = only(bench)
    path = record.paths["combined"]
    assert path.name == "SN_2026abc_Grism_4_Slit_1.0_combined_1d.fits"
    assert path.parent == bench.layout.target_folder(NIGHT, "SN 2026abc")
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header["NCOMBINE"] == 2
        assert hdus[0].header["EXPTIME"] == 600
        assert hdus[0].header["MEMBER1"] == "ALGc010001"
        assert hdus[0].header["DATE-OBS"] == "2026-03-01T22:01:00.000"
        assert list(hdus["MEMBERS"].data["NAME"]) == ["ALGc010001", "ALGc010002"]
        assert list(hdus["PROVENANCE"].data["FILE"]) == [
            "ALGc010001_1d.fits", "ALGc010002_1d.fits",
        ]  # fmt: skip
        table = hdus[1].data
        assert np.median(table["ERR"]) == pytest.approx(1e-17 / np.sqrt(2), rel=0.05)
    assert [each.stem for each in record.members] == ["ALGc010001", "ALGc010002"]
    assert record.state is ProductState.FINAL


def test_one_spectrum_alone_asks_for_nothing(bench) -> None:
    reduced(bench, take(bench, 1))
    reduced(bench, take(bench, 2, target="another"))
    reduced(bench, take(bench, 3, setup=replace(SETUP, slit="Slit_1.3")))
    reduced(bench, take(bench, 4, kind=FrameKind.SPEC_STD))
    assert run(bench) == 0
    assert bench.archive.combinations() == []


def test_the_combination_is_the_same_whatever_order_the_spectra_come_in(bench, tmp_path) -> None:
    def outcome(order, root):
        config = Config(paths=Paths(raw=(tmp_path,), root=root))
        own = open_bench(config, HandClock(), engine=fresh_database(config.database))
        for number in order:
            reduced(own, take(own, number), factor=1 - 0.2 * (number == 2))
            run(own)
        record = only(own)
        own.engine.dispose()
        return record.key, dict(record.hashes), record.members

    first = outcome([1, 2, 3], tmp_path / "a")
    assert outcome([3, 1, 2], tmp_path / "b") == first
    assert outcome([2, 3, 1], tmp_path / "c") == first


def test_a_killed_worker_s_combination_is_made_by_the_next(bench) -> None:
    for number in (1, 2):
        reduced(bench, take(bench, number))
    job = bench.queue.claim("w1")
    assert job is not None  # and its worker dies here
    bench.queue.release_worker("w1", "killed")
    assert run(bench) == 1
    assert only(bench).paths["combined"].is_file()


def test_a_worker_killed_before_the_record_leaves_the_job_to_be_done_again(bench) -> None:
    for number in (1, 2):
        reduced(bench, take(bench, number))
    job = bench.queue.claim("w1")
    bench.queue.release_worker("w1", "killed")
    combine_group(bench, job)  # its files are whole, its claim is gone
    before = dict(only(bench).hashes)
    assert run(bench) == 1
    assert only(bench).hashes == before


def test_doing_it_again_writes_nothing(bench) -> None:
    for number in (1, 2):
        frame = take(bench, number)
        reduced(bench, frame)
    run(bench)
    path = only(bench).paths["combined"]
    written = path.stat().st_mtime_ns
    bench.queue.submit(combine_request(group_of(frame), bench.clock.now()))
    assert run(bench) == 1
    assert path.stat().st_mtime_ns == written


def test_a_combination_that_was_deleted_or_damaged_comes_back(bench) -> None:
    for number in (1, 2):
        frame = take(bench, number)
        reduced(bench, frame)
    run(bench)
    path = only(bench).paths["combined"]
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    bench.queue.submit(combine_request(group_of(frame), bench.clock.now()))
    run(bench)
    assert path.read_bytes() == whole


def test_a_new_version_of_a_member_makes_it_again(bench) -> None:
    first, second = take(bench, 1), take(bench, 2)
    reduced(bench, first)
    reduced(bench, second, state=ProductState.PROVISIONAL)
    run(bench)
    before = only(bench)
    reduced(bench, second, key="better", factor=0.5)
    run(bench)
    after = only(bench)
    assert (before.state, after.state) == (ProductState.PROVISIONAL, ProductState.FINAL)
    assert after.key != before.key
    assert after.members[1].product_key == "better"
    assert after.members[1].factor == pytest.approx(0.5, abs=0.02)
    assert "50 %" in after.members[1].remark


def test_bad_and_rejected_spectra_take_no_part_and_it_is_said_why(bench) -> None:
    frames = [take(bench, number) for number in range(1, 7)]
    reduced(bench, frames[0])
    reduced(bench, frames[1])
    reduced(bench, frames[2], quality=4)
    banned = reduced(bench, frames[3])
    reduced(bench, take(bench, 7, setup=replace(SETUP, filter="")))
    reduced(bench, take(bench, 8, ra_deg=151.0))
    verdict = Verdict(decision=Decision.REJECTED, user="eva", at=START)
    with writing(bench.engine) as session:
        bench.archive.decide(banned, verdict, within=session)
        ask(bench, frames[3], session)
    run(bench)
    record = only(bench)
    assert [each.stem[-1] for each in record.members] == ["1", "2"]
    assert dict(record.excluded) == {
        "ALGc010003": "quality 4: NEG_FLUX",
        "ALGc010004": "rejected by eva",
        "ALGc010007": "filter none, the others WG345",
        "ALGc010008": "the telescope pointed elsewhere",
    }
    assert "EXCLUD2" in fits.getheader(record.paths["combined"])


def test_a_combination_with_one_member_left_is_withdrawn(bench) -> None:
    frames = [take(bench, number) for number in (1, 2)]
    for frame in frames:
        product = reduced(bench, frame)
    run(bench)
    path = only(bench).paths["combined"]
    verdict = Verdict(decision=Decision.REJECTED, user="eva", at=START)
    with writing(bench.engine) as session:
        bench.archive.decide(product, verdict, within=session)
        ask(bench, frames[1], session)
    assert run(bench) == 1
    assert bench.archive.combinations() == []
    assert not path.exists()


def test_it_waits_while_a_member_is_being_reduced(bench) -> None:
    for number in (1, 2):
        frame = take(bench, number)
        reduced(bench, frame)
    job = bench.queue.claim("w1")
    bench.queue.submit(reduce_request(frame, priority=20, now=bench.clock.now()))
    with pytest.raises(TryLater, match="waits for reduce"):
        combine_group(bench, job)


def test_a_member_whose_file_is_gone_is_reduced_again_first(bench) -> None:
    for number in (1, 2):
        frame = take(bench, number)
        product = reduced(bench, frame)
    product.paths["spectrum"].unlink()
    with pytest.raises(TryLater, match="made again"):
        combine_group(bench, bench.queue.claim("w1"))
    waiting = [job.key for job in bench.queue.jobs(JobState.WAITING)]
    assert waiting == [f"reduce:{frame.sha256}"]


def test_without_a_standard_for_one_member_counts_are_combined(bench) -> None:
    reduced(bench, take(bench, 1))
    reduced(bench, take(bench, 2), calibrated=False)
    run(bench)
    header = fits.getheader(only(bench).paths["combined"])
    assert header["FLUXCAL"] == "UNCALIBRATED"


def test_a_corrected_target_takes_the_spectrum_out_of_its_old_combination(bench) -> None:
    for number in (1, 2):
        reduced(bench, take(bench, number))
    run(bench)
    renamed, _, _ = bench.archive.record_frame(
        stem="ALGc010002", sha256="f" * 64, path=Path("/raw/2.fits"), size=2880,
        identity=replace(SCIENCE, target="SN 2026xyz"), night=NIGHT, arrived_at=START, set_keys=(),
    )  # fmt: skip
    reduced(bench, renamed, key="renamed")
    run(bench)
    assert bench.archive.combinations() == []


def test_status_lists_a_combination_with_what_is_odd_about_it(bench) -> None:
    reduced(bench, take(bench, 1))
    reduced(bench, take(bench, 2), factor=0.4)
    reduced(bench, take(bench, 3), quality=4)
    run(bench)
    status = read_status(bench.config.database, now=bench.clock.now())
    (line,) = status.combinations
    assert [stem for stem, *_ in line.members] == ["ALGc010001", "ALGc010002"]
    text = render(status)
    assert "SN 2026abc Grism_#4 Slit_1.0: 2 exposures, 600 s, Q 2" in text
    assert "ALGc010002: only 40 % of the best exposure's flux" in text
    assert "ALGc010003: left out, quality 4: NEG_FLUX" in text
    assert "ALGc010002" in to_json(status)


@pytest.mark.parametrize(("factor", "said"), [(0.5, "CLOUD"), (0.9, "")])
def test_a_combination_says_that_an_exposure_was_dimmed(bench, factor, said) -> None:
    reduced(bench, take(bench, 1))
    reduced(bench, take(bench, 2), factor=factor)
    run(bench)
    header = fits.getheader(only(bench).paths["combined"])
    assert header["QREASON"] == said
    assert header["CLOUDMAG"] == pytest.approx(-2.5 * np.log10(factor), abs=0.02)
    assert only(bench).measurements["cloud_mag"] == pytest.approx(header["CLOUDMAG"], abs=1e-3)


def test_the_key_of_a_group_can_be_read_back() -> None:
    group = Group(instrument="ALFOSC", night=NIGHT, target="a:b", grism="Grism_#4", slit="Slit_1.0")
    assert Group.of_key(group.key) == group


def test_members_do_not_depend_on_the_order_they_are_asked_in(bench) -> None:
    candidates = []
    for number in range(1, 6):
        frame = take(bench, number, ra_deg=150.0 + 0.02 * number)
        candidates.append(Candidate(frame=frame, product=reduced(bench, frame)))
    forward, backward = members_and_others(candidates), members_and_others(candidates[::-1])
    assert forward == backward


def test_a_combination_is_classified_too_and_says_so_everywhere(tmp_path) -> None:
    templates = write_templates(tmp_path / "templates")
    config = Config(
        paths=Paths(raw=(tmp_path / "raw",), root=tmp_path / "root"),
        classification=Classification(templates=templates, snid=""),
    )
    bench = open_bench(config, HandClock(), engine=fresh_database(config.database))
    for number in (1, 2):
        reduced(bench, take(bench, number), seen=observed("Ia-norm", 0.04, seed=number))
    run(bench)
    record = only(bench)
    bench.engine.dispose()
    header = fits.getheader(record.paths["combined"])
    assert (header["TGTKIND"], header["SNTYPE"], header["SNSURE"]) == ("supernova", "Ia-norm", True)
    assert record.measurements["class_redshift"] == pytest.approx(0.04, abs=0.005)
    assert "# CLASSIFICATION Ia (Ia-norm)" in record.paths["combined_ascii"].read_text()
    (said,) = json.loads(record.paths["plot_facts"].read_text())["classification"]
    assert said.startswith("Ia (Ia-norm)")


def told(bench):
    notices = bench.archive.notices(Topic.PRODUCT)
    return [each.message for each in reversed(notices)]


def listened_to(bench, **programmes):
    slack, rules = Slack(channel="C1"), {"*": Programme(open=True), **programmes}
    return replace(bench, config=replace(bench.config, slack=slack, programmes=rules))


def test_each_version_of_a_combination_is_told_once_and_a_silent_site_is_told_nothing(
    bench,
) -> None:
    for number in (1, 2):
        reduced(bench, take(bench, number))
    run(bench)
    assert told(bench) == []
    bench = listened_to(bench)
    reduced(bench, take(bench, 3))
    run(bench)
    run(bench)
    (first,) = told(bench)
    assert "3 exposures combined  900 s" in first.text
    assert "replaces the one of 2 exposures; new in it: ALGc010003" in first.text
    assert (first.night, first.target) == (NIGHT, "SN 2026abc")
    assert first.attachments == (only(bench).paths["plot"],)
    reduced(bench, take(bench, 4))
    run(bench)
    assert len(told(bench)) == 2


def test_what_is_of_a_closed_programme_and_of_another_is_shown_to_neither(bench) -> None:
    bench = listened_to(bench, closed=Programme(open=False))
    reduced(bench, take(bench, 1, programme="closed"))
    reduced(bench, take(bench, 2, programme="65-001"))
    run(bench)
    assert len(only(bench).members) == 2
    assert told(bench) == []
    for number in (1, 2):
        reduced(bench, take(bench, 10 + number, target="SN 2026xyz", programme=f"65-00{number}"))
    run(bench)
    assert [each.programme for each in told(bench)] == [""]
