from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from daemon.layout import (
    RESERVED,
    Layout,
    remove_unfinished,
    slug,
    write_atomically,
    write_fits_atomically,
)

NASTY = [
    "", ".", "..", "../../etc/passwd", "/etc/passwd", "a/../b", "\x00", "a\x00b", "~root", "-rf",
    "\u202egnp.exe", "\ud800", "x" * 5000, "α Centauri", "名前", "a\nb", "calibrations", "Plots",
    "report", "CON", "*?[]", "'; DROP TABLE frame; --", "<script>", "=1+2", "   ", "____", "$(id)",
    "\u2024\u2024/x", "e\u0301" * 400,
]  # fmt: skip


def check_harmless(text: str) -> None:
    name = slug(text)
    assert re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*", name), repr(name)
    assert len(name) <= 70
    layout = Layout(Path("/products"))
    folder = layout.target_folder("2026-11-20", text)
    assert folder.parent == layout.night_folder("2026-11-20")
    assert folder.name.lower() not in RESERVED
    assert Path(folder, "x").resolve().parent == folder


@pytest.mark.parametrize("text", NASTY)
def test_no_object_name_leaves_its_night(text: str) -> None:
    check_harmless(text)


@given(st.text(st.characters(codec=None), max_size=300))
def test_no_object_name_at_all_leaves_its_night(text: str) -> None:
    check_harmless(text)


@given(st.text(st.sampled_from("abcABC019._+-"), min_size=1, max_size=40))
def test_a_slug_is_its_own_slug(text: str) -> None:
    assert slug(slug(text)) == slug(text)


@pytest.mark.parametrize("name", ["SN2020abc", "HD+12_34", "ALDc200205", "GRB191221B", "M31-V1"])
def test_ordinary_names_survive(name: str) -> None:
    assert slug(name) == name


def test_names_that_lose_letters_stay_apart() -> None:
    assert slug("α") != slug("β")
    assert slug("x" * 100) != slug("x" * 101)
    assert slug("Göttingen") == "Gottingen"


def test_products_begin_with_their_raw_stem() -> None:
    layout = Layout(Path("/p"))
    assert layout.product("2020-03-20", "SN 1", "ALDc200205", "1d.fits") == Path(
        "/p/2020-03-20/SN_1/ALDc200205_1d.fits"
    )
    assert layout.product("n", "t", "ALDc200205", "1d.fits", version=2).name == (
        "ALDc200205_1d_v2.fits"
    )
    assert layout.verify_plot("n", "ALDc200205", "SN 1").name == "verify_ALDc200205_SN_1.png"
    assert layout.master("n", "BIAS", "1x1").parent == layout.calibrations("n")


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "night" / "a.fits"
    write_atomically(path, b"old")
    broken = fits.HDUList([fits.PrimaryHDU(np.zeros(3))])
    broken[0].header["OK"] = 1
    broken[0].header.cards["OK"]._keyword = "not ok"
    with pytest.raises(fits.VerifyError):
        write_fits_atomically(path, broken)
    assert path.read_bytes() == b"old"
    assert [item.name for item in path.parent.iterdir()] == ["a.fits"]


def test_the_same_content_gives_the_same_bytes_with_valid_checksums(tmp_path: Path) -> None:
    for name in ("a.fits", "b.fits"):
        hdus = fits.HDUList([fits.PrimaryHDU(np.ones((4, 5))), fits.ImageHDU(np.arange(6))])
        write_fits_atomically(tmp_path / name, hdus)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    with fits.open(tmp_path / "a.fits", checksum=True) as opened:
        assert all(hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1 for hdu in opened)


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    night = tmp_path / "2026-01-15" / "target"
    night.mkdir(parents=True)
    left = night / ".ALDc200205_1d.fits.4711-0a1b2c3d.tmp"
    kept = [night / "ALDc200205_1d.fits", night / "notes.tmp", night / ".mine.tmp"]
    for path in (left, *kept):
        path.write_bytes(b"x")
    assert remove_unfinished(tmp_path) == 1
    assert not left.exists()
    assert all(path.exists() for path in kept)
