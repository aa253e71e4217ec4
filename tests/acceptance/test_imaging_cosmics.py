"""Cosmic rays are found, and stars are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from reducers.frame import Mask
from reducers.imaging.reduced_image import ImageSettings
from tests.acceptance.sky_camera import FULL, SCENE, SKY, SkyCamera

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
TO_THE_MASK = ImageSettings(stop_after="sky")


def on_image(plane, frame):
    """Return a plane of the raw frame where the reduced one lies."""
    geometry = frame.geometry
    rows, columns = frame.shape
    return plane[:rows, :columns] if geometry.x0 == 700 else plane[:rows, 50 : 50 + columns]


def judged(shot, result, sigma=5.0):
    """Return completeness over `sigma` beside stars, pixels, wrong ones, cores marked and all.

    Beside stars: where they shine by less than twice the noise.
    """
    frame = result.image
    charge = on_image(shot.planes.cosmic_ray_e, frame)
    marked = (frame.mask & np.uint16(Mask.COSMIC)) != 0
    usable = (frame.mask & np.uint16(Mask.SATURATED | Mask.VIGNETTED)) == 0
    noise = np.sqrt(frame.variance)
    light = on_image(shot.planes.expected_e, frame)
    beside = light - np.median(light[usable]) < 2 * noise
    over = (charge > sigma * noise) & usable & beside
    # A track that the edge cuts may look as wide as a star.
    over[:3], over[-3:], over[:, :3], over[:, -3:] = False, False, False, False
    wrong = marked & ~maximum_filter(charge > 0.5, 3)
    x = frame.geometry.column(shot.truth.x)
    y = frame.geometry.row(shot.truth.y)
    return (
        marked[over].mean(),
        int(over.sum()),
        int(wrong.sum()),
        struck_cores(marked, charge, frame, x, y, shot.truth.electrons),
    )


def struck_cores(marked, charge, frame, x, y, electrons):
    """Count unsaturated stars of S/N > 30 with a mark in their 5 x 5 core and no hit near."""
    struck = stars = 0
    ny, nx = frame.shape
    for star_x, star_y, light in zip(x, y, electrons, strict=True):
        c, r = round(float(star_x)), round(float(star_y))
        if light < 1.5e4 or not (8 < c < nx - 9 and 8 < r < ny - 9):
            continue
        near = np.s_[r - 7 : r + 8, c - 7 : c + 8]
        if (frame.mask[near] & np.uint16(Mask.SATURATED | Mask.VIGNETTED)).any():
            continue
        if charge[near].max() > 0.5:
            continue
        stars += 1
        struck += bool(marked[r - 2 : r + 3, c - 2 : c + 3].any())
    return struck, stars


def test_cosmic_rays_are_found_and_no_core_of_a_star_is_hit(camera) -> None:
    shot = camera.image(seeing_arcsec=0.9, scene=replace(SCENE, hit_rate=15.0))
    result = camera.reduce(shot, settings=TO_THE_MASK)
    for least, sigma in ((0.93, 5.0), (0.985, 10.0)):
        completeness, pixels, wrong, (struck, stars) = judged(shot, result, sigma)
        assert pixels > 100
        assert stars > 30
        assert completeness >= least
        assert wrong < 1e-4 * 700 * 700
        assert struck == 0


@pytest.mark.slow
def test_cosmic_rays_of_full_frames(tmp_path) -> None:
    camera = SkyCamera(tmp_path, window=FULL)
    for density, seeing, exposure_s in ((18e3, 1.0, 120), (92e3, 0.8, 120), (490e3, 1.2, 300)):
        scene = replace(SCENE, sky=replace(SKY, stars_per_deg2=density), hit_rate=3.0)
        shot = camera.image(scene=scene, seeing_arcsec=seeing, exposure_s=exposure_s)
        result = camera.reduce(shot, settings=TO_THE_MASK)
        completeness, _, wrong, (struck, stars) = judged(shot, result)
        # The faintest of them are lost in the noise where every second star is as sharp.
        assert completeness >= 0.96
        assert wrong < 1e-4 * result.image.data.size
        assert struck <= stars / 1000
