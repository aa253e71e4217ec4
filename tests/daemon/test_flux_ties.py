"""An image of the night ties the flux of the spectra whose target it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from daemon.memory.database import writing
from daemon.memory.records import JobKind, JobState, ProductRecord, ProductState
from daemon.work.flux_ties import after_calibration, target_magnitudes, wait_for_images
from daemon.work.outcomes import TryLater
from daemon.work.plan import reduce_request
from reducers.errors import UnreadableFile
from reducers.identity import FrameKind
from reducers.imaging.phot_reading import source_at
from reducers.imaging.source_flags import SourceFlag
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night
from tests.daemon.hall import BIASES, SCIENCE, WINDOW, Contents, Hall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE, OTHER_FIELD = "ALJa150016.fits", "ALJa150015.fits"


@pytest.fixture(scope="module")
def contents() -> Contents:
    instrument = load_instrument("alfosc")
    frames = {}
    for planned in plan_night(seed=5):
        name = f"{planned.stem}.fits"
        if name in (SCIENCE, *BIASES):
            frames[name] = simulate(replace(planned, window=WINDOW), instrument).content
        elif name in (IMAGE, OTHER_FIELD):
            frames[name] = simulate(planned, instrument).content
    return frames


@pytest.fixture
def hall(tmp_path: Path, contents: Contents) -> Iterator[Hall]:
    hall = Hall(tmp_path, contents)
    hall.put(SCIENCE, IMAGE, OTHER_FIELD)
    # The images count as calibrated where a test says so.
    while (job := hall.bench.queue.claim("worker", {JobKind.IMAGE})) is not None:
        hall.bench.queue.finish(job)
    yield hall
    hall.bench.engine.dispose()


def write_photometry(
    path: Path, hall: Hall, *, off_arcsec: float = 0.4, flags: int = 0, magnitude: float = 18.0
) -> Path:
    """Write a table with the target, and a star 20 arcsec beside it."""
    own = hall.frame(SCIENCE).identity
    off = np.array([off_arcsec, 20.0]) / 3600
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("RA", "D", array=np.full(2, own.target_ra_deg)),
            fits.Column("DEC", "D", array=own.target_dec_deg + off),
            fits.Column("MAG", "E", array=[magnitude, 14.0]),
            fits.Column("MAGERR", "E", array=[0.03, 0.001]),
            fits.Column("FLAGS", "J", array=[flags, 0]),
        ],
        name="PSFPHOT",
    )
    table.header.update(
        ZPTMAG=25.7, ZPTMUCER=0.04, MAGSYS="AB", ZPTBAND="r", COLTERM=0.02, COLREF=0.6
    )
    zero = fits.BinTableHDU(name="ZEROPOINT")
    zero.header["ZPTSYS"] = 0.0
    fits.HDUList([fits.PrimaryHDU(), table, zero]).writeto(path, overwrite=True)
    return path


def calibrate(hall: Hall, path: Path, name: str = IMAGE) -> None:
    """Record an image's product as its task does, with the jobs that it asks for."""
    image, now = hall.frame(name), hall.clock.now()
    product = ProductRecord(
        key=f"{name} {path.stat().st_mtime_ns}", frame_id=image.id, frame_sha256=image.sha256,
        stem=image.stem, night=image.night, recipe="image", recipe_version="1",
        generation=1, state=ProductState.FINAL, quality=0, flag_bits=0, target="SN2026abc",
        paths={"phot": path}, hashes={}, measurements={"zero_point_mag": 25.7}, flags=(),
        choices=(), created_at=now,
    )  # fmt: skip
    bench = hall.bench
    with writing(bench.engine) as session:
        bench.archive.record_product(product, within=session)
        bench.submit(after_calibration(bench, image, session), session)


