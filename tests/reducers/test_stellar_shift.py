"""A star's own lines tell where its light fell; a star without lines is left where it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import voigt_profile

from reducers.spectroscopy.lines import air_to_vacuum
from reducers.spectroscopy.oxygen import oxygen_band
from reducers.spectroscopy.stellar_shift import measure_stellar_shift, moved
from tests.reducers.grism_4 import SOLUTION

#: Rows binned by two, as ALFOSC does.
Y = 2.0 * np.arange(1032) + 0.5
X = np.full(Y.size, 956.0)
BALMER = (3836.5, 3890.2, 3971.2, 4102.9, 4341.7, 4862.7, 6564.6)

#: Vacuum Angstrom, equivalent width, Gaussian and Lorentzian width (Angstrom).
LINES = {
    "DA": [(centre, 28.0, 9.0, 22.0) for centre in BALMER],
    "F": [
        *((centre, 4.5, 7.5, 1.0) for centre in BALMER),
        *((3934.8, 3.0, 7.5, 0.5), (4227.9, 0.4, 7.5, 0.1), (4306.0, 2.0, 12.0, 1.0)),
        *((5175.0, 1.5, 12.0, 1.0), (5893.6, 0.8, 9.0, 0.5), (4384.8, 0.4, 7.5, 0.1)),
    ],
    "featureless": [],
}


def star(
    kind: str,
    shift: float,
    *,
    seed: int = 1,
    level: float = 2e4,
    slope: float = 0.0,
    air: float = 0.0,
) -> Any:
    """Return counts, error and good of a star whose lines lie `shift` px above the arc's."""
    wavelength = moved(SOLUTION, shift, slope, 4400.0).wavelength(Y, X)
    depth = np.zeros(Y.size)
    for centre, width, sigma, gamma in LINES[kind]:
        depth += width * voigt_profile(wavelength - centre, sigma, gamma)
    response = 1 / (1 + np.exp(-(wavelength - 3900) / 150)) * np.exp(-((wavelength / 9500) ** 6))
    clean = level * response * (wavelength / 5000) ** -1.5 * np.exp(-depth)
    for name, opacity in (("O2 A", 0.9 * air), ("O2 B", 0.25 * air)):
        clean *= np.exp(-opacity * oxygen_band(name, wavelength, 16.0))
    error = np.sqrt(clean + 100)
    counts = np.random.default_rng(seed).normal(clean, error)
    return counts, error, np.ones(Y.size, bool)


@pytest.mark.parametrize("shift", [-24.0, -9.7, -1.3, 0.0, 0.6, 5.2, 24.0])
@pytest.mark.parametrize(("kind", "within"), [("DA", 0.2), ("F", 0.3)])
def test_the_shift_is_found_over_twelve_image_pixels(
    kind: str, within: float, shift: float
) -> None:
    found = measure_stellar_shift(Y, X, *star(kind, shift), SOLUTION)
    assert found is not None
    assert found.shift_px == pytest.approx(shift, abs=within)
    assert found.applied == (abs(shift) > 2.5 * found.error_px)
    placed = found.corrected(SOLUTION).row(4862.69, 956.0)
    assert placed == pytest.approx(SOLUTION.row(4862.69, 956.0) + shift, abs=within)


def test_the_error_covers_the_scatter_over_many_exposures() -> None:
    off = []
    for seed in range(12):
        found = measure_stellar_shift(Y, X, *star("F", 3.0, seed=seed, level=4e3), SOLUTION)
        assert found is not None
        off.append((found.shift_px - 3.0) / found.error_px)
    assert np.std(off) < 1.5
    assert np.abs(off).max() < 4


@pytest.mark.parametrize("seed", range(4))
def test_a_featureless_star_is_refused(seed: int) -> None:
    assert measure_stellar_shift(Y, X, *star("featureless", 5.0, seed=seed), SOLUTION) is None


@pytest.mark.parametrize("shift", [-12.0, 0.4, 7.0])
def test_the_air_places_a_star_that_has_no_lines_of_its_own(shift: float) -> None:
    found = measure_stellar_shift(Y, X, *star("featureless", shift, air=1.0), SOLUTION)
    assert found is not None
    assert {line.name for line in found.lines} == {"O2 A", "O2 B"}
    assert found.shift_px == pytest.approx(shift, abs=0.2)


