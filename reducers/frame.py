"""The value every detector step takes and returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Vector = NDArray[np.float64]


class Mask(IntFlag):
    """Reasons why a pixel is not to be trusted; 0 is good."""

    GOOD = 0
    BAD = 1
    COSMIC = 2
    SATURATED = 4
    NEIGHBOUR = 8
    TRAIL = 16
    VIGNETTED = 32
    NONLINEAR = 64
    NO_FLAT = 128
    EDGE = 256
    WAVE_EXTRAPOLATED = 512
    TELLURIC = 1024
    NO_FLUX_CALIBRATION = 2048
    SECOND_ORDER = 4096
    COSMIC_IN_PROFILE = 8192
    STRONG_SKY_LINE = 16384
    INTERPOLATED = 32768


#: Pixels with any of these bits carry no usable signal.
UNUSABLE = Mask.BAD | Mask.COSMIC | Mask.SATURATED | Mask.TRAIL | Mask.EDGE


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where an image lies on the detector.

    Where `turned`, x and y of this class belong to the detector as turned with the image: its x
    is the real detector's y, so that y runs along the dispersion behind every slit.

    Attributes
    ----------
    x0, y0 : int
        Unbinned detector pixel (0-based) under the first edge of pixel [0, 0].
    x_binning, y_binning : int
        Detector pixels per image pixel.
    turned : bool
        The image was transposed: its rows follow the real detector's x.
    """

    x0: int = 0
    y0: int = 0
    x_binning: int = 1
    y_binning: int = 1
    turned: bool = False

    def transposed(self) -> Geometry:
        """Return the geometry of the transposed image."""
        return Geometry(
            x0=self.y0,
            y0=self.x0,
            x_binning=self.y_binning,
            y_binning=self.x_binning,
            turned=not self.turned,
        )

    def on_detector(self, row: Any, column: Any) -> tuple[Any, Any]:
        """Return (x, y) on the real detector (unbinned, 0-based), turned or not."""
        x, y = self.detector_x(column), self.detector_y(row)
        return (y, x) if self.turned else (x, y)

    def detector_x(self, column: Any) -> Any:
        """Return the unbinned detector x (0-based, pixel centres) of image columns."""
        return self.x0 + self.x_binning * np.asarray(column) + (self.x_binning - 1) / 2

    def detector_y(self, row: Any) -> Any:
        """Return the unbinned detector y (0-based, pixel centres) of image rows."""
        return self.y0 + self.y_binning * np.asarray(row) + (self.y_binning - 1) / 2

    def column(self, detector_x: Any) -> Any:
        """Return the image column of unbinned detector x."""
        return (np.asarray(detector_x) - self.x0 - (self.x_binning - 1) / 2) / self.x_binning

    def row(self, detector_y: Any) -> Any:
        """Return the image row of unbinned detector y."""
        return (np.asarray(detector_y) - self.y0 - (self.y_binning - 1) / 2) / self.y_binning


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One detector image with what is known of its errors; planes are read-only.

    Attributes
    ----------
    data : (ny, nx) float32
        Counts in `unit`.
    variance : (ny, nx) float32
        Variance of `data`, in its unit squared.
    mask : (ny, nx) uint16
        Bits of `Mask`; 0 is good.
    unit : str
        'adu', 'electron', or '' for a ratio.
    geometry : Geometry
        Place and binning on the detector.
    history : tuple of str
        The steps already applied, oldest first.
    """

    data: Image
    variance: Image
    mask: NDArray[np.uint16]
    unit: str = "adu"
    geometry: Geometry = field(default_factory=Geometry)
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.data.shape == self.variance.shape == self.mask.shape:
            raise ValueError(
                f"planes differ in shape: data {self.data.shape}, "
                f"variance {self.variance.shape}, mask {self.mask.shape}"
            )
        object.__setattr__(self, "data", read_only(self.data, np.float32))
        object.__setattr__(self, "variance", read_only(self.variance, np.float32))
        object.__setattr__(self, "mask", read_only(self.mask, np.uint16))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.data.shape
        return rows, columns

    @property
    def good(self) -> NDArray[np.bool_]:
        """True where no `UNUSABLE` bit is set."""
        return np.asarray((self.mask & np.uint16(UNUSABLE)) == 0)

    def after(self, step: str, **planes: Any) -> Frame:
        """Return a copy with `planes` replaced and `step` appended to the history."""
        return replace(self, history=(*self.history, step), **planes)


def read_only(plane: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return `plane` as `dtype`, contiguous and not writeable."""
    array = np.ascontiguousarray(plane, dtype=dtype)
    if array is plane and array.flags.writeable:
        array = array.view()
    array.setflags(write=False)
    return array