def test_the_target_is_found_on_an_image_of_its_night(hall: Hall, tmp_path: Path) -> None:
    assert target_magnitudes(hall.bench, hall.frame(SCIENCE)) == ()
    calibrate(hall, write_photometry(tmp_path / "phot.fits", hall))
    (seen,) = target_magnitudes(hall.bench, hall.frame(SCIENCE))
    assert (seen.filter_name, seen.band, seen.system) == ("r_SDSS", "r", "AB")
    assert (seen.magnitude, seen.error) == pytest.approx((18.0, 0.05))
    assert seen.off_arcsec == pytest.approx(0.4, abs=0.01)
    assert abs(seen.apart_h) < 0.2


@pytest.mark.parametrize(
    "unfit", [{"off_arcsec": 1.6}, {"flags": int(SourceFlag.SATURATED)}, {"magnitude": np.nan}]
)
def test_what_may_be_another_source_or_is_badly_measured_ties_nothing(
    hall: Hall, tmp_path: Path, unfit: dict[str, float]
) -> None:
    calibrate(hall, write_photometry(tmp_path / "phot.fits", hall, **unfit))
    assert target_magnitudes(hall.bench, hall.frame(SCIENCE)) == ()


def test_in_a_dense_field_the_nearest_star_may_be_another(tmp_path: Path) -> None:
    path, rng = tmp_path / "phot.fits", np.random.default_rng(1)
    for stars, known in ((15, True), (25, False)):
        off = np.concatenate([[0.2], rng.uniform(5, 28, stars)]) / 3600
        names = {"RA": off * 0 + 150, "DEC": 2 + off, "MAG": off * 0 + 18, "MAGERR": off * 0}
        columns = [fits.Column(name, "D", array=values) for name, values in names.items()]
        columns.append(fits.Column("FLAGS", "J", array=np.zeros(off.size)))
        table = fits.BinTableHDU.from_columns(columns, name="PSFPHOT")
        table.header["ZPTMAG"] = 25.0
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
        assert (source_at(path, 150.0, 2.0, 1.5) is not None) is known


def test_an_image_of_another_field_is_not_asked(hall: Hall, tmp_path: Path) -> None:
    calibrate(hall, write_photometry(tmp_path / "phot.fits", hall), OTHER_FIELD)
    assert target_magnitudes(hall.bench, hall.frame(SCIENCE)) == ()
    other = hall.frame(OTHER_FIELD)
    assert other.identity.kind is FrameKind.IMG_OBJECT
    assert after_calibration(hall.bench, other) == []


def test_an_image_that_comes_later_upgrades_the_spectrum_once(hall: Hall, tmp_path: Path) -> None:
    kinds = {JobKind.MASTER, JobKind.REDUCE}
    hall.work(kinds)
    first = hall.product()
    path = write_photometry(tmp_path / "phot.fits", hall)
    calibrate(hall, path)
    hall.work(kinds)
    second = hall.product()
    assert second.generation == first.generation + 1
    # Without a standard there is no flux to be tied: that it was tried is told.
    assert second.measurements["flux_tied"] == 0.0
    # The same image calibrated again says nothing new; nothing is left that runs in circles.
    calibrate(hall, write_photometry(path, hall, magnitude=18.0001))
    hall.work(kinds)
    assert hall.product().generation == second.generation
    assert not [job for job in hall.bench.queue.jobs(JobState.WAITING) if job.kind in kinds]
    calibrate(hall, write_photometry(path, hall, magnitude=18.01))
    hall.work(kinds)
    assert hall.product().generation == second.generation + 1


def test_an_upgrade_waits_for_the_images_that_show_its_target(hall: Hall) -> None:
    bench, science, now = hall.bench, hall.frame(SCIENCE), hall.clock.now()
    bench.queue.submit(reduce_request(hall.frame(OTHER_FIELD), priority=1, now=now))
    wait_for_images(bench, science)
    bench.queue.submit(reduce_request(hall.frame(IMAGE), priority=1, now=now))
    with pytest.raises(TryLater, match="ALJa150016"):
        wait_for_images(bench, science)


def test_a_file_that_is_no_photometry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "phot.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(UnreadableFile, match=r"phot\.fits is no photometry"):
        source_at(path, 10.0, 20.0, 1.5)
