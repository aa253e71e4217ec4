"""Images on another grid: stars keep light and place, noise and masks are told truly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.frame import Frame, Mask
from reducers.imaging.register import common_grid, place_by_stars
from reducers.imaging.resample_image import Grid, displacement, noise_gain, resample
from reducers.imaging.sources import Detections
from reducers.imaging.tangent_plane import sky_map
from tests.reducers.star_images import exposed, field, random_stars, star

if TYPE_CHECKING:
    from reducers.imaging.sky_map import SkyMap

SHAPE = (300, 320)
SCALE = 0.2138


def placed(
    east_arcsec: float = 0.0,
    north_arcsec: float = 0.0,
    turn_deg: float = 0.0,
    scale: float = SCALE,
    dec_deg: float = 60.0,
    shape: tuple[int, int] = SHAPE,
) -> SkyMap:
    """Return the place of an image with north up, shifted and turned."""
    turn = np.radians(turn_deg)
    matrix = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    ra = 0.01 + east_arcsec / 3600 / np.cos(np.radians(dec_deg))
    centre = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    tangent = (ra, dec_deg + north_arcsec / 3600)
    return sky_map(tangent, centre, matrix * scale / 3600, shape)


def light(data: np.ndarray, x: float, y: float, radius: float = 15) -> float:
    rows, columns = np.mgrid[: data.shape[0], : data.shape[1]]
    return float(data[np.hypot(columns - x, rows - y) < radius].sum())


def frame_of(data: np.ndarray) -> Frame:
    return Frame(
        data=data,
        variance=np.ones(data.shape),
        mask=np.zeros(data.shape, np.uint16),
        unit="electron",
    )


@pytest.mark.parametrize("scale", [SCALE, 1.05 * SCALE])
def test_a_star_keeps_its_light_and_its_place_on_the_sky(scale: float) -> None:
    own = placed(2.3, -1.7, 0.4)
    grid = Grid(sky_map=placed(scale=scale), shape=SHAPE)
    moved = resample(frame_of(star(SHAPE, 160.3, 140.8, 1e5, 4.0)), own, grid).data
    x, y = grid.sky_map.pixels(*own.sky(160.3, 140.8))
    assert light(moved, x, y) == pytest.approx(
        light(star(SHAPE, 160.3, 140.8, 1e5, 4.0), 160.3, 140.8), rel=0.002
    )
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    weight = np.where(np.hypot(columns - x, rows - y) < 8, moved, 0)
    assert (weight * columns).sum() / weight.sum() == pytest.approx(x, abs=0.02)
    assert (weight * rows).sum() / weight.sum() == pytest.approx(y, abs=0.02)


def test_a_move_by_whole_pixels_changes_nothing() -> None:
    data = np.random.default_rng(1).standard_normal(SHAPE)
    moved = resample(frame_of(data), placed(), Grid(sky_map=placed(), shape=SHAPE))
    inner = np.s_[4:-4, 4:-4]
    assert np.allclose(moved.data[inner], data[inner], atol=2e-3)
    assert np.allclose(moved.variance[inner], 1, atol=0.01)


def test_the_variance_is_that_of_the_moved_pixels() -> None:
    data = np.random.default_rng(2).standard_normal((600, 600))
    own = placed(3.31, 1.17, 0.2, shape=(600, 600))
    grid = Grid(sky_map=placed(shape=(600, 600)), shape=(600, 600))
    moved = resample(frame_of(data), own, grid)
    good = moved.mask == 0
    assert moved.data[good].var() == pytest.approx(moved.variance[good].mean(), rel=0.02)
    # Sums over many pixels are as noisy as before: the gain tells how much more than it looks.
    gain = noise_gain(displacement(own, grid), grid.shape)
    sums = moved.data[100:500, 100:500].reshape(20, 20, 20, 20).sum((1, 3))
    seen = sums.var() / (400 * moved.variance[good].mean() / gain)
    assert seen == pytest.approx(1, abs=0.2)


def test_masked_pixels_stay_masked_and_do_not_ring() -> None:
    data = np.zeros(SHAPE)
    data[150, 160] = 60_000
    hit = frame_of(data)
    mask = hit.mask.copy()
    mask[150, 160] = Mask.COSMIC
    own = placed(0.1, 0.1)
    moved = resample(hit.after("hit", mask=mask), own, Grid(sky_map=placed(), shape=SHAPE))
    masked = (moved.mask & Mask.COSMIC) != 0
    assert 4 <= masked.sum() <= 16
    assert np.abs(moved.data[~masked]).max() < 1e-3


def test_pixels_without_a_number_are_bad_and_spoil_no_other() -> None:
    data = np.ones(SHAPE)
    data[100, 100] = np.nan
    moved = resample(frame_of(data), placed(0.1, 0.1), Grid(sky_map=placed(), shape=SHAPE))
    bad = (moved.mask & Mask.BAD) != 0
    assert 4 <= bad.sum() <= 16
    assert np.isfinite(moved.data).all()
    assert moved.data[(moved.mask == 0)] == pytest.approx(1, rel=1e-3)


def test_what_lies_outside_is_edge_and_nothing() -> None:
    own = placed(20.0, 0.0)
    moved = resample(frame_of(np.full(SHAPE, 7.0)), own, Grid(sky_map=placed(), shape=SHAPE))
    outside = (moved.mask & Mask.EDGE) != 0
    shift = 20.0 / SCALE
    assert outside.mean() == pytest.approx((shift + 2) / SHAPE[1] + 2 / SHAPE[0], abs=0.02)
    assert not moved.data[outside].any()
    assert moved.data[~outside] == pytest.approx(7.0, rel=1e-3)


def test_an_image_of_another_field_gives_an_empty_one() -> None:
    own = placed(4000.0, 0.0)
    moved = resample(frame_of(np.ones(SHAPE)), own, Grid(sky_map=placed(), shape=SHAPE))
    assert ((moved.mask & Mask.EDGE) != 0).all()


@pytest.mark.parametrize("north_up", [True, False])
def test_a_common_grid_holds_all_images_across_zero_hours(north_up: bool) -> None:
    maps = [placed(), placed(-60, 10, 0.5), placed(20, -30, 359.2)]
    grid = common_grid(maps, [SHAPE] * 3, north_up=north_up)
    for one in maps:
        ra, dec = one.sky([0, SHAPE[1] - 1, 0, SHAPE[1] - 1], [0, 0, SHAPE[0] - 1, SHAPE[0] - 1])
        x, y = grid.sky_map.pixels(ra, dec)
        for place, size in ((x, grid.shape[1]), (y, grid.shape[0])):
            assert ((place > -1) & (place < size)).all()
    assert grid.shape[0] < SHAPE[0] + 40 / SCALE + 15
    assert grid.sky_map.pixel_scale_arcsec == pytest.approx(SCALE, rel=1e-3)


def test_a_common_grid_is_turned_as_the_images_are() -> None:
    turned = [placed(turn_deg=35), placed(3, 2, turn_deg=35)]
    grid = common_grid(turned, [SHAPE] * 2)
    assert grid.shape[1] < SHAPE[1] + 30
    assert grid.shape[0] < SHAPE[0] + 30


def test_centre_size_and_scale_may_be_chosen() -> None:
    grid = common_grid(
        [placed()], [SHAPE], centre_deg=(0.02, 60.001), size_px=(200, 100), scale_arcsec=0.3
    )
    assert grid.shape == (100, 200)
    ra, dec = grid.sky_map.sky(99.5, 49.5)
    assert (float(ra), float(dec)) == pytest.approx((0.02, 60.001), abs=1e-6)
    assert grid.sky_map.pixel_scale_arcsec == pytest.approx(0.3, rel=1e-3)


def test_images_far_apart_have_no_common_grid() -> None:
    with pytest.raises(ValueError, match="pixels would be needed"):
        common_grid([placed(), placed(6000)], [SHAPE] * 2)


def detections(x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> Detections:
    order = np.argsort(-flux)
    zero = np.zeros(x.size)
    return Detections(
        x=x[order],
        y=y[order],
        x_error=zero,
        y_error=zero,
        flux=flux[order],
        flux_error=zero + 1,
        peak=flux[order],
        semimajor_px=zero + 2,
        semiminor_px=zero + 2,
        theta_rad=zero,
        area_px=np.ones(x.size, np.int64),
        mask_bits=np.zeros(x.size, np.uint16),
        deblended=np.zeros(x.size, bool),
        fwhm_px=4.0,
    )


def test_an_image_without_a_catalogue_is_placed_by_the_stars_of_another() -> None:
    rng = np.random.default_rng(5)
    ra = 0.01 + rng.uniform(-40, 40, 50) / 3600 * 2
    dec = 60 + rng.uniform(-32, 32, 50) / 3600
    flux = 10 ** rng.uniform(3, 5, 50)
    maps = [placed(), placed(8, -5, 0.6)]
    lists = []
    for one in maps:
        x, y = one.pixels(ra, dec)
        inside = (x > 0) & (x < SHAPE[1]) & (y > 0) & (y < SHAPE[0])
        noise = rng.normal(0, 0.05, (2, 50))
        lists.append(detections((x + noise[0])[inside], (y + noise[1])[inside], flux[inside]))
    found = place_by_stars(lists[1], SHAPE, lists[0], maps[0])
    assert found is not None
    own, pairs, scatter_arcsec = found
    assert pairs > 15
    assert scatter_arcsec < 0.03
    x, y = np.array([20.0, 300.0, 160.0]), np.array([280.0, 30.0, 150.0])
    back = own.pixels(*maps[1].sky(x, y))
    assert np.hypot(back[0] - x, back[1] - y).max() < 0.15


def test_images_without_common_stars_are_not_placed() -> None:
    rng = np.random.default_rng(6)
    lists = [
        detections(rng.uniform(0, 300, 30), rng.uniform(0, 300, 30), 10 ** rng.uniform(3, 5, 30))
        for _ in range(2)
    ]
    assert place_by_stars(lists[1], SHAPE, lists[0], placed()) is None


def test_a_field_moved_and_moved_back_looks_the_same() -> None:
    rng = np.random.default_rng(7)
    sky = field(SHAPE, random_stars(20, SHAPE, rng), 4.0, sky_e=400.0)
    frame = exposed(sky, rng)
    above = frame.after("sky", data=frame.data - 400)
    there = Grid(sky_map=placed(1.37, 0.9, 0.3), shape=SHAPE)
    moved = resample(above, placed(), there)
    again = resample(moved, there.sky_map, Grid(sky_map=placed(), shape=SHAPE))
    good = again.mask == 0
    assert good.mean() > 0.9
    bright = good & (sky > 3000)
    assert np.abs(again.data[bright] / (sky[bright] - 400) - 1).max() < 0.2
