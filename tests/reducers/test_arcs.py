"""Arc identification: the truth is found within 0.3 px, or the arc is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from reducers.errors import PoorWavelengthFit
from reducers.spectroscopy.arcs import identify_arc
from reducers.spectroscopy.dispersion import guess_row, guess_wavelength
from reducers.spectroscopy.line_profile import LineProfile, measure_lines
from reducers.spectroscopy.lines import (
    air_to_vacuum,
    lines_of_lamps,
    reference_lines,
    vacuum_to_air,
)
from tests.reducers.grism_4 import GRISM

LINES = reference_lines(GRISM, ())
ROWS = np.arange(1032) * 2 + 0.5
PROBES = np.linspace(250.0, 1600.0, 60)


def bent(row: Any, shift: float, stretch: float) -> Any:
    """Return where a line of ideal `row` falls on the perturbed detector."""
    return row + shift + stretch * (row - 875.0)


def arc_counts(
    rng: np.random.Generator,
    *,
    shift: float = 0.0,
    stretch: float = 0.0,
    helium: float = 1.0,
    neon: float = 1.0,
    level: float = 1.0,
    saturate: float = 545e3,
) -> tuple[Any, Any]:
    """Return (counts, usable): a box-shaped slit image drawn on a 0.05-px grid, then binned."""
    step = 0.05
    fine = np.zeros(int(2064 / step))
    scale = {"HeI": helium, "NeI": neon}
    for line in LINES:
        ideal = float(guess_row(GRISM, np.array([line.wavelength_angstrom]))[0])
        place = bent(ideal, shift, stretch)
        low, high = int((place - 2.3 + 0.5) / step), int((place + 2.3 + 0.5) / step)
        if low > 0 and high < fine.size:
            fine[low:high] += line.strength * 1000 * scale[line.ion] * level / (high - low)
    drawn = gaussian_filter1d(fine, 0.6 / step)
    counts = drawn.reshape(1032, -1).sum(axis=1) + 3000.0 * level + 50.0
    noisy = counts + rng.normal(size=1032) * np.sqrt(32**2 / 8 + counts / 0.18 / 8)
    return np.minimum(noisy, 1.5 * saturate), noisy < saturate


def truth_error_px(arc: Any, shift: float, stretch: float) -> float:
    """Return the rms difference between true and fitted ideal rows over the useful range."""
    fitted = arc.ideal_row(bent(PROBES, shift, stretch))
    return float(np.sqrt(np.mean((fitted - PROBES) ** 2)))


def test_air_and_vacuum_are_inverse_and_agree_with_oxygen() -> None:
    assert air_to_vacuum(5577.338) == pytest.approx(5578.887, abs=0.003)
    waves = np.linspace(3000.0, 10500.0, 50)
    assert np.allclose(vacuum_to_air(air_to_vacuum(waves)), waves, atol=1e-6)


def test_only_lines_of_lit_lamps_are_looked_for() -> None:
    assert {line.ion for line in lines_of_lamps(LINES, ("He",))} == {"HeI"}
    assert lines_of_lamps(LINES, ()) == LINES


def test_guess_row_inverts_guess_wavelength() -> None:
    rows = np.linspace(80.0, 1670.0, 200)
    assert np.allclose(guess_row(GRISM, guess_wavelength(GRISM, rows)), rows, atol=1e-4)


def test_neighbours_do_not_pull_the_centre_of_a_line() -> None:
    profile = LineProfile(slit_px=4.6, blur_px=0.6, pixel_px=2.0)
    places, flux = np.array([500.3, 506.1, 540.7]), np.array([2000.0, 9000.0, 3000.0])
    counts = (profile.value(ROWS[:, None] - places) * flux).sum(axis=1)
    found = measure_lines(
        counts[None], np.ones((1, ROWS.size), bool), ROWS, places[None] + 0.6, profile
    )
    assert np.allclose(found.centre[0], places, atol=0.03)


@pytest.mark.parametrize("seed", range(24))
def test_perturbed_arc_is_identified_within_a_third_of_a_pixel_or_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shift, stretch = rng.uniform(-25, 25), rng.uniform(-0.006, 0.006)
    changed = {
        "helium": float(np.exp(rng.uniform(-1.5, 1.0))) * (seed % 8 != 6),
        "neon": float(np.exp(rng.uniform(-1.5, 1.0))) * (seed % 8 != 7),
        "level": float(10 ** rng.uniform(-1.5, 0.2)),
    }
    counts, usable = arc_counts(rng, shift=shift, stretch=stretch, **changed)
    try:
        arc = identify_arc(counts, usable, ROWS, GRISM, LINES)
    except PoorWavelengthFit:
        assert seed % 8 >= 6, "an arc with both lamps lit must be identified"
        return
    fitted = arc.domain_px
    inside = (bent(PROBES, shift, stretch) > fitted[0]) & (bent(PROBES, shift, stretch) < fitted[1])
    error = arc.ideal_row(bent(PROBES[inside], shift, stretch)) - PROBES[inside]
    assert np.sqrt(np.mean(error**2)) < 0.3


def test_slit_position_predicts_the_zero_point() -> None:
    counts, usable = arc_counts(np.random.default_rng(5), shift=60.0)
    arc = identify_arc(counts, usable, ROWS, GRISM, LINES, slit_offset_px=57.0)
    assert truth_error_px(arc, 60.0, 0.0) < 0.1


def test_saturated_lines_do_not_carry_the_fit() -> None:
    counts, usable = arc_counts(np.random.default_rng(6), level=2.0)
    arc = identify_arc(counts, usable, ROWS, GRISM, LINES)
    carried = [x.wavelength_angstrom for x, used in zip(arc.lines, arc.used, strict=True) if used]
    assert min(abs(w - 5877.25) for w in carried) > 5
    assert truth_error_px(arc, 0.0, 0.0) < 0.1


def saturated(place: float, seed: int, *, limit: float, pixel_px: float = 1.0) -> Any:
    """Return a line of peak 900 kADU clipped at `limit` times that, its usable rows, its rows."""
    rows = np.arange(480.0, 520.0, pixel_px)
    profile = LineProfile(slit_px=4.6, blur_px=0.8, pixel_px=pixel_px)
    counts = profile.value(rows - place) / profile.value(np.zeros(1)) * 9e5 + 200.0
    counts = counts + np.random.default_rng(seed).normal(size=rows.size) * np.sqrt(counts / 1.44)
    return np.minimum(counts, 1.2 * limit * 9e5), counts < limit * 9e5, rows, profile


def test_a_saturated_line_is_centred_on_its_wings_with_an_honest_error() -> None:
    pulls = []
    for seed in range(40):
        place = 500.0 + seed / 40
        counts, usable, rows, profile = saturated(place, seed, limit=0.8)
        assert not usable.all()
        found = measure_lines(counts[None], usable[None], rows, np.array([[place + 0.3]]), profile)
        assert 0.003 < found.error[0, 0] < 0.2
        pulls.append((found.centre[0, 0] - place) / found.error[0, 0])
    # The error allows for a profile that is not quite the line's; here it is the very one.
    assert np.sqrt(np.mean(np.square(pulls))) < 1.0
    assert np.abs(np.mean(pulls)) < 0.3


def test_a_line_without_wings_on_both_sides_has_no_centre() -> None:
    for place in np.linspace(500.0, 501.0, 9):
        counts, usable, rows, profile = saturated(place, 1, limit=0.02, pixel_px=2.0)
        found = measure_lines(counts[None], usable[None], rows, np.array([[place]]), profile)
        assert np.isinf(found.error[0, 0])


@pytest.mark.parametrize("seed", range(6))
def test_noise_without_lines_is_refused(seed: int) -> None:
    counts = np.random.default_rng(seed).normal(100.0, 30.0, ROWS.size)
    with pytest.raises(PoorWavelengthFit):
        identify_arc(counts, np.ones(ROWS.size, bool), ROWS, GRISM, LINES)


def test_a_pattern_of_other_lines_is_refused() -> None:
    rng = np.random.default_rng(3)
    profile = LineProfile(slit_px=4.6, blur_px=0.6, pixel_px=2.0)
    places = rng.uniform(100, 1900, 60)
    counts = 200 + (profile.value(ROWS[:, None] - places) * rng.uniform(2e3, 3e5, 60)).sum(axis=1)
    with pytest.raises(PoorWavelengthFit, match="lines"):
        identify_arc(counts, np.ones(ROWS.size, bool), ROWS, GRISM, LINES)
