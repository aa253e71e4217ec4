from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calibration_store.catalogues.coverage import NOTHING, overlaid, ranges_of
from calibration_store.catalogues.entries import Holding, pack
from calibration_store.catalogues.motion import moved, position_error_mas
from calibration_store.catalogues.references import Catalogues
from calibration_store.catalogues.sky import (
    MARGIN_DEG,
    Box,
    Cone,
    cells_touched,
    in_ranges,
    pixels_of,
    ranges_held,
    separation_deg,
)
from calibration_store.catalogues.tiles import TileStore, UnusableCatalogue

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = [(150.0, 2.0), (0.02, 30.0), (359.99, -5.0), (45.0, 89.97), (123.0, -89.99), (180.0, 0.0)]
RADIUS = 0.1


def stars_around(
    ra: float, dec: float, *, radius: float = 0.3, count: int = 2000, seed: int = 1
) -> dict[str, np.ndarray]:
    """Return stars spread evenly over a cone, at the poles too."""
    random = np.random.default_rng(seed)
    away = radius * np.sqrt(random.uniform(size=count))
    centre = SkyCoord(ra, dec, unit="deg")
    at = centre.directional_offset_by(random.uniform(0, 360, count) * units.deg, away * units.deg)
    return {
        "ra_deg": at.ra.deg,
        "dec_deg": at.dec.deg,
        "G": random.uniform(12, 20, count),
        "G_error": np.full(count, 0.01),
        "position_error_mas": np.full(count, 0.2),
    }


@pytest.mark.parametrize(("ra", "dec"), FIELDS)
def test_a_cone_gives_exactly_the_stars_inside(tmp_path: Path, ra: float, dec: float) -> None:
    columns = stars_around(ra, dec)
    catalogues = Catalogues(tmp_path)
    catalogues.write_cone("gaia", columns, Cone(ra, dec, RADIUS + MARGIN_DEG), release="DR3")
    found = catalogues.cone("gaia", ra, dec, RADIUS, 2016.0)
    away = separation_deg(ra, dec, columns["ra_deg"], columns["dec_deg"])
    np.testing.assert_allclose(
        np.sort(found.magnitudes["G"]), np.sort(columns["G"][away <= RADIUS]), atol=1e-5
    )
    assert found.covered == 1
    assert found.release == "DR3"
    assert (np.diff(found.magnitudes["G"]) >= 0).all()


@pytest.mark.parametrize(("ra", "dec"), FIELDS)
def test_a_cone_that_reaches_beyond_says_how_much_is_covered(
    tmp_path: Path, ra: float, dec: float
) -> None:
    catalogues = Catalogues(tmp_path)
    catalogues.write_cone("gaia", stars_around(ra, dec), Cone(ra, dec, 0.1))
    # A quarter, less the pixels that the border cuts.
    assert 0.19 < catalogues.cone("gaia", ra, dec, 0.2, 2016.0).covered < 0.25
    away = dec - 1 if dec > 0 else dec + 1
    assert catalogues.cone("gaia", ra, away, 0.1, 2016.0).covered == 0


def test_an_empty_sky_is_not_an_unknown_one(tmp_path: Path) -> None:
    catalogues = Catalogues(tmp_path)
    nothing = {name: np.empty(0) for name in ("ra_deg", "dec_deg", "G")}
    catalogues.write_cone("gaia", nothing, Cone(10.0, 10.0, 0.2))
    known = catalogues.cone("gaia", 10.0, 10.0, 0.1, 2016.0)
    unknown = catalogues.cone("gaia", 20.0, 10.0, 0.1, 2016.0)
    assert (len(known), known.covered) == (0, 1.0)
    assert (len(unknown), unknown.covered) == (0, 0.0)


