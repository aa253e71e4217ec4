"""Running medians along one axis of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from scipy.ndimage import median_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T", bound="np.floating[Any]")


def running_median(image: NDArray[T], length_px: int, *, axis: int) -> NDArray[T]:
    """Return the median over `length_px` pixels along an axis, mirrored at the ends.

    Parameters
    ----------
    image : (ny, nx)
        What is not finite counts as zero.
    length_px
        Odd.

    Notes
    -----
    The same values as `scipy.ndimage.median_filter` with a window of one pixel across: laid
    end to end, the lines take scipy's way for one dimension, which is up to nine times as fast.
    """
    if length_px % 2 == 0:
        raise ValueError(f"a running median has a middle: {length_px} px is even")
    margin = length_px // 2
    lines = np.moveaxis(np.where(np.isfinite(image), image, 0), axis, -1)
    padded = np.pad(lines, ((0, 0), (margin, margin)), mode="symmetric")
    found = median_filter(padded.ravel(), size=length_px).reshape(padded.shape)
    inner = found[:, margin : margin + lines.shape[-1]]
    return np.ascontiguousarray(np.moveaxis(inner, -1, axis), dtype=image.dtype)
