"""Difference images: new light is found with its true flux and error, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.frame import Mask
from reducers.imaging.tangent_plane import sky_map
from reducers.transients.difference.changes import find_changes, forced
from reducers.transients.difference.epoch import NoDifference
from reducers.transients.difference.products import candidates_of, difference_products
from reducers.transients.difference.recovery import limits, recovery
from reducers.transients.difference.registration import register
from reducers.transients.difference.subtraction import Difference, subtract
from tests.reducers.changed_sky import HOME, SHAPE, ZERO_POINT, constant_sky, expose, template


def empty_places(count: int, seed: int = 5, away_px: float = 14.0) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    x, y, _ = constant_sky()
    found: list[tuple[float, float]] = []
    while len(found) < count:
        at = rng.uniform(30, SHAPE[1] - 30), rng.uniform(30, SHAPE[0] - 30)
        others = np.array([*zip(x, y, strict=True), *found])
        if np.hypot(others[:, 0] - at[0], others[:, 1] - at[1]).min() > away_px:
            found.append(at)
    return found


PLACES = empty_places(24)
RATES = [25.0, 35.0, 60.0]
NEW = [(x, y, RATES[n % 3]) for n, (x, y) in enumerate(PLACES)]
HOSTS = [(x + 1.0, y - 1.5, 60.0) for x, y in PLACES[::2]]
TEMPLATE = template(hosts=HOSTS)


def made(science, old=TEMPLATE) -> Difference:
    result = subtract(science, old)
    assert isinstance(result, Difference), result
    return result


@pytest.fixture(scope="module", params=[3.6, 6.0], ids=["sharper", "wider"])
def changed(request):
    science = expose(new=NEW, hosts=HOSTS, fwhm=request.param)
    return science, made(science)


def pulls(difference: Difference, seconds: float = 100.0) -> np.ndarray:
    x, y, rate = (np.array(each) for each in zip(*NEW, strict=True))
    flux, error = forced(difference, x, y)
    return (flux - rate * seconds) / error


def test_new_stars_are_found_on_empty_sky_and_on_galaxies(changed):
    _, difference = changed
    found = find_changes(difference)
    assert difference.method == "zogy"
    for x, y, _ in NEW:
        gaps = [np.hypot(each.x_px - x, each.y_px - y) for each in found if each.is_clean]
        assert min(gaps) < 1.0
    assert len(found) == len(NEW)


def test_forced_fluxes_scatter_as_their_errors_say(changed):
    values = pulls(changed[1])
    assert abs(np.mean(values)) < 3.5 / np.sqrt(len(values))
    assert 0.6 < np.std(values) < 1.45


def test_nothing_is_found_where_nothing_has_changed():
    difference = made(expose(hosts=HOSTS, fwhm=4.2, seed=8))
    assert not [each for each in find_changes(difference) if each.is_clean]
    score = difference.score[difference.valid]
    assert 0.9 < np.std(score[np.abs(score) < 4]) < 1.1


def test_light_ratio_and_place_come_from_the_stars():
    science = expose(seed=4)
    shifted = replace(
        TEMPLATE, stars=replace(TEMPLATE.stars, x=TEMPLATE.stars.x + 0.5, flux=TEMPLATE.stars.flux)
    )
    assert register(science, TEMPLATE).flux_ratio == pytest.approx(3.0, rel=0.01)
    assert abs(register(science, TEMPLATE).shift_px[0]) < 0.05
    assert abs(register(science, shifted).shift_px[0]) == pytest.approx(0.5, abs=0.05)


def test_a_fitted_kernel_stands_in_for_an_unknown_point_spread():
    blind = replace(TEMPLATE, psf=replace(TEMPLATE.psf, stars=0))
    for fwhm in (3.6, 6.0):
        difference = made(expose(new=NEW, hosts=HOSTS, fwhm=fwhm), blind)
        assert difference.method == "kernel"
        assert "0 stars" in difference.reason
        bright = [place for place in NEW if place[2] > 30]
        found = find_changes(difference)
        for x, y, _ in bright:
            assert min(np.hypot(each.x_px - x, each.y_px - y) for each in found) < 1.5
        assert np.std(pulls(difference)) < 2.0


def test_stated_completeness_is_that_of_stars_put_into_the_pixels():
    difference = made(expose(hosts=HOSTS, seed=12))
    stated = recovery(difference)
    rng = np.random.default_rng(2)
    limit = stated.flux(0.5)
    x, y = rng.uniform(20, SHAPE[1] - 20, 60), rng.uniform(20, SHAPE[0] - 20, 60)
    science = expose(
        hosts=HOSTS, seed=12, new=[(a, b, limit / 100) for a, b in zip(x, y, strict=True)]
    )
    found = find_changes(made(science))
    near = [
        min(np.hypot(e.x_px - a, e.y_px - b) for e in found) < 2.5
        for a, b in zip(x, y, strict=True)
    ]
    assert 0.3 < np.mean(near) < 0.7
    told = limits(difference, stated, ZERO_POINT, 100.0)
    assert told["difference_limit_90_mag"] < told["difference_limit_50_mag"]


def test_full_stars_and_what_is_near_them_are_left_out():
    science = expose(new=[(200.0, 180.0, 900.0)])
    mask = science.frame.mask.copy()
    mask[178:183, 198:203] = Mask.SATURATED
    difference = made(replace(science, frame=replace(science.frame, mask=mask)))
    assert not difference.valid[175:186, 195:206].any()
    assert not [each for each in find_changes(difference) if each.is_clean]


def streak(frame, x: int, y: int, electrons: float):
    """Return a frame with the end of a cosmic ray that nobody marked: a line of five pixels."""
    data = frame.data.copy()
    data[y, x : x + 5] += electrons
    return replace(frame, data=data)


def test_what_a_cosmic_ray_leaves_is_no_new_light():
    science = expose(fwhm=5.0, seed=21)
    empty = empty_places(4, seed=31, away_px=25)
    frame = science.frame
    for n, (x, y) in enumerate(empty):
        frame = streak(frame, round(x), round(y), 160.0 + 10 * n)
    difference = made(replace(science, frame=frame))
    found = find_changes(difference)
    for x, y in empty:
        near = [e for e in found if np.hypot(e.x_px - x - 2, e.y_px - y) < 6 and e.snr > 7]
        assert near
        assert not [each for each in near if each.is_clean]


def test_what_is_missing_on_the_template_is_no_new_light():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    data = TEMPLATE.frame.data.astype(float)
    empty = empty_places(3, seed=33, away_px=25)
    for column, row in empty:
        at = TEMPLATE.sky_map.pixels(*HOME.sky(column, row))
        data -= 330 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 1.95**2))
    dark = replace(TEMPLATE, frame=replace(TEMPLATE.frame, data=data.astype(np.float32)))
    found = find_changes(made(expose(hosts=HOSTS, fwhm=4.2, seed=24), dark))
    for column, row in empty:
        (one,) = [e for e in found if np.hypot(e.x_px - column, e.y_px - row) < 2]
        assert one.snr > 7
        assert "DIFFERENCE_DARK_TEMPLATE" in {flag.name for flag in one.vetoes}
        assert not one.is_clean


def test_faint_new_stars_have_the_shape_of_one():
    new = [(x, y, 18.0) for x, y in PLACES]
    found = find_changes(made(expose(new=new, fwhm=3.6, seed=22)))
    seen = [e for e in found if 7 < e.snr < 15]
    assert len(seen) > 10
    assert sum(each.is_clean for each in seen) >= len(seen) - 1


def test_the_rim_of_a_bright_star_that_the_template_shows_half_is_no_new_light():
    place = (200.0, 180.0)
    old = template(new=[(*place, 60000.0)])
    science = expose(new=[(*place, 60000.0)], fwhm=6.5)
    mask = old.frame.mask.copy()
    mask[:, 200:] = Mask.EDGE
    cut = replace(old, frame=replace(old.frame, mask=mask))
    difference = made(science, cut)
    assert not [each for each in find_changes(difference) if each.is_clean]
    far = np.s_[30:100, 30:100]
    assert difference.sigma[180, 178] > 5 * np.median(difference.sigma[far])
    whole = np.median(made(science, old).sigma[far])
    assert np.median(difference.sigma[far]) == pytest.approx(whole, rel=0.05)


def test_what_a_bled_column_does_to_the_difference_does_not_misshape_new_stars():
    old = template(hosts=HOSTS, fwhm=6.5)
    data, mask = old.frame.data.copy(), old.frame.mask.copy()
    data[60:300, 240:243], mask[60:300, 240:243] = 3e5, Mask.SATURATED
    old = replace(old, frame=replace(old.frame, data=data, mask=mask))
    new = [(x, y, 60.0) for x, y in PLACES if 40 < abs(x - 241) < 80]
    found = find_changes(made(expose(new=new, hosts=HOSTS, fwhm=6.0, seed=23), old))
    bright = [each for each in found if each.snr > 16]
    assert len(bright) >= 6
    assert all(each.is_clean for each in bright)


def test_pixels_without_a_number_are_left_out_and_hurt_nothing_else():
    science = expose(new=NEW, hosts=HOSTS)
    data = science.frame.data.copy()
    data[100:140, 100:140] = np.nan
    difference = made(replace(science, frame=replace(science.frame, data=data)))
    assert not difference.valid[105:135, 105:135].any()
    assert np.isfinite(difference.flux[difference.valid]).all()
    assert np.isfinite(difference.sigma).all()
    flux, _ = forced(difference, np.array([120.0]), np.array([120.0]))
    assert np.isnan(flux[0])


def test_a_star_that_moved_is_no_new_light():
    old = template(new=[(200.0, 180.0, 300.0)], hosts=())
    difference = made(expose(new=[(200.9, 180.0, 300.0)]), old)
    near = [e for e in find_changes(difference) if np.hypot(e.x_px - 200, e.y_px - 180) < 8]
    assert not [each for each in near if each.is_clean]


def far_away(epoch):
    other = sky_map((151.0, 31.0), (190.0, 180.0), np.diag([-0.2138, 0.2138]) / 3600, SHAPE)
    return replace(epoch, sky_map=other)


def binned(epoch):
    other = sky_map((150.0, 30.0), (95.0, 90.0), np.diag([-0.4276, 0.4276]) / 3600, SHAPE)
    return replace(epoch, sky_map=other)


def starless(epoch):
    return replace(epoch, stars=replace(epoch.stars, usable=np.zeros(len(epoch.stars), bool)))


def dead(epoch):
    return replace(epoch, frame=replace(epoch.frame, mask=np.full(SHAPE, Mask.BAD, np.uint16)))


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        (far_away, "does not show this part of the sky"),
        (binned, "other binning"),
        (starless, "0 stars"),
        (dead, "no usable pixel"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_its_reason(spoilt, word):
    refused = subtract(expose(), spoilt(TEMPLATE))
    assert isinstance(refused, NoDifference)
    assert word in refused.why


def test_the_files_hold_planes_limits_and_the_list():
    science = expose(new=NEW, hosts=HOSTS)
    difference = made(science)
    found = find_changes(difference)
    told = {**difference.measurements, **limits(difference, recovery(difference), 25.6, 100.0)}
    files = difference_products(difference, science, TEMPLATE, found, {"FILTER": "r"}, (), told)
    hdus = files["difference"]
    names = ["UNCERT", "MASK", "DQ", "SCORE", "FLUX", "FLUXERR", "TEMPLATE", "CHANGES"]
    assert [hdu.name for hdu in hdus][1:-1] == names
    assert hdus[0].header["TEMPLATE"] == "template"
    assert hdus[0].header["M50FOUND"] > 20
    assert len(hdus["CHANGES"].data) == len(found) == len(str(files["changes"]).splitlines()) - 2
    first = candidates_of(found, science)[0]
    ra, dec = (float(v) for v in HOME.sky(first.x_px, first.y_px))
    assert (first.ra_deg, first.dec_deg) == pytest.approx((ra, dec))
    true = ZERO_POINT - 2.5 * np.log10(60.0)
    assert first.magnitude == pytest.approx(true, abs=4 * first.magnitude_error)
    assert first.method == "difference"
