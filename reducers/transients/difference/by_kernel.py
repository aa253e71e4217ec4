"""The difference by a fitted kernel, and the flux of a new star everywhere in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from reducers.transients.difference.alard_lupton import convolved, fit_kernel
from reducers.transients.difference.fourier import fftconvolve
from reducers.transients.difference.planes import scale_ratio, taper
from reducers.transients.difference.zogy import Matched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Image
    from reducers.transients.difference.epoch import Epoch
    from reducers.transients.difference.planes import Planes
    from reducers.transients.difference.registration import Registered


def by_kernel(
    science: Epoch, template: Epoch, registered: Registered, planes: Planes
) -> Matched | None:
    """Return the difference by a fitted kernel, filtered with the mean star of the wider image."""
    ratio = np.float32(registered.flux_ratio)
    other, other_variance = planes.template / ratio, planes.template_variance / ratio**2
    widths = science.psf.fwhm_px, template.psf.fwhm_px * scale_ratio(science, template)
    variance = planes.new_variance + other_variance
    good = ~planes.lost
    places = registered.x, registered.y
    if widths[0] >= widths[1]:
        kernel = fit_kernel(other, planes.new, variance, good, *places, (widths[1], widths[0]))
        if kernel is None:
            return None
        difference = planes.new - convolved(other, kernel)
        variance = planes.new_variance + convolved(other_variance, kernel, square=True)
        wide, scale = planes.new, 1.0
    else:
        kernel = fit_kernel(planes.new, other, variance, good, *places, widths)
        if kernel is None or not kernel.scale > 0:
            return None
        scale = kernel.scale
        difference = (convolved(planes.new, kernel) - other) / np.float32(scale)
        variance = convolved(planes.new_variance, kernel, square=True) + other_variance
        variance, wide = variance / np.float32(scale**2), other / np.float32(scale)
    psf = mean_star(wide, good, *places, max(widths))
    if psf is None:
        return None
    return _filtered(difference, np.asarray(variance, np.float32), planes, psf, wide)


def mean_star(
    light: Image,
    good: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    fwhm_px: float,
) -> NDArray[np.float64] | None:
    """Return the median of clean stars, each centred and of unit light; None of none."""
    half = int(np.clip(np.ceil(2.5 * fwhm_px), 5, 40))
    rows, columns = light.shape
    step = np.arange(-half, half + 1)
    found = []
    for column, row in zip(x, y, strict=True):
        if not (half < column < columns - half - 1 and half < row < rows - half - 1):
            continue
        cut = np.s_[
            round(row) - half : round(row) + half + 1,
            round(column) - half : round(column) + half + 1,
        ]
        if not good[cut].all():
            continue
        at = np.meshgrid(
            step + row - round(row) + half, step + column - round(column) + half, indexing="ij"
        )
        star = ndimage.map_coordinates(light[cut], at, order=3, mode="nearest")
        core = np.hypot(step[:, None], step[None, :]) < 1.5 * fwhm_px
        if star[core].sum() > 0:
            found.append(star / star[core].sum())
    if not found:
        return None
    psf = np.median(found, axis=0) * taper(half)
    return np.asarray(psf / psf.sum())


def _filtered(
    difference: Image, variance: Image, planes: Planes, psf: NDArray[np.float64], wide: Image
) -> Matched:
    """Return the flux of a new star everywhere in a difference."""
    kernel = psf[::-1, ::-1].astype(np.float32)
    power = np.float32(np.sum(psf**2))

    def through(plane: Image, shape: Image) -> Image:
        return np.asarray(fftconvolve(plane, shape, mode="same"), np.float32)

    lost = planes.lost.astype(np.float32)
    clean = np.where(planes.lost, np.float32(0), difference)
    return Matched(
        difference=difference.astype(np.float32),
        difference_variance=variance.astype(np.float32),
        flux=through(clean, kernel) / power,
        variance=np.asarray(np.maximum(through(variance, kernel**2), 0) / power**2, np.float32),
        own_light=through(wide, kernel) / power,
        lost=np.clip(through(lost, kernel**2) / power, 0, 1),
        leak=np.asarray(np.abs(through(planes.hidden, np.abs(kernel))) / power, np.float32),
        psf=psf[None, None],
    )
