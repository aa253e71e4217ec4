"""Make an image and its registered template ready to be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sep
from numpy.typing import NDArray
from scipy import ndimage

from reducers.frame import UNUSABLE, Image, Mask
from reducers.imaging.fill import fill_masked

if TYPE_CHECKING:
    from reducers.transients.difference.epoch import Epoch
    from reducers.transients.difference.registration import Registered

#: Full pixels and what is so near to them are not compared.
AROUND_FULL_PX = 6
#: Light counts as a source's above so many sigma of its pixel.
SOURCE_SIGMA = 5.0
#: Mesh on which both skies are made alike.
SKY_MESH_PX = 128
#: Half-width of the point spreads, FWHM.
PSF_FWHM = 3.5


@dataclass(frozen=True, slots=True)
class Planes:
    """Both images ready to be filtered, on one grid.

    Attributes
    ----------
    bright : (ny, nx) float32
        Light of sources, lost pixels included; 0 elsewhere.
    hidden : (ny, nx) float32
        That on pixels that one image does not show or that are full: what a filter that reaches
        them does not know.
    """

    new: Image
    template: Image
    new_variance: Image
    template_variance: Image
    lost: NDArray[np.bool_]
    mask: NDArray[np.uint16]
    bright: Image
    hidden: Image


def prepared(science: Epoch, registered: Registered) -> Planes:
    """Return both images with lost pixels filled and their skies made alike."""
    other = registered.frame
    mask = science.frame.mask | other.mask
    full = ((science.frame.mask | other.mask) & np.uint16(Mask.SATURATED)) != 0
    around = ndimage.binary_dilation(full, _disc(AROUND_FULL_PX))
    lost = ~science.usable | ((other.mask & np.uint16(UNUSABLE)) != 0) | around
    mask = mask | np.where(around & ~full, np.uint16(Mask.NEIGHBOUR), np.uint16(0))
    seen = ~lost
    single = ~science.usable & ~full
    new = np.nan_to_num(science.frame.data, nan=0, posinf=0, neginf=0)
    new = fill_masked(new, single, 3.0)[0] if single.any() else new
    new_variance = _filled_variance(science.frame.variance, science.usable | full)
    template_variance = _filled_variance(other.variance, (other.mask & np.uint16(Mask.EDGE)) == 0)
    ratio = np.float32(registered.flux_ratio)
    rest = np.ascontiguousarray(new - other.data / ratio, np.float32)
    if seen.mean() > 0.02:
        mesh = max(16, min(SKY_MESH_PX, *(side // 2 for side in new.shape)))
        sky = sep.Background(rest, mask=np.ascontiguousarray(lost), bw=mesh, bh=mesh)
        new = new - sky.back(dtype=np.float32)
    outside = (other.mask & np.uint16(Mask.EDGE)) != 0
    light = np.maximum(new, other.data / ratio)
    sure = light > SOURCE_SIGMA * np.sqrt(new_variance)
    bright = np.where(sure, light, np.float32(0)).astype(np.float32)
    hidden = np.where(around | outside, bright, np.float32(0))
    new = np.where(outside, np.float32(0), new)
    moved = np.where(outside, np.float32(0), other.data)
    new = new.astype(np.float32)
    return Planes(new, moved, new_variance, template_variance, lost, mask, bright, hidden)


def _filled_variance(variance: Image, known: NDArray[np.bool_]) -> Image:
    """Return variances with their median where none is known."""
    sound = known & np.isfinite(variance) & (variance > 0)
    typical = float(np.median(variance[sound][::17])) if sound.any() else 1.0
    return np.where(sound, variance, np.float32(typical))


def _disc(radius: int) -> NDArray[np.bool_]:
    step = np.arange(-radius, radius + 1)
    return np.asarray(step[:, None] ** 2 + step[None, :] ** 2 <= radius**2)


def scale_ratio(science: Epoch, template: Epoch) -> float:
    """Return image pixels per template pixel, in length."""
    return template.sky_map.pixel_scale_arcsec / science.sky_map.pixel_scale_arcsec


def taper(half: int) -> NDArray[np.float64]:
    """Return 1 in the middle and a smooth fall to 0 at the rim, lest the cut rings."""
    step = np.arange(-half, half + 1)
    radius = np.hypot(step[:, None], step[None, :]) / half
    return np.asarray(
        np.where(radius < 0.7, 1, np.cos(np.pi / 2 * np.clip((radius - 0.7) / 0.3, 0, 1)) ** 2)
    )
