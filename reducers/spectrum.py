"""The value that extraction returns and calibration refines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reducers.frame import UNUSABLE, Vector, read_only


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """One extracted spectrum, wavelength rising; arrays are read-only.

    Attributes
    ----------
    wavelength : (n,) float64
        Vacuum Angstrom, at pixel centres; where `in_pixels`, detector pixels (unbinned, 0-based)
        along the dispersion.
    flux, error, sky : (n,) float64
        Signal, its standard deviation and the sky under it, in `unit`.
    mask : (n,) uint16
        Bits of `reducers.frame.Mask`.
    unit : str
        'electron' per pixel, or 'erg / (s cm2 Angstrom)'.
    history : tuple of str
        The steps already applied, oldest first.
    """

    wavelength: Vector
    flux: Vector
    error: Vector
    sky: Vector
    mask: NDArray[np.uint16]
    unit: str = "electron"
    history: tuple[str, ...] = ()
    in_pixels: bool = False

    def __post_init__(self) -> None:
        sizes = {
            name: getattr(self, name).shape
            for name in ("wavelength", "flux", "error", "sky", "mask")
        }
        if len(set(sizes.values())) != 1:
            raise ValueError(f"columns differ in length: {sizes}")
        for name in ("wavelength", "flux", "error", "sky"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))
        object.__setattr__(self, "mask", read_only(self.mask, np.uint16))

    @property
    def good(self) -> NDArray[np.bool_]:
        """True where the flux is usable and finite."""
        usable = (self.mask & np.uint16(UNUSABLE)) == 0
        finite = np.isfinite(self.flux) & np.isfinite(self.error)
        return np.asarray(usable & finite & (self.error > 0))

    def after(self, step: str, **columns: Any) -> Spectrum:
        """Return a copy with `columns` replaced and `step` appended to the history."""
        return replace(self, history=(*self.history, step), **columns)
