"""A standard's published magnitudes say when its wavelengths are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reducers.profiles import load_instrument
from reducers.spectroscopy.reference import reference_wavelengths
from reducers.spectroscopy.reference_misfit import reference_misfit

EFOSC2 = load_instrument("efosc2")
EG21 = next(star for star in EFOSC2.standards if star.name == "EG 21")
WAVELENGTH = np.arange(3500.0, 9300.0, 6.0)
GOOD = np.ones(WAVELENGTH.size, bool)


def counts(shift_angstrom: float) -> Any:
    """Return what a smooth instrument sees of the star, recorded redder by a shift."""
    at = WAVELENGTH - shift_angstrom
    magnitude = np.interp(at, reference_wavelengths(EG21), np.array(EG21.ab_magnitude))
    clean = 2e4 * 10 ** (-0.4 * (magnitude - 11.3)) * np.exp(-(((at - 5800) / 2500) ** 2))
    return np.random.default_rng(3).normal(clean, np.sqrt(clean))


def test_right_wavelengths_leave_little_and_wrong_ones_more() -> None:
    misfit = [reference_misfit(WAVELENGTH, counts(s), GOOD, EG21) for s in (0.0, 10.0, 31.0)]
    assert misfit[0] < 0.05
    assert misfit[0] < misfit[1] < misfit[2]
    assert misfit[2] > 2 * misfit[0]


def test_the_order_of_the_pixels_does_not_matter() -> None:
    seen = counts(0.0)
    forwards = reference_misfit(WAVELENGTH, seen, GOOD, EG21)
    assert reference_misfit(WAVELENGTH[::-1], seen[::-1], GOOD, EG21) == pytest.approx(forwards)


def test_a_narrow_range_says_nothing() -> None:
    few = np.abs(WAVELENGTH - 5000) < 200
    assert np.isnan(reference_misfit(WAVELENGTH[few], counts(0.0)[few], GOOD[few], EG21))
