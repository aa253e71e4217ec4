from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, get_body_barycentric
from astropy.time import Time

from reducers.earth_rotation import tables_at_hand
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines
from reducers.transients.ephemeris import places
from reducers.transients.night_sweep import exact_places, passing, sweep
from reducers.transients.orbits import GAUSS, ORBIT, SUN_GM, Orbits, states
from reducers.transients.perturbations import perturbed_states
from reducers.transients.solar_system import Observer, solar_system

NOT = Observer(longitude_deg=-17.8851, latitude_deg=28.7573)
#: (1) Ceres as the Minor Planet Center gave it for three epochs: MJD, M, argument, node,
#: inclination, e, a (MPCORB of 2024 to 2026).
CERES = (
    (60400.0, 102.95074, 73.36090, 80.25352, 10.58760, 0.0790273, 2.7670775),
    (60800.0, 188.70269, 73.27343, 80.25221, 10.58780, 0.0794013, 2.7660512),
    (61000.0, 231.53974, 73.29974, 80.24964, 10.58789, 0.0795764, 2.7656157),
)


def orbit(
    epoch: float,
    mean: float,
    argument: float,
    node: float,
    inclination: float,
    e: float,
    a: float,
    *,
    uncertainty: int = 0,
) -> Orbits:
    row = np.zeros(1, ORBIT)
    row["name"] = b"(1) Ceres"
    row["epoch"] = epoch
    mean = (mean + 180) % 360 - 180
    row["perihelion_time"] = epoch - np.radians(mean) * a**1.5 / GAUSS
    row["perihelion_au"], row["eccentricity"] = a * (1 - e), e
    row["inclination_deg"], row["node_deg"], row["argument_deg"] = inclination, node, argument
    row["absolute_magnitude"], row["slope"] = 3.34, 0.15
    row["uncertainty"], row["last_seen"] = uncertainty, np.nan
    return row


def conics(e: float, count: int = 500) -> Orbits:
    random = np.random.default_rng(3)
    rows = np.zeros(count, ORBIT)
    rows["perihelion_au"] = random.uniform(0.1, 3, count)
    rows["eccentricity"] = e
    rows["perihelion_time"] = random.uniform(-3000, 3000, count)
    for name in ("inclination_deg", "node_deg", "argument_deg"):
        rows[name] = random.uniform(0, 180, count)
    return rows


def arcsec_from_earth(position: np.ndarray, other: np.ndarray) -> float:
    """Return the angle of a difference seen from the distance of a body one AU nearer."""
    near = np.linalg.norm(position, axis=0) - 1
    return float(np.degrees(np.linalg.norm(position - other, axis=0) / near).max() * 3600)


@pytest.mark.parametrize("e", [0.0, 0.3, 0.94, 0.96, 0.9999, 1.0, 1.0001, 3.0])
def test_two_bodies_keep_their_energy_and_angular_momentum(e: float) -> None:
    rows = conics(e)
    position, velocity = states(rows, 0.0)
    distance = np.linalg.norm(position, axis=0)
    energy = (velocity**2).sum(0) / 2 - SUN_GM / distance
    expected = -SUN_GM * (1 - rows["eccentricity"]) / (2 * rows["perihelion_au"])
    assert np.abs(energy - expected).max() < 1e-12 * SUN_GM / rows["perihelion_au"].min()
    spin = np.linalg.norm(np.cross(position, velocity, axis=0), axis=0)
    assert spin == pytest.approx(np.sqrt(SUN_GM * rows["perihelion_au"] * (1 + e)), rel=1e-10)


@pytest.mark.parametrize("e", [0.3, 0.96, 1.0, 1.3])
def test_the_velocity_is_the_change_of_the_position(e: float) -> None:
    rows = conics(e)
    velocity = states(rows, 0.0)[1]
    change = (states(rows, 0.002)[0] - states(rows, -0.002)[0]) / 0.004
    assert np.abs(change - velocity).max() < 1e-7


def test_a_body_returns_after_its_period() -> None:
    ceres = orbit(*CERES[0])
    period = 2 * np.pi * CERES[0][-1] ** 1.5 / GAUSS
    first, later = (states(ceres, CERES[0][0] + turns * period)[0] for turns in (0, 3))
    assert np.abs(first - later).max() < 1e-10


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 2), (0, 2), (2, 0)])
def test_planets_carry_ceres_to_the_elements_that_the_mpc_gives_later(
    first: int, last: int
) -> None:
    then, _ = states(orbit(*CERES[last]), CERES[last][0])
    carried, _ = perturbed_states(orbit(*CERES[first]), CERES[last][0])
    assert arcsec_from_earth(carried, then) < 0.15
    alone, _ = states(orbit(*CERES[first]), CERES[last][0])
    assert arcsec_from_earth(alone, then) > 5.0  # what the planets do


def test_orbits_of_several_epochs_are_carried_as_each_alone() -> None:
    rows = np.concatenate([orbit(*one) for one in CERES])
    together, _ = perturbed_states(rows, 61200.0)
    apart = [perturbed_states(row[None], 61200.0)[0][:, 0] for row in rows]
    assert np.abs(together - np.array(apart).T).max() < 2e-8


def test_the_telescope_stands_where_astropy_has_it() -> None:
    place = EarthLocation.from_geodetic(-17.8851 * u.deg, 28.7573 * u.deg, 2382 * u.m)
    for mjd in (60123.4, 61000.9):
        with tables_at_hand():
            there, _ = place.get_gcrs_posvel(Time(mjd, format="mjd", scale="utc"))
        off = there.xyz.to_value("km") - NOT.geocentric(mjd) * 149597870.7
        assert np.linalg.norm(off) < 1.0


