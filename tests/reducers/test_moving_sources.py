from __future__ import annotations

import numpy as np
import pytest

from reducers.transients.earlier import Earlier, history_of
from reducers.transients.known_matches import FastStars, fast_star_at
from reducers.transients.moving import Motion, Snapshot, tracks

CENTRES = [(0.0, 5.0), (359.999, -20.0), (130.0, 82.0)]
ERROR = 0.08


def snapshots(
    sources: list[list[tuple[float, float, float]]],
    *,
    centre: tuple[float, float] = (130.0, 10.0),
    minutes: float = 4.0,
    limit: float = 22.0,
) -> list[Snapshot]:
    """Return exposures of sources (east, north in arcsec, magnitude), one list for each."""
    ra, dec = centre
    made = []
    for number, frame in enumerate(sources):
        east, north, magnitude = np.array(frame, float).reshape(-1, 3).T
        made.append(
            Snapshot(
                mjd=61000.0 + number * minutes / 1440,
                ra_deg=(ra + east / 3600 / np.cos(np.radians(dec + north / 3600))) % 360,
                dec_deg=dec + north / 3600,
                error_arcsec=np.full(len(east), ERROR),
                magnitude=magnitude,
                magnitude_error=np.full(len(east), 0.05),
                limit_mag=limit,
                centre_ra_deg=ra,
                centre_dec_deg=dec,
                radius_deg=0.05,
            )
        )
    return made


@pytest.mark.parametrize("centre", CENTRES)
def test_a_body_that_drifts_half_an_arcsec_between_exposures_moves(
    centre: tuple[float, float],
) -> None:
    random = np.random.default_rng(1)
    frames = [
        [(20 + 0.5 * n + random.normal(0, ERROR), -30 + random.normal(0, ERROR), 19.0)]
        for n in range(4)
    ]
    found = tracks(snapshots(frames, centre=centre))
    assert [one[0].motion for one in found] == [Motion.MOVES] * 4
    assert found[0][0].rate_arcsec_h == pytest.approx(0.5 * 15, abs=2.5)
    assert found[0][0].angle_deg == pytest.approx(90, abs=20)


def test_stars_that_stand_are_told_from_asteroids_in_hundreds_of_fields() -> None:
    random = np.random.default_rng(2)
    wrong = moved = standing = 0
    for _ in range(150):
        count = int(random.integers(2, 5))
        stars = random.uniform(-120, 120, (4, 2))
        rate = random.uniform(0.7, 8) * np.array([1, 0.3])  # arcsec an exposure
        frames = []
        for n in range(count):
            places = np.vstack([stars, stars[0] + 40 + n * rate])
            places = places + random.normal(0, ERROR, places.shape)
            frames.append([(*place, 19.0 + 0.6 * m) for m, place in enumerate(places)])
        for frame in tracks(snapshots(frames)):
            standing += sum(one.motion is Motion.STANDS for one in frame[:4])
            wrong += sum(one.motion is Motion.MOVES for one in frame[:4])
            moved += frame[4].motion is Motion.MOVES
            wrong += frame[4].motion is Motion.ONCE
    assert wrong <= 0.01 * (standing + moved)
    assert standing > 0.98 * (standing + wrong)
    assert moved > 0.9 * standing / 4


def test_what_flashes_once_is_told_from_what_no_other_exposure_would_show() -> None:
    frames: list[list[tuple[float, float, float]]] = [
        [(10.0, 10.0, 19.0), (-40.0, 0.0, 21.8), (600.0, 0.0, 18.0)], [], []
    ]  # fmt: skip
    first = tracks(snapshots(frames))[0]
    assert [one.motion for one in first] == [Motion.ONCE, Motion.UNTOLD, Motion.UNTOLD]
    assert first[0].expected == 2


def test_sources_of_different_brightness_are_not_one_body() -> None:
    found = tracks(snapshots([[(0.0, 0.0, 17.0)], [(5.0, 0.0, 19.0)]]))
    assert found[0][0].motion is Motion.ONCE


