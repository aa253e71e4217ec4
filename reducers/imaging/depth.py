"""How deep an image goes and how bright its sky is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.apertures import CHOSEN
from reducers.imaging.empty_sky import finite_sky

if TYPE_CHECKING:
    from reducers.frame import Image
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.zero_point import ZeroPoint

#: Sigma at which limits are stated.
SIGMAS = (3, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Limits of one image.

    Attributes
    ----------
    aperture : tuple of float
        Magnitudes of stars at 3, 5 and 10 sigma in the corrected aperture of one FWHM, the noise
        being the scatter of empty apertures; NaN without a zero point.
    psf : tuple of float
        The same for the fit of the point spread.
    aperture_noise_e, psf_noise_e : float
        One sigma, electrons of total flux.
    sky_mag_arcsec2 : float
        Brightness of the sky, in the air of the image.
    """

    aperture: tuple[float, float, float]
    psf: tuple[float, float, float]
    aperture_noise_e: float
    psf_noise_e: float
    sky_mag_arcsec2: float


def measure_depth(
    photometry: Photometry,
    background: Image,
    zero: ZeroPoint,
    *,
    exposure_s: float,
    pixel_scale_arcsec: float,
) -> Depth:
    """Return the limits of an image.

    Parameters
    ----------
    background : (ny, nx) float32
        The sky, electrons.
    """
    rows, columns = photometry.plane.shape
    x, y = np.array([columns / 2]), np.array([rows / 2])
    total = float(photometry.growth.aperture_factor(CHOSEN, x, y)[0])
    aperture = float(photometry.empty.scatter[CHOSEN]) * total
    psf = psf_noise_e(photometry) * float(photometry.growth.psf_factor(x, y)[0])
    level = zero.magnitude if zero.known else np.nan
    sky = float(np.median(background[::8, ::8])) / (exposure_s * pixel_scale_arcsec**2)
    return Depth(
        aperture=_limits(aperture, level, exposure_s),
        psf=_limits(psf, level, exposure_s),
        aperture_noise_e=aperture,
        psf_noise_e=psf,
        sky_mag_arcsec2=level - 2.5 * float(np.log10(sky)) if sky > 0 else float("nan"),
    )


def psf_noise_e(photometry: Photometry) -> float:
    """Return the noise of the fitted flux of a faint star in the middle of the image."""
    rows, columns = photometry.plane.shape
    half = photometry.fit.half_px
    picture = photometry.psf.picture(columns / 2, rows / 2, half=half)
    sky = float(np.median(finite_sky(photometry.plane)[::8, ::8]))
    return photometry.psf_noise * float(np.sqrt(sky / np.sum(picture**2)))


def _limits(noise: float, level: float, exposure_s: float) -> tuple[float, float, float]:
    """Return the magnitudes of 3, 5 and 10 times the noise."""
    if not noise > 0:
        return (float("nan"),) * 3
    three, five, ten = (
        float(level - 2.5 * np.log10(sigma * noise / exposure_s)) for sigma in SIGMAS
    )
    return three, five, ten
