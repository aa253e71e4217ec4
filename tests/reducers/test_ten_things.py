"""The ten things that break a naive ALFOSC pipeline (one named test each, in their order)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits

from reducers.fits import read_header, read_raw
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Build = Callable[..., dict[str, Any]]

ALFOSC = load_instrument("alfosc")


def write_frame(path: Path, pixels: np.ndarray, cards: dict[str, Any] | None = None) -> Path:
    """Write two HDUs as the camera does: an empty primary, an unsigned 32-bit image."""
    primary, image = fits.PrimaryHDU(), fits.ImageHDU(pixels.astype(np.uint32), name="im1")
    primary.header.update({key: cards[key] for key in cards or {} if not key.startswith("NAXIS")})
    fits.HDUList([primary, image]).writeto(path, overwrite=True)
    return path


def test_1_unsigned_32_bit_counts_can_be_subtracted(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "a.fits", np.full((4, 4), 11_700))
    assert fits.getheader(path, 1)["BZERO"] == 2**31
    data = read_raw(path, ALFOSC.detector).data
    assert np.all(data - np.float32(11_800) == -100), "unsigned counts would wrap"


def test_2_counts_below_zero_that_wrapped_are_negative_again(tmp_path: Path) -> None:
    pixels = np.full((4, 4), 11_700, dtype=np.int64)
    pixels[0, 0] = 4_294_950_158
    raw = read_raw(write_frame(tmp_path / "a.fits", pixels), ALFOSC.detector)
    assert raw.data[0, 0] == -17_138
    assert raw.wrapped_pixels == 1
    assert raw.data.max() == 11_700


def test_2_bright_counts_do_not_wrap(tmp_path: Path) -> None:
    raw = read_raw(write_frame(tmp_path / "a.fits", np.full((4, 4), 873_000)), ALFOSC.detector)
    assert raw.wrapped_pixels == 0
    assert np.all(raw.data == 873_000)


@pytest.mark.parametrize(
    "cards",
    [
        {"DETWIN1": "[801:1200, 1:2102]"},
        {"DETYBIN": 1, "NAXIS2": 2102},
        {"DETXBIN": 2, "NAXIS1": 200},
        {"FPIX": 400},
        {"AMPLMODE": "A"},
    ],
)
def test_3_the_start_up_transient_belongs_to_one_window_binning_and_readout(
    alfosc_header: Build, cards: dict[str, Any]
) -> None:
    assert ALFOSC.sets[FrameKind.BIAS].same == ("detector",)
    usual = identify(alfosc_header("bias"), ALFOSC)
    other = identify(alfosc_header("bias", **cards), ALFOSC)
    assert other.kind is FrameKind.BIAS
    assert usual.setup.detector_key != other.setup.detector_key


def test_3_a_bias_serves_its_window_whatever_the_wheels_held(alfosc_header: Build) -> None:
    wheels = {"ALGRNM": "Grism_#4", "ALAPRTNM": "Slit_1.3", "OBJECT": "alfosc-calibs bias"}
    behind = identify(alfosc_header("bias", **wheels), ALFOSC)
    science = identify(alfosc_header("science"), ALFOSC)
    assert behind.kind is FrameKind.BIAS
    assert behind.setup.detector_key == science.setup.detector_key


def test_4_every_window_holds_overscan_to_follow_the_drifting_level() -> None:
    best = ALFOSC.detector.overscan[0]
    assert best.y_start >= ALFOSC.detector.image.y_stop, "above the image, so in every x window"
    for x1, x2 in ((851, 1250), (801, 1300), (1, 2148)):
        columns = min(best.x_stop, x2) - max(best.x_start, x1 - 1)
        assert columns >= 400
    assert (best.y_stop - best.y_start) // 2 >= 10, "rows enough when binned 1x2"


def test_5_the_overscan_is_where_it_was_measured_not_where_the_header_says(
    alfosc_header: Build,
) -> None:
    detector = ALFOSC.detector
    assert (detector.image.y_start, detector.image.y_stop) == (0, 2064)
    assert (detector.overscan[0].y_start, detector.overscan[0].y_stop) == (2068, 2093)
    assert (detector.image.x_start, detector.image.x_stop) == (50, 2098)
    misled = alfosc_header("bias", XOVERSC="9", YOVERSC="9", BIASSEC="[1:9,1:9]")
    assert identify(misled, ALFOSC) == identify(alfosc_header("bias"), ALFOSC)


def test_6_a_stale_catalogue_position_in_hours_never_says_where_the_telescope_was(
    alfosc_header: Build,
) -> None:
    standard = identify(alfosc_header("standard"), ALFOSC)
    stale = identify(alfosc_header("standard", OBJRA=3.0912777778, OBJDEC=26.15), ALFOSC)
    entry = {"target_ra_deg": 15 * 3.0912777778, "target_dec_deg": 26.15}
    assert stale == replace(standard, **entry), "kept as what the catalogue says, and no more"
    assert standard.ra_deg == pytest.approx(147.2426, abs=1e-3)
    assert standard.standard == "HD 84937", "matched on RA and DEC, B1950 or not"


def test_7_a_standard_typed_as_science_object_is_a_standard(alfosc_header: Build) -> None:
    header = alfosc_header("standard")
    assert (header["IMAGETYP"], header["IMAGECAT"]) == ("OBJECT", "SCIENCE")
    visitor = identify(header, ALFOSC)
    observing_block = identify(alfosc_header("standard", IMAGETYP="STD", IMAGECAT="CALIB"), ALFOSC)
    assert visitor.kind is observing_block.kind is FrameKind.SPEC_STD
    assert visitor.standard == observing_block.standard == "HD 84937"


def test_8_an_open_wheel_is_open_in_every_spelling_and_blanks_do_not_matter(
    alfosc_header: Build,
) -> None:
    for name in ("Open_(Lyot)", "Open (Lyot)", "open"):
        assert identify(alfosc_header("image", ALGRNM=name), ALFOSC).setup.grism == ""
    for name in ("r'_SDSS  618_148", "r'_SDSS 618_148", "  r'_SDSS 618_148 "):
        assert identify(alfosc_header("image", FAFLTNM=name), ALFOSC).setup.filter == "r_SDSS"


def test_9_card_order_and_the_date_of_writing_do_not_matter(
    alfosc_header: Build, tmp_path: Path
) -> None:
    cards = alfosc_header("science")
    moved = {"DATE": "2020-03-21T04:29:55", "FILENAME": "ALDc200205.fits"}
    by_script = moved | dict(reversed(cards.items())) | moved
    pixels = np.zeros((1051, 400))
    manual, script = (
        identify(read_header(write_frame(tmp_path / f"{name}.fits", pixels, order)), ALFOSC)
        for name, order in (("manual", cards), ("script", by_script))
    )
    assert manual == script
    assert manual.kind is FrameKind.SPEC_OBJECT


def test_10_the_slit_position_is_read_and_moves_the_expected_wavelengths(
    alfosc_header: Build,
) -> None:
    grism = ALFOSC.grisms["Grism_#4"]
    assert identify(alfosc_header("arc"), ALFOSC).aperture_y_px == grism.slit_reference_px
    other = identify(alfosc_header("arc", ALAPRSLY=1043.32, ALAPRTNM="Slit_1.3"), ALFOSC)
    assert other.aperture_y_px == 1043.32
    shift = other.aperture_y_px - grism.slit_reference_px
    u = (941.7 - shift - grism.reference_px) / grism.scale_px
    predicted = float(np.polynomial.polynomial.polyval(u, grism.first_guess))
    assert predicted == pytest.approx(6144.76, abs=8), "neon 6143 as measured in September 2019"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("stem", "first_pixel", "wrapped"),
    [("ALDc200205", -17_138, 1), ("ALDc200086", -17_274, 1), ("ALDc200337", 32_838, 0)],
)
def test_2_exactly_the_first_pixel_of_a_real_frame_had_wrapped(
    realdata: Path, stem: str, first_pixel: float, wrapped: int
) -> None:
    raw = read_raw(realdata / "alfosc_raw" / f"{stem}.fits", ALFOSC.detector)
    assert raw.data[0, 0] == first_pixel
    assert raw.wrapped_pixels == wrapped
    assert raw.data.max() < 1e6


@pytest.mark.realdata
def test_5_light_ends_where_the_profile_ends_the_image(realdata: Path) -> None:
    flat = read_raw(realdata / "alfosc_raw" / "ALDc200337.fits", ALFOSC.detector).data
    rows = flat[:, 100:300].mean(axis=1)
    level = rows[1035:1046].mean()
    assert rows[1030] - level > 1000, "the last whole row of the image is lit"
    assert np.ptp(rows[2068 // 2 : 2093 // 2]) < 0.02 * (rows[1030] - level)
