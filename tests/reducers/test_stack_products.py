"""The files of a stack tell all of it, and images are read back strip by strip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from reducers.errors import UnreadableFile
from reducers.frame import Frame, Mask
from reducers.imaging.common_light import StarLight, common_light
from reducers.imaging.register import common_grid
from reducers.imaging.stack import StackImage, stack
from reducers.imaging.stack_list import parse_list
from reducers.imaging.stack_members import choose
from reducers.imaging.stack_products import read_image, stack_products
from reducers.imaging.tangent_plane import sky_map
from reducers.products import Provenance, base_header, image_hdus

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (120, 140)


def write(path: Path, seed: int, **cards: object) -> Path:
    """Write a reduced image as the recipe writes it."""
    rng = np.random.default_rng(seed)
    frame = Frame(
        data=rng.normal(0, 20, SHAPE),
        variance=np.full(SHAPE, 400.0),
        mask=np.where(rng.random(SHAPE) < 0.001, Mask.COSMIC, 0),
        unit="electron",
    )
    header = base_header((), ())
    place = sky_map((120 + seed * 1e-4, 30), (70, 60), np.diag([-1, 1]) * 0.2 / 3600, SHAPE)
    header.update(place.wcs.to_header(relax=True))
    usual = {
        "TELESCOP": "NOT", "INSTRUME": "ALFOSC", "OBJECT": "M 1", "FILTER": "r_SDSS",
        "EXPTIME": 100.0, "FWHM": 0.9, "ELLIPTIC": 0.05, "ZPTMAG": 25.5, "SKYLEVEL": 380.0,
        "SKYSIGMA": 20.0, "RONUSED": 4.3, "RADISP": 0.02, "DEDISP": 0.03, "WCSERR": 0,
        "QUALITY": 1, "PRODCATG": "SCIENCE.IMAGE", "AIRMASS": 1.2,
        "DATE-OBS": f"2026-11-20T01:0{seed}:00.000",
    }  # fmt: skip
    for keyword, value in (usual | cards).items():
        header[keyword] = value
    image_hdus(frame, header).writeto(path)
    return path


def test_an_image_is_read_back_with_what_a_stack_wants_to_know(tmp_path: Path) -> None:
    stored = read_image(write(tmp_path / "ALFA001_im.fits", 1))
    assert stored.member.name == "ALFA001_im"
    assert stored.member.seeing_arcsec == pytest.approx(0.9)
    assert stored.member.position_rms_arcsec == pytest.approx(0.03)
    assert stored.member.placed
    assert not stored.member.why_not
    strip = stored.pixels.rows(10, 30)
    assert strip.shape == (20, SHAPE[1])
    assert strip.variance == pytest.approx(400, rel=1e-3)
    assert stored.sky_map is not None
    assert stored.sky_map.pixel_scale_arcsec == pytest.approx(0.2)


def test_images_that_cannot_be_stacked_say_why(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", 1, NCHOSEN=1, CHOSEN1="subtract_sky = False", WCSERR=4)
    member = read_image(path).member
    assert "without subtracting the sky" in member.why_not
    assert not member.placed


@pytest.mark.parametrize("content", [b"no FITS", b""])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=r"a\.fits"):
        read_image(path)
    with pytest.raises(UnreadableFile, match="not a reduced image"):
        read_image(write(tmp_path / "b.fits", 1, PRODCATG="SCIENCE.SPECTRUM"))


def test_a_stack_of_files_becomes_a_file_that_tells_all(tmp_path: Path) -> None:
    stored = [read_image(write(tmp_path / f"im{seed}.fits", seed)) for seed in range(4)]
    stored.append(read_image(write(tmp_path / "bad.fits", 7, FWHM=4.0)))
    choices = choose([one.member for one in stored])
    images = [
        StackImage(choice=choice, sky_map=one.sky_map, pixels=one.pixels)
        for one, choice in zip(stored, choices, strict=True)
        if one.sky_map is not None
    ]
    grid = common_grid([one.sky_map for one in images], [SHAPE] * 5)
    done = stack(images, grid)
    headers = [one.header for one, choice in zip(stored, choices, strict=True) if choice.use]
    inputs = [Provenance(file=f"im{seed}.fits", sha256="0", role="IMAGE") for seed in range(4)]
    files = stack_products(done, choices, headers, inputs)
    path = tmp_path / "combined_r.fits"
    files["combined"].writeto(path)
    with fits.open(path) as hdus:
        hdus.verify("exception")
        names = [hdu.name for hdu in hdus]
        assert names == ["PRIMARY", "UNCERT", "MASK", "DQ", "COVERAGE", "MEMBERS", "PROVENANCE"]
        header = hdus[0].header
        assert header["NCOMBINE"] == 4
        assert header["EXPTIME"] == pytest.approx(400)
        assert header["BUNIT"] == "electron/s"
        assert header["GAIN"] == pytest.approx(400)
        assert header["RDNOISE"] == pytest.approx(4.3 / 100 / 2)
        assert header["ZPTMAG"] == pytest.approx(25.5)
        assert header["DATE-OBS"] == "2026-11-20T01:00:00.000"
        assert 'seeing 4.00"' in header["EXCLUD1"]
        assert hdus["COVERAGE"].data.max() == 4
        assert list(hdus["MEMBERS"].data["USED"]) == [True] * 4 + [False]
        ra, dec = WCS(hdus["COVERAGE"].header).all_pix2world(50, 60, 0)
        there = grid.sky_map.sky(50, 60)
        assert (float(ra), float(dec)) == pytest.approx((float(there[0]), float(there[1])))
        free = (hdus["MASK"].data == 0) & (hdus["COVERAGE"].data == 4)
        noise = np.std(hdus[0].data[free]) * header["NOISFAC"]
        assert noise == pytest.approx(20 / 100 / 2, rel=0.05)
    assert [one.use for one in parse_list(str(files["combined_list"]))] == [True] * 4 + [False]


def lights(clear: float, seed: int, number: int = 20) -> StarLight:
    rng = np.random.default_rng(1)
    ra, dec = 150 + rng.uniform(-0.05, 0.05, number), 20 + rng.uniform(-0.05, 0.05, number)
    rate = 10 ** rng.uniform(2, 4, number) * clear
    noise = np.random.default_rng(seed).normal(0, 0.02, number)
    return StarLight(ra_deg=ra, dec_deg=dec, rate=rate * (1 + noise), rate_error=rate * 0.02)


def test_common_stars_tell_how_much_light_an_image_got() -> None:
    light = common_light({"a": lights(1.0, 2), "cloudy": lights(0.6, 3), "c": lights(0.95, 4)})
    assert light == pytest.approx({"a": 1.0, "cloudy": 0.6, "c": 0.95}, rel=0.02)


def test_images_without_common_stars_are_not_compared() -> None:
    far = lights(1.0, 3)
    elsewhere = replace(far, ra_deg=far.ra_deg + 3)
    assert common_light({"a": lights(1.0, 2), "b": elsewhere}) == {}
    assert common_light({"a": lights(1.0, 2)}) == {}
    assert common_light({"a": lights(1.0, 2), "b": lights(1.0, 2, number=0)}) == {}
