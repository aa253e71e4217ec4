"""What becomes of an image: shown, calibrated, calibrated again, redone; flats cut to windows."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, get_args, get_type_hints

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from daemon.cli.image_options import STAGES as STAGES_OF_OPTIONS
from daemon.cli.main import main
from daemon.config import Config, Image
from daemon.memory.records import JobKind, ProductState
from daemon.selection import Only
from daemon.status import read_status
from daemon.work.debts import debts_of_night
from daemon.work.images import image_settings
from daemon.work.plan import reduce_request
from daemon.work.redo import Redo
from reducers.identity import FrameKind
from reducers.imaging.phot_reading import source_at
from reducers.imaging.reduced_image import STAGES, ImageSettings
from reducers.simulate.frames import simulate
from tests.daemon.hall import ALFOSC, edited
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, planned, simulated_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = IMAGES[0]


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[ImageHall]:
    hall = ImageHall(tmp_path, simulated_images())
    yield hall
    hall.bench.engine.dispose()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHall]:
    """Return a hall in which one image was calibrated with everything."""
    hall = ImageHall(tmp_path_factory.mktemp("images"), simulated_images())
    hall.fill_catalogues()
    hall.put(*BIASES, *FLATS, FIRST)
    hall.work(until_s=600)
    yield hall
    hall.bench.engine.dispose()


def test_an_image_is_shown_first_and_needs_no_master_for_it(hall: ImageHall) -> None:
    hall.put(FIRST)
    (look,) = hall.work({JobKind.LOOK})
    (picture,) = hall.bench.config.root.rglob("*_quick.fits")
    assert picture.parent.name == "quicklook"
    assert picture.with_suffix(".png").is_file()
    assert look.priority < min(job.priority for job in hall.waiting().values())
    with fits.open(picture, checksum=True) as hdus:
        assert hdus[0].header["OBJECT"] == "AT2026img"


def test_an_acquisition_is_final_with_what_there_is_and_nobody_is_asked_for_more(
    hall: ImageHall,
) -> None:
    hall.fill_catalogues()
    content = edited(hall.contents[FIRST], "OBJECT", "ALFOSC target acquisition")
    hall.put(FIRST, content=content)
    hall.work()
    frame, product = hall.frame(FIRST), hall.product(FIRST)
    assert frame.identity.kind is FrameKind.ACQUISITION
    assert product.state is ProductState.FINAL
    assert {"NO_FLAT", "NO_BIAS"} <= {flag.name for flag in product.flags}
    assert debts_of_night(hall.bench, frame.night) == []
    hall.put(*BIASES)
    hall.work(until_s=600)
    assert "NO_BIAS" not in {flag.name for flag in hall.product(FIRST).flags}


def test_an_image_is_provisional_until_flat_and_catalogues_have_come(hall: ImageHall) -> None:
    hall.put(FIRST)
    hall.work()
    first = hall.product(FIRST)
    assert first.state is ProductState.PROVISIONAL
    assert {"NO_FLAT", "NO_BIAS"} <= {flag.name for flag in first.flags}
    hall.put(*BIASES, *FLATS)
    hall.work(until_s=600)
    better = hall.product(FIRST)
    assert {choice.role for choice in better.choices if choice.master_key} == {"BIAS", "SKY_FLAT"}
    assert better.state is ProductState.PROVISIONAL, "there is still no catalogue"
    assert better.main_path == first.main_path
    hall.fill_catalogues()
    request = reduce_request(hall.frame(FIRST), priority=1, now=hall.clock.now())
    hall.bench.queue.submit(request)
    hall.work(until_s=60)
    placed = hall.product(FIRST)
    assert placed.state is ProductState.FINAL, "no dark is nothing to wait for"
    assert placed.measurements["astrometry_failed"] == 0


def test_a_calibrated_image_opens_with_error_mask_and_place(calibrated: ImageHall) -> None:
    product = calibrated.product(FIRST)
    with fits.open(product.paths["image"], checksum=True) as hdus:
        header = hdus[0].header
        assert [hdu.name for hdu in hdus[1:5]] == ["UNCERT", "MASK", "DQ", "BACKGROUND"]
        assert abs(float(np.median(hdus[0].data))) < 0.1 * header["SKYLEVEL"]
        assert hdus["BACKGROUND"].data == pytest.approx(header["SKYLEVEL"], rel=0.1)
        assert (header["BUNIT"], header["WCSERR"]) == ("electron", 0)
        there = WCS(header)
        truth = planned()[8]
        ny, nx = hdus[0].data.shape
    ra, dec = there.all_pix2world(nx / 2, ny / 2, 0)
    apart = np.hypot((ra - truth.ra_deg) * np.cos(np.radians(dec)), dec - truth.dec_deg)
    assert apart * 3600 < 60
    assert "CALIBRATIONS" in product.paths["log"].read_text()


def test_the_sources_of_an_image_stand_in_tables_with_one_number_each(
    calibrated: ImageHall,
) -> None:
    product = calibrated.product(FIRST)
    with fits.open(product.paths["phot"], checksum=True) as hdus:
        names = ["PSFPHOT", "APPPHOT", "PSFSTARS", "PSF", "RESIDUAL", "ZEROPOINT", "PROVENANCE"]
        assert [hdu.name for hdu in hdus[1:]] == names
        stars, circles = hdus["PSFPHOT"], hdus["APPPHOT"]
        assert (stars.data["NUMBER"] == circles.data["NUMBER"]).all()
        assert stars.header["MAGSYS"] == "AB"
        bright = stars.data["FLUX"] > 100 * stars.data["FLUXERR"]
        inside = circles.data["MAG"][bright] - stars.data["MAG"][bright]
        assert bright.sum() >= 5
        assert abs(np.median(inside)) < 0.02
        assert hdus["PSF"].data.sum() == pytest.approx(hdus["PSF"].header["OVERSAMP"] ** 2, rel=0.1)
        with fits.open(product.paths["image"]) as image:
            place = WCS(image[0].header)
        x, y = place.all_world2pix(stars.data["RA"], stars.data["DEC"], 0)
        assert np.allclose(x, stars.data["X"], atol=1e-3)
        assert np.allclose(y, stars.data["Y"], atol=1e-3)
        chosen = stars.data[bright & (stars.data["FLAGS"] == 0)][0]
    found = source_at(product.paths["phot"], chosen["RA"], chosen["DEC"] + 1 / 3600, 1.5)
    assert found is not None
    assert (found.band, found.system, found.magnitude) == ("r", "AB", chosen["MAG"])
    assert found.off_arcsec == pytest.approx(1, abs=0.01)


def test_an_image_that_is_current_is_left_alone(calibrated: ImageHall) -> None:
    before = calibrated.product(FIRST)
    request = reduce_request(calibrated.frame(FIRST), priority=1, now=calibrated.clock.now())
    calibrated.bench.queue.submit(request)
    calibrated.work()
    assert calibrated.product(FIRST) == before


def test_a_step_that_a_person_leaves_out_makes_a_version_of_its_own(hall: ImageHall) -> None:
    hall.put(FIRST)
    hall.work()
    asked = Redo(user="eva", at="2026-11-21T13:00:00+00:00", settings={"subtract_sky": False})
    frame = hall.frame(FIRST)
    hall.bench.queue.submit(
        reduce_request(frame, priority=1, now=hall.clock.now(), redo=asked.to_json())
    )
    hall.work()
    product = hall.product(FIRST)
    assert product.main_path.endswith("_image_v2.fits")
    with fits.open(product.paths["image"]) as hdus:
        header = hdus[0].header
        assert header["REDOUSER"] == "eva"
        assert float(np.median(hdus[0].data)) > 0.5 * header["SKYLEVEL"]
    assert "HUMAN" in {flag.name for flag in product.flags}


def test_a_recovered_image_keeps_its_automatic_quality_beside_the_persons(hall: ImageHall) -> None:
    hall.put(FIRST)
    hall.work()
    asked = Redo(user="eva", at="2026-11-21T13:00:00+00:00", recover=True).to_json()
    hall.bench.queue.submit(
        reduce_request(hall.frame(FIRST), priority=1, now=hall.clock.now(), redo=asked)
    )
    hall.work(until_s=60)
    product = hall.product(FIRST)
    assert product.quality == 1
    with fits.open(product.paths["image"]) as hdus:
        assert hdus[0].header["QUALAUTO"] == product.measurements["quality_auto"] > 1


def test_a_person_leaves_out_steps_on_the_command_line(
    calibrated: ImageHall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(calibrated.bench.config.root), "--user", "eva"]
    stem = FIRST[:-5]
    assert main(["redo", stem, "--center", "12", *root]) == 2
    assert "it has no setting centroid_px" in capsys.readouterr().err
    local = ["--skip-cr", "--stop-after", "detect", "--local", str(tmp_path)]
    assert main(["redo", stem, *local, *root]) == 0
    assert "find_cosmics = False" in capsys.readouterr().out
    (made,) = tmp_path.rglob("*_image.fits")
    with fits.open(made) as hdus:
        assert {hdus[0].header["CHOSEN1"], hdus[0].header["CHOSEN2"]} == {
            "find_cosmics = False",
            "stop_after = detect",
        }
        assert "CTYPE1" not in hdus[0].header
    assert not list(tmp_path.rglob("*_phot.fits"))


def test_a_flat_of_the_whole_field_serves_a_window(calibrated: ImageHall, tmp_path: Path) -> None:
    small = replace(planned()[9], window=(801, 1200, 751, 1200), number=99, stem="ALJa150099")
    calibrated.put(f"{small.stem}.fits", content=simulate(small, ALFOSC).content)
    calibrated.work(until_s=60)
    product = calibrated.product(f"{small.stem}.fits")
    (flat,) = [choice for choice in product.choices if choice.role == "SKY_FLAT"]
    assert flat.rung == "same night, cut out of a larger window"
    assert "NO_FLAT" not in {flag.name for flag in product.flags}


def test_status_lists_an_image_with_its_flags_in_words(calibrated: ImageHall) -> None:
    status = read_status(calibrated.bench.config.database, now=calibrated.clock.now())
    line = next(item for item in status.products if item.stem == FIRST[:-5])
    assert (line.kind, line.version) == ("IMG_OBJECT", 1)
    assert dict(line.flags)["NO_OVERSCAN"].startswith("The window holds no overscan")


def test_a_batch_reduces_only_the_target_that_is_asked_for(tmp_path: Path) -> None:
    hall = ImageHall(tmp_path, simulated_images(), only=Only(target="another"))
    hall.put(*BIASES, FIRST)
    hall.work(until_s=600)
    assert hall.bench.archive.products() == []
    assert [master.role for master in hall.bench.store.everything()] == ["BIAS"]
    hall.bench.engine.dispose()


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (Only(), True),
        (Only(target="at2026"), True),
        (Only(target="SN"), False),
        (Only(first=150009, last=150009), True),
        (Only(first=150010), False),
        (Only(last=150008), False),
    ],
)
def test_numbers_are_inclusive_and_targets_are_parts_of_names(only: Only, wanted: bool) -> None:
    assert only.wants("ALJa150009", "AT2026img") is wanted


def test_the_settings_of_the_file_are_those_of_the_recipe() -> None:
    others = {"keep_intermediate", "blind_solver", "blind_index", "blind_deadline_s"}
    own = {item.name: item.default for item in fields(Image) if item.name not in others}
    assert own == {item.name: item.default for item in fields(ImageSettings)}
    assert get_args(get_type_hints(Image)["stop_after"]) == ("", *STAGES)
    assert STAGES_OF_OPTIONS == STAGES
    assert image_settings(Config(), Redo()) == ImageSettings()


def test_an_acquisition_that_cannot_be_reduced_says_why_in_the_status(hall: ImageHall) -> None:
    name = "ALJa150098.fits"
    hall.put(name, content=edited(hall.contents[FIRST], "OBJECT", "ALFOSC target acquisition"))
    assert hall.frame(name).identity.kind is FrameKind.ACQUISITION
    hall.work({JobKind.LOOK})
    (hall.raw / name).unlink()
    hall.work(until_s=60)
    status = read_status(hall.bench.config.database, now=hall.clock.now())
    (line,) = [each for each in status.last_frames if each.stem == "ALJa150098"]
    why = f"gives no image: the raw file {name} is no longer there"
    assert line.state == f"shown in quicklook/; {why}"
