"""The sky of an image: a smooth level and its noise, safe from stars and galaxies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import sep
from numpy.typing import NDArray

from reducers.detector.grow import grown
from reducers.frame import Frame, Image, Mask

#: Boxes of the mesh, and how many of them are smoothed together.
MESH_PX, FILTER_BOXES = 64, 3
#: Sources that are kept out of the second mesh: blocks of so many pixels, so many sigma above the
#: first one, and the blocks around them.
BLOCK_PX, SOURCE_SIGMA = 4, 3.0
#: The same sigma where the sky is drawn by fringes.
FRINGED_SIGMA = 15.0
#: Bits that keep a pixel out of the sky.
NO_SKY = np.uint16(
    Mask.BAD
    | Mask.COSMIC
    | Mask.SATURATED
    | Mask.NEIGHBOUR
    | Mask.TRAIL
    | Mask.EDGE
    | Mask.VIGNETTED
    | Mask.NO_FLAT
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """The sky of one image.

    Attributes
    ----------
    level, rms : (ny, nx) float32
        Sky and its scatter per pixel, in the frame's unit.
    sources : (ny, nx) bool
        Pixels that were kept out because something shines there.
    """

    level: Image
    rms: Image
    sources: NDArray[np.bool_]


def estimate_background(
    frame: Frame, *, mesh_px: int = MESH_PX, source_sigma: float = SOURCE_SIGMA
) -> Background:
    """Return the sky: a mesh of clipped modes, made twice, the second time without the sources.

    Parameters
    ----------
    source_sigma
        What stands so far above the noise of its surroundings is a source. Where fringes draw the
        sky, their crests must stay below it: see `FRINGED_SIGMA`.

    Notes
    -----
    Bertin & Arnouts (1996, A&AS 117, 393), section 2, in the implementation of Barbary (2016,
    JOSS 1, 58). The wings of what the first mesh shows would lift the second by up to 1 %.
    """
    unusable = (frame.mask & NO_SKY) != 0
    if unusable.all():
        return no_background(frame)
    data = frame.data.copy()  # sep wants to be allowed to write
    first = _mesh(data, unusable, mesh_px)
    above = np.where(unusable, np.float32(0), data - first.back(dtype=np.float32))
    sources = blocks_above(above, source_sigma * first.globalrms / BLOCK_PX)
    second = _mesh(data, unusable | sources, mesh_px)
    return Background(
        level=second.back(dtype=np.float32),
        rms=second.rms(dtype=np.float32),
        sources=sources & ~unusable,
    )


def blocks_above(data: Image, limit: float) -> NDArray[np.bool_]:
    """Return (ny, nx) where the mean of a block exceeds a limit, one block around it included."""
    ny, nx = data.shape
    rows, columns = -(-ny // BLOCK_PX), -(-nx // BLOCK_PX)
    padded = np.zeros((rows * BLOCK_PX, columns * BLOCK_PX), np.float32)
    padded[:ny, :nx] = data
    means = padded.reshape(rows, BLOCK_PX, columns, BLOCK_PX).mean(axis=(1, 3))
    marked = grown(means > limit, rows=1, columns=1)
    return np.repeat(np.repeat(marked, BLOCK_PX, axis=0), BLOCK_PX, axis=1)[:ny, :nx]


def no_background(frame: Frame) -> Background:
    """Return a sky of zero, with the noise that the frame declares: nothing was estimated."""
    return Background(
        level=np.zeros_like(frame.data),
        rms=np.sqrt(frame.variance),
        sources=np.zeros(frame.shape, bool),
    )


def one_level(background: Background) -> Background:
    """Return a sky of one level, its median, so that whatever varies stays on the image."""
    level = np.full_like(background.level, np.median(background.level))
    return replace(background, level=level)


def _mesh(data: Image, left_out: NDArray[np.bool_], mesh_px: int) -> sep.Background:
    return sep.Background(
        data, mask=left_out, bw=mesh_px, bh=mesh_px, fw=FILTER_BOXES, fh=FILTER_BOXES
    )
