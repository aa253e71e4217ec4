"""Bias sets: a member that differs is left out by name, and pixels that misbehave are marked."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.detector.bad_pixels import hot_pixels, unstable_pixels, with_bad_pixels
from reducers.detector.bias_set import sound_members
from reducers.detector.combine import combine, read_noise_of
from reducers.detector.verify import compare_detector
from reducers.errors import SetupMismatch
from reducers.frame import Frame, Geometry, Mask
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument
from reducers.quality import judge, load_limits

NOISE = 32.0
SHAPE = (240, 200)


def bias(seed: int, **changes: float) -> Frame:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, changes.get("row_drift", 0.0), (SHAPE[0], 1))
    data = rng.normal(0, changes.get("noise", NOISE), SHAPE) + rows + changes.get("level", 0.0)
    data += 2700 * np.exp(-np.arange(SHAPE[1]) / 1.1)
    return Frame(
        data=np.rint(data).astype(np.float32),
        variance=np.zeros(SHAPE, np.float32),
        mask=np.zeros(SHAPE, np.uint16),
    )


def judged(frames: list[Frame], overscan: list[float] | None = None):
    names = [f"B{n}" for n in range(len(frames))]
    return sound_members(frames, names, overscan or [0.0] * len(frames))


def test_biases_that_agree_are_all_kept() -> None:
    chosen = judged([bias(n) for n in range(7)])
    assert len(chosen.frames) == 7
    assert chosen.left_out == ()


def test_a_bias_below_the_others_is_left_out_with_its_reason() -> None:
    chosen = judged([bias(0, level=-14.0), *(bias(n) for n in range(1, 7))])
    assert len(chosen.frames) == 6
    (reason,) = chosen.left_out
    assert reason.startswith("B0: its level is 1")
    assert reason.endswith("adu below the others'")


def test_light_on_a_part_of_a_bias_is_seen() -> None:
    leak = bias(9)
    data = leak.data.copy()
    data[:40, 150:] += 60
    chosen = judged([*(bias(n) for n in range(6)), leak.after("leak", data=data)])
    assert len(chosen.left_out) == 1
    assert "light or a transient" in chosen.left_out[0]


def test_the_level_of_the_night_is_that_of_the_biases_that_were_kept() -> None:
    lit = bias(9, level=900.0)
    levels = [11600.0, 11590.0, 11580.0, 11580.0, 11580.0, 11580.0, 15550.0]
    chosen = judged([*(bias(n) for n in range(6)), lit], levels)
    assert chosen.measurements["overscan_adu"] == pytest.approx(11585.0)
    assert chosen.measurements["drift_adu"] == 20.0


def test_interference_on_one_bias_is_seen() -> None:
    chosen = judged([*(bias(n) for n in range(6)), bias(6, noise=1.4 * NOISE)])
    assert "times as noisy as the others: interference" in chosen.left_out[0]


def test_the_drift_of_the_level_is_measured_and_is_no_reason_to_leave_out() -> None:
    levels = [11620.0, 11610.0, 11607.0, 11599.0, 11593.0]
    chosen = judged([bias(n) for n in range(5)], levels)
    assert chosen.left_out == ()
    assert chosen.measurements["drift_adu"] == 27.0
    assert chosen.measurements["first_offset_adu"] == pytest.approx(17, abs=0.1)


def test_what_the_pixels_of_a_row_share_is_told_from_read_noise() -> None:
    chosen = judged([bias(n, row_drift=6.0) for n in range(9)])
    assert chosen.measurements["read_noise_adu"] == pytest.approx(NOISE, rel=0.02)
    assert chosen.measurements["row_noise_adu"] == pytest.approx(6.0, rel=0.25)


def test_read_noise_of_integer_counts_does_not_come_in_steps() -> None:
    for noise in (3.0, 3.3):
        frames = [bias(n, noise=noise) for n in range(4)]
        rounded = np.sqrt(noise**2 + 1 / 12)
        assert read_noise_of(frames) == pytest.approx(rounded, rel=0.02)


def test_biases_of_another_binning_are_never_combined() -> None:
    other = bias(3).after("binned", geometry=Geometry(y_binning=2))
    with pytest.raises(SetupMismatch):
        judged([bias(1), bias(2), other])


def test_a_hot_pixel_is_found_and_the_start_up_columns_are_not() -> None:
    frames = [bias(n) for n in range(9)]
    data = [f.data.copy() for f in frames]
    for plane in data:
        plane[100, 60] += 400
    master = combine([f.after("hot", data=d) for f, d in zip(frames, data, strict=True)])
    found = hot_pixels(master, NOISE)
    assert found[100, 60]
    assert found.sum() == 1


def test_a_flickering_pixel_is_unstable_and_one_cosmic_ray_is_not() -> None:
    frames = [bias(n) for n in range(9)]
    data = [f.data.copy() for f in frames]
    for number, plane in enumerate(data):
        plane[30, 30] += 300 * (-1) ** number
    data[4][50, 50] += 20_000
    found = unstable_pixels(
        [f.after("x", data=d) for f, d in zip(frames, data, strict=True)], NOISE
    )
    assert found[30, 30]
    assert not found[50, 50]
    assert found.sum() == 1


def test_a_restless_column_is_unstable_as_a_whole() -> None:
    rng = np.random.default_rng(20)
    frames = [bias(n) for n in range(9)]
    data = [f.data.copy() for f in frames]
    for plane in data:
        plane[:, 77] += rng.normal(0, NOISE, SHAPE[0])
    restless = [f.after("x", data=d) for f, d in zip(frames, data, strict=True)]
    found = unstable_pixels(restless, NOISE)
    assert found[:, 77].all()
    assert found.sum() == SHAPE[0]


def test_bad_pixels_flow_into_the_frame_and_a_map_that_condemns_too_much_does_not() -> None:
    few, many = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    few[3, 4] = True
    many[:, :10] = True
    marked, measured = with_bad_pixels(bias(1), few, "hot")
    assert marked.mask[3, 4] & Mask.BAD
    assert measured["bad_pixels"] == 1
    refused, measured = with_bad_pixels(bias(1), many, "hot")
    assert not refused.mask.any()
    assert measured["bad_map_refused"] == 1
    assert "5.0 % look hot, more than 2 % can be: the map is not used" in refused.history[-1]


def identity(gain: float, noise_e: float) -> Identity:
    return Identity(
        instrument="alfosc",
        kind=FrameKind.SPEC_OBJECT,
        setup=Setup(x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D"),
        observed_at=None,
        exposure_s=100,
        gain_e_per_adu=gain,
        read_noise_e=noise_e,
    )


@pytest.mark.parametrize(
    ("facts", "header_gain", "flags"),
    [
        ({"flat_gain_e_per_adu": 0.18, "bias_read_noise_adu": 31.8}, 0.16, set()),
        ({"flat_gain_e_per_adu": 0.18, "bias_read_noise_adu": 31.8}, 0.33, {"GAIN_HEADER"}),
        ({"flat_gain_e_per_adu": 0.18, "bias_read_noise_adu": 41.0}, 0.16, {"RDNOISE"}),
        ({}, 0.33, set()),
    ],
)
def test_gain_and_read_noise_are_held_against_header_and_profile(
    facts: dict[str, float], header_gain: float, flags: set[str]
) -> None:
    detector = load_instrument("alfosc").detector
    facts = facts | {"flat_gain_error": 0.001}
    measured = compare_detector(facts, identity(header_gain, 4.3), detector)
    raised, _ = judge(measured, load_limits())
    assert {flag.name for flag in raised} == flags


def test_the_same_bias_copied_five_times_is_no_crash() -> None:
    chosen = judged([bias(1)] * 5)
    assert len(chosen.frames) == 5
    assert chosen.measurements["read_noise_adu"] == 0
