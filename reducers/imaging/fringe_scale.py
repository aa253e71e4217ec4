"""The scale of fringes: a pattern is smoothed as far as its own crests allow, and no further."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Image

#: Kernels that are tried, sigma in pixels.
KERNELS_PX = (1.0, 1.5, 2.0, 3.0, 4.5, 6.5)
#: Where less than this part of a kernel's weight is on used pixels, there is no pattern.
LEAST_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class FringeScale:
    """What one kernel makes of the two halves of the exposures.

    Attributes
    ----------
    kernel_px
        Sigma of the Gaussian.
    shared
        Variance that the halves share under the narrowest kernel, which costs no fringe anything.
    signal
        Variance that the smoothed halves share: the pattern's.
    lost
        Variance that they share no longer, since the kernel took it off.
    noise
        Variance of the noise that the mean of all exposures keeps under this kernel.
    """

    kernel_px: float
    shared: float
    signal: float
    lost: float
    noise: float

    @property
    def signal_to_noise(self) -> float:
        """Pattern over its noise, both rms, at the scale of the kernel."""
        return float(np.sqrt(max(self.signal, 0.0) / max(self.noise, 1e-30)))


def smoothed(data: Image, weight: Image, kernel_px: float) -> Image:
    """Return the weighted mean around each pixel; 0 where hardly anything around has weight."""
    around = gaussian_filter(weight, kernel_px, mode="constant")
    total = gaussian_filter(weight * data, kernel_px, mode="constant")
    return np.where(_enough(around, weight), total / np.maximum(around, 1e-9), np.float32(0))


def smoothed_variance(variance: Image, weight: Image, kernel_px: float) -> Image:
    """Return the variance of `smoothed`, each pixel's; neighbours within a kernel share it.

    The square of a Gaussian is one of 1/sqrt(2) the width and of the integral 1/(4 pi sigma^2).
    """
    around = gaussian_filter(weight, kernel_px, mode="constant")
    total = gaussian_filter(weight**2 * variance, kernel_px / np.sqrt(2), mode="constant")
    share = np.float32(1 / (4 * np.pi * kernel_px**2))
    return np.where(
        _enough(around, weight), share * total / np.maximum(around, 1e-9) ** 2, np.float32(0)
    )


def find_scale(first: Image, second: Image, weights: tuple[Image, Image]) -> FringeScale:
    """Return the kernel under which the mean of two halves is nearest to what they share.

    What the kernel costs of the pattern (the halves' shared variance outside of it) and what it
    leaves of the noise (a quarter of the variance of their difference) are both measured.

    Parameters
    ----------
    first, second : (ny, nx) float32
        Means of two independent halves of the exposures.
    weights : (ny, nx) float32
        0 where a half is not to be used.
    """
    use = (weights[0] > 0) & (weights[1] > 0)
    tried = [_measured(first, second, weights, use, kernel) for kernel in KERNELS_PX]
    best = min(tried, key=lambda scale: scale.lost + scale.noise)
    return replace(best, shared=tried[0].signal)


def _measured(
    first: Image,
    second: Image,
    weights: tuple[Image, Image],
    use: NDArray[np.bool_],
    kernel_px: float,
) -> FringeScale:
    if not use.any():
        return FringeScale(kernel_px, 0.0, 0.0, 0.0, 0.0)
    a, b = (smoothed(d, w, kernel_px) for d, w in zip((first, second), weights, strict=True))
    a, b = a[use], b[use]
    rest_a, rest_b = first[use] - a, second[use] - b
    return FringeScale(
        kernel_px=kernel_px,
        shared=float(np.cov(a, b)[0, 1]),
        signal=float(np.cov(a, b)[0, 1]),
        lost=max(float(np.cov(rest_a, rest_b)[0, 1]), 0.0),
        noise=float(np.var(a - b)) / 4,
    )


def _enough(around: Image, weight: Image) -> NDArray[np.bool_]:
    return np.asarray(around > LEAST_WEIGHT * max(float(weight.max()), 1e-9))
