"""What a reduced image of the simulated sky shows, held against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from reducers.simulate.field_truth import true_fwhm_px
from reducers.simulate.star_images import Shape, moffat_stamps
from tests.acceptance.sky_camera import ALFOSC

if TYPE_CHECKING:
    from tests.acceptance.sky_camera import Shot

#: The unvignetted field, detector pixels.
CENTRE_PX, LIT_PX = (1060, 1035), 850


def lit(x: Any, y: Any) -> Any:
    """Tell which detector pixels see the whole sky."""
    return np.hypot(x - CENTRE_PX[0], y - CENTRE_PX[1]) < LIT_PX


def effective_pixels(shot: Shot) -> float:
    """Return the number of pixels over which the noise of an optimal flux is taken."""
    shape = Shape(fwhm_px=true_fwhm_px(shot.planned, ALFOSC))
    middle = np.zeros(1)
    psf = moffat_stamps(middle, middle, middle + 1049.0, middle + 1049.0, shape, 25)[0]
    return float(1 / np.sum(psf**2))


def photon_noise_e(shot: Shot, electrons: Any) -> Any:
    """Return the error of an optimal flux in the middle of the field, electrons."""
    expected = shot.planes.expected_e
    ny, nx = expected.shape
    # The middle of the field is in every window.
    sky = float(np.median(expected[ny // 3 : 2 * ny // 3, nx // 3 : 2 * nx // 3]))
    return np.sqrt(effective_pixels(shot) * (sky + 5.76**2) + np.maximum(electrons, 0))


def five_sigma_mag(shot: Shot) -> float:
    """Return the magnitude of a star at five sigma of the photons."""
    truth, limit = shot.truth, 5.0 * float(photon_noise_e(shot, 0.0))
    rate = limit / shot.planned.exposure_s
    return float(truth.zero_point - truth.extinction - 2.5 * np.log10(rate))


def pairs(shot: Shot, result: Any, reach_px: float = 2.0) -> tuple[Any, Any]:
    """Return indices (detection, star) of what belongs together, each once, in the lit field."""
    found, truth = result.detections, shot.truth
    x, y = result.image.geometry.on_detector(found.y, found.x)
    inside = np.flatnonzero(lit(truth.x, truth.y))
    if not len(x) or not len(inside):
        return np.zeros(0, int), np.zeros(0, int)
    bright_first = inside[np.argsort(-truth.electrons[inside])]
    distance, nearest = cKDTree(np.c_[x, y]).query(np.c_[truth.x, truth.y][bright_first])
    close = distance < reach_px
    detection, first = np.unique(nearest[close], return_index=True)
    return detection, bright_first[close][first]


def lonely(shot: Shot, stars: Any, fwhms: float = 4.0) -> Any:
    """Tell which stars have no other of a fiftieth of their light within some FWHM, nor galaxy."""
    truth, reach = shot.truth, fwhms * true_fwhm_px(shot.planned, ALFOSC)
    places = np.c_[truth.x, truth.y]
    near = cKDTree(places).query_ball_point(places[stars], reach)
    alone = np.array(
        [truth.electrons[n].sum() - truth.electrons[s] < 0.02 * truth.electrons[s]
         for n, s in zip(near, stars, strict=True)], bool,
    )  # fmt: skip
    if len(truth.galaxy_x):
        distance, _ = cKDTree(np.c_[truth.galaxy_x, truth.galaxy_y]).query(places[stars])
        alone &= distance > 30
    return alone


def false_detections(shot: Shot, result: Any) -> int:
    """Count what was detected in the lit field where nothing stands."""
    found, truth = result.detections, shot.truth
    x, y = result.image.geometry.on_detector(found.y, found.x)
    places = np.c_[np.append(truth.x, truth.galaxy_x), np.append(truth.y, truth.galaxy_y)]
    distance, _ = cKDTree(places).query(np.c_[x, y])
    return int(np.sum((distance > 4) & lit(x, y)))


def flux_errors(
    shot: Shot, result: Any, flux_of: str = "flux", error_of: str = "flux_error"
) -> tuple[Any, Any, Any, Any]:
    """Return magnitude, error (mmag), photon limit (mmag) and pull of lonely, clean stars.

    Fluxes are compared after one common factor, that of the bright stars.
    """
    phot, truth = result.photometry, shot.truth
    detection, star = pairs(shot, result)
    flux = getattr(phot, flux_of)[detection]
    error = getattr(phot, error_of)[detection]
    clean = result.detections.mask_bits[detection] == 0
    use = lonely(shot, star) & clean & np.isfinite(flux) & (flux > 0)
    star, flux, error = star[use], flux[use], error[use]
    ratio = flux / truth.electrons[star]
    bright = (truth.magnitude[star] < five_sigma_mag(shot) - 4.5) & (truth.magnitude[star] > 15)
    usual = np.median(ratio[bright]) if bright.sum() > 4 else np.median(ratio)
    off_mmag = -2500 * np.log10(ratio / usual)
    limit = 1085.7 * photon_noise_e(shot, truth.electrons[star]) / truth.electrons[star]
    pull = (flux - usual * truth.electrons[star]) / error
    return truth.magnitude[star], off_mmag, limit, pull


def calibrated(shot: Shot, result: Any, least_snr: float = 40.0) -> tuple[Any, Any]:
    """Return calibrated less true magnitude of clean stars, and their g - r."""
    zero, phot, truth = result.zero_point, result.photometry, shot.truth
    detection, star = pairs(shot, result)
    flux, error = phot.flux[detection], phot.flux_error[detection]
    use = lonely(shot, star) & (result.detections.mask_bits[detection] == 0)
    use &= (flux > least_snr * error) & (truth.stars.number[star] >= 0)
    star, flux = star[use], flux[use]
    mags = truth.stars.magnitudes
    colour = (mags["g_SDSS"] - mags["r_SDSS"])[star]
    ours = zero.magnitude - 2.5 * np.log10(flux / shot.planned.exposure_s)
    ours = ours + zero.colour_term * (colour - zero.reference_colour)
    return ours - mags[truth.passband.band][star], colour
