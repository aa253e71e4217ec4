"""Real images of the second instrument through the same recipe, unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from reducers.errors import NotEnoughFrames
from reducers.fits import read_raw
from reducers.frame import Mask
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.imaging.masters import build_fringe, build_sky_flat
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageCalibrations, ImageSettings
from reducers.profiles import load_instrument
from reducers.recipes import Exposure, build_bias
from tests.reducers.imaging.repeated import paired

pytestmark = pytest.mark.realdata
EFOSC2 = load_instrument("efosc2")
BINNED_ARCSEC = 0.24


@pytest.fixture(scope="module")
def exposures(realdata):
    found = {}
    for path in sorted((realdata / "efosc2_raw").glob("*.fits.gz")):
        raw = read_raw(path, EFOSC2.detector)
        identity = identify(raw.header, EFOSC2)
        if not identity.setup.grism or identity.kind is FrameKind.BIAS:
            exposure = Exposure(raw=raw, identity=identity, stem=path.name)
            found.setdefault(identity.kind, []).append(exposure)
    return found


@pytest.fixture(scope="module")
def bias(exposures):
    built = build_bias(exposures[FrameKind.BIAS], EFOSC2)
    facts = {"bias_read_noise_adu": built.measurements["read_noise_adu"]}
    return ImageCalibrations(bias=built.value, facts=facts)


@pytest.fixture(scope="module")
def flat(exposures, bias):
    return build_sky_flat(exposures[FrameKind.IMG_FLAT], bias, EFOSC2)


@pytest.fixture(scope="module")
def products(exposures, bias, flat):
    facts = {
        "flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"],
        "flat_gain_error": flat.measurements["gain_error"],
    }
    given = replace(bias, flat=flat.value, facts={**bias.facts, **facts})
    return [reduce_image(e, given, EFOSC2) for e in exposures[FrameKind.IMG_OBJECT]]


def test_the_twilight_flats_are_fit_and_give_the_gain(flat) -> None:
    assert flat.verdict == ""
    assert flat.measurements["frames"] == 3
    assert flat.measurements["gain_e_per_adu"] == pytest.approx(1.18, abs=0.02)
    assert flat.measurements["unevenness"] < 0.005


def test_the_flat_is_one_in_the_middle_and_dark_at_the_edge(flat) -> None:
    frame = flat.value
    assert np.median(frame.data[frame.good]) == pytest.approx(1.0, abs=0.01)
    edge = (frame.mask & np.uint16(Mask.VIGNETTED)) != 0
    assert 0.001 < edge.mean() < 0.02
    assert not edge[100:-100, 100:-100].any()


def test_the_blocked_and_the_bright_column_are_bad(flat) -> None:
    bad = (flat.value.mask & np.uint16(Mask.BAD)) != 0
    columns = np.flatnonzero(bad.mean(axis=0) > 0.15)
    assert 2 <= columns.size <= 8
    assert bad.mean() < 0.01


def test_the_noise_of_the_empty_sky_is_that_of_the_error_plane(products) -> None:
    for product in products:
        frame, rest = product.image, product.image.data - product.background
        pull = rest / np.sqrt(frame.variance)
        empty = frame.good & (frame.mask == 0) & (product.segmentation == 0)
        near_stars = np.abs(pull) > 4
        assert np.std(pull[empty & ~near_stars]) == pytest.approx(1.0, abs=0.05)
        assert product.measurements["noise_ratio"] == pytest.approx(1.0, abs=0.05)


def test_the_flat_takes_the_light_of_the_field_out_of_the_sky(products) -> None:
    for product in products:
        assert product.measurements["sky_unevenness"] < 0.05


def test_the_same_stars_are_on_all_three_where_the_offsets_put_them(products) -> None:
    first = products[0].detections
    bright = slice(0, 40)
    for product, (east, north) in zip(products[1:], ((10.0, 5.0), (10.0, 10.0)), strict=True):
        stars = product.detections
        shift = north_right(east, north)
        tree = cKDTree(np.column_stack([stars.x, stars.y]))
        away, _ = tree.query(np.column_stack([first.x, first.y])[bright] + shift)
        assert np.mean(away < 6.0) > 0.6


def north_right(east_arcsec, north_arcsec):
    """Return by how many pixels stars move (x, y): east is at the right, north up."""
    return np.array([-east_arcsec, -north_arcsec]) / BINNED_ARCSEC


def test_seeing_and_number_of_stars_agree_between_the_exposures(products) -> None:
    seeing = [product.measurements["seeing_arcsec"] for product in products]
    stars = [product.measurements["stars"] for product in products]
    assert max(seeing) < 1.15
    assert min(seeing) > 0.85
    assert min(stars) > 50
    assert max(stars) < 1.2 * min(stars)


def test_a_column_that_only_faint_light_shows_to_be_wrong_is_bad(products) -> None:
    for product in products:
        bad = (product.image.mask & np.uint16(Mask.BAD)) != 0
        assert bad[200:900, 639].mean() > 0.8
        assert bad.mean() < 0.02


def test_neither_the_rim_of_the_field_nor_two_bright_stars_make_a_trail(products) -> None:
    assert [product.trails for product in products] == [(), (), ()]


def test_sound_images_raise_no_flag_but_the_missing_catalogue(products) -> None:
    for product in products:
        names = {flag.name for flag in product.flags}
        assert names <= {"WCS_UNCHECKED", "CAT_MISSING", "NO_ZP", "UNVERIFIED", "NO_COLOUR_TERM"}
        assert product.quality <= 2


def test_without_its_flat_an_image_is_reduced_and_says_so(exposures, bias) -> None:
    exposure = exposures[FrameKind.IMG_OBJECT][0]
    product = reduce_image(exposure, bias, EFOSC2, ImageSettings(stop_after="sky"))
    assert "NO_FLAT" in {flag.name for flag in product.flags}


def test_three_exposures_are_too_few_for_fringes(exposures, bias) -> None:
    with pytest.raises(NotEnoughFrames, match="3 exposures"):
        build_fringe(exposures[FrameKind.IMG_OBJECT], bias, EFOSC2)


def test_stars_repeat_within_the_errors_that_stand_beside_them(products) -> None:
    pulls = []
    for first, second in ((0, 1), (1, 2), (0, 2)):
        one, two = products[first].photometry, products[second].photometry
        a, b = paired(one, two)
        ratio = np.log(two.flux[b] / one.flux[a])
        error = np.hypot(one.flux_error[a] / one.flux[a], two.flux_error[b] / two.flux[b])
        stars = (one.kind.star_probability[a] > 0.3) & (two.kind.star_probability[b] > 0.3)
        cloud = np.median(ratio[stars & (error < 0.07)])
        chosen = (error < 0.2) & (error > 0.03)
        pulls.append(((ratio - cloud) / error)[chosen])
    every = np.concatenate(pulls)
    assert len(every) > 150
    assert np.std(every) == pytest.approx(1.0, abs=0.15)


def test_a_point_spread_is_made_of_the_few_stars_of_a_high_field(products) -> None:
    for product in products:
        psf = product.photometry.psf
        assert psf.stars >= 8
        assert psf.chi2 == pytest.approx(1.0, abs=0.15)
        assert 2 < psf.beta < 6