def test_overlapping_cones_hold_no_star_twice(tmp_path: Path) -> None:
    columns = stars_around(150.0, 2.0, radius=0.6, count=5000)
    catalogues = Catalogues(tmp_path)
    for shift in (-0.1, 0.0, 0.1, 0.0):
        catalogues.write_cone("gaia", columns, Cone(150.0 + shift, 2.0, 0.2))
    found = catalogues.cone("gaia", 150.0, 2.0, 0.19, 2016.0)
    away = separation_deg(150.0, 2.0, columns["ra_deg"], columns["dec_deg"])
    assert len(found) == (away <= 0.19).sum()


def test_what_is_written_again_replaces_what_was_held(tmp_path: Path) -> None:
    catalogues = Catalogues(tmp_path)
    cone = Cone(150.0, 2.0, 0.2)
    catalogues.write_cone(
        "gaia", stars_around(150.0, 2.0), cone, release="DR3", retrieved="2026-01-02"
    )
    later = stars_around(150.0, 2.0, seed=2, count=500)
    catalogues.write_cone("gaia", later, cone, release="DR4", retrieved="2027-01-02")
    found = catalogues.cone("gaia", 150.0, 2.0, 0.1, 2016.0)
    away = separation_deg(150.0, 2.0, later["ra_deg"], later["dec_deg"])
    assert len(found) == (away <= 0.1).sum()
    assert (found.release, found.retrieved) == ("DR4", "2027-01-02")


def test_the_oldest_part_dates_a_cone_of_two_ages(tmp_path: Path) -> None:
    catalogues = Catalogues(tmp_path)
    stars = stars_around(150.0, 2.0, radius=0.6)
    for ra, day in ((149.9, "2026-01-02"), (150.1, "2026-11-20")):
        catalogues.write_cone("gaia", stars, Cone(ra, 2.0, 0.2), release="DR3", retrieved=day)
    assert catalogues.cone("gaia", 150.0, 2.0, 0.1, 2016.0).retrieved == "2026-01-02"
    assert catalogues.cone("gaia", 150.2, 2.0, 0.05, 2016.0).retrieved == "2026-11-20"


def test_a_survey_with_gaps_does_not_call_them_empty(tmp_path: Path) -> None:
    stars = stars_around(150.0, 2.0, radius=0.5, count=20000)
    eastern = {name: values[stars["ra_deg"] > 150.0] for name, values in stars.items()}
    columns = {**eastern, "r": eastern["G"], "r_error": eastern["G_error"]}
    catalogues = Catalogues(tmp_path)
    catalogues.write_cone("sdss", columns, Cone(150.0, 2.0, 0.3))
    assert catalogues.cone("sdss", 150.0, 2.0, 0.2, 2016.0).covered == pytest.approx(0.6, abs=0.1)
    assert catalogues.cone("sdss", 149.8, 2.0, 0.05, 2016.0).covered == 0
    assert catalogues.tiles.read("sdss", Cone(149.8, 2.0, 0.05)).asked == 1


def test_a_damaged_tile_is_unknown_sky_until_it_is_written_again(tmp_path: Path) -> None:
    catalogues = Catalogues(tmp_path)
    columns, cone = stars_around(150.0, 2.0), Cone(150.0, 2.0, 0.2)
    catalogues.write_cone("gaia", columns, cone)
    for tile in (tmp_path / "gaia").glob("*.npy"):
        tile.write_bytes(tile.read_bytes()[:50])
    assert catalogues.cone("gaia", 150.0, 2.0, 0.1, 2016.0).covered == 0
    catalogues.write_cone("gaia", columns, cone)
    assert catalogues.cone("gaia", 150.0, 2.0, 0.1, 2016.0).covered == 1


