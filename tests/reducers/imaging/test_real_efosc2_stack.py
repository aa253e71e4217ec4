"""Three real exposures of one field, placed by their own stars and added."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from reducers.fits import read_raw
from reducers.frame import UNUSABLE, Mask
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.imaging.background import estimate_background
from reducers.imaging.common_light import StarLight, common_light
from reducers.imaging.detection import detect
from reducers.imaging.masters import build_sky_flat
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageCalibrations, ImageSettings
from reducers.imaging.register import common_grid, place_by_stars
from reducers.imaging.resample_image import InMemory
from reducers.imaging.stack import StackImage, as_electrons, stack
from reducers.imaging.stack_members import Member, choose
from reducers.profiles import load_instrument
from reducers.recipes import Exposure, build_bias

pytestmark = pytest.mark.realdata
EFOSC2 = load_instrument("efosc2")


@pytest.fixture(scope="module")
def products(realdata):
    found = {}
    for path in sorted((realdata / "efosc2_raw").glob("*.fits.gz")):
        raw = read_raw(path, EFOSC2.detector)
        identity = identify(raw.header, EFOSC2)
        if not identity.setup.grism or identity.kind is FrameKind.BIAS:
            exposure = Exposure(raw=raw, identity=identity, stem=path.name)
            found.setdefault(identity.kind, []).append(exposure)
    built = build_bias(found[FrameKind.BIAS], EFOSC2)
    noise = {"bias_read_noise_adu": built.measurements["read_noise_adu"]}
    given = ImageCalibrations(bias=built.value, facts=noise)
    flat = build_sky_flat(found[FrameKind.IMG_FLAT], given, EFOSC2)
    gain = {"flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"]}
    given = replace(given, flat=flat.value, facts=noise | gain)
    how = ImageSettings(stop_after="astrometry")
    images = found[FrameKind.IMG_OBJECT]
    return [(one, reduce_image(one, given, EFOSC2, how)) for one in images]


@pytest.fixture(scope="module")
def placed(products):
    """Return the map of each image: the first as its header says, the others by their stars."""
    first = products[0][1]
    maps = [first.astrometry.sky_map]
    for _, product in products[1:]:
        found = place_by_stars(
            product.detections, product.image.shape, first.detections, first.astrometry.sky_map
        )
        assert found is not None
        maps.append(found[0])
        assert found[1] > 30
        assert found[2] < 0.06
    return maps


@pytest.fixture(scope="module")
def images(products, placed):
    members, lights = [], {}
    for number, ((exposure, product), sky_map) in enumerate(zip(products, placed, strict=True)):
        seconds, stars = exposure.identity.exposure_s, product.detections
        ra, dec = sky_map.sky(stars.x, stars.y)
        lights[str(number)] = StarLight(
            ra_deg=ra,
            dec_deg=dec,
            rate=stars.flux / seconds,
            rate_error=stars.flux_error / seconds,
        )
        members.append(
            Member(
                name=str(number),
                exposure_s=seconds,
                seeing_arcsec=product.measurements["seeing_arcsec"],
                sky_e=product.measurements["sky_e"],
                sky_sigma_e=product.measurements["sky_sigma_e"],
            )
        )
    choices = choose(members, transparency=common_light(lights))
    return [
        StackImage(
            choice=choice,
            sky_map=sky_map,
            pixels=InMemory(
                product.image.after("sky", data=product.image.data - product.background)
            ),
        )
        for choice, sky_map, (_, product) in zip(choices, placed, products, strict=True)
    ]


@pytest.fixture(scope="module")
def stacks(images, placed, products):
    """Return the stack of all three, and that of each alone on the same grid."""
    grid = common_grid(placed, [product.image.shape for _, product in products])
    alone = [
        replace(one, choice=replace(one.choice, weight=1.0), pixels=one.pixels) for one in images
    ]
    return stack(images, grid), [stack([one], grid) for one in alone]


def test_the_transparency_of_the_three_agrees(images) -> None:
    light = [1 / one.choice.scale / one.choice.member.exposure_s for one in images]
    assert min(light) > 0.93


def test_the_noise_falls_as_the_root_of_three(stacks, products) -> None:
    done, singles = stacks
    free = (done.coverage == 3) & ((done.image.mask & np.uint16(UNUSABLE)) == 0)
    sky = estimate_background(done.image)
    free &= ~sky.sources
    for single in singles:
        free &= (single.image.mask & np.uint16(UNUSABLE | Mask.NEIGHBOUR)) == 0

    def noise(one):
        values = one.image.data[free]
        return 1.4826 * np.median(np.abs(values - np.median(values))) / np.sqrt(one.noise_gain)

    usual = np.sqrt(np.mean([noise(one) ** 2 for one in singles]))
    assert usual / noise(done) == pytest.approx(np.sqrt(3), rel=0.06)
    told = np.sqrt(np.median(done.image.variance[free]) / done.noise_gain)
    assert noise(done) == pytest.approx(told, rel=0.08)


def test_stars_keep_their_light(stacks) -> None:
    done, singles = stacks
    light = as_electrons(done)
    sky = estimate_background(light)
    stars, _ = detect(light, sky.level, sky.rms)
    ratios = []
    tree = cKDTree(np.column_stack([stars.x, stars.y]))
    lonely = tree.query(np.column_stack([stars.x, stars.y]), k=2)[0][:, 1] > 15
    clean = (
        lonely & (stars.mask_bits & np.uint16(UNUSABLE) == 0) & (stars.flux > 60 * stars.flux_error)
    )
    rows, columns = np.mgrid[: done.image.shape[0], : done.image.shape[1]]
    for x, y in zip(stars.x[clean], stars.y[clean], strict=True):
        near = np.hypot(columns - x, rows - y) < 7
        if any((s.coverage[near] == 0).any() for s in singles):
            continue
        sums = [(s.image.data[near]).sum() for s in (done, *singles)]
        ratios.append(sums[0] / np.mean(sums[1:]))
    assert len(ratios) > 10
    assert np.median(ratios) == pytest.approx(1, abs=0.003)
    assert np.abs(np.array(ratios) - 1).max() < 0.01


def test_no_star_is_taken_for_an_outlier(stacks) -> None:
    done, _ = stacks
    assert max(share.rejected for share in done.shares) < 0.002
