from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from reducers.julian_date import mjd_of
from reducers.quality import judge, load_limits
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines
from reducers.transients.candidate import Candidate
from reducers.transients.earlier import Earlier
from reducers.transients.known_matches import Variables
from reducers.transients.known_sky import EarlierImages, KnownSky, OtherExposures
from reducers.transients.moving import Snapshot
from reducers.transients.night_sweep import exact_places
from reducers.transients.orbits import ORBIT
from reducers.transients.search_image import SearchImage, SourceTable
from reducers.transients.solar_system import Observer

NOT = Observer(longitude_deg=-17.8851, latitude_deg=28.7573)
MIDDLE = datetime(2026, 6, 19, 1, 0, tzinfo=UTC)
PLACE = (150.0, 12.0)


def image(middle: datetime | None = MIDDLE) -> SearchImage:
    return SearchImage(
        name="ALxx",
        light=np.zeros((200, 200), np.float32),
        residual=None,
        mask=np.zeros((200, 200), np.uint16),
        sources=SourceTable.empty(),
        sky_map=None,
        position_error_arcsec=0.05,
        pixel_scale_arcsec=0.2,
        fwhm_px=4.0,
        zero_point_mag=25.0,
        exposure_s=60.0,
        band="r",
        middle=middle,
    )


def candidate(east: float = 0.0, north: float = 0.0, magnitude: float = 18.2) -> Candidate:
    ra, dec = PLACE
    return Candidate(
        number=1,
        x_px=50.0,
        y_px=50.0,
        ra_deg=ra + east / 3600 / np.cos(np.radians(dec)),
        dec_deg=dec + north / 3600,
        position_error_arcsec=0.1,
        magnitude=magnitude,
        magnitude_error=0.05,
        band="r",
        a_px=2.0,
        b_px=2.0,
        theta_deg=0.0,
        flux_auto=1e4,
        flux_auto_error=1e2,
        snr=50.0,
    )


def asteroid(uncertainty: str = "0") -> KnownSky:
    from calibration_store.minor_planets.mpcorb import read_line

    ra, dec = PLACE
    body = MinorPlanet(number=433, ra_deg=ra, dec_deg=dec, magnitude=18.2, distance_au=1.4)
    mjd = mjd_of(MIDDLE)
    (line,) = mpcorb_lines(
        [body], mjd, 61000.0, longitude_deg=-17.8851, latitude_deg=28.7573, uncertainty=uncertainty
    )
    return KnownSky(planets=exact_places(np.array([read_line(line)], ORBIT), mjd, NOT))


def flags_of(measurements: dict[str, float]) -> dict[str, int]:
    return {flag.name: flag.quality for flag in judge(measurements, load_limits("transients"))[0]}


def test_a_minor_planet_is_named_and_its_expected_magnitude_told() -> None:
    here, beside = asteroid()([candidate(0.2, -0.1), candidate(8.0, 3.0)], image())
    assert "(433)" in here.name
    assert here.measurements["known_magnitude"] == pytest.approx(18.2, abs=0.1)
    assert flags_of(dict(here.measurements)) == {"MINOR_PLANET": 3}
    assert beside.name == ""
    assert not beside.measurements


def test_a_source_far_too_bright_for_the_minor_planet_is_not_named_after_it() -> None:
    (said,) = asteroid()([candidate(magnitude=14.5)], image())
    assert said.name == ""
    assert flags_of(dict(said.measurements)) == {"MAYBE_MINOR_PLANET": 2}


def test_a_source_without_magnitude_on_a_good_orbit_is_the_minor_planet() -> None:
    (said,) = asteroid()([candidate(magnitude=float("nan"))], image())
    assert "(433)" in said.name


def test_a_poor_orbit_names_nothing_but_lowers_the_rank_along_its_line() -> None:
    poor = asteroid("5")
    assert poor.planets is not None
    line = np.radians(poor.planets.line_angle_deg[0])
    sigma = poor.planets.sigma_along_arcsec[0]
    assert 15 < sigma < 120
    on = candidate(2 * sigma * np.sin(line), 2 * sigma * np.cos(line))
    off = candidate(sigma * np.cos(line), -sigma * np.sin(line))
    said = poor([on, off], image())
    assert said[0].name == ""
    assert flags_of(dict(said[0].measurements)) == {"MAYBE_MINOR_PLANET": 2}
    assert not said[1].measurements


def test_a_known_variable_is_named_with_its_type() -> None:
    one = np.ones(1)
    known = Variables(
        name=np.array([b"SS Leo"]),
        type=np.array([b"UG"]),
        ra_deg=one * PLACE[0],
        dec_deg=one * PLACE[1],
        brightest=one * 12.0,
        faintest=one * 17.0,
    )
    (said,) = KnownSky(variables=known)([candidate(0.5)], image())
    assert said.name == "SS Leo (UG)"
    assert flags_of(dict(said.measurements)) == {"VARIABLE": 3}


def other(minutes: float, east: float, *, found: bool = True) -> Snapshot:
    one = np.ones(int(found))
    return Snapshot(
        mjd=mjd_of(MIDDLE - timedelta(minutes=minutes)),
        ra_deg=one * candidate(east).ra_deg,
        dec_deg=one * PLACE[1],
        error_arcsec=one * 0.1,
        magnitude=one * 18.2,
        magnitude_error=one * 0.05,
        limit_mag=22.0,
        centre_ra_deg=PLACE[0],
        centre_dec_deg=PLACE[1],
        radius_deg=0.05,
    )


def test_other_exposures_tell_what_moves_what_stands_and_what_flashed() -> None:
    moves = OtherExposures(snapshots=(other(10, -4.0), other(5, -2.0)))([candidate()], image())
    assert flags_of(dict(moves[0].measurements)) == {"MOVES": 3}
    assert moves[0].measurements["rate_arcsec_h"] == pytest.approx(24, abs=2)
    stands = OtherExposures(snapshots=(other(10, 0.1), other(5, -0.05)))([candidate()], image())
    assert flags_of(dict(stands[0].measurements)) == {}
    once = (other(10, 0, found=False), other(5, 0, found=False))
    flashed = OtherExposures(snapshots=once)([candidate()], image())
    assert flags_of(dict(flashed[0].measurements)) == {"SEEN_ONCE": 3}


def test_an_image_without_a_time_or_anything_known_tells_nothing() -> None:
    for witness in (OtherExposures(snapshots=(other(5, 0.0),)), EarlierImages(earlier=())):
        (said,) = witness([candidate()], image(None))
        assert not said.name
        assert not said.measurements
    assert KnownSky()([candidate()], image())[0].measurements == {"orbits_missing": 1.0}


def test_what_was_there_a_year_ago_is_held_back_and_last_week_is_only_told() -> None:
    def seen(days: float) -> EarlierImages:
        one = Earlier(
            mjd=mjd_of(MIDDLE) - days,
            band="r",
            ra_deg=PLACE[0],
            dec_deg=PLACE[1],
            error_arcsec=0.1,
            magnitude=18.2,
            magnitude_error=0.05,
        )
        return EarlierImages(earlier=(one,))

    old, fresh = (seen(days)([candidate()], image())[0] for days in (365, 5))
    assert flags_of(dict(old.measurements)) == {"SEEN_BEFORE": 3}
    assert flags_of(dict(fresh.measurements)) == {"SEEN_BEFORE": 1}
