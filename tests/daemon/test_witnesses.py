"""What earlier images and lists on disc tell of the candidates of an image."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from calibration_store.brought_lists import BadLines
from calibration_store.catalogues.sky import MARGIN_DEG, Cone
from daemon.config import load_config
from daemon.work.bench import Bench, open_bench
from daemon.work.known_sky import minor_planets
from daemon.work.sky_catalogues import open_catalogues
from daemon.work.witnesses import witnesses_of
from reducers.identity import FrameKind, Identity, Setup
from reducers.julian_date import mjd_of
from reducers.quality import judge, load_limits
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.search_image import SearchImage, SourceTable
from tests.daemon.fresh_database import fresh_database
from tests.daemon.test_archive import product, record

MIDDLE = datetime(2026, 6, 19, 1, 0, tzinfo=UTC)
NIGHT = "2026-06-18"
PLACE = (0.002, 12.0)
SETUP = Setup(x_binning=1, y_binning=1, window=(1, 2148, 1, 2102), readout="D-8-200", filter="r")
IMAGE = Identity(
    instrument="ALFOSC",
    kind=FrameKind.IMG_OBJECT,
    setup=SETUP,
    observed_at=MIDDLE - timedelta(seconds=30),
    exposure_s=60.0,
    ra_deg=PLACE[0],
    dec_deg=PLACE[1],
)


@pytest.fixture
def bench(tmp_path):
    config = tmp_path / "alfoscd.toml"
    config.write_text(
        f'[paths]\nroot = "{tmp_path / "products"}"\n'
        f'[catalogues]\nfolder = "{tmp_path / "catalogues"}"\nonline = false\n'
    )
    loaded = load_config(config)
    bench = open_bench(loaded, engine=fresh_database(loaded.database))
    yield bench
    bench.engine.dispose()


def candidate(east: float = 0.0, *, standing: Standing = Standing.NEW) -> Candidate:
    ra = (PLACE[0] + east / 3600 / np.cos(np.radians(PLACE[1]))) % 360
    return Candidate(
        number=1, x_px=50.0, y_px=50.0, ra_deg=ra, dec_deg=PLACE[1], position_error_arcsec=0.1,
        magnitude=18.2, magnitude_error=0.05, band="r", a_px=2.0, b_px=2.0, theta_deg=0.0,
        flux_auto=1e4, flux_auto_error=1e2, snr=50.0, standing=standing,
    )  # fmt: skip


def taken(bench: Bench, stem: str, before: timedelta, *found: Candidate) -> None:
    """Record an image that was taken and searched before the one that is looked at."""
    when = MIDDLE - before - timedelta(seconds=30)
    night = (when - timedelta(hours=13)).date().isoformat()
    frame = record(
        bench.archive, stem, stem, identity=replace(IMAGE, observed_at=when), night=night
    )[0]
    numbers = {
        "search_suspicious": 0.0, "search_limit_mag": 22.0, "psf_limit_5_sigma_mag": 22.3
    }  # fmt: skip
    made = replace(product(frame, stem), night=night, measurements=numbers)
    bench.archive.record_product(made)
    bench.archive.record_candidates(made, found, observed_at=MIDDLE - before)


def flags(bench: Bench, *candidates: Candidate) -> list[dict[str, int]]:
    """Return the flags that the witnesses of the image raise for candidates, and their quality."""
    frame = record(bench.archive, "ALfs190001", "now", identity=IMAGE, night=NIGHT)[0]
    image = blank(frame.stem)
    told = [dict[str, float]() for _ in candidates]
    for witness in witnesses_of(bench, frame):
        for known, said in zip(told, witness(candidates, image), strict=True):
            known |= {**said.measurements, **({"named": 1.0} if said.name else {})}
    limits = load_limits("transients")
    return [{flag.name: flag.quality for flag in judge(one, limits)[0]} for one in told]


def blank(name: str) -> SearchImage:
    return SearchImage(
        name=name,
        light=np.zeros((2102, 2148), np.float32),
        residual=None,
        mask=np.zeros((2102, 2148), np.uint16),
        sources=SourceTable.empty(),
        sky_map=None,
        position_error_arcsec=0.05,
        pixel_scale_arcsec=0.2138,
        fwhm_px=4.0,
        zero_point_mag=25.0,
        exposure_s=60.0,
        band="r",
        middle=MIDDLE,
    )


def test_without_lists_and_earlier_images_nothing_speaks_against_a_candidate(bench) -> None:
    assert flags(bench, candidate()) == [{}]


def test_a_source_that_drifts_over_two_earlier_exposures_moves(bench) -> None:
    taken(bench, "ALfs180001", timedelta(minutes=10), candidate(-4.0))
    taken(bench, "ALfs180002", timedelta(minutes=5), candidate(-2.0))
    assert flags(bench, candidate(), candidate(30.0)) == [{"MOVES": 3}, {"SEEN_ONCE": 3}]


def test_what_was_missing_hours_ago_may_have_come_to_stay(bench) -> None:
    taken(bench, "ALfs180001", timedelta(hours=3))
    taken(bench, "ALfs180002", timedelta(hours=2))
    assert flags(bench, candidate()) == [{}]


def test_what_was_found_a_year_ago_is_not_new_unless_it_was_an_artefact(bench) -> None:
    taken(bench, "ALes180001", timedelta(days=365), candidate())
    assert flags(bench, candidate()) == [{"SEEN_BEFORE": 3}]
    taken(bench, "ALes180002", timedelta(days=364), candidate(60.0, standing=Standing.VETOED))
    assert flags(bench, candidate(60.0)) == [{}]


def seen_then(bench: Bench, one: Candidate) -> dict[str, float]:
    """Return what the images of earlier nights tell of a candidate."""
    frame = record(bench.archive, "ALfs190001", "now", identity=IMAGE, night=NIGHT)[0]
    told: dict[str, float] = {}
    for witness in witnesses_of(bench, frame):
        (said,) = witness([one], blank(frame.stem))
        told |= said.measurements
    return told


def test_an_earlier_image_tells_how_deep_it_lacks_a_source(bench) -> None:
    taken(bench, "ALes180001", timedelta(days=40))
    told = seen_then(bench, candidate())
    assert (told["earlier_limit_mag"], told["last_limit_days"]) == (22.0, pytest.approx(40))
    beyond_its_edge = replace(candidate(), dec_deg=PLACE[1] + 0.07)
    assert np.isnan(seen_then(bench, beyond_its_edge)["last_limit_days"])


def test_an_image_on_which_something_was_held_back_lacks_nothing(bench) -> None:
    taken(bench, "ALes180001", timedelta(days=40), candidate(standing=Standing.VETOED))
    told = seen_then(bench, candidate())
    assert told["seen_before"] == 0
    assert np.isnan(told["last_limit_days"])


def test_minor_planets_and_fast_stars_of_lists_on_disc_are_known(bench, tmp_path) -> None:
    body = MinorPlanet(
        number=433, ra_deg=PLACE[0], dec_deg=PLACE[1], magnitude=18.2, distance_au=1.4
    )
    site = {"longitude_deg": -17.8851, "latitude_deg": 28.7573}
    path = tmp_path / "MPCORB.DAT"
    path.write_text("\n".join(mpcorb_lines([body], mjd_of(MIDDLE), 61000.0, **site)) + "\n")
    minor_planets(bench.config).take(path, BadLines())
    # A star that was half an arcmin west and a minute of arc is where it was in 2016.
    star = {"ra_deg": [0.02], "dec_deg": [12.01], "motion_ra_mas": [900.0], "G": [15.0]}
    star |= {"motion_dec_mas": [0.0], "motion_error_mas": [0.1], "G_error": [0.01]}
    star |= {"epoch_year": [2016.0], "position_error_mas": [0.1]}
    columns = {name: np.array(values) for name, values in star.items()}
    cone = Cone(PLACE[0], PLACE[1], 0.2 + MARGIN_DEG)
    open_catalogues(bench.config).write_cone("gaia", columns, cone, release="DR3")
    then = replace(candidate(), ra_deg=0.02, dec_deg=12.01)
    assert flags(bench, candidate(), then, candidate(40.0)) == [
        {"MINOR_PLANET": 3},
        {"HIGH_PROPER_MOTION": 3},
        {},
    ]


def test_a_damaged_list_is_left_out_and_the_search_goes_on(bench, tmp_path) -> None:
    body = MinorPlanet(number=433, ra_deg=10.0, dec_deg=12.0, magnitude=18.2, distance_au=1.4)
    path = tmp_path / "MPCORB.DAT"
    lines = mpcorb_lines([body], mjd_of(MIDDLE), 61000.0, longitude_deg=0.0, latitude_deg=0.0)
    path.write_text("\n".join(lines) + "\n")
    held = minor_planets(bench.config)
    held.take(path, BadLines())
    (held.folder / "mpcorb.orbits").write_bytes(b"torn")
    assert flags(bench, candidate()) == [{}]
