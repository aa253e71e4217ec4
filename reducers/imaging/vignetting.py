"""Where the optics let no light through to the detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter, zoom

from reducers.frame import Frame, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Image

#: Below the first part of the light in the middle of the field a pixel is vignetted; below the
#: second it is not divided.
VIGNETTED_BELOW, UNLIT_BELOW = 0.5, 0.35
#: Pixels over which the light is smoothed before it is compared.
SMOOTH_PX = 7
#: Blocks in which the sky of an image shows the field, and how far above their noise it must be.
BLOCK_PX, SURE_SIGMA = 32, 20.0


def light_of_field(data: Image, good: NDArray[np.bool_]) -> Image:
    """Return smooth light relative to the middle half of the field (ny, nx)."""
    ny, nx = data.shape
    middle = (slice(ny // 4, -(ny // 4) or None), slice(nx // 4, -(nx // 4) or None))
    inside = data[middle][good[middle]]
    level = float(np.median(inside)) if inside.size else 0.0
    if not level > 0:
        return np.ones_like(data)
    # Stars and dead pixels must neither light nor darken what is around them.
    relative = np.where(good, np.clip(data / np.float32(level), 0, 1.5), np.float32(0))
    weight = uniform_filter(good.astype(np.float32), SMOOTH_PX, mode="nearest")
    smooth = uniform_filter(relative.astype(np.float32), SMOOTH_PX, mode="nearest")
    return np.asarray(np.where(weight > 0.2, smooth / np.maximum(weight, 0.2), relative))


def unlit_by_sky(frame: Frame) -> NDArray[np.bool_]:
    """Return where an image without a flat shows no sky, in blocks of 32 pixels.

    A sky too faint to tell marks nothing.
    """
    block = min(BLOCK_PX, *frame.shape)
    rows, columns = (n // block for n in frame.shape)
    cut = frame.data[: rows * block, : columns * block]
    levels = np.median(cut.reshape(rows, block, columns, block), axis=(1, 3))
    level = float(np.median(levels))
    noise = float(np.sqrt(np.median(frame.variance))) / block
    if not level > SURE_SIGMA * noise:
        return np.zeros(frame.shape, bool)
    dark = levels < UNLIT_BELOW * level
    if not dark.any():
        return np.zeros(frame.shape, bool)
    blocks = zoom(dark.astype(np.uint8), block, order=0, grid_mode=True, mode="nearest") > 0
    beyond = [(0, whole - part) for whole, part in zip(frame.shape, blocks.shape, strict=True)]
    return np.pad(blocks, beyond, mode="edge")


def mark_vignetted(frame: Frame, unlit: NDArray[np.bool_]) -> Frame:
    """Mark pixels that no light reaches as VIGNETTED and EDGE: they carry no signal."""
    mask = frame.mask.copy()
    mask[unlit] |= np.uint16(Mask.VIGNETTED | Mask.EDGE)
    return frame.after(f"field: {100 * unlit.mean():.1f} % of the pixels are unlit", mask=mask)
