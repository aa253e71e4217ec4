"""Several responses: their median, and the dust of a night."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.spectroscopy.response import Response
from reducers.spectroscopy.response_history import grey_term, median_response

GRID = np.linspace(3600, 9200, 400)
RNG = np.random.default_rng(3)


def response(grey: float = 0.0, bump: float = 0.0, airmass: float = 1.2, start: float = 3600.0):
    grid = np.linspace(start, 9200, 400)
    zero = 15.4 - ((grid - 5200) / 2600) ** 2 + grey
    return Response(
        wavelength=grid,
        ab_zero_point=zero + bump * np.exp(-0.5 * ((grid - 6000) / 200) ** 2),
        error=np.full(grid.size, 0.01), standard="GD 71", rms_mag=0.01, airmass=airmass,
        slit="Slit_1.0", grism="Grism_#4", points_wavelength=grid[::20],
        points_zero_point=zero[::20],
    )  # fmt: skip


def test_the_median_is_not_moved_by_one_bad_night() -> None:
    together = median_response([response(), response(0.02), response(-0.9, bump=1.0)])
    truth = response()
    assert np.abs(together.ab_zero_point - truth.ab_zero_point).max() < 0.01
    assert together.standard.startswith("median of 3")


def test_the_error_of_a_median_holds_how_much_the_nights_differ() -> None:
    alike = median_response([response(g) for g in (0.0, 0.01, -0.01, 0.0, 0.01)])
    apart = median_response([response(g) for g in (0.0, 0.3, -0.3, 0.2, -0.2)])
    assert np.median(alike.error) < 0.02
    assert np.median(apart.error) > 0.2


def test_wavelengths_that_only_the_nearest_covers_stay() -> None:
    together = median_response([response(), response(0.1, start=4500), response(-0.1, start=4500)])
    assert np.isfinite(together.ab_zero_point).all()
    assert together.wavelength[0] == 3600
    # Two nights must not make a step where the third joins.
    assert np.abs(np.diff(together.ab_zero_point)).max() < 0.05


def test_one_response_is_its_own_median_and_none_is_an_error() -> None:
    one = response()
    assert median_response([one]) is one
    with pytest.raises(ValueError, match="at least one"):
        median_response([])


def test_dust_shows_as_a_loss_that_grows_with_airmass() -> None:
    night = [response(-0.12 * x + RNG.normal(0, 0.005), airmass=x) for x in (1.05, 1.4, 1.9)]
    dust, error = grey_term(night)
    assert dust == pytest.approx(0.12, abs=0.02)
    assert 0.01 < error < 0.1


def test_standards_at_one_airmass_say_nothing_of_dust() -> None:
    assert np.isnan(grey_term([response(airmass=1.2), response(airmass=1.3)])[0])
    assert np.isnan(grey_term([response()])[0])