def test_mars_seen_as_a_minor_planet_stands_where_light_left_it() -> None:
    mjd = 61010.2
    when = Time(mjd, format="mjd", scale="tdb")
    bodies = [
        get_body_barycentric("mars", when + step * u.day, ephemeris="builtin").xyz.to_value("au")
        - get_body_barycentric("sun", when + step * u.day, ephemeris="builtin").xyz.to_value("au")
        for step in (-0.01, 0, 0.01)
    ]
    velocity = (bodies[2] - bodies[0]) / 0.02
    mjd_utc = mjd - 69.184 / 86400
    seen = places(orbit(*CERES[0]), bodies[1][:, None], velocity[:, None], mjd_utc, NOT)
    site = solar_system(61010.0, 61011.0).observer(NOT, mjd_utc)
    sun = get_body_barycentric("sun", when, ephemeris="builtin").xyz.to_value("au")
    light = 0.0
    for _ in range(5):
        earlier = get_body_barycentric("mars", when - light * u.day, ephemeris="builtin")
        # The Sun of the middle: the observer and the body are seen from one origin.
        toward = earlier.xyz.to_value("au") - sun - site
        light = np.linalg.norm(toward) / 173.1446327
    ra = np.degrees(np.arctan2(toward[1], toward[0])) % 360
    dec = np.degrees(np.arcsin(toward[2] / np.linalg.norm(toward)))
    assert abs(seen.ra_deg[0] - ra) * 3600 * np.cos(np.radians(dec)) < 0.02
    assert abs(seen.dec_deg[0] - dec) * 3600 < 0.02


def test_at_one_au_from_both_without_phase_a_body_has_its_absolute_magnitude() -> None:
    ceres = orbit(*CERES[2])
    mjd = 61000.0
    earth = solar_system(61000.0, 61001.0).observer(NOT, mjd)
    outward = earth / np.linalg.norm(earth)
    seen = places(ceres, (outward * 2)[:, None], np.full((3, 1), 1e-9), mjd, NOT)
    distance = 2 - np.linalg.norm(earth)
    assert seen.magnitude[0] == pytest.approx(3.34 + 5 * np.log10(2 * distance), abs=0.01)


def test_a_poor_orbit_is_unsure_along_its_line_and_more_so_with_time() -> None:
    good, poor = orbit(*CERES[2]), orbit(*CERES[2], uncertainty=6)
    first = exact_places(good, 61100.0, NOT)
    assert first.sigma_along_arcsec[0] < 1.0
    soon, late = (exact_places(poor, mjd, NOT) for mjd in (61100.0, 61500.0))
    assert soon.sigma_along_arcsec[0] > 50
    assert late.sigma_along_arcsec[0] > 2 * soon.sigma_along_arcsec[0]
    assert soon.sigma_across_arcsec[0] < 0.1 * soon.sigma_along_arcsec[0]


def test_what_is_in_a_field_is_found_among_many_from_all_sides_of_the_sky() -> None:
    random = np.random.default_rng(5)
    count = 4000
    rows = np.concatenate([orbit(*CERES[2])] * count)
    a = random.uniform(2.1, 3.5, count)
    rows["perihelion_au"] = a * (1 - rows["eccentricity"])
    rows["perihelion_time"] = 61000 - random.uniform(-0.5, 0.5, count) * 365.25 * a**1.5
    rows["inclination_deg"] = random.uniform(0, 40, count)
    rows["node_deg"] = random.uniform(0, 360, count)
    rows["absolute_magnitude"] = 15
    mjd = 61120.2
    swept = sweep(rows, 61120.0, NOT)
    assert len(swept) == count
    exact = exact_places(rows, mjd, NOT)
    for n in random.choice(count, 60, replace=False):
        ra, dec = exact.ra_deg[n], exact.dec_deg[n]
        found = swept["orbit"][passing(swept, 61120.0, ra, dec, 0.01, mjd)]
        assert n in found
        assert len(found) < 40


@pytest.mark.parametrize("distance", [0.03, 0.2, 1.2, 2.5])
@pytest.mark.parametrize(("ra", "dec"), [(0.001, 2.0), (359.999, -3.0), (120.0, 81.0)])
def test_simulated_bodies_stand_where_their_printed_orbits_bring_them(
    ra: float, dec: float, distance: float
) -> None:
    from calibration_store.minor_planets.mpcorb import read_line

    mjd = 61210.15
    body = MinorPlanet(
        number=612345,
        ra_deg=ra,
        dec_deg=dec,
        magnitude=19.3,
        distance_au=distance,
        tilt=0.9 if dec > 50 else 0.1,
    )
    lines = mpcorb_lines([body], mjd, 61000.0, longitude_deg=-17.8851, latitude_deg=28.7573)
    rows = np.array([read_line(lines[0])], ORBIT)
    seen = exact_places(rows, mjd, NOT)
    off = np.hypot(
        ((seen.ra_deg[0] - ra + 180) % 360 - 180) * np.cos(np.radians(dec)), seen.dec_deg[0] - dec
    )
    assert off * 3600 < max(0.2, 0.3 / distance)  # elements are printed to 0.04 arcsec
    assert seen.magnitude[0] == pytest.approx(19.3, abs=0.15)
