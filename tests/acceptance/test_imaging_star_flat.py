"""Light that reaches flat or sky by reflections, and what stars make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reducers.imaging.image_products import Making, image_products
from reducers.imaging.masters import build_sky_flat
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.imaging.star_flat import StarFlatMaterial, build_star_flat
from reducers.imaging.star_flat_fit import basis
from reducers.imaging.star_list_reading import read_star_list
from tests.acceptance.sky_camera import ALFOSC, FULL, PLACE, SCENE, SkyCamera
from tests.acceptance.sky_truth import calibrated, lonely, pairs

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.frame import Frame

pytestmark = pytest.mark.slow
#: Arcsec east and north between the exposures.
STEPS = ((0, 0), (40, 25), (-35, 30), (-20, -45), (30, -35))


class Set:
    """Dithered images through one filter and what is made of them."""

    def __init__(self, folder: Path, *, in_flat: float, in_sky: float) -> None:
        self.folder = folder
        self.camera = SkyCamera(folder, window=FULL, binning=2)
        bias = self.camera.bias()
        facts = {"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
        lit = replace(SCENE, scattered_light=in_flat, sky_gradient=0.0)
        flats = self.camera.flats("r_SDSS", scene=lit)
        flat = build_sky_flat(
            [shot.exposure for shot in flats], ImageCalibrations(bias=bias.value, facts=facts),
            ALFOSC,
        )  # fmt: skip
        assert not flat.verdict, flat.verdict
        facts["flat_gain_e_per_adu"] = flat.measurements["gain_e_per_adu"]
        facts["flat_gain_error"] = flat.measurements["gain_error"]
        self.given = ImageCalibrations(bias=bias.value, flat=flat.value, facts=facts)
        scene = replace(SCENE, scattered_light=in_sky, sky_gradient=0.0)
        self.shots = [
            self.camera.image(
                scene=scene, ra_deg=PLACE[0] + east / 3600, dec_deg=PLACE[1] + north / 3600
            )
            for east, north in STEPS
        ]

    def reduced(self, star_flat: Frame | None = None) -> list[Any]:
        given = replace(self.given, star_flat=star_flat)
        return [self.camera.reduce(shot, calibrations=given) for shot in self.shots]

    def material(self, images: list[Any]) -> StarFlatMaterial:
        """Return the stars as they come back from the files of the images."""
        lists = []
        for shot, image in zip(self.shots, images, strict=True):
            files = image_products(image, shot.exposure, Making(provenance=()))
            paths = {role: self.folder / f"{role}.fits" for role in ("image", "phot")}
            for role, path in paths.items():
                files[role].writeto(path, overwrite=True)
            lists.append(read_star_list(paths["phot"], paths["image"], shot.exposure.stem))
        assert self.given.flat is not None
        return StarFlatMaterial(flat=self.given.flat, images=tuple(i for i in lists if i))


def range_over_field_mmag(made: Set, images: list[Any]) -> float:
    """Return how far the magnitudes of equal stars differ over the field."""
    off, x, y = [], [], []
    for shot, image in zip(made.shots, images, strict=True):
        difference, _ = calibrated(shot, image)
        detection, star = pairs(shot, image)
        off.append(difference)
        keep = _kept(shot, image, detection, star)
        x.append(shot.truth.x[star][keep])
        y.append(shot.truth.y[star][keep])
    value, u, v = np.concatenate(off), np.concatenate(x), np.concatenate(y)
    u, v = (u - 1060) / 900, (v - 1035) / 900
    radius = np.hypot(u, v)
    good = np.abs(value - np.median(value)) < 0.1
    rings = [good & (radius >= low) & (radius < low + 0.2) for low in np.arange(0, 1, 0.2)]
    # Medians of rings, and the tilt that a ring does not see.
    middles = [float(np.median(value[ring])) for ring in rings]
    tilt = np.linalg.lstsq(
        np.column_stack([np.ones(good.sum()), basis(u[good], v[good], 1)]), value[good], rcond=None
    )[0][1:]
    return 1000 * max(np.ptp(middles), 2 * float(np.hypot(*tilt)))


def _kept(shot: Any, image: Any, detection: Any, star: Any) -> Any:
    phot, truth = image.photometry, shot.truth
    use = lonely(shot, star) & (image.detections.mask_bits[detection] == 0)
    use &= phot.flux[detection] > 40 * phot.flux_error[detection]
    return use & (truth.stars.number[star] >= 0)


def test_a_flat_with_reflected_light_is_corrected_by_the_stars(tmp_path: Path) -> None:
    made = Set(tmp_path, in_flat=0.03, in_sky=0.0)
    images = made.reduced()
    before = range_over_field_mmag(made, images)
    built = build_star_flat(made.material(images))
    assert not built.verdict
    corrected = made.reduced(built.value)
    after = range_over_field_mmag(made, corrected)
    assert before > 20
    assert after < 5
    # Made of the corrected images it is the same: it never corrects itself.
    again = build_star_flat(made.material(corrected))
    change = np.abs(again.value.data / built.value.data - 1)
    assert 1000 * np.percentile(change, 95) < 3


def test_reflected_light_of_the_night_sky_leaves_the_stars_alone(tmp_path: Path) -> None:
    made = Set(tmp_path, in_flat=0.0, in_sky=0.03)
    images = made.reduced()
    built = build_star_flat(made.material(images))
    assert built.measurements["sky_range"] > 0.02
    if built.verdict:
        return
    reach = np.ptp(np.percentile(2.5 * np.log10(built.value.data), (1, 99)))
    assert 1000 * reach < 3
    assert built.measurements["additive_range"] > 0.02
