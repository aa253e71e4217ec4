"""A file is a whole raw frame, or is refused at once with its reason."""

from __future__ import annotations

import contextlib
import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reducers.errors import AbsurdHeader, IncompleteFile, NotFits, NotRaw, UnreadableFile
from reducers.fits import check_structure, read_header, read_raw
from reducers.profiles import load_instrument

BLOCK = 2880


def header_block(*cards: str) -> bytes:
    text = "".join(card.ljust(80) for card in (*cards, "END"))
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode()


def declared(*cards: str) -> bytes:
    return header_block("SIMPLE  =                    T", *cards)


def integer(keyword: str, value: int | str) -> str:
    return f"{keyword:<8}= {value:>20}"


def image_header(bitpix: int | str = 16, first: int | str = 20, second: int | str = 30) -> bytes:
    axes = (integer("NAXIS1", first), integer("NAXIS2", second))
    return declared(integer("BITPIX", bitpix), integer("NAXIS", 2), *axes)


IMAGE = image_header() + bytes(BLOCK)
EMPTY_PRIMARY = declared(integer("BITPIX", 8), integer("NAXIS", 0))


def table_header(*cards: str) -> bytes:
    usual = ("XTENSION= 'BINTABLE'", integer("BITPIX", 8), integer("NAXIS", 2))
    size = (integer("NAXIS1", 8), integer("NAXIS2", 1), integer("PCOUNT", 0))
    return header_block(*usual, *size, integer("GCOUNT", 1), *cards)


def bomb(axis: int) -> bytes:
    cards = ("ZIMAGE  =                    T", integer("ZBITPIX", 16), integer("ZNAXIS", 2))
    axes = (integer("ZNAXIS1", axis), integer("ZNAXIS2", axis))
    return EMPTY_PRIMARY + table_header(*cards, *axes) + bytes(BLOCK)