def test_readers_never_see_half_a_write(tmp_path: Path) -> None:
    cone = Cone(150.0, 2.0, 0.2)
    sets = [stars_around(150.0, 2.0, seed=seed, count=1500 * seed) for seed in (1, 2)]
    inside = [
        int((separation_deg(150.0, 2.0, s["ra_deg"], s["dec_deg"]) <= 0.1).sum()) for s in sets
    ]
    Catalogues(tmp_path).write_cone("gaia", sets[0], cone)

    def write() -> None:
        for turn in range(20):
            Catalogues(tmp_path).write_cone("gaia", sets[turn % 2], cone)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    reader = Catalogues(tmp_path)
    while any(writer.is_alive() for writer in writers):
        found = reader.cone("gaia", 150.0, 2.0, 0.1, 2016.0)
        assert len(found) in inside
        assert found.covered == 1


def test_other_bands_under_a_known_name_are_refused(tmp_path: Path) -> None:
    store, ranges = TileStore(tmp_path), ranges_held(Cone(10.0, 10.0, 0.1))
    for bands in (("V",), ("V", "R")):
        holding = Holding(name="own", bands=bands)
        rows = pack({"ra_deg": [10.0], "dec_deg": [10.0]}, bands)
        if len(bands) == 1:
            store.merge(holding, rows, ranges, release="1", retrieved="")
        else:
            with pytest.raises(UnusableCatalogue, match=r"bands V, not V, R: .* remove it first"):
                store.merge(holding, rows, ranges, release="1", retrieved="")


@pytest.mark.parametrize("name", ["../outside", "", "Gaia", ".hidden", "a/b"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnusableCatalogue, match="cannot name a catalogue"):
        Catalogues(tmp_path / "here").write_cone(
            name, {"ra_deg": [1.0], "dec_deg": [1.0]}, Cone(1.0, 1.0, 0.1)
        )


def test_a_removed_catalogue_is_gone(tmp_path: Path) -> None:
    catalogues = Catalogues(tmp_path)
    catalogues.write_cone("gaia", stars_around(150.0, 2.0), Cone(150.0, 2.0, 0.2))
    assert catalogues.tiles.names() == ("gaia",)
    assert catalogues.tiles.remove("gaia")
    assert catalogues.tiles.names() == ()
    assert catalogues.cone("gaia", 150.0, 2.0, 0.1, 2016.0).covered == 0
    assert not catalogues.tiles.remove("gaia")


# ---------------------------------------------------------------- pixels and ranges


@settings(max_examples=30, deadline=None)
@given(
    ra=st.floats(0, 360), sine=st.floats(-1, 1), radius=st.floats(0.01, 0.5), seed=st.integers(0, 9)
)
def test_whole_pixels_of_a_cone_lie_inside_and_cover_all_but_its_border(
    ra: float, sine: float, radius: float, seed: int
) -> None:
    cone = Cone(ra, float(np.degrees(np.arcsin(sine))), radius)
    ranges = ranges_held(cone)
    random = np.random.default_rng(seed)
    centre = SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg")
    away = radius * np.sqrt(random.uniform(0, 1.5, 300))
    at = centre.directional_offset_by(random.uniform(0, 360, 300) * units.deg, away * units.deg)
    held = in_ranges(ranges, pixels_of(at.ra.deg, at.dec.deg))
    assert (cone.margin_deg(at.ra.deg, at.dec.deg)[held] > 0).all()
    assert held[away < radius - MARGIN_DEG].all()


@settings(max_examples=60, deadline=None)
@given(
    ra=st.floats(0, 360),
    sine=st.floats(-1, 1),
    radius=st.sampled_from((0.01, 0.02, 0.12, 0.4)),
    seed=st.integers(0, 9),
)
@example(ra=179.9404, sine=-0.666971, radius=0.01, seed=1)
@example(ra=270.0078, sine=0.667208, radius=0.01, seed=1)
def test_no_star_of_a_cone_lies_outside_the_cells_it_touches(
    ra: float, sine: float, radius: float, seed: int
) -> None:
    cone = Cone(ra, float(np.degrees(np.arcsin(sine))), radius)
    random = np.random.default_rng(seed)
    centre = SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg")
    at = centre.directional_offset_by(
        random.uniform(0, 360, 300) * units.deg,
        radius * np.sqrt(random.uniform(size=300)) * units.deg,
    )
    cells = pixels_of(at.ra.deg, at.dec.deg) >> 6
    assert set(cells) <= set(cells_touched(cone))


def test_a_box_across_the_origin_of_right_ascension_holds_its_inside() -> None:
    box = Box(359.0, 1.0, -1.0, 1.0)
    margins = box.margin_deg([0.0, 359.5, 1.5, 180.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.25])
    np.testing.assert_allclose(margins[[0, 1, 2, 4]], [1.0, 0.5, -0.5, -0.25], atol=1e-3)
    assert margins[3] < -80


def test_the_whole_sky_is_held_whole() -> None:
    np.testing.assert_array_equal(ranges_held(Box()), [[0, 12 * 4**13]])


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(0, 2)), min_size=1, max_size=8
    )
)
def test_the_latest_coverage_counts(layers: list[tuple[int, int, int]]) -> None:
    cover, plain = NOTHING, np.full(100, -9)
    for start, length, release in layers:
        cover = overlaid(cover, np.array([[start, start + length]]), 5, release)
        plain[start : start + length] = release
    pixels = np.arange(100)
    known = in_ranges(ranges_of(cover), pixels)
    np.testing.assert_array_equal(known, plain >= 0)
    owner = np.searchsorted(cover["start"], pixels[known], side="right") - 1
    np.testing.assert_array_equal(cover["release"][owner], plain[known])
    assert (cover["start"][1:] >= cover["stop"][:-1]).all()


