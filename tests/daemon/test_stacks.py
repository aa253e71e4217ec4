"""A person has the images of a target stacked, edits the list, and stacks again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from daemon.cli.main import main
from daemon.memory.records import Decision, Verdict
from daemon.work.stacks import NothingToStack, StackMade, WantedStack, stack_target
from reducers.imaging.stack_list import parse_list
from reducers.imaging.stack_members import StackSettings
from tests.daemon.hall import NOON
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, simulated_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TARGET, FILTER = "AT2026img", "r_SDSS"
STEMS = tuple(name.removesuffix(".fits") for name in IMAGES)


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHall]:
    """Return a hall in which two images of a field were calibrated without a catalogue."""
    hall = ImageHall(tmp_path_factory.mktemp("stacks"), simulated_images())
    hall.put(*BIASES, *FLATS, *IMAGES)
    hall.work(until_s=600)
    yield hall
    hall.bench.engine.dispose()


@pytest.fixture(scope="module")
def made(hall: ImageHall) -> StackMade:
    return stack_target(hall.bench, WantedStack(target=TARGET))


def test_images_without_a_catalogue_are_stacked_by_their_own_stars(
    hall: ImageHall, made: StackMade
) -> None:
    assert [choice.reason for choice in made.choices] == ["", ""]
    path = made.paths["combined"]
    folder = hall.bench.layout.target_folder(hall.frame(IMAGES[0]).night, TARGET)
    assert path == folder / f"combined_{FILTER}.fits"
    with fits.open(path, checksum=True) as hdus:
        header = hdus[0].header
        assert (header["NCOMBINE"], header["EXPTIME"]) == (2, 120)
        assert header["WCSERR"] != 0, "no catalogue confirms the place"
        assert [row["FILE"] for row in hdus["PROVENANCE"].data] == [
            hall.product(name).paths["image"].name for name in IMAGES
        ]


def test_the_stack_is_as_deep_as_two_images(hall: ImageHall, made: StackMade) -> None:
    stacked = made.stacked
    free = (stacked.coverage == 2) & (stacked.image.mask == 0)
    level = np.median(stacked.image.data[free])
    spread = 1.4826 * np.median(np.abs(stacked.image.data[free] - level))
    with fits.open(hall.product(IMAGES[0]).paths["image"]) as hdus:
        single = hdus[0].header["SKYSIGMA"] / hdus[0].header["EXPTIME"]
    # Faint stars and galaxies, which no mask holds, are left in the stack's sky.
    assert spread / np.sqrt(stacked.noise_gain) == pytest.approx(single / np.sqrt(2), rel=0.12)


def test_the_stars_of_the_stack_are_measured(made: StackMade) -> None:
    assert made.stars is not None
    with fits.open(made.paths["combined"]) as image, fits.open(made.paths["combined_phot"]) as hdus:
        header, table = image[0].header, hdus["PSFPHOT"].data
        assert header["NSOURCE"] == len(table)
        members = [choice.member.seeing_arcsec for choice in made.choices]
        assert header["FWHM"] == pytest.approx(np.mean(members), rel=0.15)
        assert len(table) > 20


def test_an_edited_list_is_obeyed(hall: ImageHall, made: StackMade, tmp_path: Path) -> None:
    text = made.paths["combined_list"].read_text()
    assert f"alfoscd stack {TARGET} --filter {FILTER} --list" in text
    listed = parse_list(text)
    assert [one.name for one in listed] == list(STEMS)
    wanted = tuple(replace(one, use=one.name != STEMS[1], weight=None) for one in listed)
    again = stack_target(hall.bench, WantedStack(target=TARGET, listed=wanted), tmp_path)
    assert len(again.stacked.shares) == 1
    assert again.choices[1].reason == "taken out by hand"
    assert again.paths["combined"].parent == tmp_path


def test_a_list_of_other_images_is_refused(hall: ImageHall) -> None:
    listed = (replace(parse_list("yes - a")[0], name="ALXX0001"),)
    with pytest.raises(NothingToStack, match="ALXX0001"):
        stack_target(hall.bench, WantedStack(target=TARGET, listed=listed))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (WantedStack(target="M 31"), "targets with images: AT2026img"),
        (WantedStack(target=TARGET, filter="U"), "no image fits"),
        (WantedStack(target=TARGET, nights=("1999-01-01",)), "no image fits"),
    ],
)
def test_what_is_not_there_is_said(hall: ImageHall, wanted: WantedStack, words: str) -> None:
    with pytest.raises(NothingToStack, match=words):
        stack_target(hall.bench, wanted)


def test_the_command_tells_what_it_did(
    hall: ImageHall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(hall.bench.config.root)]
    code = main(["stack", TARGET, "--method", "median", "--into", str(tmp_path), *root])
    said = capsys.readouterr().out
    assert code == 0
    assert f"{TARGET} {FILTER}: 2 of 2 images, 120 s" in said
    assert (tmp_path / f"combined_{FILTER}.fits").is_file()
    assert main(["stack", "M 31", *root]) == 2
    assert "targets with images" in capsys.readouterr().err
    bad = tmp_path / "bad.list"
    bad.write_text("perhaps 1 x\n")
    assert main(["stack", TARGET, "--list", str(bad), *root]) == 2
    assert "bad.list: line 1 begins with 'perhaps'" in capsys.readouterr().err


def test_the_grid_may_be_chosen(hall: ImageHall, tmp_path: Path) -> None:
    wanted = WantedStack(
        target=TARGET,
        settings=StackSettings(weights="equal"),
        grid={"size_px": (300, 200), "scale_arcsec": 0.3, "north_up": True},
    )
    done = stack_target(hall.bench, wanted, tmp_path)
    assert done.stacked.image.shape == (200, 300)
    assert done.stacked.grid.sky_map.pixel_scale_arcsec == pytest.approx(0.3, rel=1e-3)
    assert (done.stacked.coverage == 2).mean() > 0.9


def test_a_damaged_or_rejected_image_is_left_out_with_its_reason(
    hall: ImageHall, tmp_path: Path
) -> None:
    path = hall.product(IMAGES[0]).paths["image"]
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    wanted = WantedStack(target=TARGET, filter="r")
    try:
        done = stack_target(hall.bench, wanted, tmp_path)
        verdict = Verdict(decision=Decision.REJECTED, user="eva", at=NOON)
        hall.bench.archive.decide(hall.product(IMAGES[1]), verdict)
        with pytest.raises(NothingToStack, match=r"cannot be read.*a person rejected it"):
            stack_target(hall.bench, wanted, tmp_path)
    finally:
        path.write_bytes(whole)
    assert [choice.use for choice in done.choices] == [False, True]
    assert "cannot be read" in done.choices[0].reason
