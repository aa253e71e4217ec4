"""Apertures, their corrections and errors, and what is a star."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from reducers.frame import Mask
from reducers.imaging.detection import detect, measure_seeing
from reducers.imaging.empty_sky import measure_empty_apertures
from reducers.imaging.flat_error import flat_error
from reducers.imaging.photometry import Photometry, forced_photometry, measure_sources
from reducers.imaging.plane import plane_of
from reducers.imaging.source_flags import SourceFlag
from reducers.imaging.star_correction import with_star_flat_error
from tests.reducers.star_field import Field, draw, random_field


def measured(field: Field) -> Photometry:
    found, segments = detect(field.frame, field.sky, field.rms)
    seeing = measure_seeing(field.frame, field.sky, field.rms, found)
    return measure_sources(field.frame, field.sky, found, segments, seeing)


def moffat_share(radius_fwhm: float) -> float:
    """Light of a Moffat star of power 3 within a radius."""
    alpha = 0.5 / np.sqrt(2 ** (1 / 3) - 1)
    return float(1 - (1 + (radius_fwhm / alpha) ** 2) ** -2)


@pytest.fixture(scope="module")
def field() -> Field:
    return random_field(320, (900, 900), growth=0.10)


@pytest.fixture(scope="module")
def photometry(field: Field) -> Photometry:
    return measured(field)


def stars_of(field: Field, photometry: Photometry) -> tuple[np.ndarray, np.ndarray]:
    """Sources with a lonely true star, and that star."""
    places = np.column_stack([field.x, field.y])
    tree = cKDTree(places)
    gap, star = tree.query(np.column_stack([photometry.x, photometry.y]))
    lonely = tree.query(places, k=2)[0][:, 1][star] > 14
    usable = (photometry.flags & SourceFlag.EDGE) == 0
    return (gap < 2) & lonely & usable, star


@pytest.mark.parametrize("kind", ["psf", "aperture"])
def test_total_fluxes_are_right_within_their_errors_at_every_brightness(
    field: Field, photometry: Photometry, kind: str
) -> None:
    flux = photometry.flux if kind == "psf" else photometry.aperture_flux
    error = photometry.flux_error if kind == "psf" else photometry.aperture_error
    real, star = stars_of(field, photometry)
    # The total is the light within eight FWHM.
    truth = field.flux[star] * moffat_share(8.0)
    snr = truth / error
    for low, high in ((7, 20), (20, 80), (80, 1e5)):
        chosen = real & (snr > low) & (snr < high)
        pull = ((flux - truth) / error)[chosen]
        assert chosen.sum() > 15
        assert np.std(pull) == pytest.approx(1.0, abs=0.3), (low, high)
        # All share the error of the correction to the total.
        shared = np.hypot(photometry.growth.psf_error, photometry.growth.halo_error)
        common = np.median(shared * flux[chosen] / error[chosen])
        assert abs(np.mean(pull)) < 0.5 + 2 * common, (low, high)


def test_the_flat_limits_stars_at_the_edge_more_than_those_side_by_side(
    field: Field, photometry: Photometry
) -> None:
    plane = photometry.plane
    middle, edge = flat_error(plane, 449.5, 449.5), flat_error(plane, 10.0, 449.5)
    assert middle < 0.0015 < edge < 0.003
    binned = flat_error(replace(plane, binning=2.0), 10.0, 449.5)
    assert binned == pytest.approx(2 * edge, rel=0.15)
    bright = photometry.flux > 3e5
    relative = photometry.flux_error[bright] / photometry.flux[bright]
    assert (relative >= flat_error(plane, photometry.x[bright], photometry.y[bright])).all()


def test_a_star_flat_has_its_own_error_instead_of_that_of_twilight(
    field: Field, photometry: Photometry
) -> None:
    ones = np.ones(field.frame.shape, np.float32)
    star_flat = replace(field.frame, data=ones, variance=ones * np.float32(0.0005**2))
    corrected = with_star_flat_error(photometry, star_flat)
    edge = np.hypot(photometry.x - 449.5, photometry.y - 449.5) > 250
    bright = photometry.flux > 3e5
    relative = corrected.flux_error / corrected.flux
    assert (relative[bright] > 0.001).all()
    assert (corrected.flux_error < photometry.flux_error)[bright & edge].all()
    assert (corrected.aperture_error < photometry.aperture_error)[bright & edge].all()


def test_the_aperture_correction_follows_the_seeing_over_the_image(
    photometry: Photometry,
) -> None:
    """Stars ten per cent wider at the edge lose more of their light to a small aperture."""
    centre = photometry.growth.aperture_factor(1, 450.0, 450.0)
    edge = photometry.growth.aperture_factor(1, 890.0, 450.0)
    wide = 1 + 0.10 * (440 / 450) ** 2
    expected = (moffat_share(4 / wide) / moffat_share(1 / wide)) / (
        moffat_share(4) / moffat_share(1)
    )
    assert edge / centre == pytest.approx(expected, abs=0.008)


def test_neighbours_are_taken_out_of_apertures() -> None:
    x, y = np.array([100.0, 110.0, 250.0]), np.array([100.0, 100.0, 250.0])
    rest = random_field(60, (500, 500), seed=21)
    far = (np.hypot(rest.x - 105, rest.y - 100) > 40) & (np.hypot(rest.x - 250, rest.y - 250) > 40)
    field = draw(
        (500, 500),
        np.concatenate([x, rest.x[far]]),
        np.concatenate([y, rest.y[far]]),
        np.concatenate([[6e4, 9e4, 6e4], rest.flux[far]]),
    )
    result = measured(field)
    gap, source = cKDTree(np.column_stack([result.x, result.y])).query(np.column_stack([x, y]))
    assert np.all(gap < 1)
    ratio = result.aperture_flux[source] / (np.array([6e4, 9e4, 6e4]) * moffat_share(8.0))
    assert ratio == pytest.approx(1.0, abs=0.02)
    wide = result.apertures.flux[source, 4] / result.flux[source]
    assert wide[:2] == pytest.approx(wide[2], abs=0.02)  # 2.5 FWHM reach over the neighbour
    assert result.apertures.crowding[source[0]] > 3 * abs(result.apertures.crowding[source[2]])


def test_empty_apertures_show_noise_that_neighbouring_pixels_share() -> None:
    """Smoothed noise: single pixels understate the scatter of an aperture."""
    rng = np.random.default_rng(2)
    smooth = gaussian_filter(rng.normal(0, 30.0, (600, 600)), 0.9)
    field = draw((600, 600), np.empty(0), np.empty(0), np.empty(0))
    frame = field.frame.after(
        "resampled", data=500 + smooth, variance=np.full((600, 600), smooth.var())
    )
    plane = plane_of(frame, field.sky)
    occupied = np.zeros((600, 600), bool)
    empty = measure_empty_apertures(plane, plane.light, occupied, np.array([3.0, 6.0]))
    assert empty.scatter[1] == pytest.approx(30.0 * np.sqrt(np.pi) * 6, rel=0.12)
    assert empty.factor[1] > 2.5


def test_galaxies_are_told_from_stars_where_the_noise_allows() -> None:
    rng = np.random.default_rng(11)
    rows, columns = np.mgrid[0:700, 0:700].astype(float)
    places_x, places_y = rng.uniform(30, 670, (2, 40))
    light = np.zeros((700, 700))
    scales = rng.uniform(1.5, 5.0, 40)  # exponential discs, pixels
    for x, y, scale in zip(places_x, places_y, scales, strict=True):
        light += 2500 / scale**2 * np.exp(-np.hypot(columns - x, rows - y) / scale)
    light = gaussian_filter(light, 1.7)
    stars = random_field(120, (700, 700), seed=13)
    field = draw((700, 700), stars.x, stars.y, stars.flux, extra=light, seed=13)
    result = measured(field)
    bright = result.flux > 25 * result.flux_error
    galaxies = np.column_stack([places_x, places_y])
    truth_star = cKDTree(np.column_stack([stars.x, stars.y]))
    places = np.column_stack([result.x, result.y])
    to_star, to_galaxy = truth_star.query(places)[0], cKDTree(galaxies).query(places)[0]
    galaxy = bright & (to_galaxy < 2) & (to_star > 25)
    star = bright & (to_star < 1.5) & (to_galaxy > 30)
    assert galaxy.sum() > 8
    assert np.mean((result.flags[galaxy] & SourceFlag.EXTENDED) != 0) > 0.95
    assert np.mean((result.flags[star] & SourceFlag.EXTENDED) != 0) < 0.05
    # The width that noise alone gives to a star is known.
    alone = (to_star < 1.5) & (to_galaxy > 30) & (truth_star.query(places, k=2)[0][:, 1] > 16)
    pull = (result.kind.excess / np.hypot(result.kind.excess_error, result.kind.scatter))[alone]
    assert np.std(pull) == pytest.approx(1.0, abs=0.3)


def test_light_is_asked_for_where_a_catalogue_says(field: Field, photometry: Photometry) -> None:
    real, star = stars_of(field, photometry)
    chosen = np.flatnonzero(real)[:30]
    truth = field.flux[star[chosen]] * moffat_share(8.0)
    flux, error = forced_photometry(photometry, field.x[star[chosen]], field.y[star[chosen]])
    assert np.std((flux - truth) / error) == pytest.approx(1.0, abs=0.45)


def test_a_saturated_or_masked_star_says_so() -> None:
    field = random_field(80, (500, 500), seed=31)
    brightest = int(np.argmax(field.flux))
    mask = np.zeros((500, 500), np.uint16)
    row, column = round(field.y[brightest]), round(field.x[brightest])
    mask[row - 1 : row + 2, column - 1 : column + 2] = Mask.SATURATED
    frame = field.frame.after("saturated", mask=mask)
    result = measured(Field(frame, field.sky, field.rms, field.x, field.y, field.flux))
    source = int(np.argmin(np.hypot(result.x - column, result.y - row)))
    assert result.flags[source] & SourceFlag.SATURATED
    assert np.sum((result.flags & SourceFlag.SATURATED) != 0) == 1


def test_an_image_without_a_star_is_measured_without_complaint() -> None:
    field = draw((200, 200), np.empty(0), np.empty(0), np.empty(0))
    result = measured(field)
    assert len(result) <= 1
    assert result.growth.stars == 0


def spoilt(kind: str) -> Field:
    """A small field with one thing badly wrong."""
    if kind == "a sliver":
        return draw((12, 200), np.array([20.0]), np.array([6.0]), np.array([5e4]))
    if kind == "undersampled":
        return random_field(30, (200, 200), fwhm=1.3)
    field = random_field(30, (200, 200))
    data, mask = np.array(field.frame.data), np.zeros((200, 200), np.uint16)
    variance = np.array(field.frame.variance)
    if kind == "all masked":
        mask[:] = Mask.BAD
    elif kind == "all saturated":
        mask[:] = Mask.SATURATED
    elif kind == "rows without numbers":
        data[100:110], variance[50:55] = np.nan, np.inf
    elif kind == "no variance":
        variance[:] = 0
    elif kind == "nearly all masked":
        mask[:, :185] = Mask.BAD
    frame = field.frame.after(kind, data=data, mask=mask, variance=variance)
    return Field(frame, field.sky, field.rms, field.x, field.y, field.flux)


@pytest.mark.parametrize(
    "kind",
    [
        "a sliver",
        "undersampled",
        "all masked",
        "all saturated",
        "rows without numbers",
        "no variance",
        "nearly all masked",
    ],
)
def test_no_image_is_too_odd_to_be_measured(kind: str) -> None:
    result = measured(spoilt(kind))
    finite = np.isfinite(result.flux)
    assert np.all(result.flux_error[finite] > 0)
    if kind in ("a sliver", "undersampled", "rows without numbers"):
        assert finite.any()
