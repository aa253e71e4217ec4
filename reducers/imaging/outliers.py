"""Pixels of one image that the other images of the same field do not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from reducers.frame import UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Callable

#: Part of a star's light by which good images may differ: scintillation, flats, the PSF's shape.
DIFFERENT = 0.05
#: Part of the step to the neighbouring pixels: images lie on each other to a fifth of a pixel.
STEP = 0.2
#: Part by which peaks may differ where the seeing is not known.
UNKNOWN_SEEING = 0.3
#: Beside what is left out, this part of the limit counts.
BESIDE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube:
    """The same pixels of several images: (n, ny, nx) planes."""

    data: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.uint16]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """True where no `UNUSABLE` bit is set."""
        return np.asarray((self.mask & np.uint16(UNUSABLE)) == 0)

    def cut(self, where: Any) -> Cube:
        """Return a part of it."""
        return Cube(data=self.data[where], variance=self.variance[where], mask=self.mask[where])


def outliers(cube: Cube, seeing: NDArray[np.float64], clip_sigma: float) -> NDArray[np.bool_]:
    """Return the pixels that differ too much from the median of the images.

    Parameters
    ----------
    seeing : (n,)
        FWHM of the images in any unit, NaN where not known: sharper images have higher peaks.
    clip_sigma
        Of the noise of the pixel and of the median together.

    Notes
    -----
    Beyond the noise, an image may differ by what its seeing does to a peak, by a twentieth of the
    light, and by a fifth of the step to the next pixels. Two images cannot tell which is right:
    the brighter one is left out.
    """
    usable = cube.usable
    count = usable.sum(0)
    pair = count == 2
    middle = np.where(pair, _fainter(cube.data, usable), median_of(cube.data, usable))
    of_middle = 1.5 * np.where(usable, cube.variance, 0).sum(0) / np.maximum(count, 1) ** 2
    step = STEP * (maximum_filter(middle, 3) - minimum_filter(middle, 3)) / 2
    light = np.maximum(middle, 0)
    far = np.zeros(usable.shape, bool)
    usual, widest = (_peak_changes(seeing, against) for against in (np.median, np.max))
    for number in range(len(seeing)):
        allowed = np.where(pair, widest[number], usual[number]) + DIFFERENT
        limit = clip_sigma * np.sqrt(cube.variance[number] + of_middle)
        extra = allowed * light + step
        away = np.abs(cube.data[number] - middle)
        comparable = usable[number] & (count > 1)
        sure = comparable & (away > limit + extra)
        beside = maximum_filter(sure, 3) & (away > BESIDE * limit + extra)
        far[number] = sure | (beside & comparable)
    # Where everything would go, nothing is known to be wrong.
    far &= (far & usable).sum(0) < count
    return far


def _fainter(data: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    least = np.where(usable, data, np.float32(np.inf)).min(0)
    return np.where(np.isfinite(least), least, np.float32(0))


def median_of(data: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the median over the first axis of what is usable, 0 where nothing is."""
    count = usable.sum(0)
    ordered = np.sort(np.where(usable, data, np.float32(np.inf)), axis=0)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(data) - 1)[None], axis=0)[0]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, (low + high) / 2, 0).astype(np.float32)


def _peak_changes(
    seeing: NDArray[np.float64], against: Callable[[NDArray[np.float64]], float]
) -> NDArray[np.float64]:
    """Return by what part the peak of a star differs from that in an image of other seeing."""
    known = np.isfinite(seeing) & (seeing > 0)
    if not known.any():
        return np.full(seeing.size, UNKNOWN_SEEING)
    peak = (against(seeing[known]) / np.where(known, seeing, 1)) ** 2
    return np.where(known, np.abs(peak - 1), UNKNOWN_SEEING)
