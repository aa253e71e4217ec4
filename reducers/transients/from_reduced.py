"""A reduced image as the search takes it, straight from the recipe."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.zero_point import ZeroPoint, magnitudes
from reducers.transients.search_image import SearchImage, SourceTable, concentration

if TYPE_CHECKING:
    from reducers.frame import Vector
    from reducers.identity import Identity
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.instrument import Instrument


def search_image_of(
    reduced: ReducedImage, identity: Identity, instrument: Instrument, *, name: str = ""
) -> SearchImage:
    """Return a reduced image as the search for new sources takes it.

    A recipe that stopped early gives an image without sources or without a place, never an error.
    """
    found, place = reduced.photometry, reduced.astrometry
    sky_map = place.sky_map if place is not None and place.solved else None
    zero = reduced.zero_point or ZeroPoint()
    frame = reduced.image
    scale = instrument.detector.pixel_scale_arcsec * frame.geometry.x_binning
    begun = identity.observed_at
    detector = instrument.detector
    centre = (
        float(frame.geometry.column((detector.columns - 1) / 2)),
        float(frame.geometry.row((detector.rows - 1) / 2)),
    )
    return SearchImage(
        name=name,
        light=np.asarray(frame.data - reduced.background, np.float32),
        residual=found.fit.residual if found is not None else None,
        mask=frame.mask,
        sources=source_table(found, reduced, zero, identity.exposure_s),
        sky_map=sky_map,
        position_error_arcsec=_map_error(reduced),
        pixel_scale_arcsec=sky_map.pixel_scale_arcsec if sky_map is not None else scale,
        fwhm_px=found.psf.fwhm_px if found is not None else math.nan,
        zero_point_mag=zero.magnitude,
        exposure_s=identity.exposure_s,
        band=zero.band,
        system=zero.system,
        filter=identity.setup.filter,
        target=identity.target or identity.object_name,
        middle=begun + timedelta(seconds=identity.exposure_s / 2) if begun else None,
        optical_centre_px=centre,
    )


def _map_error(reduced: ReducedImage) -> float:
    """Return the error of the map per axis: of the fit, and of the air that the stars scatter by.

    The scatter of bright stars about the map is what it does not describe: turbulence, distortion.
    """
    place = reduced.astrometry
    if place is None or not place.solved:
        return math.nan
    scatter = max(place.ra_rms_mas, place.dec_rms_mas)
    return float(np.hypot(np.nan_to_num(place.systematic_mas), np.nan_to_num(scatter))) / 1000


def source_table(
    found: Photometry | None, reduced: ReducedImage, zero: ZeroPoint, exposure_s: float
) -> SourceTable:
    """Return the sources of an image's photometry; none where there is no photometry."""
    if found is None or not len(found):
        return SourceTable.empty()
    seen = found.apertures
    unknown = np.full(len(found), np.nan)
    ra, dec = unknown, unknown
    if reduced.astrometry is not None and reduced.astrometry.solved:
        ra, dec = reduced.astrometry.sky_map.sky(found.x, found.y)
    magnitude, error = unknown, unknown
    if zero.known and exposure_s > 0:
        magnitude, error = magnitudes(seen.kron_flux, seen.kron_error, zero, exposure_s)
    share, share_error = concentration(seen.radii_px, seen.flux, seen.flux_error)
    return SourceTable(
        number=np.arange(1, len(found) + 1),
        x_px=found.x,
        y_px=found.y,
        error_px=np.hypot(found.x_error, found.y_error) / np.sqrt(2),
        ra_deg=ra,
        dec_deg=dec,
        magnitude=magnitude,
        magnitude_error=error,
        flux=seen.kron_flux,
        flux_error=seen.kron_error,
        snr=_ratio(found.flux, found.flux_error),
        concentration=share,
        concentration_error=share_error,
        chi2=found.fit.chi2,
        crowding=seen.crowding,
        semimajor_px=seen.kron_radius_px,
        axis_ratio=seen.kron_axis_ratio,
        theta_rad=seen.kron_theta_rad,
        flags=found.flags,
    )


def _ratio(flux: Vector, error: Vector) -> Vector:
    return np.asarray(flux / np.where(error > 0, error, np.nan))
