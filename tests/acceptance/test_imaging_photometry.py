"""Magnitudes of a simulated sky are the true ones within the errors that stand beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from reducers.imaging.photometry import forced_photometry
from reducers.imaging.source_flags import SourceFlag
from reducers.imaging.zero_point import magnitudes
from tests.acceptance.sky_camera import SkyCamera
from tests.acceptance.sky_truth import lonely, photon_noise_e

if TYPE_CHECKING:
    from tests.acceptance.sky_camera import Shot

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

#: What spoils a flux by itself.
SPOILT = SourceFlag.MASKED | SourceFlag.SATURATED | SourceFlag.EDGE | SourceFlag.TRAIL


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> SkyCamera:
    return SkyCamera(tmp_path_factory.mktemp("sky"), window=(401, 1700, 401, 1700))


@pytest.fixture(scope="module")
def red(camera: SkyCamera) -> tuple[Any, Shot]:
    shot = camera.image()
    return camera.reduce(shot), shot


class Pairs:
    """Sources beside the true stars they come from."""

    def __init__(self, result: Any, shot: Shot) -> None:
        frame, truth, found = result.image, shot.truth, result.photometry
        self.x, self.y = frame.geometry.column(truth.x), frame.geometry.row(truth.y)
        galaxies = np.column_stack(
            [frame.geometry.column(truth.galaxy_x), frame.geometry.row(truth.galaxy_y)]
        )
        stars = np.column_stack([self.x, self.y])
        sources = np.column_stack([found.x, found.y])
        gap, self.star = cKDTree(stars).query(sources)
        lonely = cKDTree(stars).query(stars, k=2)[0][:, 1] > 4 * found.psf.fwhm_px
        lonely &= cKDTree(galaxies).query(stars)[0] > 25
        self.clean = (found.flags & int(SPOILT)) == 0
        self.usable = (gap < 2) & self.clean & lonely[self.star]
        everything = np.concatenate([stars, galaxies])
        self.false = (cKDTree(everything).query(sources)[0] > 4) & self.clean
        inside = (self.x > 15) & (self.x < frame.shape[1] - 15)
        inside &= (self.y > 15) & (self.y < frame.shape[0] - 15) & lonely
        self.complete = inside
        self.seen = cKDTree(sources).query(stars)[0] < 2.5


def test_magnitudes_scatter_by_their_errors_at_every_brightness(red: tuple[Any, Shot]) -> None:
    result, shot = red
    found, zero, pairs = result.photometry, result.zero_point, Pairs(result, shot)
    assert zero.known, zero.why
    mag, error = magnitudes(found.flux, found.flux_error, zero, shot.planned.exposure_s)
    truth = shot.truth.zero_point - shot.truth.extinction
    truth = truth - 2.5 * np.log10(shot.truth.electrons[pairs.star] / shot.planned.exposure_s)
    for low, high in ((8, 20), (20, 60), (60, 300)):
        snr = found.flux / found.flux_error
        chosen = pairs.usable & (snr > low) & (snr < high)
        pulls = ((mag - truth) / error)[chosen]
        assert chosen.sum() > 15
        assert np.std(pulls) == pytest.approx(1.0, abs=0.3), (low, high)
        # The zero point's own error is common to all.
        assert abs(np.median((mag - truth)[chosen])) < 0.02 + 0.5 / low / np.sqrt(chosen.sum())


def test_faint_light_asked_for_at_true_places_scatters_by_its_errors(red: tuple[Any, Shot]) -> None:
    """What is detected near the limit is what noise made brighter: only given places are fair."""
    result, shot = red
    found, pairs, electrons = result.photometry, Pairs(result, shot), shot.truth.electrons
    noise = 1.1 * photon_noise_e(shot, electrons)
    asked = np.flatnonzero(pairs.complete & (electrons > 2 * noise) & (electrons < 15 * noise))
    asked = asked[lonely(shot, asked)]
    x, y = pairs.x[asked], pairs.y[asked]
    flux, error = forced_photometry(found, x, y, occupied=result.segmentation > 0)
    bright = pairs.usable & (found.flux > 60 * found.flux_error)
    scale = np.median(found.flux[bright] / electrons[pairs.star[bright]])
    pulls = (flux - scale * electrons[asked]) / error
    snr = electrons[asked] / noise[asked]
    for low, high in ((2, 5), (5, 15)):
        chosen = (snr > low) & (snr < high)
        assert chosen.sum() > 40
        spread = 1.4826 * np.median(np.abs(pulls[chosen] - np.median(pulls[chosen])))
        assert spread == pytest.approx(1.0, abs=0.25), (low, high)
        assert abs(np.median(pulls[chosen])) < 0.35


def test_hardly_any_source_is_false_and_hardly_any_star_is_missed(red: tuple[Any, Shot]) -> None:
    result, shot = red
    found, pairs = result.photometry, Pairs(result, shot)
    assert np.mean(pairs.false) <= 0.01
    faint = found.flux < 15 * found.flux_error
    limit = 5 * float(np.median(found.flux_error[faint & pairs.clean]))
    below = -2.5 * np.log10(shot.truth.electrons / limit)
    near = pairs.complete & (below > -0.3) & (below < 0.0)  # half are found at -0.15
    assert np.mean(pairs.seen[near]) > 0.5
    bright = pairs.complete & (below < -1.0)
    assert np.mean(pairs.seen[bright]) > 0.95


def test_the_limits_are_those_at_which_fluxes_have_that_noise(red: tuple[Any, Shot]) -> None:
    result, shot = red
    found, depth = result.photometry, result.depth
    faint = (found.flux < 10 * found.flux_error) & (found.flags == 0)
    noise = float(np.median(found.flux_error[faint]))
    limit = result.zero_point.magnitude - 2.5 * np.log10(5 * noise / shot.planned.exposure_s)
    assert depth.psf[1] == pytest.approx(limit, abs=0.1)
    assert depth.aperture[1] < depth.psf[1]
    sky = shot.truth.passband.sky_mag
    assert abs(depth.sky_mag_arcsec2 - sky) < 0.7  # moon, airmass and twilight move it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("band", "tolerance"),
    [("g_SDSS", 0.012), ("z_SDSS", 0.015), ("B", 0.02), ("V", 0.02), ("R", 0.02)],
)
def test_zero_points_are_the_true_ones(camera: SkyCamera, band: str, tolerance: float) -> None:
    shot = camera.image(band)
    result = camera.reduce(shot, band)
    found, zero, pairs = result.photometry, result.zero_point, Pairs(result, shot)
    assert zero.known, zero.why
    mag, error = magnitudes(found.flux, found.flux_error, zero, shot.planned.exposure_s)
    truth = shot.truth.zero_point - shot.truth.extinction
    truth = truth - 2.5 * np.log10(shot.truth.electrons[pairs.star] / shot.planned.exposure_s)
    bright = pairs.usable & (error < 0.03)
    assert abs(np.median((mag - truth)[bright])) < tolerance
