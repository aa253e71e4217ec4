"""Detector steps: the arithmetic carries level, variance and mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.detector.combine import combine, gain_of, read_noise_of
from reducers.detector.correct import (
    apply_gain,
    divide_flat,
    estimate_variance,
    subtract_bias,
)
from reducers.detector.overscan import (
    correct_overscan,
    find_level,
    overscan_level,
    overscan_noise,
)
from reducers.detector.start import (
    box,
    clipped_mean,
    correct_linearity,
    start_frame,
    trim,
)
from reducers.detector_recipes import build_bias
from reducers.errors import NoOverscan, NotEnoughFrames, ProfileError, SetupMismatch
from reducers.fits import RawExposure
from reducers.frame import Frame, Geometry, Mask
from reducers.identity import FrameKind, Identity, Setup
from reducers.preparation import debiased, electrons, levelled
from reducers.profiles import load_instrument
from reducers.reduced import Exposure, SpectrumCalibrations

WINDOW = Setup(x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200")


def frame(value: float, variance: float = 1.0, shape: tuple[int, int] = (20, 30)) -> Frame:
    return Frame(
        data=np.full(shape, value, np.float32),
        variance=np.full(shape, variance, np.float32),
        mask=np.zeros(shape, np.uint16),
    )


def raw_window(level: float = 11700.0, noise: float = 32.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(level, noise, (1051, 400)).astype(np.float32)


def test_a_frame_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="read-only"):
        frame(1.0).data[0, 0] = 2.0


def test_counts_that_are_negative_or_no_number_are_bad_pixels() -> None:
    raw = raw_window()
    raw[3, 4], raw[5, 6] = -1.0, np.nan
    started = start_frame(raw, WINDOW, load_instrument("alfosc").detector)
    assert np.argwhere(started.mask & np.uint16(Mask.BAD)).tolist() == [[3, 4], [5, 6]]


def test_planes_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        Frame(
            data=np.zeros((2, 2), np.float32),
            variance=np.zeros((2, 3), np.float32),
            mask=np.zeros((2, 2), np.uint16),
        )


def test_bias_subtraction_adds_the_variances() -> None:
    result = subtract_bias(frame(10.0, 4.0), frame(3.0, 1.5))
    assert np.all(result.data == 7.0)
    assert np.all(result.variance == 5.5)


def test_a_bias_of_another_window_is_refused() -> None:
    other = frame(1.0).after("moved", geometry=Geometry(x0=100))
    with pytest.raises(SetupMismatch):
        subtract_bias(frame(1.0), other)


def test_gain_scales_signal_and_variance() -> None:
    result = apply_gain(frame(100.0, 25.0), 0.2)
    assert result.unit == "electron"
    assert np.allclose(result.data, 20.0)
    assert np.allclose(result.variance, 1.0)


def test_photon_noise_is_poisson_in_electrons() -> None:
    electrons = apply_gain(estimate_variance(frame(5000.0, 0.0), 0.18, 0.0), 0.18)
    assert np.allclose(electrons.variance, electrons.data)


def test_dividing_by_a_flat_propagates_its_error() -> None:
    result = divide_flat(frame(100.0, 9.0), frame(0.5, 0.0001))
    assert np.allclose(result.data, 200.0)
    assert np.allclose(result.variance, 9.0 / 0.25 + 0.0001 / 0.25 * 200.0**2)


def test_a_dead_flat_pixel_is_masked_and_keeps_its_value() -> None:
    flat = frame(1.0)
    data = flat.data.copy()
    data[3, 4] = 0.0
    result = divide_flat(frame(100.0), flat.after("dead", data=data))
    assert result.mask[3, 4] & Mask.BAD
    assert result.data[3, 4] == 100.0


def test_the_overscan_above_the_image_gives_the_level() -> None:
    detector = load_instrument("alfosc").detector
    raw = raw_window()
    level, error = overscan_level(start_frame(raw, WINDOW, detector), detector.overscan)
    assert abs(level - 11700) < 5 * error
    assert error == pytest.approx(32 / np.sqrt(12 * 400), rel=0.2)


def test_light_in_the_image_does_not_move_the_overscan() -> None:
    detector = load_instrument("alfosc").detector
    raw = raw_window()
    lit = raw.copy()
    lit[:1032] += 50000
    before = overscan_level(start_frame(raw, WINDOW, detector), detector.overscan)[0]
    after = overscan_level(start_frame(lit, WINDOW, detector), detector.overscan)[0]
    assert before == after


def test_a_window_without_overscan_says_so() -> None:
    setup = Setup(x_binning=1, y_binning=1, window=(851, 1250, 101, 500), readout="D")
    detector = load_instrument("alfosc").detector
    plain = start_frame(np.zeros((400, 400), np.float32), setup, detector)
    with pytest.raises(NoOverscan):
        correct_overscan(plain, detector)


def test_trimming_keeps_track_of_the_detector() -> None:
    detector = load_instrument("alfosc").detector
    setup = Setup(x_binning=1, y_binning=1, window=(1, 2148, 1, 2102), readout="D")
    whole = start_frame(np.zeros((2102, 2148), np.float32), setup, detector)
    lit = trim(whole, detector.image)
    assert lit.shape == (2064, 2048)
    assert lit.geometry.x0 == 50
    assert float(lit.geometry.detector_x(0)) == 50.0


def test_a_box_counts_only_pixels_wholly_inside() -> None:
    detector = load_instrument("alfosc").detector
    windowed = start_frame(raw_window(), WINDOW, detector)
    rows, columns = box(detector.overscan[0], windowed)
    assert (rows.start, rows.stop) == (1034, 1046)
    assert (columns.start, columns.stop) == (0, 400)


def test_an_image_of_the_wrong_size_is_refused() -> None:
    detector = load_instrument("alfosc").detector
    with pytest.raises(SetupMismatch, match="declare 400 x 1051"):
        start_frame(np.zeros((1051, 399), np.float32), WINDOW, detector)


def test_saturated_pixels_are_masked_at_the_limit_of_the_binning() -> None:
    detector = load_instrument("alfosc").detector
    raw = raw_window()
    raw[5, 5], raw[5, 6] = 860_000, 800_000
    started = start_frame(raw, WINDOW, detector)
    assert started.mask[5, 5] & Mask.SATURATED
    assert not started.mask[5, 6] & Mask.SATURATED
    assert started.mask[5, 6] & Mask.NONLINEAR


def test_a_cosmic_ray_in_one_member_does_not_reach_the_master() -> None:
    rng = np.random.default_rng(2)
    frames = [
        frame(0.0).after("noise", data=rng.normal(0, 3, (20, 30)).astype(np.float32))
        for _ in range(7)
    ]
    hit = frames[3].data.copy()
    hit[10, 10] = 5000.0
    frames[3] = frames[3].after("hit", data=hit)
    assert abs(combine(frames).data[10, 10]) < 6


def test_the_variance_of_a_mean_falls_with_the_number() -> None:
    rng = np.random.default_rng(3)
    shape = (200, 200)
    frames = [
        frame(0.0, 9.0, shape).after("noise", data=rng.normal(0, 3, shape).astype(np.float32))
        for _ in range(9)
    ]
    master = combine(frames)
    pulls = master.data / np.sqrt(master.variance)
    assert 0.95 < pulls.std() < 1.1


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(NotEnoughFrames, match="2 frames, 3 needed"):
        combine([frame(1.0), frame(1.0)], at_least=3)


def test_the_read_noise_is_found_in_spite_of_row_drift() -> None:
    rng = np.random.default_rng(4)
    frames = [
        frame(0.0, shape=(300, 300)).after(
            "noise",
            data=(rng.normal(0, 32, (300, 300)) + rng.normal(0, 5, (300, 1))).astype(np.float32),
        )
        for _ in range(4)
    ]
    assert read_noise_of(frames) == pytest.approx(32, rel=0.02)


def test_photon_transfer_finds_the_gain() -> None:
    rng = np.random.default_rng(5)
    gain, noise = 0.18, 32.0
    light = np.linspace(5000, 25000, 200)[:, None] * np.ones((1, 200))

    def flat(scale: float) -> Frame:
        adu = rng.poisson(light * scale) / gain + rng.normal(0, noise, light.shape)
        return frame(0.0, shape=(200, 200)).after("light", data=adu.astype(np.float32))

    found, error = gain_of([flat(1.0), flat(1.01), flat(0.99), flat(1.0)], noise)
    assert abs(found - gain) < 4 * error
    assert error < 0.01 * gain


def test_the_clipped_mean_forgets_outliers() -> None:
    values = np.concatenate([np.random.default_rng(6).normal(5, 1, 1000), np.full(20, 1e6)])
    mean, scatter = clipped_mean(values)
    assert mean == pytest.approx(5, abs=0.15)
    assert scatter == pytest.approx(1, rel=0.1)


FULL = Setup(x_binning=1, y_binning=1, window=(1, 2148, 1, 2102), readout="D")


def full_frame(level: np.ndarray, noise: float = 5.0) -> np.ndarray:
    """Return a dark full frame on a level that may vary along rows and columns."""
    rng = np.random.default_rng(7)
    return (level + rng.normal(0, noise, (2102, 2148))).astype(np.float32)


ROW = np.linspace(0, 1, 2102)[:, None]
COLUMN = np.linspace(0, 1, 2148)[None, :]


@pytest.mark.parametrize(
    ("mode", "level"),
    [
        ("constant", 11_000 + 0 * ROW),
        ("ramp", 11_000 + 60 * ROW),
        ("column", 11_000 + 40 * np.sin(6 * ROW)),
        ("full", 11_000 + 40 * np.sin(6 * ROW) + 30 * COLUMN**2),
    ],
)
def test_each_overscan_mode_takes_out_the_level_it_is_made_for(
    mode: str, level: np.ndarray
) -> None:
    detector = replace(load_instrument("alfosc").detector, overscan_mode=mode)
    frame_ = trim(
        correct_overscan(start_frame(full_frame(level), FULL, detector), detector), detector.image
    )
    blocks = frame_.data[:2048].reshape(16, 128, 16, 128).mean(axis=(1, 3))
    error = np.sqrt(float(frame_.variance[0, 0]))
    assert np.abs(blocks - blocks.mean()).max() < 1.5, "flat to a tenth of the read noise of CCD14"
    assert abs(blocks.mean()) < max(5 * error, 0.6)
    assert f"({mode})" in " ".join(frame_.history)


def test_without_columns_beside_the_image_a_constant_is_subtracted_and_it_says_so() -> None:
    detector = replace(load_instrument("alfosc").detector, overscan_mode="column")
    level = find_level(start_frame(raw_window(), WINDOW, detector), detector)
    assert level.mode == "constant: no columns for 'column'"


def test_trim_subtracts_nothing_and_needs_no_overscan() -> None:
    detector = replace(load_instrument("alfosc").detector, overscan_mode="trim")
    setup = Setup(x_binning=1, y_binning=1, window=(851, 1250, 101, 500), readout="D")
    result = correct_overscan(start_frame(np.full((400, 400), 9.0), setup, detector), detector)
    assert np.all(result.data == 9.0)
    assert result.history[-1] == "overscan: not subtracted"


def test_an_unknown_overscan_mode_is_an_error_of_the_profile() -> None:
    with pytest.raises(ProfileError, match="'spline', not one of constant"):
        replace(load_instrument("alfosc").detector, overscan_mode="spline")


def test_light_that_spills_into_the_first_overscan_rows_does_not_move_the_level() -> None:
    detector = load_instrument("alfosc").detector
    raw = raw_window()
    spilled = raw.copy()
    spilled[1034:1036] += 300
    before = overscan_level(start_frame(raw, WINDOW, detector), detector.overscan)
    after = overscan_level(start_frame(spilled, WINDOW, detector), detector.overscan)
    assert abs(after[0] - before[0]) < 3 * before[1]


def test_the_start_up_columns_do_not_enter_the_level_nor_its_error() -> None:
    detector = load_instrument("alfosc").detector
    raw = raw_window()
    started_up = raw + 2700 * np.exp(-np.arange(400) / 0.9).astype(np.float32)
    before = overscan_level(start_frame(raw, WINDOW, detector), detector.overscan)
    after = overscan_level(start_frame(started_up, WINDOW, detector), detector.overscan)
    assert after[0] == pytest.approx(before[0], abs=0.1)
    assert after[1] == pytest.approx(before[1], rel=0.05)


def test_what_the_pixels_of_a_row_share_enters_the_error_of_the_level() -> None:
    detector = load_instrument("alfosc").detector
    drift = np.random.default_rng(8).normal(0, 20, (1051, 1)).astype(np.float32)
    _, error = overscan_level(
        start_frame(raw_window() + drift, WINDOW, detector), detector.overscan
    )
    assert error == pytest.approx(20 / np.sqrt(12), rel=0.4), "twelve rows, not 4800 pixels"


def test_the_noise_of_one_exposure_is_read_from_its_overscan() -> None:
    detector = load_instrument("alfosc").detector
    raw = raw_window(noise=35.0) + np.linspace(200, 0, 400, dtype=np.float32)
    noise, error = overscan_noise(start_frame(raw, WINDOW, detector), detector.overscan)
    assert abs(noise - 35) < 4 * error
    assert error < 0.02 * 35


@pytest.mark.parametrize(
    ("binning", "limit"), [((1, 1), 690_000), ((1, 2), 850_000), ((2, 2), 850_000)]
)
def test_one_well_fills_before_the_converter_clips_and_binned_wells_after(
    binning: tuple[int, int], limit: float
) -> None:
    detector = load_instrument("alfosc").detector
    setup = Setup(
        x_binning=binning[0], y_binning=binning[1], window=(851, 1250, 1, 2100), readout="D"
    )
    raw = np.full((2100 // binning[1], 400 // binning[0]), limit - 1, np.float32)
    raw[5, 5] = limit
    mask = start_frame(raw, setup, detector).mask
    assert (mask & Mask.SATURATED != 0).sum() == 1


def test_neighbours_of_a_saturated_pixel_are_marked_along_the_column_and_around() -> None:
    raw = raw_window()
    raw[500, 200] = 900_000
    mask = start_frame(raw, WINDOW, load_instrument("alfosc").detector).mask
    near = mask & Mask.NEIGHBOUR != 0
    assert near[497:500, 200].all()
    assert near[501:504, 200].all()
    assert near[499:502, 199].all()
    assert not near[500, 200], "it is saturated itself"
    assert near.sum() == 8 + 4


def test_a_linearity_polynomial_straightens_counts_and_carries_their_errors() -> None:
    light = np.linspace(0, 6e5, 600).reshape(20, 30)
    counts = light.copy()
    for _ in range(50):  # counts (1 + 0.004 x) = light
        counts = light / (1 + 0.004 * counts / 1e5)
    crooked = frame(0.0, 100.0).after("light", data=counts.astype(np.float32))
    straight = correct_linearity(crooked, (0.004,))
    assert np.allclose(straight.data, light, rtol=1e-5, atol=0.1)
    gain = np.gradient(light.ravel(), counts.ravel()).reshape(light.shape)
    assert np.allclose(straight.variance, 100 * gain**2, rtol=1e-3)


def test_without_a_known_linearity_nothing_is_corrected() -> None:
    detector = load_instrument("alfosc").detector
    assert detector.linearity == ()
    level = frame(5e5)
    assert correct_linearity(level, detector.linearity) is level


def test_without_a_bias_the_start_up_columns_are_bad_and_with_one_they_are_not() -> None:
    alfosc = load_instrument("alfosc")
    raw = RawExposure(header={}, data=raw_window(), wrapped_pixels=0)
    identity = Identity(
        instrument="alfosc",
        kind=FrameKind.SPEC_OBJECT,
        setup=WINDOW,
        observed_at=None,
        exposure_s=1.0,
    )
    exposure = Exposure(raw=raw, identity=identity, stem="a")
    alone = debiased(exposure, None, alfosc)
    assert (alone.mask[:, :10] & Mask.BAD).all()
    assert (alone.mask[:10] & Mask.BAD).all()
    assert not alone.mask[10:, 10:].any()
    master = levelled(exposure, alfosc)
    assert not debiased(exposure, master, alfosc).mask.any()


@pytest.mark.parametrize(
    "other",
    [
        Geometry(x0=850, y0=0, x_binning=2, y_binning=2),
        Geometry(x0=800, y0=0, x_binning=1, y_binning=2),
    ],
    ids=["binning", "window"],
)
def test_every_step_refuses_a_master_of_another_binning_or_window(other: Geometry) -> None:
    here = frame(1.0).after("here", geometry=Geometry(x0=850, y_binning=2))
    there = frame(1.0).after("there", geometry=other)
    for step in (subtract_bias, divide_flat, lambda a, b: combine([a, b])):
        with pytest.raises(SetupMismatch, match="the frame"):
            step(here, there)


NO_OVERSCAN = Setup(x_binning=1, y_binning=2, window=(851, 1250, 101, 500), readout="D")


def short_exposure(level: float, seed: int, kind: FrameKind = FrameKind.BIAS) -> Exposure:
    rng = np.random.default_rng(seed)
    data = rng.normal(level, 32, (200, 400)).astype(np.float32)
    identity = Identity(
        instrument="alfosc", kind=kind, setup=NO_OVERSCAN, observed_at=None, exposure_s=0.0
    )
    raw = RawExposure(header={}, data=data, wrapped_pixels=0)
    return Exposure(raw=raw, identity=identity, stem=f"A{seed}")


def test_a_window_without_overscan_is_reduced_with_the_level_of_its_biases() -> None:
    alfosc = load_instrument("alfosc")
    drifting = [short_exposure(11_600 - 10 * n, n) for n in range(5)]
    built = build_bias(drifting, alfosc)
    assert built.verdict == ""
    assert built.measurements["left_out"] == 0, "the drift is no fault of theirs"
    science = short_exposure(11_590.0, 9, FrameKind.SPEC_OBJECT)
    frame_, _, _, facts = electrons(science, SpectrumCalibrations(bias=built.value), alfosc)
    assert abs(float(np.median(frame_.data))) < 20 * 0.18
    assert facts["no_overscan"] == 1


def test_without_overscan_and_bias_the_level_is_unknown_and_that_is_said() -> None:
    science = short_exposure(11_590.0, 9, FrameKind.SPEC_OBJECT)
    with pytest.raises(NoOverscan, match="take biases in it"):
        debiased(science, None, load_instrument("alfosc"))
