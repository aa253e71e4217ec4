"""Circles are tested one by one, on the sphere, with the sigma that belongs to 90 % in 2-D."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.transients.agreement import circle_in_words, colour_of, share_on_image
from reducers.transients.localisation import Colour, Localisation
from tests.reducers.transients.small_field import SIDE, sky_map

BAT = Localisation(kind="BAT", ra_deg=0.01, dec_deg=75.0, r90_arcsec=120.0)
XRT = Localisation(kind="XRT", ra_deg=0.01, dec_deg=75.0, r90_arcsec=2.0)


def at(east_arcsec: float, north_arcsec: float) -> tuple[float, float]:
    dec = 75.0 + north_arcsec / 3600
    return (0.01 + east_arcsec / 3600 / np.cos(np.radians(75.0))) % 360, dec


def test_without_a_circle_every_source_is_orange() -> None:
    assert colour_of(10.0, 20.0, 0.1, []) is Colour.ORANGE


@pytest.mark.parametrize(
    ("circles", "away", "colour"),
    [
        ([BAT], 100.0, Colour.ORANGE),
        ([BAT], 250.0, Colour.RED),
        ([XRT], 1.0, Colour.GREEN),
        ([XRT], 20.0, Colour.RED),
        ([BAT, XRT], 1.0, Colour.GREEN),
        ([BAT, XRT], 20.0, Colour.ORANGE),
        ([BAT, XRT], 250.0, Colour.RED),
    ],
)
def test_each_circle_is_tested_by_itself_and_east_is_as_long_as_north(
    circles, away, colour
) -> None:
    # The circle lies beside 0 h: sources west of it have a right ascension near 360.
    for place in (at(away, 0), at(-away, 0), at(0, away), at(0, -away)):
        assert colour_of(*place, 0.05, circles) is colour


def test_sources_of_a_satellite_are_in_its_circle_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    east, north = rng.normal(0, BAT.sigma_arcsec, (2, 20_000))
    assert np.mean(np.hypot(east, north) < BAT.r90_arcsec) == pytest.approx(0.9, abs=0.01)
    inside = [
        colour_of(*at(e, n), 0.0, [BAT]) is Colour.ORANGE
        for e, n in zip(east[:4000], north[:4000], strict=True)
    ]
    assert np.mean(inside) == pytest.approx(0.997, abs=0.003)


def test_a_circle_off_the_image_is_said_in_words() -> None:
    place = sky_map(0.01, 75.0)
    assert circle_in_words(XRT, place, (SIDE, SIDE)) == ""
    half = Localisation(kind="BAT", ra_deg=0.01, dec_deg=75.0 + 64.1 / 3600, r90_arcsec=20.0)
    assert share_on_image(half, place, (SIDE, SIDE)) == pytest.approx(0.5, abs=0.06)
    assert "only" in circle_in_words(half, place, (SIDE, SIDE))
    far = Localisation(kind="XRT", ra_deg=0.01, dec_deg=74.9, r90_arcsec=2.0)
    assert "off the image, 6.0 arcmin" in circle_in_words(far, place, (SIDE, SIDE))
