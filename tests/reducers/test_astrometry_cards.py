"""What the header of a product tells of an image's place."""

from __future__ import annotations

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.astrometry_cards import SkyStatus, sky_cards
from reducers.imaging.references import References
from reducers.profiles import load_instrument
from tests.reducers.star_lists import Sky, make_lists

ALFOSC = load_instrument("alfosc")
LISTS = make_lists(Sky(off_arcsec=30.0), np.random.default_rng(1))
FOUND = solve_astrometry(LISTS.detections, LISTS.place, LISTS.references, ALFOSC)


def test_the_cards_read_by_astropy_are_the_same_map():
    header = fits.Header()
    for key, value, comment in sky_cards(FOUND, LISTS.references):
        header[key] = (value, comment)
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, 2048, 2064
    again = WCS(fits.Header.fromstring(header.tostring()))
    x, y = np.random.default_rng(0).uniform(0, 2047, (2, 100))
    np.testing.assert_allclose(
        again.all_pix2world(x, y, 0), FOUND.sky_map.sky(x, y), atol=1e-9, rtol=0
    )
    assert header["CTYPE1"] == "RA---TAN-SIP"
    assert header["RADESYS"] == "ICRS"


def test_every_card_fits_into_eighty_columns():
    for key, value, comment in sky_cards(FOUND, LISTS.references):
        assert len(key) <= 8
        assert len(str(fits.Card(key, value, comment))) == 80


def test_dispersion_is_that_of_the_stars_not_of_the_map():
    cards = {key: value for key, value, _ in sky_cards(FOUND, LISTS.references)}
    assert cards["RADISP"] == FOUND.ra_rms_mas / 1000
    assert cards["WCSSYS"] < cards["RADISP"] / 2
    assert cards["NMATCH"] > 100
    assert cards["WCSERR"] == SkyStatus.SOLVED


def test_no_catalogue_and_no_match_are_different_things():
    nothing = References(reasons=("The link was down.",))
    unchecked = solve_astrometry(LISTS.detections, LISTS.place, nothing, ALFOSC)
    cards = {key: value for key, value, _ in sky_cards(unchecked, nothing)}
    assert cards["WCSERR"] == SkyStatus.NO_CATALOGUE
    assert "RADISP" not in cards
    other = make_lists(Sky(), np.random.default_rng(99)).references
    failed = solve_astrometry(LISTS.detections, LISTS.place, other, ALFOSC)
    cards = {key: value for key, value, _ in sky_cards(failed, other)}
    assert cards["WCSERR"] == SkyStatus.NOT_MATCHED
    assert "do not match" in str(cards["WCSWHY"])
