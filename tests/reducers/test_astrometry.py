"""Images are placed where they are, with honest errors, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.wcs import Sip

from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.match import rotation
from reducers.imaging.quads import match_quads
from reducers.imaging.references import References
from reducers.imaging.sip import as_tan_sip
from reducers.imaging.tangent_plane import onto_plane
from reducers.profile_imaging import Distortion
from reducers.profiles import load_instrument
from tests.reducers.star_lists import Lists, Sky, detections, make_lists, map_error_mas

if TYPE_CHECKING:
    from reducers.imaging.sky_map import Astrometry
    from reducers.imaging.sources import Detections

ALFOSC = load_instrument("alfosc")


def _solve(lists: Lists, exposure_s: float = 120.0) -> Astrometry:
    return solve_astrometry(
        lists.detections, lists.place, lists.references, ALFOSC, exposure_s=exposure_s
    )


def _rms_mas(found: Astrometry, lists: Lists) -> float:
    return float(np.sqrt(np.mean(map_error_mas(found.sky_map, lists.truth) ** 2)))


FAR = {"off_arcsec": 90.0, "turned_deg": 1.0}


@pytest.mark.parametrize(
    "sky",
    [
        Sky(**FAR, dec_deg=0.0, ra_deg=0.0),
        Sky(**FAR, dec_deg=60.0, ra_deg=359.99),
        Sky(**FAR, dec_deg=-75.0, ra_deg=0.01),
        Sky(**FAR, dec_deg=88.0, ra_deg=0.0),
        Sky(**FAR, dec_deg=89.9, ra_deg=200.0),
        Sky(**FAR, parity=-1),
        Sky(**FAR, stars=1000, fainter=2000, false=300, missing=0.1),
        Sky(**FAR, scale=1.006),
    ],
    ids=["equator", "dec60", "dec-75", "dec88", "pole", "mirrored", "dense", "scale"],
)
def test_fields_are_placed_to_ten_milliarcseconds_from_90_arcsec_and_a_degree_off(sky: Sky):
    for seed in range(3):
        lists = make_lists(sky, np.random.default_rng(seed))
        found = _solve(lists)
        assert found.solved
        assert found.method == "prior"
        assert _rms_mas(found, lists) < 10
        assert found.facts["parity"] == sky.parity


@pytest.mark.parametrize(
    "sky",
    [
        Sky(off_arcsec=280.0, turned_deg=4.0),
        Sky(off_arcsec=200.0, turned_deg=90.0),
        Sky(off_arcsec=200.0, turned_deg=180.0, parity=-1),
    ],
    ids=["five arcminutes", "a quarter turn", "upside down and mirrored"],
)
def test_wider_steps_find_what_the_header_misses(sky: Sky):
    lists = make_lists(sky, np.random.default_rng(1))
    found = _solve(lists)
    assert found.solved
    assert found.method == "wide"
    assert _rms_mas(found, lists) < 10


def test_a_profile_that_is_wrong_about_the_parity_does_not_keep_an_image_from_its_place():
    assert ALFOSC.imaging is not None
    sure = replace(ALFOSC, imaging=replace(ALFOSC.imaging, parity=1))
    lists = make_lists(Sky(**FAR, parity=-1), np.random.default_rng(4))
    place = make_lists(Sky(**FAR), np.random.default_rng(4)).place
    found = solve_astrometry(lists.detections, place, lists.references, sure)
    assert found.solved
    assert found.facts["parity"] == -1


def test_quadrilaterals_need_neither_offset_nor_rotation_nor_parity():
    rng = np.random.default_rng(3)
    stars = rng.uniform(-300, 300, (50, 2))
    turn = rotation(2.0) @ np.diag([-1.0, 1.0])
    sources = (stars[:45] - [1000.0, -4000.0]) @ turn  # star = turn @ source + offset
    sources += rng.normal(0, 0.05, sources.shape)
    best = match_quads(stars, sources, scale_tolerance=0.02, tolerance=0.02, reach=3.0)[0]
    assert best.votes > 20
    np.testing.assert_allclose(best.matrix, turn, atol=0.01)


def test_few_stars_are_enough_and_their_error_is_said():
    """With ten stars the distortion is open: the map says so, and is no worse than it says."""
    pulls = []
    for seed in range(12):
        sky = Sky(**FAR, stars=12, fainter=60, false=60, missing=0.02)
        lists = make_lists(sky, np.random.default_rng(seed))
        found = _solve(lists)
        assert found.solved == (lists.common >= 6)
        pulls.append(_rms_mas(found, lists) / found.systematic_mas)
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_a_known_distortion_makes_sparse_fields_as_good_as_rich_ones():
    k = 2 / 1450**3
    known = Distortion(
        x_terms={"30": k, "12": k}, y_terms={"03": k, "21": k}, radial_px=0.1, other_px=0.05
    )
    assert ALFOSC.imaging is not None
    instrument = replace(ALFOSC, imaging=replace(ALFOSC.imaging, distortion=known))
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = k
    errors = []
    for seed in range(6):
        sky = Sky(**FAR, stars=20, fainter=30, false=20, missing=0.0)
        lists = make_lists(sky, np.random.default_rng(seed))
        lists.place.wcs.sip = Sip(a, b, None, None, lists.place.wcs.wcs.crpix)
        found = solve_astrometry(
            lists.detections, lists.place, lists.references, instrument, exposure_s=120.0
        )
        assert found.solved
        errors.append(_rms_mas(found, lists))
    assert np.median(errors) < 11  # twenty stars that the air moves by 20 mas


def test_the_error_of_the_map_is_neither_too_large_nor_too_small():
    pulls = []
    for seed in range(15):
        lists = make_lists(Sky(), np.random.default_rng(seed))
        found = _solve(lists)
        pulls.append(_rms_mas(found, lists) / found.systematic_mas)
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.3


def test_scatter_of_the_stars_is_that_of_air_and_photons():
    lists = make_lists(Sky(fainter=0, false=0, stars=400), np.random.default_rng(5))
    found = _solve(lists)
    error = np.median(lists.detections.x_error) * 213.8
    assert 20 < found.ra_rms_mas < 3 * np.hypot(20, error)
    assert found.facts["error_excess"] < 1.2


def test_worse_air_than_expected_widens_the_error_of_the_map():
    sky = Sky(exposure_s=1.0)  # the air moves stars by 220 mas
    lists = make_lists(sky, np.random.default_rng(6))
    calm, true = _solve(lists, exposure_s=10_000.0), _solve(lists, exposure_s=1.0)
    assert calm.solved
    assert calm.facts["error_excess"] > 2
    assert calm.systematic_mas == pytest.approx(true.systematic_mas, rel=0.5)


@pytest.mark.parametrize(
    "sky",
    [Sky(), Sky(stars=12, fainter=20, false=80), Sky(stars=400, fainter=400, missing=0.1)],
    ids=["medium", "sparse", "dense"],
)
def test_no_image_is_placed_by_the_catalogue_of_another_field(sky: Sky):
    for seed in range(2):
        lists = make_lists(sky, np.random.default_rng(seed))
        other = make_lists(sky, np.random.default_rng(seed + 1000))
        found = _solve(replace(lists, references=other.references))
        assert not found.solved
        assert found.method == "header"
        assert "do not match" in found.why


def test_dirt_in_clumps_neither_hides_a_field_nor_feigns_one():
    """Bled columns, ghosts and the pieces of galaxies lie close together; so do cluster stars."""
    sky = Sky(**FAR, stars=60)
    for seed in range(2):
        rng = np.random.default_rng(seed)
        lists, other = make_lists(sky, rng), make_lists(sky, rng)
        dirty = replace(lists, detections=_with_bled_columns(lists.detections, rng))
        assert _solve(dirty).solved
        assert not _solve(replace(dirty, references=other.references)).solved


def _with_bled_columns(found: Detections, rng: np.random.Generator) -> Detections:
    centres = rng.uniform(100, 1900, (12, 2))
    dirt = np.concatenate([centre + rng.normal(0, [3, 40], (25, 2)) for centre in centres])
    flux = np.concatenate([found.flux, 10 ** rng.uniform(3.5, 6, len(dirt))])
    places = np.concatenate([np.column_stack([found.x, found.y]), dirt])
    error = np.concatenate([found.x_error, np.full(len(dirt), 0.05)])
    order = np.argsort(-flux)
    return detections(places[order], flux[order], error[order])


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_random_fields_give_no_false_place():
    rng = np.random.default_rng(11)
    for _ in range(10_000):
        size: dict[str, Any] = {
            "stars": int(10 ** rng.uniform(0.8, 2.2)),
            "fainter": int(rng.integers(0, 150)),
            "false": int(rng.integers(0, 100)),
        }
        lists = make_lists(Sky(**size), rng)
        other = make_lists(Sky(**size), rng)
        assert not _solve(replace(lists, references=other.references)).solved


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_field_with_eight_common_stars_is_solved():
    rng = np.random.default_rng(12)
    tried = failed = 0
    while tried < 3000:
        sky = Sky(
            **FAR,
            stars=int(10 ** rng.uniform(1.0, 2.5)),
            dec_deg=float(rng.choice([0.0, 30.0, 60.0, 75.0, 88.0])),
            ra_deg=float(rng.choice([0.0, 150.0])),
            missing=float(rng.uniform(0.015, 0.1)),
        )
        lists = make_lists(sky, rng)
        if lists.common >= 8:
            tried += 1
            failed += not _solve(lists).solved
    assert failed <= 3


def test_numbers_that_are_none_do_not_keep_an_image_from_its_place():
    lists = make_lists(Sky(), np.random.default_rng(8))
    found, known = lists.detections, lists.references.astrometric
    assert known is not None
    holes = np.arange(len(found)) % 5 == 0
    error = np.where(holes, np.nan, found.x_error)
    broken = replace(
        found,
        x=np.where(np.arange(len(found)) % 17 == 0, np.nan, found.x),
        x_error=error,
        flux=np.where(np.arange(len(found)) % 7 == 0, np.nan, found.flux),
    )
    gaps = np.arange(len(known)) % 6 == 0
    partial = replace(
        known,
        ra_deg=np.where(np.arange(len(known)) % 13 == 0, np.nan, known.ra_deg),
        position_error_mas=np.where(gaps, np.nan, known.position_error_mas),
        magnitudes={"G": np.where(gaps, np.nan, known.magnitudes["G"])},
    )
    again = _solve(replace(lists, detections=broken, references=References(photometric=(partial,))))
    assert again.solved
    assert _rms_mas(again, lists) < 15


def test_what_is_lacking_is_said():
    lists = make_lists(Sky(), np.random.default_rng(0))
    nothing = _solve(replace(lists, references=References(reasons=("The link was down.",))))
    assert nothing.why == "No catalogue of positions covers this field: The link was down."
    few = make_lists(Sky(stars=1, fainter=1, false=0), np.random.default_rng(0))
    assert "2 are needed" in _solve(few).why
    assert not _solve(few).solved


def test_the_solution_as_tan_sip_is_read_back_by_astropy_and_inverted():
    lists = make_lists(Sky(corner_px=3.0), np.random.default_rng(2))
    found = _solve(lists)
    x, y = np.random.default_rng(0).uniform(0, 2040, (2, 200))
    again = found.sky_map.pixels(*found.sky_map.sky(x, y))
    np.testing.assert_allclose(again, (x, y), atol=2e-3)
    wcs = found.sky_map.wcs
    corners = np.array([[1.0, 1.0], [2048.0, 1.0], [1.0, 2064.0], [2048.0, 2064.0]])
    inverse = wcs.sip_foc2pix(wcs.sip_pix2foc(corners, 1), 1)  # AP, BP: no iteration
    np.testing.assert_allclose(inverse, corners, atol=2e-3)


def test_any_cubic_map_becomes_tan_sip_exactly():
    def on_plane(x: Any, y: Any) -> Any:
        u, v = (x - 900) / 1000, (y - 1100) / 1000
        r2 = u**2 + v**2
        return np.column_stack([-214 * u * (1 + 0.002 * r2) + 40, 214 * v * (1 + 0.002 * r2) - 7])

    found = as_tan_sip(on_plane, (359.99, 70.0), (1000.0, 1032.0), (2064, 2048))
    x, y = np.array([0.0, 500.0, 2047.0]), np.array([0.0, 1500.0, 2063.0])
    places = np.column_stack(onto_plane(*found.sky(x, y), (359.99, 70.0)))
    np.testing.assert_allclose(places, on_plane(x, y), atol=1e-5)
