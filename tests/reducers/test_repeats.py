"""Repeated exposures tell cosmic rays from everything that comes from the sky."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.errors import NotEnoughFrames, SetupMismatch
from reducers.frame import Frame, Geometry, Mask
from reducers.spectroscopy.repeats import Repeat, flag_by_repeats

ROWS, COLUMNS, NOISE_E = 500, 160, 6.0


def exposure(
    seed, *, column=70.0, factor=1.0, fwhm_px=6.0, row_shift=0.0, sky=40.0, per_row=3000.0, hits=60
):
    """Return an exposure of a star with emission lines, and where its cosmic rays are."""
    rng = np.random.default_rng(seed)
    rows = np.arange(ROWS) - row_shift
    spectrum = 1 + 0.3 * np.sin(rows / 60)
    for line, strength in ((120.0, 6.0), (300.0, 3.0), (420.0, 10.0)):
        spectrum = spectrum + strength * np.exp(-0.5 * ((rows - line) / 1.1) ** 2)
    distance = np.arange(COLUMNS) - column
    core = fwhm_px / (2 * np.sqrt(2 ** (1 / 2.8) - 1))
    shape = (1 + (distance / core) ** 2) ** -2.8
    star = factor * per_row * spectrum[:, None] * shape / shape.sum()
    data = rng.poisson(star + sky) + rng.normal(0, NOISE_E, star.shape)
    truth = np.zeros(star.shape, bool)
    for _ in range(hits):
        y, x = rng.integers(3, ROWS - 8), rng.integers(3, COLUMNS - 8)
        length, slope = rng.integers(1, 6), rng.uniform(-1, 1)
        charge = 120 + rng.exponential(600)
        for step in range(length):
            place = (y + step, int(x + slope * step))
            data[place] += charge
            truth[place] = True
    frame = Frame(
        data=data,
        variance=star + sky + NOISE_E**2,
        mask=np.zeros(star.shape, np.uint16),
        unit="electron",
    )
    return Repeat(frame=frame, sky=np.full(star.shape, sky), floor=NOISE_E**2), truth, star


def found(exposures):
    return flag_by_repeats([each for each, _, _ in exposures])


DIFFERENT = (
    {},
    {"factor": 0.4},
    {"fwhm_px": 7.5},
    {"column": 70.4, "row_shift": 0.25},
    {"column": 95.0, "sky": 55.0, "factor": 0.8},
)


@pytest.mark.parametrize("change", DIFFERENT, ids=str)
@pytest.mark.parametrize("count", [2, 3])
def test_hits_are_found_and_the_object_is_never_eaten(count, change) -> None:
    exposures = [exposure(1), *(exposure(n, **change) for n in range(2, count + 1))]
    for result, (repeat, truth, star) in zip(found(exposures), exposures, strict=True):
        sky = star < 0.5 * NOISE_E
        assert result.repeated[truth & sky].mean() > 0.97
        near = np.zeros_like(truth)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                near |= np.roll(truth, (dy, dx), (0, 1))
        false = result.repeated & ~near
        assert false[sky].mean() < 2e-4
        lost = np.where(false, star, 0).sum() / star.sum()
        assert lost < 1e-3
        assert false[~sky].mean() < 1e-3
        assert repeat.frame.shape == result.frame.shape


def test_a_hit_on_the_object_itself_is_found() -> None:
    plain = [exposure(1, hits=0), exposure(2, hits=0), exposure(3, hits=0)]
    repeat, truth, star = plain[0]
    data = repeat.frame.data.copy()
    data[200, 70] += 4 * star[200, 70]
    hit = replace(repeat, frame=repeat.frame.after("hit", data=data))
    first, *others = flag_by_repeats([hit, plain[1][0], plain[2][0]])
    assert first.repeated[200, 70]
    assert first.repeated.sum() <= 9
    assert not any(each.repeated[200, 70] for each in others)
    assert not truth.any()


def test_bright_emission_lines_of_the_target_stay() -> None:
    exposures = [exposure(n, hits=0, row_shift=0.2 * n) for n in (1, 2, 3)]
    for result in found(exposures):
        for line in (120, 300, 420):
            assert not result.repeated[line - 3 : line + 5, 60:81].any()


def test_factor_and_move_are_measured() -> None:
    faint, bright = exposure(1, factor=0.4, column=70.0), exposure(2, column=82.5)
    first, second = found([faint, bright])
    assert first.factor == pytest.approx(0.4, abs=0.02)
    assert second.factor == pytest.approx(2.5, abs=0.1)
    assert first.move_px == pytest.approx(-12.5, abs=0.2)


def test_both_kinds_of_hits_are_kept_apart_and_together() -> None:
    exposures = [exposure(1), exposure(2)]
    repeat, truth, _ = exposures[0]
    mask = repeat.frame.mask.copy()
    mask[10, 10] = int(Mask.COSMIC)
    marked = replace(repeat, frame=repeat.frame.after("searched", mask=mask))
    first, _ = flag_by_repeats([marked, exposures[1][0]])
    assert first.single.sum() == 1
    assert not first.repeated[10, 10]
    both = (first.frame.mask & int(Mask.COSMIC)) != 0
    np.testing.assert_array_equal(both, first.single | first.repeated)
    assert truth[first.repeated].mean() > 0.8


def test_an_empty_slit_is_compared_as_it_stands() -> None:
    exposures = [exposure(n, per_row=0.0) for n in (1, 2)]
    for result, (_, truth, _) in zip(found(exposures), exposures, strict=True):
        assert (result.factor, result.move_px) == (1.0, 0.0)
        assert result.repeated[truth].mean() > 0.97


def test_one_exposure_cannot_be_compared() -> None:
    with pytest.raises(NotEnoughFrames):
        found([exposure(1)])


def test_other_windows_cannot_be_compared() -> None:
    (first, _, _), (second, _, _) = exposure(1), exposure(2)
    moved = replace(second, frame=replace(second.frame, geometry=Geometry(x0=3)))
    with pytest.raises(SetupMismatch):
        flag_by_repeats([first, moved])
