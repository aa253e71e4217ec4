"""Fluxes by the point spread are those of the truth within their stated errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial import cKDTree

from reducers.frame import Mask
from reducers.imaging.detection import detect, measure_seeing
from reducers.imaging.hidden import with_hidden
from reducers.imaging.plane import Plane, plane_of
from reducers.imaging.point_spread import PointSpread
from reducers.imaging.psf_fit import fit_psf
from reducers.imaging.psf_photometry import PsfPhotometry, psf_photometry
from tests.reducers.star_field import Field, draw, moffat_star, random_field

if TYPE_CHECKING:
    from reducers.imaging.sources import Detections


def psf_of(field: Field) -> tuple[Plane, PointSpread, Detections]:
    found, _ = detect(field.frame, field.sky, field.rms)
    seeing = measure_seeing(field.frame, field.sky, field.rms, found)
    plane = plane_of(field.frame, field.sky)
    return plane, fit_psf(plane, found, seeing)[0], found


@pytest.fixture(scope="module")
def varied() -> Field:
    return random_field(260, (900, 900), growth=0.08, q=0.95)


@pytest.fixture(scope="module")
def fitted(varied: Field) -> tuple[Plane, PointSpread, PsfPhotometry]:
    plane, psf, found = psf_of(varied)
    return plane, psf, psf_photometry(plane, psf, found.x, found.y, found.flux)


def truth_of(field: Field, fit: PsfPhotometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every source: gap to its star, that star, and the gap to that star's neighbour."""
    places = np.column_stack([field.x, field.y])
    tree = cKDTree(places)
    gap, star = tree.query(np.column_stack([fit.x, fit.y]))
    return gap, star, tree.query(places, k=2)[0][:, 1][star]


def test_the_shape_of_the_stars_is_recovered(
    varied: Field, fitted: tuple[Plane, PointSpread, PsfPhotometry]
) -> None:
    _, psf, _ = fitted
    centre, edge = psf.parameters(450.0, 450.0), psf.parameters(450.0, 890.0)
    assert centre[0] == pytest.approx(4.0, rel=0.005)
    assert psf.beta == pytest.approx(3.0, abs=0.15)
    assert edge[0] / centre[0] == pytest.approx(1 + 0.08 * (440 / 450) ** 2, abs=0.01)
    assert np.sqrt((1 - centre[1]) / (1 + centre[1])) == pytest.approx(0.95, abs=0.005)
    assert psf.chi2 == pytest.approx(1.0, abs=0.1)


def test_fluxes_and_places_scatter_by_their_errors(
    varied: Field, fitted: tuple[Plane, PointSpread, PsfPhotometry]
) -> None:
    _, _, fit = fitted
    gap, star, lonely = truth_of(varied, fit)
    real = (gap < 2) & (lonely > 12) & (varied.flux[star] > 7 * fit.flux_error)
    pulls = ((fit.flux - varied.flux[star]) / fit.flux_error)[real]
    places = np.concatenate(
        [
            ((fit.x - varied.x[star]) / fit.x_error)[real],
            ((fit.y - varied.y[star]) / fit.y_error)[real],
        ]
    )
    assert real.sum() > 90
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)
    assert abs(np.mean(pulls)) < 0.3
    assert np.std(places) == pytest.approx(1.0, abs=0.15)


def test_stars_leave_nothing_behind(fitted: tuple[Plane, PointSpread, PsfPhotometry]) -> None:
    plane, _, fit = fitted
    pull = fit.residual / np.sqrt(plane.sky_variance)
    rows, columns = np.rint(fit.y).astype(int), np.rint(fit.x).astype(int)
    inside = (np.abs(rows - 450) < 440) & (np.abs(columns - 450) < 440)
    faint = inside & (fit.flux < 20_000)
    assert np.std(pull[rows[faint], columns[faint]]) == pytest.approx(1.0, abs=0.25)
    assert np.median(fit.chi2) == pytest.approx(1.0, abs=0.06)


def test_faint_stars_are_not_made_brighter_by_the_search_for_their_place() -> None:
    rng = np.random.default_rng(3)
    x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.arange(20.0, 800, 26)]))
    x, y = x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))
    flux = np.full(len(x), 1400.0)  # signal to noise 8
    field = draw((820, 820), x, y, flux)
    plane = plane_of(field.frame, field.sky)
    psf = PointSpread(shape=(820, 820), ln_fwhm=(np.log(4.0),))
    fit = psf_photometry(plane, psf, x, y, flux)
    error = float(np.mean(fit.flux) / 1400 - 1)
    assert abs(error) < 0.012  # without the correction it is 0.016 too bright
    assert np.std(fit.flux) == pytest.approx(np.median(fit.flux_error), rel=0.1)