def test_a_crooked_path_is_no_motion_of_a_body() -> None:
    frames = [[(0.0, 0.0, 19.0)], [(20.0, 0.0, 19.0)], [(20.0, 20.0, 19.0)]]
    assert all(one[0].frames < 3 for one in tracks(snapshots(frames)))


def test_nothing_and_a_single_exposure_tell_nothing() -> None:
    assert tracks([]) == ()
    assert tracks(snapshots([[(0.0, 0.0, 19.0)]]))[0][0].motion is Motion.UNTOLD


def fast_stars(ra: float, dec: float, motion_ra: float, motion_dec: float) -> FastStars:
    one = np.ones(1)
    return FastStars(
        ra_deg=one * ra,
        dec_deg=one * dec,
        epoch_year=one * 2016,
        motion_ra_mas=one * motion_ra,
        motion_dec_mas=one * motion_dec,
        motion_error_mas=one * 0.1,
        magnitude=one * 15.0,
    )


@pytest.mark.parametrize(("ra", "dec"), [(0.0001, 0.0), (359.9999, 60.0), (200.0, 85.0)])
def test_a_source_on_the_track_of_a_fast_star_is_the_star(ra: float, dec: float) -> None:
    star = fast_stars(ra, dec, 1000.0, -500.0)
    for years, on_it in ((0, True), (-15, True), (10.9, True), (30, False), (-60, False)):
        east, north = years * 1.0 / 3600, -years * 0.5 / 3600
        match = fast_star_at(ra + east / np.cos(np.radians(dec)), dec + north, 0.1, 2026.9, star)
        assert (match is not None) == on_it
    assert fast_star_at(ra, dec + 5 / 3600, 0.1, 2026.9, star) is None


def test_a_slow_star_explains_nothing_away_from_its_place() -> None:
    assert fast_star_at(10.0, 10.0, 0.1, 2026.9, fast_stars(10.0, 10.0, 20.0, 0.0)) is None


def seen(days: float, magnitude: float, *, away: float = 0.0, band: str = "r") -> Earlier:
    return Earlier(
        mjd=61000 - days,
        band=band,
        ra_deg=10.0,
        dec_deg=20.0 + away / 3600,
        error_arcsec=0.1,
        magnitude=magnitude,
        magnitude_error=0.05,
    )


def test_a_source_that_was_there_years_ago_as_bright_is_steady() -> None:
    past = [seen(700, 19.05), seen(300, 18.98), Earlier(mjd=60500, band="r", limit_mag=22.0)]
    found = history_of(10.0, 20.0, 0.1, 19.0, 0.05, "r", 61000.0, past)
    assert found.steady
    assert (found.seen, found.first_days, found.last_days) == (2, 700, 300)
    assert found.change_mag == pytest.approx(-0.015, abs=0.01)
    assert found.deepest_limit == 22.0


def test_a_source_that_rose_or_came_last_week_is_not_steady() -> None:
    risen = history_of(10.0, 20.0, 0.1, 17.0, 0.05, "r", 61000.0, [seen(700, 20.0)])
    assert not risen.steady
    assert risen.change_mag == pytest.approx(-3.0)
    fresh = history_of(10.0, 20.0, 0.1, 19.0, 0.05, "r", 61000.0, [seen(3, 19.0)])
    assert (fresh.seen, fresh.steady) == (1, False)


def test_neighbours_other_bands_and_the_future_do_not_make_a_source_steady() -> None:
    past = [seen(700, 19.0, away=3.0), seen(700, 19.0, band="g"), seen(-5, 19.0)]
    found = history_of(10.0, 20.0, 0.1, 19.0, 0.05, "r", 61000.0, past)
    assert (found.seen, found.steady) == (1, False)


def test_limits_say_when_a_source_was_not_there() -> None:
    past = [
        Earlier(mjd=60990.0, band="r", limit_mag=18.0),
        Earlier(mjd=60980.0, band="r", limit_mag=21.0),
    ]
    found = history_of(10.0, 20.0, 0.1, 19.0, 0.05, "r", 61000.0, past)
    assert found.seen == 0
    assert found.deepest_limit == 21.0
    assert found.last_limit_days == pytest.approx(20.0)
