"""Apply a star flat to an image, and tell what it did to each star."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.flat_error import smooth_flat_error

if TYPE_CHECKING:
    from reducers.frame import Frame, Vector
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.zero_point import ZeroPoint

MAG_PER_LOG = 2.5 / float(np.log(10))


def divide_star_flat(frame: Frame, star_flat: Frame) -> Frame:
    """Divide by the response to stars; its error, which pixels share, is that of the fluxes."""
    response = star_flat.data
    rms_mmag = 1000 * MAG_PER_LOG * float(np.std(response[::8, ::8]))
    return frame.after(
        f"star flat: divided, rms {rms_mmag:.1f} mmag",
        data=frame.data / response,
        variance=frame.variance / response**2,
    )


def with_star_flat_error(photometry: Photometry, star_flat: Frame | None) -> Photometry:
    """Return fluxes whose errors hold that of the star flat instead of a flat nobody corrected."""
    if star_flat is None:
        return photometry
    x, y = photometry.x, photometry.y
    _, error = at_stars(star_flat, x, y)
    more = (error / MAG_PER_LOG) ** 2 - smooth_flat_error(photometry.plane, x, y) ** 2

    def with_more(flux: Vector, flux_error: Vector) -> Vector:
        return np.sqrt(np.maximum(flux_error**2 + more * flux**2, 0))

    return replace(
        photometry,
        flux_error=with_more(photometry.flux, photometry.flux_error),
        aperture_error=with_more(photometry.aperture_flux, photometry.aperture_error),
    )


def with_applied(zero: ZeroPoint, photometry: Photometry, star_flat: Frame | None) -> ZeroPoint:
    """Return a zero point that tells what was applied to its stars.

    A star flat of these images later adds it to the residuals: it never corrects itself.
    """
    if star_flat is None or not zero.known:
        return zero
    source = zero.source_index
    applied, _ = at_stars(star_flat, photometry.x[source], photometry.y[source])
    return replace(zero, star_applied=applied)


def at_stars(star_flat: Frame, x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Return the magnitudes that a star flat put on stars at places, and their errors."""
    ny, nx = star_flat.shape
    column = np.clip(np.rint(np.nan_to_num(x)), 0, nx - 1).astype(int)
    row = np.clip(np.rint(np.nan_to_num(y)), 0, ny - 1).astype(int)
    response = star_flat.data[row, column].astype(np.float64)
    error = np.sqrt(star_flat.variance[row, column].astype(np.float64)) / response
    return MAG_PER_LOG * np.log(response), MAG_PER_LOG * error