def test_a_blend_is_taken_apart_with_honest_errors() -> None:
    rng = np.random.default_rng(5)
    x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.arange(30.0, 780, 40)]))
    x = x + rng.uniform(-0.5, 0.5, len(x))
    angle = rng.uniform(0, 2 * np.pi, len(x))
    near_x, near_y = x + 5 * np.cos(angle), y + 5 * np.sin(angle)
    all_x, all_y = np.concatenate([x, near_x]), np.concatenate([y, near_y])
    flux = np.concatenate([np.full(len(x), 20_000.0), np.full(len(x), 5_000.0)])
    field = draw((800, 800), all_x, all_y, flux, seed=9)
    psf = PointSpread(shape=(800, 800), ln_fwhm=(np.log(4.0),))
    start_x = all_x + rng.normal(0, 0.3, len(all_x))
    fit = psf_photometry(plane_of(field.frame, field.sky), psf, start_x, all_y, flux * 0.8)
    pulls = (fit.flux - flux) / fit.flux_error
    assert np.all(fit.group_size == 2)
    assert np.std(pulls[: len(x)]) == pytest.approx(1.0, abs=0.12)
    assert np.std(pulls[len(x) :]) == pytest.approx(1.0, abs=0.12)
    assert np.all(np.abs(np.mean(pulls.reshape(2, -1), axis=1)) < 0.25)


def test_forced_photometry_of_empty_sky_is_zero_within_its_error() -> None:
    field = random_field(60, (600, 600), seed=4)
    plane, psf, found = psf_of(field)
    rng = np.random.default_rng(8)
    x, y = rng.uniform(10, 590, (2, 250))
    empty = cKDTree(np.column_stack([field.x, field.y])).query(np.column_stack([x, y]))[0] > 25
    all_x, all_y = np.concatenate([found.x, x]), np.concatenate([found.y, y])
    fixed = np.arange(len(all_x)) >= len(found)
    start = np.concatenate([found.flux, np.zeros(len(x))])
    fit = psf_photometry(plane, psf, all_x, all_y, start, fixed=fixed)
    pulls = (fit.flux / fit.flux_error)[len(found) :][empty]
    assert np.array_equal(fit.x[fixed], x)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert abs(np.mean(pulls)) < 0.25


def test_a_masked_core_leaves_the_flux_right_and_the_error_larger() -> None:
    field = draw((200, 200), np.array([60.0, 140.0]), np.array([100.0, 100.0]), np.full(2, 4e4))
    mask, data = np.zeros((200, 200), np.uint16), np.array(field.frame.data)
    mask[100:102, 59:63] = Mask.COSMIC
    data[100:102, 59:63] += 9000
    frame = field.frame.after("hit", data=data, mask=mask)
    psf = PointSpread(shape=(200, 200), ln_fwhm=(np.log(4.0),))
    fit = psf_photometry(plane_of(frame, field.sky), psf, field.x, field.y, field.flux)
    assert abs(fit.flux[0] - 4e4) < 4 * fit.flux_error[0]
    assert fit.flux_error[0] > 1.2 * fit.flux_error[1]
    assert fit.good_fraction[0] < 0.9 < fit.good_fraction[1]


def test_a_profile_that_is_no_moffat_is_learnt_from_the_stars() -> None:
    """A faint ring around every star, as of a defocused ghost: the table takes it up."""
    field = random_field(150, (800, 800), seed=12)
    light = np.zeros((800, 800))
    rows, columns = np.mgrid[-8:9, -8:9]
    for x, y, flux in zip(field.x, field.y, field.flux, strict=True):
        if not (12 < x < 786 and 12 < y < 786):
            continue
        base_x, base_y = round(x), round(y)
        radius = np.hypot(columns + base_x - x, rows + base_y - y)
        ring = 0.004 * flux * np.exp(-0.5 * ((radius - 4.5) / 0.8) ** 2)
        light[base_y - 8 : base_y + 9, base_x - 8 : base_x + 9] += ring
    ringed = draw((800, 800), field.x, field.y, field.flux, extra=light, seed=12)
    _, psf, _ = psf_of(ringed)
    size = psf.residual.shape[0] // 2
    bare = PointSpread(shape=psf.shape, beta=psf.beta, ln_fwhm=psf.ln_fwhm, e1=psf.e1, e2=psf.e2)
    assert size > 0
    step = np.arange(-6, 7)
    radius = np.hypot(step[None, :], step[:, None])
    ring = 0.004 * np.exp(-0.5 * ((radius - 4.5) / 0.8) ** 2)
    truth = moffat_star((61, 61), 30, 30, 4.0)[24:37, 24:37] + ring
    with_table = psf.picture(400, 400, half=6)
    without = bare.picture(400, 400, half=6)
    scale = [float(np.sum(truth * each) / np.sum(each**2)) for each in (with_table, without)]
    misfit = [
        float(np.abs(truth - factor * each).max())
        for factor, each in zip(scale, (with_table, without), strict=True)
    ]
    assert misfit[0] < 0.6 * misfit[1]


