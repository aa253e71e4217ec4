"""Flats: pixels, slit, lamp and scattered light are told apart, and each is used as what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.detector.correct import divide_flat
from reducers.detector.flat import normalise_flat, subtract_scattered_light
from reducers.detector.flat_set import lit_members
from reducers.detector.fringes import flat_fringe_rms, residual_fringe_rms
from reducers.detector.illumination import follow_slit, illumination_of, measure_shift
from reducers.frame import Frame, Geometry, Mask

ROWS, COLUMNS = 600, 300
GAIN = 0.18
DUST = {40: 0.05, 41: 0.03, 90: 0.04, 150: 0.06, 151: 0.04, 200: 0.03, 255: 0.05}


def frame(data: np.ndarray, variance: float = 1.0) -> Frame:
    return Frame(
        data=data.astype(np.float32),
        variance=np.full(data.shape, variance, np.float32),
        mask=np.zeros(data.shape, np.uint16),
        geometry=Geometry(x0=850, y_binning=2),
    )


def slit_light(shift: float = 0.0) -> np.ndarray:
    columns = np.arange(COLUMNS, dtype=float)
    light = 1.0 + 0.02 * np.cos(columns / 90)
    marks = np.ones(COLUMNS)
    for column, depth in DUST.items():
        marks -= depth * np.exp(-0.5 * ((columns - column - shift) / 0.8) ** 2)
    return light * marks


def pixels(rms: float = 0.01) -> np.ndarray:
    return 1 + np.random.default_rng(1).normal(0, rms, (ROWS, COLUMNS))


def lamp() -> np.ndarray:
    """Return a red lamp: bright in the first rows, nothing in the last third."""
    rows = np.arange(ROWS, dtype=float)
    return 90_000 * np.exp(-((rows / 220) ** 2))


def exposed(light: np.ndarray, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).poisson(np.clip(light, 0, None) * GAIN) / GAIN


def halogen(scattered: float = 0.0, response: np.ndarray | None = None) -> Frame:
    light = lamp()[:, None] * slit_light() + scattered
    clean = exposed(light * (pixels() if response is None else response))
    return frame(clean, variance=float(np.median(clean)) / GAIN)


EVERYWHERE = np.full(ROWS, 6000.0)


def test_a_flat_holds_the_pixels_times_the_light_along_the_slit() -> None:
    flat, measured = normalise_flat(halogen(), EVERYWHERE, 4000.0)
    lit = (flat.mask[:, 0] & Mask.NO_FLAT) == 0
    truth = pixels() * slit_light() / np.median(slit_light())
    ratio = (flat.data / truth)[lit][:150]
    assert np.std(ratio) < 0.011, "photon noise of the flat is what is left"
    assert np.ptp(np.median(ratio, axis=0)) < 0.01
    assert 0.010 < measured["pixel_rms"] < 0.025, "the pixels' own, and photon noise"


def test_columns_that_are_bad_in_every_row_do_not_hide_the_lamp() -> None:
    # So the settling columns of a window look when there is no master bias.
    whole = halogen()
    mask = whole.mask.copy()
    mask[:, :10] = Mask.BAD
    flat, _ = normalise_flat(replace(whole, mask=mask), EVERYWHERE, 4000.0)
    expected, _ = normalise_flat(whole, EVERYWHERE, 4000.0)
    ratio = (flat.data / expected.data)[:150, 10:]
    assert np.abs(ratio - 1).max() < 0.01


def test_marks_of_the_slit_are_corrected_where_the_lamp_gives_no_light() -> None:
    flat, _ = normalise_flat(halogen(), EVERYWHERE, 4000.0)
    dark = (flat.mask[:, 0] & Mask.NO_FLAT) != 0
    assert dark[-100:].all(), "no counts, no flat, whatever the wavelength"
    truth = slit_light() / np.median(slit_light())
    assert np.allclose(flat.data[-1], truth, atol=0.007)
    assert np.all(flat.data[-1] == flat.data[-2]), "no pixel is divided by noise"


def test_scattered_light_does_not_wash_out_the_marks_that_are_divided() -> None:
    flat, measured = normalise_flat(halogen(scattered=5000.0), EVERYWHERE, 4000.0)
    truth = slit_light() / np.median(slit_light())
    light = lamp()
    half_scattered = (light > 3500) & (light < 5000)
    band = np.median(flat.data[half_scattered], axis=0)
    # Divided as recorded, a mark of 6 % would be corrected by 3 %.
    assert abs(band[150] - truth[150]) < 0.012
    assert measured["slit_contrast"] < 0.6
    unlit = (flat.mask[:, 0] & Mask.NO_FLAT) != 0
    assert unlit[light < 500].all(), "counts are there, but they are scattered"


def test_light_beside_the_slit_is_measured_and_subtracted() -> None:
    columns = np.arange(COLUMNS)
    inside = (columns >= 60) & (columns < 240)
    data = 20_000.0 * inside + 500.0 + 2.0 * columns
    image = frame(np.broadcast_to(data, (ROWS, COLUMNS)))
    cleaned, fraction = subtract_scattered_light(image)
    assert np.allclose(cleaned.data[:, inside], 20_000, atol=5)
    assert fraction == pytest.approx(800 / 20_800, abs=0.003)


def test_a_full_frame_keeps_slit_ends_scattered_light_and_blocked_columns_apart() -> None:
    columns = np.arange(COLUMNS)
    slit = slit_light() * np.clip((columns - 45) / 8, 0, 1) * np.clip((255 - columns) / 8, 0, 1)
    response = pixels()
    response[:, 180] *= 0.4
    light = (lamp()[:, None] * slit + 4000.0) * response
    flat, measured = normalise_flat(frame(exposed(light), 2e4), EVERYWHERE, 4000.0)
    assert measured["scattered_fraction"] > 0.05
    assert measured["bad_map_refused"] == 0
    bad = (flat.mask[:200] & Mask.BAD) != 0
    assert bad[:, 180].all()
    assert bad.sum() == 200, "neither the ends of the slit nor dust are bad pixels"
    beyond = (flat.mask[0] & Mask.VIGNETTED) != 0
    assert beyond[:40].all()
    assert beyond[-40:].all()
    found = (illumination_of(flat) / np.where(slit > 0, slit, 1))[60:170]
    assert np.ptp(found) < 0.02 * np.median(found)


def test_a_window_inside_the_slit_says_nothing_of_scattered_light() -> None:
    image = frame(np.full((ROWS, COLUMNS), 20_000.0))
    untouched, fraction = subtract_scattered_light(image)
    assert np.isnan(fraction)
    assert untouched is image


@pytest.mark.parametrize("shift", [-2.7, 0.0, 1.3])
def test_the_marks_are_found_where_the_slit_stands_in_the_exposure(shift: float) -> None:
    flat, _ = normalise_flat(halogen(), EVERYWHERE, 4000.0)
    sky = frame(exposed(3000.0 * slit_light(shift) * pixels()))
    found, error = measure_shift(sky, flat)
    assert error < 0.3
    assert abs(found - shift) < 4 * error + 0.1
    divided = divide_flat(sky, follow_slit(flat, found))
    column = divided.data[:300].mean(axis=0)
    smooth = np.convolve(column, np.ones(41) / 41, "valid")
    rms = np.std(column[20:-20] / smooth - 1)
    assert rms < 0.004, "marks left in the wrong place would leave 1 to 2 %"


def test_pixels_stay_where_they_are_when_the_slit_moves() -> None:
    flat, _ = normalise_flat(halogen(), EVERYWHERE, 4000.0)
    there = follow_slit(flat, 2.0)
    before = flat.data / illumination_of(flat)
    after = there.data / illumination_of(there)
    assert np.abs(after - before)[:200].max() < 0.01


def test_a_deep_column_belongs_to_the_detector_and_does_not_move() -> None:
    response = pixels()
    response[:, 120] *= 0.75
    flat, _ = normalise_flat(halogen(response=response), EVERYWHERE, 4000.0)
    moved = follow_slit(flat, 3.0)
    assert np.median(moved.data[:200, 120]) == pytest.approx(0.75, abs=0.03)
    assert np.median(moved.data[:200, 123]) == pytest.approx(1.0, abs=0.03)


def test_a_frame_without_marks_keeps_the_flat_as_it_is() -> None:
    flat, _ = normalise_flat(halogen(), EVERYWHERE, 4000.0)
    noise = frame(np.random.default_rng(3).normal(5, 30, (ROWS, COLUMNS)))
    shift, error = measure_shift(noise, flat)
    assert shift == 0
    assert np.isnan(error)


def test_dead_pixels_and_blocked_columns_are_bad_and_dust_is_not() -> None:
    response = pixels()
    response[50, 70] = 0.3
    response[:, 180] = 0.4
    flat, measured = normalise_flat(halogen(response=response), EVERYWHERE, 4000.0)
    assert flat.mask[50, 70] & Mask.BAD
    assert (flat.mask[:200, 180] & Mask.BAD).all()
    assert not (flat.mask[:200, list(DUST)] & Mask.BAD).any()
    assert measured["bad_map_refused"] == 0


def test_saturated_and_unlit_flats_are_left_out_by_name() -> None:
    good, dim = frame(np.full((50, 50), 40_000.0)), frame(np.full((50, 50), 900.0))
    clipped = good.after("clipped", mask=np.full((50, 50), Mask.SATURATED, np.uint16))
    chosen = lit_members([good, dim, clipped, good], ["a", "b", "c", "d"])
    assert len(chosen.frames) == 2
    assert chosen.left_out == (
        "b: the lamp gave only 900 adu",
        "c: saturated in 100.0 % of its pixels",
    )
    assert chosen.verdict == ""


def test_a_set_of_saturated_flats_is_refused_as_saturated_and_a_dark_one_as_dark() -> None:
    clipped = frame(np.full((50, 50), 9e5)).after(
        "clipped", mask=np.full((50, 50), Mask.SATURATED, np.uint16)
    )
    dark = frame(np.full((50, 50), 3.0))
    assert "saturated" in lit_members([clipped] * 3, ["a", "b", "c"]).verdict
    assert "was it on?" in lit_members([dark] * 3, ["a", "b", "c"]).verdict


def test_the_fringes_of_a_flat_are_measured_beyond_the_noise() -> None:
    rows = np.arange(ROWS)
    ripple = 1 + 0.02 * np.sin(2 * np.pi * rows / 8)[:, None] * np.ones((1, COLUMNS))
    noise = np.random.default_rng(4).normal(0, 0.01, ripple.shape)
    flat = frame(ripple + noise, variance=1e-4)
    red, lit = np.full(ROWS, 9000.0), np.ones(ROWS, bool)
    assert flat_fringe_rms(flat, red, lit) == pytest.approx(0.02 / np.sqrt(2), rel=0.1)
    assert np.isnan(flat_fringe_rms(flat, red - 2000, lit))
    quiet = frame(1 + noise, variance=1e-4)
    assert flat_fringe_rms(quiet, red, lit) < 0.002


def test_fringes_left_in_the_sky_raise_its_red_residual_above_the_noise() -> None:
    rng = np.random.default_rng(5)
    variance = np.full((ROWS, COLUMNS), 100.0)
    residual = rng.normal(0, 10, variance.shape)
    good, red = np.ones(variance.shape, bool), np.full(variance.shape, 8500.0)
    star = [(150.0, 20.0)]
    residual[:, 145:156] += 1e4
    assert residual_fringe_rms(residual, variance, good, red, star) == pytest.approx(1, abs=0.05)
    ripple = 15 * np.sin(2 * np.pi * np.arange(ROWS) / 8)[:, None]
    assert residual_fringe_rms(residual + ripple, variance, good, red, star) > 2
    blue = red - 2000
    assert np.isnan(residual_fringe_rms(residual + ripple, variance, good, blue, star))
