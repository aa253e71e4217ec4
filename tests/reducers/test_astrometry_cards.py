"""What the products and the quality limits are told of an image's place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from reducers.identity import FrameKind, Identity, Setup
from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.astrometry_cards import SkyStatus, measure_astrometry, sky_cards
from reducers.imaging.references import References
from reducers.profiles import load_instrument
from reducers.quality import load_limits
from tests.reducers.star_lists import Sky, make_lists

ALFOSC = load_instrument("alfosc")
LISTS = make_lists(Sky(off_arcsec=30.0), np.random.default_rng(1))
FOUND = solve_astrometry(LISTS.detections, LISTS.place, LISTS.references, ALFOSC)


def _identity(dec_deg: float) -> Identity:
    return Identity(
        instrument="ALFOSC",
        kind=FrameKind.IMG_OBJECT,
        setup=Setup(x_binning=1, y_binning=1, window=(1, 2148, 1, 2102), readout="D-8-200"),
        observed_at=None,
        exposure_s=60.0,
        ra_deg=150.0,
        dec_deg=dec_deg,
    )


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
    measured = measure_astrometry(unchecked, nothing, _identity(30.0))
    assert measured == {"astrometry_unchecked": 1.0, "astrometry_failed": 0.0}
    cards = {key: value for key, value, _ in sky_cards(unchecked, nothing)}
    assert cards["WCSERR"] == SkyStatus.NO_CATALOGUE
    assert "RADISP" not in cards
    other = make_lists(Sky(), np.random.default_rng(99)).references
    failed = solve_astrometry(LISTS.detections, LISTS.place, other, ALFOSC)
    assert measure_astrometry(failed, other, _identity(30.0))["astrometry_failed"] == 1.0


def test_a_pointing_beyond_the_image_is_noticed():
    assert measure_astrometry(FOUND, LISTS.references, _identity(30.0))["target_off_field"] == 0
    assert measure_astrometry(FOUND, LISTS.references, _identity(30.2))["target_off_field"] == 1


def test_the_limits_of_images_know_what_is_measured():
    measured = measure_astrometry(FOUND, LISTS.references, _identity(30.0))
    judged = {limit.measurement for limit in load_limits("images").rules}
    assert {"astrometry_rms_mas", "astrometry_matched", "pointing_off_arcsec"} <= judged
    assert {name for name in judged if name.startswith("astrometry")} <= set(measured)
    empty = replace(LISTS.references.astrometric, covered=0.0)
    assert measure_astrometry(
        replace(FOUND, solved=False), References(astrometric=empty), _identity(30.0)
    )["astrometry_unchecked"]