REFUSED: dict[str, tuple[bytes, type[UnreadableFile], str]] = {
    "empty": (b"", IncompleteFile, "empty"),
    "not FITS": (b"GIF89a" * 1000, NotFits, "begin as a FITS"),
    "one letter": (b"X", NotFits, "begin as a FITS"),
    "header cut": (IMAGE[:1000], IncompleteFile, "header of HDU 0 ends early"),
    "pixels cut": (IMAGE[:-1], IncompleteFile, "data of HDU 0 end early"),
    "cut between HDUs": (EMPTY_PRIMARY, IncompleteFile, "no HDU holds an image"),
    "no END": (b"SIMPLE  =".ljust(BLOCK * 200), AbsurdHeader, "no END"),
    "BITPIX 17": (image_header(17) + bytes(BLOCK), AbsurdHeader, "BITPIX of HDU 0 is 17"),
    "BITPIX text": (image_header("'x'") + bytes(BLOCK), AbsurdHeader, "BITPIX"),
    "no BITPIX": (declared(integer("NAXIS", 0)), AbsurdHeader, "BITPIX is missing"),
    "axis -1": (image_header(first=-1), AbsurdHeader, "NAXIS1 of HDU 0 is -1"),
    "axis 0": (image_header(first=0), AbsurdHeader, "groups"),
    "huge axes": (image_header(16, 60_000, 60_000), AbsurdHeader, "declares 7200000000 bytes"),
    "absurd axis": (image_header(16, 10**12), AbsurdHeader, "NAXIS1"),
    "endless digits": (image_header(16, "9" * 20), AbsurdHeader, "not a whole number"),
    "NAXIS 999": (declared(integer("BITPIX", 8), integer("NAXIS", 999)), AbsurdHeader, "is 999"),
    "NAXIS -1": (declared(integer("BITPIX", 8), integer("NAXIS", -1)), AbsurdHeader, "is -1"),
    "junk behind": (IMAGE + b"x" * BLOCK, AbsurdHeader, "no extension"),
    "20000 HDUs": (IMAGE + table_header() * 200, AbsurdHeader, "declares|more than 64"),
    "compressed bomb": (bomb(60_000), AbsurdHeader, "unpacks to 3600000000 pixels"),
    "compressed absurd": (bomb(10**9), AbsurdHeader, "ZNAXIS1"),
    "own product": (
        declared(integer("BITPIX", 8), integer("NAXIS", 0), "ALFOSCD = '0.1.0'"),
        NotRaw,
        "product of this pipeline",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_no_whole_raw_frame_is_refused_with_a_reason(tmp_path: Path, case: str) -> None:
    content, error, reason = REFUSED[case]
    path = tmp_path / "ALDc200205.fits"
    path.write_bytes(content)
    with pytest.raises(error, match=reason):
        check_structure(path)


@pytest.mark.parametrize("case", ["not FITS", "pixels cut", "BITPIX 17", "own product"])
def test_the_same_is_refused_when_gzipped(tmp_path: Path, case: str) -> None:
    content, error, reason = REFUSED[case]
    path = tmp_path / "EFOSC.fits.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(error, match=reason):
        check_structure(path)


def test_a_whole_file_is_accepted_plain_and_gzipped(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.fits", tmp_path / "a.fits.gz"
    plain.write_bytes(IMAGE)
    packed.write_bytes(gzip.compress(IMAGE))
    assert check_structure(plain) == check_structure(packed)
    assert (check_structure(plain).size, check_structure(plain).hdus) == (2 * BLOCK, 1)


def test_a_gzip_stream_that_ends_early_is_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(os.urandom(0) + IMAGE)[:-20])
    with pytest.raises(IncompleteFile):
        check_structure(path)


def test_damaged_gzip_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(b"\x1f\x8b" + b"\x07" * 100)
    with pytest.raises(UnreadableFile, match="damaged"):
        check_structure(path)


def test_a_gzip_bomb_is_cut_off_at_the_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.fits.gz"
    zeros = bytes(1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image_header(8, 65_000, 3_000))
        for _ in range(300):
            file.write(zeros)
    with pytest.raises(AbsurdHeader, match="bytes"):
        check_structure(path, size_limit_bytes=1 << 24)


def test_a_sparse_giant_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "giant.fits"
    with path.open("wb") as file:
        file.truncate(40 * 10**9)
    with pytest.raises(AbsurdHeader, match="40000000000 bytes"):
        check_structure(path)


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    os.mkfifo(path)
    begun = time.monotonic()
    with pytest.raises(UnreadableFile, match="not a regular file"):
        check_structure(path)
    assert time.monotonic() - begun < 30


def test_a_symlink_loop_a_folder_and_a_missing_file_have_their_reasons(tmp_path: Path) -> None:
    loop = tmp_path / "loop.fits"
    loop.symlink_to(loop)
    for path, reason in (
        (loop, "symbolic links"),
        (tmp_path, "not a regular file"),
        (tmp_path / "none.fits", "No such file"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        with pytest.raises(UnreadableFile, match=reason):
            check_structure(path)


def test_a_symlink_to_a_frame_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.fits").write_bytes(IMAGE)
    link = tmp_path / "link.fits"
    link.symlink_to(tmp_path / "real.fits")
    assert check_structure(link).images == 1


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
@given(place=st.integers(0, len(IMAGE) - 1), junk=st.binary(min_size=1, max_size=200))
def test_no_damage_to_a_frame_raises_anything_but_a_named_reason(
    tmp_path: Path, place: int, junk: bytes
) -> None:
    path = tmp_path / "damaged.fits"
    path.write_bytes(IMAGE[:place] + junk + IMAGE[place + len(junk) :])
    with contextlib.suppress(UnreadableFile):
        assert check_structure(path).images == 1
        assert read_raw(path, load_instrument("efosc2").detector).data.ndim == 2


def two_hdus(path: Path, pixels: np.ndarray) -> None:
    primary, image = fits.PrimaryHDU(), fits.ImageHDU(pixels, name="im1")
    primary.header["OBJECT"], primary.header["GAIN"] = "sky", 9.9
    image.header["GAIN"] = 0.16
    fits.HDUList([primary, image]).writeto(path)


def test_the_extension_wins_where_both_headers_have_a_card(tmp_path: Path) -> None:
    path = tmp_path / "two.fits"
    two_hdus(path, np.zeros((4, 6), np.uint32))
    header = read_header(path)
    assert (header["OBJECT"], header["GAIN"]) == ("sky", 0.16)
    assert (header["NAXIS"], header["NAXIS1"], header["NAXIS2"]) == (2, 6, 4)


def test_raw_pixels_are_read_only_float32(tmp_path: Path) -> None:
    path = tmp_path / "two.fits"
    two_hdus(path, np.full((4, 6), 11_700, np.uint32))
    raw = read_raw(path, load_instrument("alfosc").detector)
    assert raw.data.dtype == np.float32
    assert not raw.data.flags.writeable
    assert raw.data.shape == (4, 6)


@pytest.mark.realdata
@pytest.mark.parametrize("folder", ["alfosc_raw", "efosc2_raw"])
def test_every_real_frame_is_whole(realdata: Path, folder: str) -> None:
    paths = (realdata / folder).glob("*.fits*")
    assert {check_structure(path).images for path in paths} == {1}


@pytest.mark.realdata
def test_every_cut_of_a_real_frame_is_incomplete(realdata: Path, tmp_path: Path) -> None:
    content = (realdata / "alfosc_raw" / "ALDc200205.fits").read_bytes()
    path = tmp_path / "ALDc200205.fits"
    for size in (1, 80, BLOCK, 14_400, 20_160, 20_161, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(IncompleteFile):
            check_structure(path)
