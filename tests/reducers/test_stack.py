"""Stacks are as deep as their members promise, and keep the light of stars."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.errors import NotEnoughFrames
from reducers.frame import UNUSABLE, Mask
from reducers.identity import FrameKind, Identity, Setup
from reducers.imaging.references import References
from reducers.imaging.register import common_grid
from reducers.imaging.resample_image import InMemory
from reducers.imaging.stack import Stacked, StackImage, as_electrons, stack
from reducers.imaging.stack_members import Member, StackSettings, choose
from reducers.imaging.stack_photometry import measure_stack
from reducers.imaging.tangent_plane import sky_map
from reducers.profiles import load_instrument
from tests.reducers.star_images import SKY_E, exposed, field

if TYPE_CHECKING:
    from reducers.imaging.sky_map import SkyMap

SHAPE, SCALE = (260, 280), 0.2138
NOISE_E = np.sqrt(SKY_E + 4.3**2)
RA, DEC = 150.0, 40.0


def place(number: int) -> SkyMap:
    """Return the place of one of a set of dithered images."""
    rng = np.random.default_rng(100 + number)
    east, north = rng.uniform(-3, 3, 2)
    turn = np.radians(rng.uniform(-0.2, 0.2))
    matrix = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    tangent = (RA + east / 3600 / np.cos(np.radians(DEC)), DEC + north / 3600)
    return sky_map(tangent, (139.5, 129.5), matrix * SCALE / 3600, SHAPE)


def sky_of_stars() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return place on the sky and light (electrons per second) of nine stars."""
    x, y = np.meshgrid(np.arange(-1, 2) * 50.0, np.arange(-1, 2) * 50.0)
    ra = RA + x.ravel() * SCALE / 3600 / np.cos(np.radians(DEC))
    dec = DEC + y.ravel() * SCALE / 3600
    return ra, dec, np.geomspace(200, 5000, 9)


def image(
    number: int,
    *,
    exposure_s: float = 100.0,
    clear: float = 1.0,
    fwhm_px: float = 4.0,
    hits: int = 0,
) -> tuple[StackImage, Member]:
    own, (ra, dec, rate) = place(number), sky_of_stars()
    rng = np.random.default_rng(number)
    x, y = own.pixels(ra, dec)
    sky_e = SKY_E * exposure_s / 100
    stars = np.stack([x, y, rate * exposure_s * clear], axis=1)
    frame = exposed(field(SHAPE, stars, fwhm_px, sky_e=sky_e), rng)
    data = frame.data - sky_e
    for row, column in rng.integers(10, 250, (hits, 2)):
        data[row, column : column + 4] += 3000
    member = Member(
        name=f"image{number}",
        exposure_s=exposure_s,
        seeing_arcsec=fwhm_px * SCALE,
        zero_point_mag=25 + 2.5 * np.log10(clear),
        sky_e=sky_e,
        sky_sigma_e=np.sqrt(sky_e + 4.3**2),
    )
    (choice,) = choose([member])
    pixels = InMemory(frame.after("sky", data=data))
    return StackImage(choice=choice, sky_map=own, pixels=pixels), member


def stacked(
    made: list[tuple[StackImage, Member]], settings: StackSettings | None = None
) -> Stacked:
    choices = choose([member for _, member in made], settings)
    images = [replace(one, choice=choice) for (one, _), choice in zip(made, choices, strict=True)]
    grid = common_grid([one.sky_map for one in images], [SHAPE] * len(images))
    return stack(images, grid, settings)


def empty(done: Stacked, margin_px: float = 22) -> np.ndarray:
    """Return the pixels that all images cover and that are far from every star."""
    rows, columns = np.mgrid[: done.image.shape[0], : done.image.shape[1]]
    ra, dec, _ = sky_of_stars()
    x, y = done.grid.sky_map.pixels(ra, dec)
    free = done.coverage == len(done.shares)
    for one_x, one_y in zip(x, y, strict=True):
        free &= np.hypot(columns - one_x, rows - one_y) > margin_px
    return free


def rates(done: Stacked, radius_px: float = 14) -> np.ndarray:
    """Return the light of the stars over the truth."""
    rows, columns = np.mgrid[: done.image.shape[0], : done.image.shape[1]]
    ra, dec, rate = sky_of_stars()
    x, y = done.grid.sky_map.pixels(ra, dec)
    light = [
        done.image.data[np.hypot(columns - one_x, rows - one_y) < radius_px].sum()
        for one_x, one_y in zip(x, y, strict=True)
    ]
    inside = 1 - (1 + radius_px**2 / 3.92**2) ** -2  # of a Moffat star of 4 px
    return np.array(light) / rate / inside


