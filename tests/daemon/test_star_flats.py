"""A star flat is made of calibrated images, chosen with its sky flat, and ends by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from calibration_store.records import MasterState
from daemon.memory.database import writing
from daemon.memory.records import JobKind, ProductRecord, ProductState
from daemon.publish.evidence import Evidence
from daemon.publish.master_pages import master_page
from daemon.work.selecting import choices_of, select_masters
from daemon.work.star_flats import after_magnitudes
from reducers.identity import FrameKind
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.imaging.star_flat import build_star_flat
from tests.daemon.hall import ALFOSC
from tests.daemon.image_hall import BIASES, FLATS, ImageHall, planned, simulated_images
from tests.daemon.test_master_pages import exposure, lit
from tests.reducers.imaging.test_star_flat import material as material_of
from tests.reducers.imaging.test_star_flat import star_lists

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.memory.records import Job

IMAGES = tuple(f"{item.stem}.fits" for item in planned(3)[8:])
SIDE_PX = 600


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[ImageHall]:
    hall = ImageHall(tmp_path, simulated_images(3))
    hall.fill_catalogues()
    hall.put(*BIASES, *FLATS, *IMAGES)
    hall.work({JobKind.MASTER}, until_s=1200)
    yield hall
    hall.bench.engine.dispose()


def tell_stars(hall: ImageHall, folder: Path, *, stars: int, tilt_mag: float) -> None:
    """Record the images as calibrated, their stars brighter to one side by so much."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(1, SIDE_PX - 2, (2, stars))
    entry = rng.normal(0, 0.005, stars)
    for name in IMAGES:
        frame = hall.frame(name)
        path = folder / f"{frame.stem}_phot.fits"
        tables = {
            "PSFPHOT": {
                "RA": 150 + x / 1e4, "DEC": 30 + y / 1e4, "X": x, "Y": y,
                "MAGERR": np.full(stars, 0.004),
            },
            "ZEROPOINT": {
                "NUMBER": np.arange(1, stars + 1), "KEPT": np.ones(stars, bool),
                "RESIDUAL": tilt_mag * (x / SIDE_PX - 0.5) + entry + rng.normal(0, 0.004, stars),
                "ERROR": np.full(stars, 0.007), "APPLIED": np.zeros(stars),
            },
        }  # fmt: skip
        hdus = [
            fits.BinTableHDU.from_columns(
                [fits.Column(key, "L" if values.dtype == bool else "D", array=values)
                 for key, values in columns.items()], name=table,
            )
            for table, columns in tables.items()
        ]  # fmt: skip
        sky = fits.ImageHDU(np.full((SIDE_PX // 8, SIDE_PX // 8), 900.0), name="BACKGROUND")
        sky.header["BKGSTEP"] = 8
        fits.HDUList([fits.PrimaryHDU(), *hdus, sky]).writeto(path)
        product = ProductRecord(
            key=name, frame_id=frame.id, frame_sha256=frame.sha256, stem=frame.stem,
            night=frame.night, recipe="image", recipe_version="1", generation=1,
            state=ProductState.FINAL, quality=0, flag_bits=0, target="AT2026img",
            paths={"phot": path, "image": path}, hashes={},
            measurements={"zero_point_mag": 25.7, "no_flat": 0.0}, flags=(),
            choices=choices_of(select_masters(hall.bench, frame, "IMAGE")),
            created_at=hall.clock.now(),
        )  # fmt: skip
        with writing(hall.bench.engine) as session:
            hall.bench.archive.record_product(product, within=session)
            hall.bench.submit(after_magnitudes(hall.bench, frame, product, session), session)


def star_flats(hall: ImageHall) -> list[object]:
    return [m for m in hall.bench.store.everything() if m.role == "STAR_FLAT"]


def of_stars(jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if job.payload.get("role") == "STAR_FLAT"]


def test_a_star_flat_is_made_applied_and_not_made_again(hall: ImageHall, tmp_path: Path) -> None:
    tell_stars(hall, tmp_path, stars=120, tilt_mag=0.04)
    assert not of_stars(hall.work({JobKind.MASTER}, until_s=900)), "more images may come"
    # Those that arrived asked to be calibrated: with the star flat, they are.
    assert len(of_stars(hall.work({JobKind.MASTER}, until_s=3600))) == 1
    (master,) = star_flats(hall)
    assert master.state is MasterState.CURRENT, master.reason
    assert master.measurements["range_mag"] == pytest.approx(0.04, rel=0.2)
    assert [role for role, _ in master.parents] == ["SKY_FLAT"]
    hall.work({JobKind.IMAGE})
    product = hall.product(IMAGES[0])
    (choice,) = [each for each in product.choices if each.role == "STAR_FLAT"]
    assert choice.master_key == master.key
    with fits.open(product.paths["image"]) as hdus:
        assert hdus[0].header["STARFLAT"] == pytest.approx(master.measurements["rms_mag"])
        assert any("star flat: divided" in line for line in hdus[0].header["HISTORY"])
        assert "STAR_FLAT" in hdus["PROVENANCE"].data["ROLE"]
    with fits.open(product.paths["phot"]) as hdus:
        assert np.ptp(hdus["ZEROPOINT"].data["APPLIED"]) > 0.015
    # The images made with it ask once more, and nothing is left to be made.
    asked = hall.work({JobKind.MASTER, JobKind.IMAGE}, until_s=7200)
    assert not [job for job in asked if job.kind is JobKind.IMAGE]
    assert star_flats(hall) == [master]
    # It corrects no other sky flat than that of its images.
    flat = dict(master.parents)["SKY_FLAT"]
    hall.bench.store.set_state(flat, MasterState.BANNED, "dust")
    chosen = select_masters(hall.bench, hall.frame(IMAGES[0]), "IMAGE")
    assert {item.role: item.master for item in chosen}["STAR_FLAT"] is None


@pytest.mark.parametrize(("stars", "tilt_mag"), [(12, 0.04), (120, 0.0)])
def test_few_stars_or_a_right_flat_change_nothing(
    hall: ImageHall, tmp_path: Path, stars: int, tilt_mag: float
) -> None:
    tell_stars(hall, tmp_path, stars=stars, tilt_mag=tilt_mag)
    hall.work({JobKind.MASTER}, until_s=3600)
    assert all(m.state is MasterState.REJECTED for m in star_flats(hall))
    chosen = {
        item.role: item.master
        for item in select_masters(hall.bench, hall.frame(IMAGES[0]), "IMAGE")
    }
    assert chosen["STAR_FLAT"] is None
    assert chosen["SKY_FLAT"] is not None


def test_the_page_shows_the_surface_the_stars_and_the_sky() -> None:
    material = material_of(star_lists(0.03))
    case = Evidence(
        built=build_star_flat(material),
        exposures=(exposure(FrameKind.IMG_OBJECT, lit(np.zeros((1020, 100)), 1), 1),),
        given=ImageCalibrations(flat=material.flat),
        instrument=ALFOSC,
        stars=material,
    )
    picture = master_page(case).finish()
    assert picture.png.startswith(b"\x89PNG")
    told = json.loads(picture.json)
    assert told["verdict"] == ""
    before, after = (told["panels"]["along_x"][name] for name in ("before", "after"))
    assert np.nanmax(np.abs(after)) < 0.5 * np.nanmax(np.abs(before))