# ---------------------------------------------------------------- proper motion


@pytest.mark.parametrize("dec", [-89.999, -60.0, 0.0, 45.0, 89.9999])
def test_motion_agrees_with_astropy(dec: float) -> None:
    years = 12.3
    star = SkyCoord(
        ra=359.9999 * units.deg,
        dec=dec * units.deg,
        pm_ra_cosdec=-798.0 * units.mas / units.yr,
        pm_dec=10328.0 * units.mas / units.yr,
        distance=1.8 * units.pc,
        radial_velocity=0 * units.km / units.s,
        obstime=Time(2016.0, format="jyear"),
    )
    then = star.apply_space_motion(new_obstime=Time(2016.0 + years, format="jyear"))
    one = np.ones(1)
    ra, dec_then = moved(star.ra.deg * one, dec * one, -798.0 * one, 10328.0 * one, years * one)
    found = SkyCoord(ra[0], dec_then[0], unit="deg")
    assert found.separation(SkyCoord(then.ra, then.dec)).mas < 0.5


def test_an_unknown_motion_widens_the_error_by_ten_mas_a_year() -> None:
    one = np.ones(2)
    error = position_error_mas(3 * one, 0.4 * one, 10 * one, np.array([True, False]))
    np.testing.assert_allclose(error, [5.0, np.hypot(3, 100)])


def test_a_fast_star_is_found_where_it_is_now(tmp_path: Path) -> None:
    columns = {
        "ra_deg": [150.0, 150.0],
        "dec_deg": [2.105, 2.099],
        "motion_ra_mas": [0.0, np.nan],
        "motion_dec_mas": [-3000.0, np.nan],
        "motion_error_mas": [0.1, np.nan],
        "position_error_mas": [0.1, 0.1],
        "G": [9.0, 10.0],
    }
    catalogues = Catalogues(tmp_path)
    catalogues.write_cone("gaia", columns, Cone(150.0, 2.0, 0.2))
    found = catalogues.cone("gaia", 150.0, 2.0, 0.1, 2026.0)
    np.testing.assert_allclose(found.dec_deg, [2.105 - 30 / 3600, 2.099], atol=1e-9)
    assert found.motion_known.tolist() == [True, False]
    np.testing.assert_allclose(found.position_error_mas, [np.hypot(0.1, 1), 100], rtol=1e-3)
    assert len(catalogues.cone("gaia", 150.0, 2.0, 0.1, 2016.0)) == 1
