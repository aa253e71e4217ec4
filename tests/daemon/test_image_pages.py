"""The pages of images and of their masters: every panel is drawn, whatever is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from daemon.publish.evidence import Evidence
from daemon.publish.image_page import image_picture
from daemon.publish.look_page import look_picture, words_of
from daemon.publish.master_pages import master_picture
from reducers.imaging.masters import build_dark, build_sky_flat
from reducers.imaging.quick_look import quick_look
from reducers.imaging.quick_products import quick_hdus
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageCalibrations, ImageSettings
from reducers.imaging.references import References
from reducers.recipes import build_bias
from tests.reducers.imaging.small_camera import ALFOSC, expose, stars

if TYPE_CHECKING:
    from daemon.publish.page import Picture

RNG = np.random.default_rng(5)
FIELD = stars(RNG.uniform(20, 250, (25, 2)), 10 ** RNG.uniform(3.5, 5, 25))
SECONDS = 60.0


def said(picture: Picture) -> dict[str, object]:
    """Return what a page says; it is of the usual size and no panel failed."""
    assert Image.open(BytesIO(picture.png)).size == (1600, 1000)
    facts = json.loads(picture.json)
    assert {name: panel for name, panel in facts["panels"].items() if "failed" in panel} == {}
    return facts


@pytest.fixture(scope="module")
def given() -> ImageCalibrations:
    bias = build_bias([expose(0, seed) for seed in range(40, 45)], ALFOSC)
    return ImageCalibrations(bias=bias.value)


@pytest.mark.parametrize("stop_after", ["detector", "sky", "detect", "photometry", ""])
def test_an_image_is_drawn_however_far_it_came(stop_after: str, given: ImageCalibrations) -> None:
    exposure = expose(300 + FIELD, 3)
    settings = ImageSettings(stop_after=stop_after)
    reduced = reduce_image(exposure, given, ALFOSC, settings, References())
    facts = said(image_picture(reduced, exposure, References(reasons=("none is here",)), ["BIAS"]))
    assert facts["frame"] == exposure.stem
    assert facts["catalogues"] == ["none is here"]
    assert ("psf" in facts["panels"]) == (stop_after in ("photometry", ""))


def test_an_empty_sky_is_drawn(given: ImageCalibrations) -> None:
    exposure = expose(300, 4)
    facts = said(image_picture(
        reduce_image(exposure, given, ALFOSC), exposure, References(), []
    ))  # fmt: skip
    assert "NO_STARS" in {flag["name"] for flag in facts["flags"]}


def test_a_quick_look_says_what_it_knows(given: ImageCalibrations) -> None:
    exposure = expose(300 + FIELD, 3)
    seen = quick_look(exposure, given, ALFOSC)
    assert [words for words in words_of(seen) if "unknown" in words] == []
    assert quick_hdus(seen, exposure, [])[0].header["FWHM"] == pytest.approx(
        seen.measurements["seeing_arcsec"], rel=0.01
    )
    facts = said(look_picture(seen, exposure, ["BIAS x"]))
    assert facts["calibrations"] == ["BIAS x"]
    assert facts["measurements"]["sky_e"] == pytest.approx(300, rel=0.05)


def test_the_masters_of_images_are_drawn(given: ImageCalibrations) -> None:
    flats = tuple(expose(20_000 + 1000 * seed, seed) for seed in range(4))
    darks = tuple(replace(e) for e in (expose(5, seed, exposure_s=600.0) for seed in range(9, 13)))
    for exposures, build in ((flats, build_sky_flat), (darks, build_dark)):
        built = build(exposures, given, ALFOSC)
        case = Evidence(built=built, exposures=exposures, given=given, instrument=ALFOSC)
        facts = said(master_picture(case))
        assert facts["frames"] == [exposure.stem for exposure in exposures]