@pytest.fixture(scope="module")
def eight() -> list[tuple[StackImage, Member]]:
    return [image(number, hits=12) for number in range(8)]


@pytest.fixture(scope="module")
def deep(eight: list[tuple[StackImage, Member]]) -> Stacked:
    return stacked(eight)


def test_noise_falls_as_the_root_of_the_number(
    deep: Stacked,
) -> None:
    single = stacked([image(0)])
    noise = [
        np.std(done.image.data[empty(done)]) / np.sqrt(done.noise_gain) for done in (single, deep)
    ]
    assert noise[0] / noise[1] == pytest.approx(np.sqrt(8), rel=0.05)


def test_the_variance_tells_the_noise(deep: Stacked) -> None:
    free = empty(deep)
    told = np.sqrt(deep.image.variance[free].mean())
    assert np.std(deep.image.data[free]) == pytest.approx(told, rel=0.04)


def test_sums_of_pixels_have_the_noise_that_the_gain_tells(deep: Stacked) -> None:
    free = empty(deep)
    blocks = np.s_[: deep.image.shape[0] // 6 * 6, : deep.image.shape[1] // 6 * 6]
    shape = (deep.image.shape[0] // 6, 6, deep.image.shape[1] // 6, 6)
    sums = deep.image.data[blocks].reshape(shape).sum((1, 3))
    whole = free[blocks].reshape(shape).all((1, 3))
    told = np.sqrt(36 * deep.image.variance[free].mean() / deep.noise_gain)
    assert np.std(sums[whole]) == pytest.approx(told, rel=0.12)


def test_stars_keep_their_light(deep: Stacked) -> None:
    found = rates(deep)
    assert found[4:] == pytest.approx(1, abs=0.006)


def test_what_only_one_image_has_is_left_out(deep: Stacked) -> None:
    free = empty(deep)
    assert np.abs(deep.image.data[free]).max() < 8 * np.sqrt(deep.image.variance[free].mean())
    assert all(0 < share.rejected < 0.01 for share in deep.shares)


@pytest.mark.parametrize("weights", ["depth", "stars", "equal"])
def test_stars_keep_their_light_though_seeing_and_cloud_change(weights: str) -> None:
    made = [
        image(number, fwhm_px=fwhm, clear=clear, exposure_s=exposure)
        for number, (fwhm, clear, exposure) in enumerate(
            [(3.6, 1.0, 100.0), (4.0, 0.8, 100.0), (4.6, 1.0, 50.0), (4.2, 0.7, 200.0)]
        )
    ]
    done = stacked(made, StackSettings(weights=weights))
    assert rates(done, 18)[5:] == pytest.approx(1, abs=0.01)
    # Peaks of different seeing are no outliers.
    assert max(share.rejected for share in done.shares) < 0.002
    assert done.exposure_s == pytest.approx(450)


def test_the_noise_of_a_star_follows_the_effective_gain() -> None:
    made = [image(number, exposure_s=100.0) for number in range(4)]
    done = stacked(made)
    assert done.gain_s == pytest.approx(400, rel=0.01)
    x, y = (round(float(value[-1])) for value in done.grid.sky_map.pixels(*sky_of_stars()[:2]))
    core = np.s_[y - 1 : y + 2, x - 1 : x + 2]
    light, variance = done.image.data[core].sum(), done.image.variance[core].sum()
    assert variance / done.noise_gain == pytest.approx(light / done.gain_s, rel=0.1)
    counted = as_electrons(done)
    light, variance = counted.data[core].sum(), counted.variance[core].sum()
    assert variance / done.noise_gain == pytest.approx(light, rel=0.1)


def test_a_median_is_as_noisy_as_it_says() -> None:
    made = [image(number) for number in range(5)]
    done = stacked(made, StackSettings(method="median"))
    free = empty(done)
    told = np.sqrt(done.image.variance[free].mean())
    assert np.std(done.image.data[free]) == pytest.approx(told, rel=0.06)
    assert rates(done)[5:] == pytest.approx(1, abs=0.01)


def test_the_sharper_of_two_images_keeps_its_star_and_loses_its_cosmic_rays() -> None:
    made = [image(1, fwhm_px=3.5), image(2, fwhm_px=4.2, hits=20)]
    done = stacked(made)
    free = empty(done)
    assert np.abs(done.image.data[free]).max() < 9 * np.sqrt(done.image.variance[free].mean())
    assert rates(done, 18)[5:] == pytest.approx(1, abs=0.025)


def test_masked_pixels_are_taken_from_the_other_images() -> None:
    made = [image(number) for number in range(3)]
    one, member = made[0]
    frame = one.pixels.rows(0, SHAPE[0])
    mask, data = frame.mask.copy(), frame.data.copy()
    mask[:, 120:124] |= np.uint16(Mask.BAD)
    data[:, 120:124] = 1e5
    made[0] = (replace(one, pixels=InMemory(frame.after("bad", mask=mask, data=data))), member)
    done = stacked(made)
    assert (done.coverage == 2).sum() > 4 * 200
    good = (done.image.mask & np.uint16(UNUSABLE)) == 0
    assert good[done.coverage == 2].all()
    assert done.image.data.max() < 1000


def test_pixels_without_an_image_are_edge_and_star_cores_full_anywhere_are_saturated() -> None:
    made = [image(number) for number in range(2)]
    one, member = made[0]
    frame = one.pixels.rows(0, SHAPE[0])
    mask = frame.mask.copy()
    mask[100:103, 100:103] |= np.uint16(Mask.SATURATED)
    made[0] = (replace(one, pixels=InMemory(frame.after("full", mask=mask))), member)
    done = stacked(made)
    x, y = done.grid.sky_map.pixels(*one.sky_map.sky(101, 101))
    assert done.image.mask[round(float(y)), round(float(x))] & Mask.SATURATED
    nothing = done.coverage == 0
    assert nothing.any()
    assert (done.image.mask[nothing] & np.uint16(UNUSABLE) != 0).all()


def test_a_stack_lies_where_its_images_lie(deep: Stacked) -> None:
    rows, columns = np.mgrid[: deep.image.shape[0], : deep.image.shape[1]]
    ra, dec, _ = sky_of_stars()
    for one_x, one_y in list(zip(*deep.grid.sky_map.pixels(ra, dec), strict=True))[5:]:
        weight = np.where(np.hypot(columns - one_x, rows - one_y) < 6, deep.image.data, 0)
        assert (weight * columns).sum() / weight.sum() == pytest.approx(one_x, abs=0.03)
        assert (weight * rows).sum() / weight.sum() == pytest.approx(one_y, abs=0.03)


def test_a_stack_of_nothing_is_refused() -> None:
    one, member = image(1)
    with pytest.raises(NotEnoughFrames):
        stacked([(one, replace(member, quality=5))])


@pytest.mark.parametrize("far_deg", [1.0, 30.0])
def test_a_field_that_no_image_covers_is_refused(far_deg: float) -> None:
    one, _ = image(1)
    grid = common_grid([one.sky_map], [SHAPE], centre_deg=(RA + far_deg, DEC), size_px=(90, 80))
    with pytest.raises(NotEnoughFrames, match="in the field that was chosen"):
        stack([one], grid)


def test_stars_are_measured_on_the_stack_as_on_a_single_image(deep: Stacked) -> None:
    identity = Identity(
        instrument="ALFOSC", kind=FrameKind.IMG_OBJECT, exposure_s=100.0, target="M 1",
        observed_at=None, ra_deg=RA, dec_deg=DEC,
        setup=Setup(
            x_binning=1, y_binning=1, window=(1, 280, 1, 260), readout="", filter="r_SDSS"
        ),
    )  # fmt: skip
    alfosc = load_instrument("alfosc")
    found = measure_stack(deep, identity, References(), alfosc, solved=False)
    assert found is not None
    assert found.measurements["seeing_arcsec"] == pytest.approx(4.0 * SCALE, rel=0.05)
    ra, dec, rate = sky_of_stars()
    x, y = deep.grid.sky_map.pixels(ra, dec)
    measured = found.photometry
    for one_x, one_y, one_rate in zip(x, y, rate, strict=True):
        away = np.hypot(measured.x - one_x, measured.y - one_y)
        nearest = int(np.argmin(away))
        assert away[nearest] < 0.2
        flux, error = measured.flux[nearest], measured.flux_error[nearest]
        assert flux / deep.gain_s == pytest.approx(one_rate, rel=0.02)
        # Photons of the star and of the sky under it, in eight images of 100 s.
        counted = one_rate * deep.gain_s
        limit = np.sqrt(counted + np.pi * 4.0**2 * NOISE_E**2 * 8)
        assert error > 0.7 * limit
        assert abs(flux - counted) < 4 * error
