"""Several exposures on one wavelength grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector
    from reducers.spectroscopy.resample import Resampled

Plane = NDArray[np.float64]

#: What changes over fewer pixels than this is the target or noise, not the exposure.
SLOW_PX = 51


@dataclass(frozen=True, slots=True)
class Stack:
    """Exposures on one grid: every plane is (members, pixels), per Angstrom."""

    flux: Plane
    variance: Plane
    covariance: Plane
    sky: Plane
    mask: NDArray[np.uint16]
    good: NDArray[np.bool_]

    def scaled(self, factors: Vector) -> Stack:
        """Return the stack with every exposure divided by its factor."""
        f = factors[:, None]
        return replace(
            self,
            flux=self.flux / f,
            variance=self.variance / f**2,
            covariance=self.covariance / f**2,
        )


def stacked(each: Sequence[Resampled]) -> Stack:
    """Return resampled spectra as planes."""
    return Stack(
        np.array([e.flux for e in each]),
        np.array([e.variance for e in each]),
        np.array([e.covariance for e in each]),
        np.array([e.sky for e in each]),
        np.array([e.mask for e in each]),
        np.array([e.good for e in each]),
    )


def slow(values: Vector, size: int = SLOW_PX) -> Vector:
    """Return the running mean."""
    return np.asarray(ndimage.uniform_filter1d(values, size, mode="nearest"))
