"""An image as the search for new sources takes it, whatever made it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Image, Vector
from reducers.imaging.sky_map import SkyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """The sources of one image; all arrays are (n,), NaN where something was not measured.

    Attributes
    ----------
    number : int
        Row in the photometry of the image, from 1.
    x_px, y_px, error_px : float
        0-based image pixels, and the error per axis.
    ra_deg, dec_deg : float
        ICRS; NaN without a solution.
    magnitude, magnitude_error : float
        AUTO (Kron); NaN without a zero point.
    flux, flux_error : float
        The same, electrons.
    snr : float
        Of the point-spread fit.
    concentration, concentration_error : float
        Light within 0.7 FWHM over that within 1.5 FWHM, neighbours removed.
    chi2 : float
        Of the point-spread fit.
    crowding : float
        Neighbours' light within one FWHM over the source's own.
    semimajor_px, axis_ratio, theta_rad : float
        Of the Kron ellipse.
    flags : int
        Bits of `SourceFlag`.
    """

    number: NDArray[np.int64]
    x_px: Vector
    y_px: Vector
    error_px: Vector
    ra_deg: Vector
    dec_deg: Vector
    magnitude: Vector
    magnitude_error: Vector
    flux: Vector
    flux_error: Vector
    snr: Vector
    concentration: Vector
    concentration_error: Vector
    chi2: Vector
    crowding: Vector
    semimajor_px: Vector
    axis_ratio: Vector
    theta_rad: Vector
    flags: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def empty(cls) -> SourceTable:
        """Return the table of an image on which nothing was found."""
        integers = ("number", "flags")
        return cls(
            **{
                item.name: np.empty(0, np.int64 if item.name in integers else float)
                for item in fields(cls)
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchImage:
    """One reduced image with its sources.

    Attributes
    ----------
    name : str
        Stem of the frame.
    light : (ny, nx) float32
        Electrons above the sky.
    residual : (ny, nx) float32 or None
        The same without its sources.
    mask : (ny, nx) uint16
        Bits of `Mask`.
    sky_map : SkyMap or None
        None where stars do not confirm the place on the sky.
    position_error_arcsec : float
        Of the map, per axis.
    pixel_scale_arcsec, fwhm_px : float
    zero_point_mag : float
        NaN where there is none.
    band, system : str
        'V', 'Vega'; 'r', 'AB'.
    middle : datetime or None
        Of the exposure, UTC.
    optical_centre_px : tuple of float
        About which bright stars are mirrored, 0-based image pixels.
    """

    name: str
    light: Image
    residual: Image | None
    mask: NDArray[np.uint16]
    sources: SourceTable
    sky_map: SkyMap | None
    position_error_arcsec: float
    pixel_scale_arcsec: float
    fwhm_px: float
    zero_point_mag: float
    exposure_s: float
    band: str = ""
    system: str = ""
    filter: str = ""
    target: str = ""
    middle: datetime | None = None
    optical_centre_px: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.light.shape
        return rows, columns

    @property
    def source_error_arcsec(self) -> Vector:
        """Errors of the sources' positions per axis, that of the map included."""
        own = self.sources.error_px * self.pixel_scale_arcsec
        return np.hypot(np.nan_to_num(own, nan=0.3), self.position_error_arcsec)


def concentration(
    radii_px: Vector, flux: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[Vector, Vector]:
    """Return the light within the first radius over that within the third, and its error.

    Parameters
    ----------
    radii_px : (k,) float64
        0.7, 1.0 and 1.5 FWHM come first.
    flux, error : (n, k) float64
        Light and errors within them, neighbours removed.
    """
    inner, outer = flux[:, 0], flux[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(outer > 0, inner / outer, np.nan)
        # The ring between the radii has noise of its own: both belong to the outer sum.
        ring = np.sqrt(np.maximum(error[:, 2] ** 2 - error[:, 0] ** 2, 0))
        sigma = np.hypot((outer - inner) * error[:, 0], inner * ring) / outer**2
    return share, np.where(outer > 0, sigma, np.nan)
