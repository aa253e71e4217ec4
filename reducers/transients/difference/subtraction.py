"""Take a template off an image, by the method that the pair allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Frame, Image
from reducers.imaging.empty_sky import spread_of
from reducers.transients.difference.by_kernel import by_kernel
from reducers.transients.difference.epoch import Epoch, NoDifference
from reducers.transients.difference.model_error import light_error
from reducers.transients.difference.planes import Planes, prepared
from reducers.transients.difference.registration import Registered, register
from reducers.transients.difference.tiles import in_tiles

if TYPE_CHECKING:
    from reducers.transients.difference.zogy import Matched

#: More of the filter's weight on lost pixels than this, and nothing is said of a place.
MOST_LOST = 0.1
#: A point spread with fewer stars, or one that misses its stars' light by more, is not trusted.
FEWEST_PSF_STARS, WORST_PSF_ERROR = 4, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An image less its template, in the unit of the image.

    Attributes
    ----------
    method, reason : str
        'zogy' or 'kernel', and why.
    frame : Frame
        The difference; `Mask.EDGE` where there is none, and the bits of both images.
    flux, sigma : (ny, nx) float32
        Light of a new star centred on each pixel and its error, everything known included.
    own_light : (ny, nx) float32
        What the image itself gives by the same filter.
    valid : (ny, nx) bool
        Where flux and sigma mean something.
    total : float
        Total light of a star over `flux`.
    psfs : (tiles y, tiles x, m, m) float64
        Of `frame`, by tile.
    template : Frame
        On the grid of the image, in its unit.
    measurements : mapping of str to float
    """

    method: str
    reason: str
    frame: Frame
    flux: Image
    sigma: Image
    own_light: Image
    valid: NDArray[np.bool_]
    total: float
    psfs: NDArray[np.float64]
    template: Frame
    registered: Registered
    measurements: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> Image:
        """Corrected score: flux over its error, 0 where it means nothing."""
        return np.where(self.valid, self.flux / self.sigma, np.float32(0))

    def psf_at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the point spread of the difference at a place."""
        rows, columns = self.psfs.shape[:2]
        row = int(np.clip(y * rows / self.frame.shape[0], 0, rows - 1))
        column = int(np.clip(x * columns / self.frame.shape[1], 0, columns - 1))
        return np.asarray(self.psfs[row, column])


def subtract(science: Epoch, template: Epoch) -> Difference | NoDifference:
    """Take a template off an image.

    Matched statistics (ZOGY) where both point spreads are known, a fitted kernel where not; where
    nothing can be done, why.
    """
    for epoch, role in ((science, "image"), (template, "template")):
        if not epoch.usable.any():
            return NoDifference(f"the {role} has no usable pixel")
    registered = register(science, template)
    if isinstance(registered, NoDifference):
        return registered
    planes = prepared(science, registered)
    doubt = _doubt(science, "image") or _doubt(template, "template")
    if not doubt:
        matched = in_tiles(science, template, registered, planes)
        return _finished(
            "zogy", "both point spreads are known", science, registered, planes, matched
        )
    fitted = by_kernel(science, template, registered, planes)
    if fitted is None:
        return NoDifference(f"{doubt}, and too few stars are clean enough to fit a kernel")
    return _finished("kernel", doubt, science, registered, planes, fitted)


def _doubt(epoch: Epoch, role: str) -> str:
    """Return what is wrong with a point spread; '' where nothing is."""
    psf = epoch.psf
    if psf.stars < FEWEST_PSF_STARS:
        return f"the point spread of the {role} is made of {psf.stars} stars"
    if not psf.model_error < WORST_PSF_ERROR:
        share = 100 * psf.model_error
        return f"the point spread of the {role} misses {share:.0f} % of its stars' light"
    return ""


def _finished(
    method: str,
    reason: str,
    science: Epoch,
    registered: Registered,
    planes: Planes,
    found: Matched,
) -> Difference:
    """Return the difference with every known error in it, and what was measured."""
    slope_y, slope_x = np.gradient(found.own_light)
    motion = (slope_x**2 + slope_y**2) * np.float32(registered.scatter_px**2)
    valid = (found.lost < MOST_LOST) & ~planes.lost
    variance = found.variance + motion + found.leak**2
    dark = valid & (np.abs(found.own_light) < 3 * np.sqrt(np.maximum(variance, 1e-20)))
    level = np.float32(np.median(found.flux[dark])) if dark.any() else np.float32(0)
    flux = found.flux - level
    doubt = light_error(flux, variance, found.own_light, valid, registered, science.psf.fwhm_px)
    variance = variance + np.float32(doubt**2) * found.own_light**2
    sigma = np.sqrt(np.maximum(variance, 1e-20))
    empty = valid & (np.abs(found.own_light) < 3 * sigma)
    pull = (flux / sigma)[::3, ::3][empty[::3, ::3]]
    noise = spread_of(pull)[0] if pull.size > 200 else 1.0
    frame = Frame(
        data=found.difference,
        variance=found.difference_variance,
        mask=planes.mask,
        unit=science.frame.unit,
        geometry=science.frame.geometry,
        history=(*science.frame.history, f"difference: {method}, {reason}"),
    )
    ratio = np.float32(registered.flux_ratio)
    return Difference(
        method=method,
        reason=reason,
        frame=frame,
        flux=flux,
        sigma=(sigma * np.float32(max(noise, 1.0))).astype(np.float32),
        own_light=found.own_light,
        valid=valid,
        total=registered.total,
        psfs=found.psf,
        template=Frame(
            data=registered.frame.data / ratio, variance=registered.frame.variance / ratio**2,
            mask=registered.frame.mask, unit=science.frame.unit,
        ),
        registered=registered,
        measurements={
            "difference_stars": float(len(registered.x)),
            "difference_flux_ratio": registered.flux_ratio,
            "difference_flux_ratio_error": registered.flux_ratio_error,
            "difference_place_px": registered.scatter_px,
            "difference_light_error": doubt,
            "difference_noise": noise,
            "difference_level": float(level),
            "difference_covered": float(valid.mean()),
        },
    )  # fmt: skip
