"""Sources found on one image, before anything is known of the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Mask, Vector

#: Bits that keep a source from telling the shape of stars.
NO_STAR = np.uint16(
    Mask.BAD | Mask.COSMIC | Mask.SATURATED | Mask.NEIGHBOUR | Mask.TRAIL | Mask.EDGE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """What the detection step found, brightest first.

    Attributes
    ----------
    x, y : (n,) float64
        Windowed centroids, 0-based image pixels (the centre of the first pixel is 0, 0).
    x_error, y_error : (n,) float64
        Photon errors of the centroids, pixels.
    flux, flux_error : (n,) float64
        Electrons in an aperture of radius one FWHM, and the error.
    peak : (n,) float64
        Brightest pixel above the sky, electrons.
    semimajor_px, semiminor_px, theta_rad : (n,) float64
        Second moments; theta counter-clockwise from x.
    area_px : (n,) int64
        Pixels above the threshold.
    mask_bits : (n,) uint16
        Bits of `Mask` set within one FWHM of the centre.
    deblended : (n,) bool
        Shares its isophote with another source.
    fwhm_px : float
        Median FWHM of the unsaturated stars; NaN where none was found.
    flooded : float
        Part of the image that is bright over more area than any source, and was not searched.
    """

    x: Vector
    y: Vector
    x_error: Vector
    y_error: Vector
    flux: Vector
    flux_error: Vector
    peak: Vector
    semimajor_px: Vector
    semiminor_px: Vector
    theta_rad: Vector
    area_px: NDArray[np.int64]
    mask_bits: NDArray[np.uint16]
    deblended: NDArray[np.bool_]
    fwhm_px: float
    flooded: float = 0.0

    def __len__(self) -> int:
        return len(self.x)