def test_the_air_checks_a_star_that_has_lines() -> None:
    found = measure_stellar_shift(Y, X, *star("F", 3.0, air=1.0), SOLUTION)
    assert found is not None
    assert not {line.name for line in found.lines} & {"O2 A", "O2 B"}
    assert found.shift_px == pytest.approx(3.0, abs=0.3)
    assert abs(found.telluric_px) < 0.3


def test_two_bands_that_contradict_each_other_move_nothing() -> None:
    counts, error, good = star("featureless", 0.0)
    wavelength = SOLUTION.wavelength(Y, X)
    for name, opacity, off_angstrom in (("O2 A", 0.9, 8.0), ("O2 B", 0.3, 2.0)):
        counts = counts * np.exp(-opacity * oxygen_band(name, wavelength - off_angstrom, 16.0))
    found = measure_stellar_shift(Y, X, counts, error, good, SOLUTION)
    assert found is not None
    assert found.spread_px > 0.3
    assert abs(found.shift_px) > 1.0  # more than their scatter, as two numbers easily are
    assert not found.applied


@pytest.mark.parametrize(("name", "head_air"), [("O2 A", 7593.7), ("O2 B", 6867.2)])
def test_the_bands_of_oxygen_begin_at_their_heads(name: str, head_air: float) -> None:
    wavelength = np.arange(6800.0, 7800.0, 0.1)
    depth = oxygen_band(name, wavelength, 1.0)
    begins = wavelength[np.argmax(depth > 0.2)]
    assert begins == pytest.approx(float(air_to_vacuum(head_air)), abs=1.0)


def test_the_lines_of_oxygen_stand_where_the_laboratory_saw_them() -> None:
    wavelength = np.arange(7600.0, 7700.0, 0.02)
    depth = oxygen_band("O2 A", wavelength, 0.3)
    for wavenumber in (13091.71, 13093.66):  # P9P9 and P9Q8
        near = np.abs(wavelength - 1e8 / wavenumber) < 0.5
        peak = wavelength[near][np.argmax(depth[near])]
        assert peak == pytest.approx(1e8 / wavenumber, abs=0.2)


def test_noise_alone_is_refused() -> None:
    assert measure_stellar_shift(Y, X, *star("DA", 5.0, level=20.0), SOLUTION) is None


def test_the_air_that_draws_a_star_out_across_a_wide_slit_is_followed() -> None:
    found = measure_stellar_shift(Y, X, *star("DA", 8.0, slope=2.5), SOLUTION)
    assert found is not None
    assert found.refraction_px == pytest.approx(2.5, abs=0.4)
    truth, got = moved(SOLUTION, 8.0, 2.5, 4400.0), found.corrected(SOLUTION)
    for centre in BALMER[2:]:
        assert got.row(centre, 956.0) == pytest.approx(truth.row(centre, 956.0), abs=0.35)


def test_a_moving_star_is_not_mistaken_for_a_shift() -> None:
    fast = -290.6
    counts, error, good = star("F", 0.0)
    at_rest = measure_stellar_shift(Y, X, counts, error, good, SOLUTION)
    seen = measure_stellar_shift(Y, X, counts, error, good, SOLUTION, radial_velocity_km_s=fast)
    assert at_rest is not None
    assert seen is not None
    # Lines expected bluer by 290 km/s, 1.3 px at 4800 A, now seem to stand redder: at lower rows.
    expected = SOLUTION.row(4862.69, 956.0) - SOLUTION.row(4862.69 * (1 + fast / 299792.458), 956.0)
    assert seen.shift_px - at_rest.shift_px == pytest.approx(float(expected), abs=0.25)


def test_saturated_and_masked_pixels_are_left_out() -> None:
    counts, error, good = star("DA", 4.0)
    wavelength = SOLUTION.wavelength(Y, X)
    spoilt = np.abs(wavelength - 4330) < 30
    counts[spoilt] = 9e4
    found = measure_stellar_shift(Y, X, counts, error, good & ~spoilt, SOLUTION)
    assert found is not None
    assert found.shift_px == pytest.approx(4.0, abs=0.3)
