"""Simulated headers are the real ones, card by card."""

from __future__ import annotations

import io
import re
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import assume, given
from hypothesis import strategies as st

from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate.frames import data_bytes, simulate
from reducers.simulate.header import format_card
from reducers.simulate.night import plan_night
from reducers.simulate.observer import stem_of

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.simulate.records import PlannedExposure

INSTRUMENT = load_instrument("alfosc")
PLAN = plan_night(5)
#: Real frame, and the kind of simulated frame that must have its cards in its order.
TWINS = {
    "ALDc210004": FrameKind.BIAS,
    "ALDc200337": FrameKind.SPEC_FLAT,
    "ALDc200207": FrameKind.ARC,
    "ALDc200086": FrameKind.SPEC_STD,
    "ALDc200205": FrameKind.SPEC_OBJECT,
}


def first(kind: FrameKind) -> PlannedExposure:
    return next(exposure for exposure in PLAN if exposure.kind is kind)


def cards(content: bytes) -> list[str]:
    header = content[:20160].decode("ascii")
    return [header[i : i + 80] for i in range(0, len(header), 80)]


@pytest.mark.realdata
@pytest.mark.parametrize("stem", sorted(TWINS))
def test_cards_come_in_the_order_and_format_of_the_real_frame(stem: str, realdata: Path) -> None:
    real = cards((realdata / "alfosc_raw" / f"{stem}.fits").read_bytes())
    ours = cards(simulate(first(TWINS[stem]), INSTRUMENT).content)
    assert [card[:10] for card in ours] == [card[:10] for card in real]
    for mine, theirs in zip(ours, real, strict=True):
        # Numbers end in the same column, texts begin in the same one.
        assert (mine[10] == "'") == (theirs[10] == "'"), (mine, theirs)
        if theirs[10:11] not in ("'", " ") or "(" in theirs:
            continue
        if theirs[10] != "'" and "/" in theirs:
            assert mine[30:] == theirs[30:], (mine, theirs)


@pytest.mark.realdata
def test_the_file_is_as_long_as_a_real_one(realdata: Path) -> None:
    real = (realdata / "alfosc_raw" / "ALDc200205.fits").stat().st_size
    assert len(simulate(first(FrameKind.SPEC_OBJECT), INSTRUMENT).content) == real


@pytest.mark.realdata
def test_bias_transients_follow_the_real_ones(realdata: Path) -> None:
    real = _counts((realdata / "alfosc_raw" / "ALDc210004.fits").read_bytes())
    ours = _counts(simulate(first(FrameKind.BIAS), INSTRUMENT).content)
    columns = [np.median(f[20:], axis=0) - np.median(f[20:]) for f in (real, ours)]
    assert np.abs(columns[0] - columns[1]).max() < 45
    rows = [np.median(f[:, 150:], axis=1) - np.median(f[20:, 150:]) for f in (real, ours)]
    assert np.abs(rows[0] - rows[1]).max() < 45


def _counts(content: bytes) -> np.ndarray:
    with fits.open(io.BytesIO(content)) as hdus:
        raw = np.asarray(hdus[1].data, dtype=np.int64)
    return np.where(raw > 2**31, raw - 2**32, raw).astype(float)


def test_every_frame_of_a_night_is_identified_as_what_it_is() -> None:
    for exposure in PLAN:
        content = simulate(exposure, INSTRUMENT).content
        with fits.open(io.BytesIO(content)) as hdus:
            header = hdus[0].header.copy()
            header.update(hdus[1].header)
        identity = identify(header, INSTRUMENT)
        assert identity.kind is exposure.kind
        assert identity.setup.window == exposure.window
        assert identity.setup.y_binning == exposure.y_binning


def test_data_begin_at_the_byte_where_real_data_begin() -> None:
    content = simulate(first(FrameKind.BIAS), INSTRUMENT).content
    with fits.open(io.BytesIO(content)) as hdus:
        assert len(hdus) == 2
        assert hdus[1]._data_offset == 20160
        assert hdus[1]._bitpix == 32 or hdus[1].header["BZERO"] == 2147483648
    assert len(content) % 2880 == 0


def test_datamin_holds_the_wrapped_count() -> None:
    content = simulate(first(FrameKind.SPEC_OBJECT), INSTRUMENT).content
    with fits.open(io.BytesIO(content)) as hdus:
        assert 4294940000 < hdus[0].header["DATAMIN"] < 2**32
        assert hdus[0].header["DATAMIN"] == int(hdus[1].data[0, 0])


def test_catalogue_place_of_a_standard_is_in_hours_and_of_1950() -> None:
    content = simulate(first(FrameKind.SPEC_STD), INSTRUMENT).content
    header = fits.Header.fromstring(content[:14400].decode("ascii"))
    # As in the real frame of HD 84937 but for its proper motion: OBJRA 9.77 h, OBJDEC +13.988.
    assert header["OBJRA"] == pytest.approx(9.77, abs=0.001)
    assert header["OBJDEC"] == pytest.approx(13.988, abs=0.012)
    assert header["OBJEQUIN"] == 2000.0


def test_names_carry_the_night() -> None:
    assert stem_of(date(2020, 3, 20), 205) == "ALDc200205"
    assert stem_of(date(2016, 6, 14), 1) == "ALzf140001"
    assert stem_of(date(2026, 1, 15), 12) == "ALJa150012"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6))
def test_a_number_is_read_back_as_it_was_meant(value: float) -> None:
    card = fits.Card.fromstring(format_card("AUXPOS", value, "Position"))
    assert float(card.value) == pytest.approx(value, abs=1e-9)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_a_text_is_read_back_as_it_was_meant(text: str) -> None:
    # astropy takes an escaped quote before a slash for the end of the value.
    assume(re.search(r"' */", text) is None)
    card = fits.Card.fromstring(format_card("OBJECT", text))
    assert card.value == text.rstrip()


@given(st.lists(st.integers(-20000, 900_000), min_size=1, max_size=50))
def test_counts_below_zero_wrap_and_all_others_stay(values: list[int]) -> None:
    stored = np.frombuffer(data_bytes(np.array([values])), dtype=">i4")[: len(values)]
    unsigned = stored.astype(np.int64) + 2**31
    assert unsigned.tolist() == [value % 2**32 for value in values]
