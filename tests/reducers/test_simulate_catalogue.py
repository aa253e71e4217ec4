"""Catalogues of the simulated sky: true within their errors, whatever the cone."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.simulate.catalogue import SURVEYS, survey_catalogue
from reducers.simulate.sky import Sky, distance_deg, stars_near

SKY = Sky(stars_per_deg2=60_000)


def matched(name: str):
    """Return the columns of a survey's stars and the true stars behind them."""
    stars = stars_near(SKY, 150.0, 60.0, 0.2)
    columns = survey_catalogue(name, SKY, 150.0, 60.0, 0.2)
    _, listed, true = np.intersect1d(columns["number"], stars.number, return_indices=True)
    return {key: value[listed] for key, value in columns.items()}, stars.where(true)


@pytest.mark.parametrize("name", sorted(SURVEYS))
def test_positions_are_true_within_their_errors_at_the_epoch_of_the_survey(name: str) -> None:
    columns, stars = matched(name)
    ra, dec = stars.at(SURVEYS[name].epoch_year)
    east = (columns["ra_deg"] - ra) * np.cos(np.radians(60)) * 3.6e6
    north = (columns["dec_deg"] - dec) * 3.6e6
    for pull in (east / columns["position_error_mas"], north / columns["position_error_mas"]):
        assert np.mean(pull) == pytest.approx(0, abs=0.1)
        assert np.std(pull) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", sorted(SURVEYS))
def test_magnitudes_are_true_within_their_errors(name: str) -> None:
    columns, stars = matched(name)
    for band, (of_sky, _) in SURVEYS[name].bands.items():
        seen = np.isfinite(columns[band])
        pull = (columns[band] - stars.magnitudes[of_sky])[seen] / columns[f"{band}_error"][seen]
        assert np.std(pull) == pytest.approx(1, abs=0.06)
        assert columns[f"{band}_error"][seen].min() < 0.012


def test_gaia_knows_most_motions_and_loses_stars_beyond_its_limit() -> None:
    columns, stars = matched("gaia")
    known = np.isfinite(columns["motion_ra_mas"])
    assert 0.93 < known.mean() < 0.99
    error = columns["motion_ra_mas"][known] - stars.motion_ra_mas[known]
    assert np.std(error / columns["motion_error_mas"][known]) == pytest.approx(1, abs=0.06)
    assert columns["G"].max() < 20.9
    everyone = stars_near(SKY, 150.0, 60.0, 0.2).magnitudes["G"]
    for low, high, least, most in ((15, 19.5, 0.95, 1.0), (20.1, 20.8, 0.85, 0.94)):
        true = np.sum((everyone > low) & (everyone < high))
        found = np.sum((columns["G"] > low) & (columns["G"] < high))
        assert least < found / true <= most


def test_a_narrow_cone_has_the_same_errors_as_a_wide_one() -> None:
    wide = survey_catalogue("ps1", SKY, 10.0, -5.0, 0.1)
    narrow = survey_catalogue("ps1", SKY, 10.0, -5.0, 0.04)
    inside = distance_deg(wide["ra_deg"], wide["dec_deg"], 10.0, -5.0) < 0.0399
    there = dict(zip(narrow["number"], narrow["r"], strict=True))
    assert inside.sum() > 100
    for number, r in zip(wide["number"][inside], wide["r"][inside], strict=True):
        assert there[number] == r or np.isnan(r)


def test_only_deep_surveys_list_galaxies() -> None:
    assert survey_catalogue("gaia", SKY, 10.0, -5.0, 0.1)["star"].all()
    star = survey_catalogue("ps1", SKY, 10.0, -5.0, 0.1)["star"]
    assert 20 < np.sum(star == 0) < np.sum(star == 1)
