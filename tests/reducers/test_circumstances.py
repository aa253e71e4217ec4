"""Slit, refraction, Sun and second order: geometry against numbers known from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import integrate

from reducers.frame import Mask
from reducers.identify import identify
from reducers.profiles import load_instrument
from reducers.spectroscopy.circumstances import (
    drawn_along_slit_px,
    effective_airmass,
    mark_second_order,
    measure_circumstances,
    second_order_from,
)
from reducers.spectroscopy.refraction import dispersion_arcsec
from reducers.spectroscopy.slit_loss import (
    MOFFAT_BETA,
    slit_correction,
    slit_fraction,
    slit_loss_mag,
)
from reducers.spectrum import Spectrum
from reducers.sun import sun_altitude_deg

if TYPE_CHECKING:
    from collections.abc import Callable

ALFOSC = load_instrument("alfosc")


def test_the_share_through_a_slit_is_the_integral_of_a_moffat_disc() -> None:
    seeing, width, offset = 1.3, 1.0, 0.2
    # The marginal of the disc has this core when its own FWHM is the seeing.
    core = seeing / 2 / np.sqrt(2 ** (1 / (MOFFAT_BETA - 0.5)) - 1)

    def disc(y: float, x: float) -> float:
        return (MOFFAT_BETA - 1) / np.pi / core**2 * (1 + (x**2 + y**2) / core**2) ** -MOFFAT_BETA

    low, high = -width / 2 - offset, width / 2 - offset
    expected, _ = integrate.dblquad(disc, low, high, -60, 60)
    found = slit_fraction(np.array([5500.0]), width, seeing, offset)[0]
    assert found == pytest.approx(expected, abs=2e-4)


def test_a_wide_slit_loses_nothing_and_a_blue_disc_more_than_a_red_one() -> None:
    assert slit_loss_mag(40.0, 1.0) < 0.01
    assert np.isnan(slit_loss_mag(1.0, float("nan")))
    blue, red = slit_fraction(np.array([3700.0, 9000.0]), 1.0, 1.2)
    assert blue < red
    assert (
        slit_fraction(np.array([5500.0]), 1.0, 1.2, 0.5)[0]
        < 0.85 * slit_fraction(np.array([5500.0]), 1.0, 1.2)[0]
    )


def test_a_wide_slit_on_the_standard_raises_the_flux_of_the_target() -> None:
    at = np.array([5500.0])
    assert slit_correction(at, standard=(10.0, 1.0), target=(1.0, 1.0))[0] > 1.3
    assert slit_correction(at, standard=(1.0, 1.0), target=(1.0, 1.0))[0] == 1
    assert slit_correction(at, standard=(1.0, float("nan")), target=(1.0, 1.0))[0] == 1


def test_refraction_is_that_of_the_tables() -> None:
    # Filippenko 1982, Table I (2 km): 4000 against 5000 A at airmass 1.5 and 2.
    assert dispersion_arcsec(4000, 5000, 1.5, 2000) == pytest.approx(0.71, abs=0.03)
    assert dispersion_arcsec(4000, 5000, 2.0, 2000) == pytest.approx(1.10, abs=0.03)
    # Measured on two real traces: 4.09 and 3.60 px of 0.2138 arcsec.
    assert dispersion_arcsec(3738, 6126, 1.2388, 2382) / 0.2138 == pytest.approx(4.09, abs=0.1)


def test_the_real_frames_stood_at_the_parallactic_angle(alfosc_header: Callable) -> None:
    for what, cards in (("science", {}), ("standard", {"FIELD": -60.0124})):
        header = alfosc_header(what, **cards)
        if what == "standard":
            header |= {"DATE-OBS": "2020-03-20T20:43:48.496", "AIRMASS": 1.2388}
        found = measure_circumstances(identify(header, ALFOSC), ALFOSC)
        assert found["slit_off_parallactic_deg"] < 1.0
        assert found["refraction_over_slit"] < 0.02
        assert found["header_missing"] == 0


def test_a_slit_across_the_parallactic_angle_is_measured(alfosc_header: Callable) -> None:
    turned = alfosc_header("science", FIELD=80.0484 + 90, AIRMASS=1.8)
    found = measure_circumstances(identify(turned, ALFOSC), ALFOSC)
    assert found["slit_off_parallactic_deg"] > 89
    assert found["refraction_over_slit"] > 1
    vertical = alfosc_header("science", ALAPRTNM="Vert_0.9", FIELD=80.0484 + 90)
    assert measure_circumstances(identify(vertical, ALFOSC), ALFOSC)["refraction_over_slit"] < 0.02


def test_the_air_draws_colours_along_a_slit_as_far_as_it_points_to_the_zenith(
    alfosc_header: Callable,
) -> None:
    colours = np.array([4000.0, 5000.0, 7000.0])
    identity = identify(alfosc_header("science"), ALFOSC)

    def drawn(turned_deg: float) -> np.ndarray:
        turned = replace(identity, field_deg=identity.field_deg + turned_deg)
        return drawn_along_slit_px(colours, turned, ALFOSC)

    airmass = effective_airmass(identity, ALFOSC)
    span_px = dispersion_arcsec(4000.0, 7000.0, airmass, ALFOSC.elevation_m) / 0.2138
    # Blue stands at smaller x on the real frame.
    assert drawn(0.0)[2] - drawn(0.0)[0] == pytest.approx(span_px, rel=0.03)
    assert drawn(180.0) == pytest.approx(-drawn(0.0))
    assert np.ptp(drawn(90.0)) < 0.02 * span_px
    assert drawn_along_slit_px(colours, identity, load_instrument("efosc2")) is None


def test_what_the_header_lacks_is_counted_and_nothing_is_invented(alfosc_header: Callable) -> None:
    found = measure_circumstances(identify(alfosc_header("science", RA=None), ALFOSC), ALFOSC)
    assert found["header_missing"] >= 1
    assert "refraction_over_slit" not in found
    assert np.isnan(found["pointing_off_arcsec"])


def test_the_sun_stands_where_the_almanac_says() -> None:
    # Evening nautical twilight at La Palma, 2020-03-20: the Sun at -12 deg at 20:46 UT +- 2 min.
    down = sun_altitude_deg(datetime(2020, 3, 20, 20, 34, tzinfo=UTC), -17.8851, 28.7573)
    noon = sun_altitude_deg(datetime(2020, 6, 20, 13, 14, tzinfo=UTC), -17.8851, 28.7573)
    assert -20 < down < -10
    assert noon == pytest.approx(90 - 28.7573 + 23.44, abs=0.1)


def test_the_airmass_is_that_of_the_middle_of_a_long_exposure(alfosc_header: Callable) -> None:
    # The target sets: the airmass of 1.17 grows by 0.05 in the seventeen minutes.
    identity = identify(alfosc_header("science"), ALFOSC)
    assert effective_airmass(identity, ALFOSC) == pytest.approx(1.172 + 0.025, abs=0.004)
    short = identify(alfosc_header("science", EXPTIME=1.0), ALFOSC)
    assert effective_airmass(short, ALFOSC) == pytest.approx(1.172, abs=1e-3)
    for odd in ({"AIRMASS": 1.9}, {"RA": None}, {"EXPTIME": 30000.0}):
        header = identify(alfosc_header("science", **odd), ALFOSC)
        assert effective_airmass(header, ALFOSC) == header.airmass
    nowhere = identify(alfosc_header(AIRMASS=None, TELALT=None, RA=None), ALFOSC)
    assert effective_airmass(nowhere, ALFOSC) == 1.0


def test_without_a_blocker_the_red_is_marked_as_second_order(alfosc_header: Callable) -> None:
    blocked = identify(alfosc_header("science"), ALFOSC)
    assert second_order_from(blocked, ALFOSC) == float("inf")
    bare = identify(alfosc_header("science", FBFLTNM="Open"), ALFOSC)
    start = second_order_from(bare, ALFOSC)
    assert start == 5900
    wavelength = np.arange(4000.0, 9000.0, 10)
    one = np.ones(wavelength.size)
    spectrum = Spectrum(
        wavelength=wavelength, flux=one, error=one, sky=one, mask=np.zeros(one.size, np.uint16)
    )
    marked = mark_second_order(spectrum, start)
    assert (((marked.mask & Mask.SECOND_ORDER) != 0) == (wavelength > 5900)).all()
    assert marked.good.all()
    unknown = identify(alfosc_header("science", ALGRNM="Grism_#20", FBFLTNM="Open"), ALFOSC)
    assert second_order_from(unknown, ALFOSC) == float("inf")
