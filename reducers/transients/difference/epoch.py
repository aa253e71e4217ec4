"""An image as difference imaging needs it: light, noise, place, point spread, stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reducers.frame import UNUSABLE, Frame, Vector
from reducers.imaging.point_spread import PointSpread
from reducers.imaging.sky_map import SkyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class StarList:
    """The sources of an image that may tell how two images compare.

    Attributes
    ----------
    x, y, error_px : (n,) float64
        0-based pixels, and the error of the place per axis.
    flux, flux_error : (n,) float64
        Total light.
    usable : (n,) bool
        Point-like, unsaturated, unblended, well measured.
    """

    x: Vector
    y: Vector
    error_px: Vector
    flux: Vector
    flux_error: Vector
    usable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One image of a field.

    Attributes
    ----------
    name : str
        Of its file, for people.
    frame : Frame
        Light above the sky, with its whole variance.
    sky_map : SkyMap
        Its place, confirmed by stars.
    psf : PointSpread
        Of `frame`'s pixels; `psf.stars` 0 where it is a guess.
    stars : StarList
    band : str
        Of the zero point: 'r', 'V'.
    zero_point_mag, zero_point_error_mag : float
        Of one unit of light per second; NaN where not known.
    exposure_s : float
        Seconds that the unit of light belongs to.
    """

    name: str
    frame: Frame
    sky_map: SkyMap
    psf: PointSpread
    stars: StarList
    band: str = ""
    zero_point_mag: float = float("nan")
    zero_point_error_mag: float = float("nan")
    exposure_s: float = 1.0

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Pixels with a number and no bit that spoils them."""
        good = (self.frame.mask & np.uint16(UNUSABLE)) == 0
        return np.asarray(good & np.isfinite(self.frame.data) & np.isfinite(self.frame.variance))


@dataclass(frozen=True, slots=True)
class NoDifference:
    """Why one image cannot be taken off another, in words."""

    why: str
