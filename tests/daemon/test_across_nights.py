"""A person has the spectra of several nights combined: calibrated, at one velocity, remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from daemon.cli.main import main
from daemon.config import Config, Paths
from daemon.memory.records import Decision, ProductRecord, ProductState, Verdict
from daemon.publish.status_text import render
from daemon.status import read_status
from daemon.work.across_nights import NothingToCombine, Wanted, combine_nights
from daemon.work.bench import file_sha256, open_bench
from daemon.work.groups import after_product
from daemon.work.observer_motion import velocity_km_s
from daemon.work.outcomes import TryLater
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument
from tests.daemon.fresh_database import fresh_database

LINE = 6000.0
SCIENCE = Identity(
    instrument="ALFOSC", kind=FrameKind.SPEC_OBJECT, exposure_s=300.0, target="SN 2026abc",
    observed_at=datetime(2026, 3, 1, 22, 0, tzinfo=UTC), ra_deg=150.0, dec_deg=12.0,
    setup=Setup(
        x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200",
        grism="Grism_#4", slit="Slit_1.0", filter="WG345",
    ),
)  # fmt: skip
NIGHTS = ("2026-01-10", "2026-03-01", "2026-05-10")


@pytest.fixture
def bench(tmp_path):
    config = Config(paths=Paths(raw=(tmp_path / "raw",), root=tmp_path / "root"))
    bench = open_bench(config, engine=fresh_database(config.database))
    yield bench
    bench.engine.dispose()


def write_spectrum(path, seed, velocity_km_s, *, factor, calibrated):
    """Write a source with an emission line, at rest at the barycentre, as the telescope saw it."""
    rng = np.random.default_rng(seed)
    wave = np.linspace(5600.0, 6400.0, 800)
    seen_at = LINE / (1 + velocity_km_s / 299792.458)
    error = np.full(800, 1e-18)
    flux = factor * 1e-16 * (1 + np.exp(-0.5 * ((wave - seen_at) / 4) ** 2))
    flux = flux + rng.normal(0, error)
    columns = {
        "WAVE": wave, "FLUX": flux, "ERR": error, "MASK": np.zeros(800, int), "SKY": error,
        "COUNTS": flux * 1e18, "COUNTS_ERR": error * 1e18, "BOXCAR": flux, "DQ": np.zeros(800, int),
    }  # fmt: skip
    header = fits.Header()
    header["OBJECT"], header["SPECSYS"] = "SN 2026abc", "TOPOCENT"
    header["FLUXCAL"] = "ABSOLUTE" if calibrated else "UNCALIBRATED"
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus = fits.HDUList([fits.PrimaryHDU(header=header), fits.BinTableHDU(Table(columns))])
    hdus.writeto(path)


def reduced(
    bench, number, night, *, state=ProductState.FINAL, quality=0, factor=1.0, calibrated=True,
    **changes,
):  # fmt: skip
    """Record an exposure of a night with its product."""
    identity = replace(SCIENCE, observed_at=datetime.fromisoformat(f"{night}T22:00+00:00"))
    identity = replace(identity, **changes)
    frame, _, _ = bench.archive.record_frame(
        stem=f"ALGc01{number:04d}", sha256=f"{number:064x}", path=Path(f"/raw/{number}.fits"),
        size=2880, identity=identity, night=night, arrived_at=identity.observed_at, set_keys=(),
    )  # fmt: skip
    path = bench.layout.product(night, identity.target, frame.stem, "1d.fits")
    velocity = velocity_km_s(identity, bench.instrument("ALFOSC")) or 0.0
    write_spectrum(path, number, velocity, factor=factor, calibrated=calibrated)
    product = ProductRecord(
        key=f"key of {frame.stem}", frame_id=frame.id, frame_sha256=frame.sha256,
        stem=frame.stem, night=night, recipe="spectrum", recipe_version="1", generation=1,
        state=state, quality=quality, flag_bits=0, target=identity.target,
        paths={"spectrum": path}, hashes={"spectrum": file_sha256(path)}, measurements={},
        flags=(), choices=(), created_at=identity.observed_at,
    )  # fmt: skip
    bench.archive.record_product(product)
    return frame


def centre_of_line(table):
    near = np.abs(table["WAVE"] - LINE) < 15
    excess = table["FLUX"][near] - 1e-16
    return float(np.sum(excess * table["WAVE"][near]) / np.sum(excess))


def test_three_nights_become_one_at_the_barycentre(bench) -> None:
    for number, night in enumerate(NIGHTS):
        reduced(bench, number, night)
    record = combine_nights(bench, Wanted(target="sn2026ABC"))
    path = record.paths["combined"]
    name = "SN_2026abc_Grism_4_Slit_1.0_combined_2026-01-10_2026-05-10_1d.fits"
    assert path == bench.layout.target_folder(NIGHTS[-1], "SN 2026abc") / name
    with fits.open(path, checksum=True) as hdus:
        header = hdus[0].header
        assert (header["NCOMBINE"], header["EXPTIME"]) == (3, 900)
        assert header["SPECSYS"] == "BARYCENT"
        velocities = [header[f"VBARY{n}"] for n in (1, 2, 3)]
        assert [header[f"MEMBER{n}"] for n in (1, 3)] == ["ALGc010000", "ALGc010002"]
        assert centre_of_line(hdus[1].data) == pytest.approx(LINE, abs=0.05)
    # A target near the ecliptic: the Earth comes towards it in January, and leaves it in May.
    assert velocities[0] > 15
    assert velocities[2] < -20
    assert record.measurements["chi2"] == pytest.approx(1, abs=0.15)
    assert "barycentric" in record.paths["combined_ascii"].read_text()


def test_the_archive_remembers_it_with_the_newest_night(bench) -> None:
    for number, night in enumerate(NIGHTS):
        reduced(bench, number, night, factor=1 - 0.4 * (number == 1))
    record = combine_nights(bench, Wanted(target="SN 2026abc"))
    assert bench.archive.combinations(NIGHTS[-1]) == [bench.archive.combination(record.group)]
    assert record.paths["plot"].is_file()
    now = datetime(2026, 5, 11, tzinfo=UTC)
    shown = render(read_status(bench.config.database, now=now, raw=(), night=NIGHTS[-1]), width=100)
    assert "Slit_1.0, 2026-01-10 to 2026-05-10: 3 exposures, 900 s" in shown
    assert "60 % of the best exposure's flux" in shown


def test_the_daemon_leaves_it_alone_when_a_member_changes(bench) -> None:
    frames = [reduced(bench, number, night) for number, night in enumerate(NIGHTS)]
    combine_nights(bench, Wanted(target="SN 2026abc"))
    assert after_product(bench.archive, frames[-1]) == []


def test_only_the_nights_that_are_asked_for(bench) -> None:
    for number, night in enumerate(NIGHTS):
        reduced(bench, number, night)
    record = combine_nights(bench, Wanted(target="SN 2026abc", nights=NIGHTS[1:]))
    assert [each.stem for each in record.members] == ["ALGc010001", "ALGc010002"]


def test_bad_rejected_and_uncalibrated_spectra_take_no_part(bench) -> None:
    for number, night in enumerate(NIGHTS):
        reduced(bench, number, night)
    reduced(bench, 3, NIGHTS[0], quality=4)
    rejected = reduced(bench, 4, NIGHTS[1])
    reduced(bench, 5, NIGHTS[2], calibrated=False)
    product = bench.archive.current_product(rejected.id)
    verdict = Verdict(decision=Decision.REJECTED, user="anna", at=SCIENCE.observed_at)
    bench.archive.decide(product, verdict)
    record = combine_nights(bench, Wanted(target="SN 2026abc"))
    assert len(record.members) == 3
    left = dict(record.excluded)
    assert left["ALGc010003"] == "quality 4"
    assert left["ALGc010005"] == "no flux calibration"


def test_a_member_without_a_position_keeps_all_as_observed(bench) -> None:
    reduced(bench, 0, NIGHTS[0])
    reduced(bench, 1, NIGHTS[1], ra_deg=None, dec_deg=None)
    record = combine_nights(bench, Wanted(target="SN 2026abc"))
    assert "velocity_spread_km_s" not in record.measurements
    with fits.open(record.paths["combined"]) as hdus:
        assert hdus[0].header["SPECSYS"] == "TOPOCENT"
        assert "VBARY1" not in hdus[0].header


def test_what_cannot_be_combined_is_refused_in_words(bench) -> None:
    reduced(bench, 0, NIGHTS[0])
    with pytest.raises(NothingToCombine, match="2026-01-10 alone; within one night the daemon"):
        combine_nights(bench, Wanted(target="SN 2026abc"))
    with pytest.raises(NothingToCombine, match="targets with spectra: SN 2026abc"):
        combine_nights(bench, Wanted(target="SN 2026xyz"))
    reduced(bench, 1, NIGHTS[1])
    for number, night in enumerate(NIGHTS[:2], start=2):
        reduced(bench, number, night, setup=replace(SCIENCE.setup, slit="Slit_1.3"))
    with pytest.raises(NothingToCombine, match="Add --grism or --slit"):
        combine_nights(bench, Wanted(target="SN 2026abc"))
    record = combine_nights(bench, Wanted(target="SN 2026abc", grism="#4", slit="1.3"))
    assert [each.stem for each in record.members] == ["ALGc010002", "ALGc010003"]


def test_a_damaged_member_is_made_again_first(bench) -> None:
    for number, night in enumerate(NIGHTS):
        frame = reduced(bench, number, night)
    bench.archive.current_product(frame.id).paths["spectrum"].write_bytes(b"damaged")
    with pytest.raises(TryLater, match="is made again"):
        combine_nights(bench, Wanted(target="SN 2026abc"))


def test_the_command_writes_elsewhere_without_a_trace_in_the_archive(
    bench, tmp_path, capsys
) -> None:
    for number, night in enumerate(NIGHTS):
        reduced(bench, number, night)
    root = str(bench.config.paths.root)
    asked = ["combine", "SN 2026abc", "--nights", ",".join(NIGHTS[:2]), "--root", root]
    assert main([*asked, "--into", str(tmp_path / "mine")]) == 0
    assert "2 exposures, 600 s, quality 0" in capsys.readouterr().out
    assert len(list((tmp_path / "mine").glob("*combined_2026-01-10_2026-03-01_1d.fits"))) == 1
    assert bench.archive.combinations() == []
    assert main([*asked[:2], "--nights", NIGHTS[0], "--root", root]) == 2
    assert "within one night the daemon combines by itself" in capsys.readouterr().err


def test_the_earth_moves_as_fast_as_it_does() -> None:
    alfosc = load_instrument("alfosc")
    start = datetime(2025, 1, 1, tzinfo=UTC)
    found = np.array(
        [
            velocity_km_s(replace(SCIENCE, observed_at=start + timedelta(days=day)), alfosc)
            for day in np.linspace(0, 365.25, 24, endpoint=False)
        ]
    )
    # 150, +12 lies on the ecliptic but for 0.3 degrees: the whole orbital speed of 29.8 km/s shows.
    assert np.ptp(found) / 2 == pytest.approx(29.8, abs=0.8)
    assert abs(found.mean()) < 0.8


def test_years_beyond_the_tables_of_the_earths_rotation_the_velocity_is_still_told() -> None:
    alfosc = load_instrument("alfosc")
    seen = [datetime(year, 6, 1, 2, tzinfo=UTC) for year in (2025, 2028)]
    there = [velocity_km_s(replace(SCIENCE, observed_at=when), alfosc) for when in seen]
    # The same day three years later: the Earth is within a day of the same place.
    assert there[1] == pytest.approx(there[0], abs=0.8)


def test_a_header_without_a_position_has_no_velocity() -> None:
    assert velocity_km_s(replace(SCIENCE, ra_deg=None), load_instrument("alfosc")) is None