def test_stars_that_are_nearly_gaussian_have_the_errors_of_their_photons() -> None:
    """The table takes up what the profile cannot follow: it is no error of the model any more."""
    field = random_field(150, (700, 700), beta=60.0, fwhm=3.5, seed=4)
    plane, psf, found = psf_of(field)
    fit = psf_photometry(plane, psf, found.x, found.y, found.flux)
    gap, star, neighbour = truth_of(field, fit)
    chosen = (gap < 1) & (neighbour > 18) & (field.flux[star] > 1e4)
    truth, flux, error = field.flux[star][chosen], fit.flux[chosen], fit.flux_error[chosen]
    photons = np.sqrt(truth + 4 * np.pi * (3.5 / 2.3548) ** 2 * 520)
    assert chosen.sum() > 15
    assert np.median(error / photons) < 1.25
    assert np.median(np.abs(flux / np.median(flux / truth) - truth) / error) < 1.0
    assert psf.fwhm_px == pytest.approx(3.5, rel=0.02)


def looked_twice(field: Field) -> tuple[PsfPhotometry, PsfPhotometry, Detections]:
    """The fit of what was detected, and that with what only showed behind it."""
    found, segments = detect(field.frame, field.sky, field.rms)
    seeing = measure_seeing(field.frame, field.sky, field.rms, found)
    plane = plane_of(field.frame, field.sky)
    psf, _ = fit_psf(plane, found, seeing)
    occupied = segments > 0
    first = psf_photometry(plane, psf, found.x, found.y, found.flux, occupied=occupied)
    second, more = with_hidden(plane, psf, first, found, occupied)
    return first, second, more


def missed(field: Field, fit: PsfPhotometry, least: float) -> float:
    """Share of the stars brighter than a flux that have no source within two pixels."""
    gap = cKDTree(np.column_stack([fit.x, fit.y])).query(np.column_stack([field.x, field.y]))[0]
    return float(np.mean(gap[field.flux > least] > 2))


def test_stars_beside_brighter_ones_are_found_at_the_second_look() -> None:
    field = random_field(600, (600, 600), seed=17)
    first, second, more = looked_twice(field)
    assert len(second) == len(more) > len(first) + 30
    assert missed(field, second, 2000) < 0.03 < 0.06 < missed(field, first, 2000)
    gap = cKDTree(np.column_stack([field.x, field.y])).query(np.column_stack([second.x, second.y]))[
        0
    ]
    assert np.mean(gap[len(first) :] > 2.5) < 0.05
    # What stood there already kept its row, and is not brighter for a neighbour it was given.
    assert np.allclose(second.x[: len(first)], first.x, atol=1.6)


def test_in_a_crowd_every_star_found_uncovers_fainter_ones() -> None:
    """Stars of 7 sigma between others at one per 18 beams: most are found, hardly one is false."""
    field = random_field(900, (420, 420), seed=31)
    first, second, _ = looked_twice(field)
    assert len(second) > 1.25 * len(first)
    alone = cKDTree(np.column_stack([field.x, field.y]))
    gap = alone.query(np.column_stack([field.x, field.y]), k=2)[0][:, 1]
    faint = (field.flux > 1200) & (field.flux < 2500) & (gap > 6)
    places = cKDTree(np.column_stack([second.x, second.y]))
    seen = places.query(np.column_stack([field.x, field.y]))[0] < 2
    assert faint.sum() > 40
    assert np.mean(seen[faint]) > 0.8
    away = alone.query(np.column_stack([second.x, second.y]))[0]
    assert np.mean(away > 2.5) < 0.02


def test_a_galaxy_is_not_taken_apart() -> None:
    rows, columns = np.mgrid[0:600, 0:600].astype(float)
    rng = np.random.default_rng(23)
    light = np.zeros((600, 600))
    for x, y, scale in zip(*rng.uniform(40, 560, (2, 25)), rng.uniform(2, 5, 25), strict=True):
        light += 600 * np.exp(-np.hypot(columns - x, 1.5 * (rows - y)) / scale)
    stars = random_field(60, (600, 600), seed=23)
    field = draw((600, 600), stars.x, stars.y, stars.flux, extra=light, seed=23)
    first, second, _ = looked_twice(field)
    assert len(second) - len(first) <= 3
