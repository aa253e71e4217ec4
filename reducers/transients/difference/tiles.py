"""The matched difference of a whole image, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.transients.difference.planes import PSF_FWHM, scale_ratio, taper
from reducers.transients.difference.zogy import TILE_PX, Matched, Pair, matched_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Image
    from reducers.transients.difference.epoch import Epoch
    from reducers.transients.difference.planes import Planes
    from reducers.transients.difference.registration import Registered


def in_tiles(science: Epoch, template: Epoch, registered: Registered, planes: Planes) -> Matched:
    """Return the matched difference, every tile with its own point spreads and noise."""
    rows, columns = planes.new.shape
    wide = max(science.psf.fwhm_px, template.psf.fwhm_px * scale_ratio(science, template))
    half = int(np.clip(np.ceil(PSF_FWHM * wide), 6, 60))
    margin = 2 * half
    count = tuple(max(1, round(side / TILE_PX)) for side in (rows, columns))
    edges = [
        np.linspace(0, side, n + 1).astype(int)
        for side, n in zip((rows, columns), count, strict=True)
    ]
    result = {name: np.zeros((rows, columns), np.float32) for name in _PLANES}
    shapes = np.zeros((*count, 2 * half + 1, 2 * half + 1))
    for i, (top, bottom) in enumerate(zip(edges[0][:-1], edges[0][1:], strict=True)):
        for j, (left, right) in enumerate(zip(edges[1][:-1], edges[1][1:], strict=True)):
            outer = np.s_[
                max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin
            ]
            centre = (left + right) / 2, (top + bottom) / 2
            pair = _pair(science, template, registered, planes, outer, centre, half)
            found = matched_difference(pair)
            inner = np.s_[
                top - outer[0].start : bottom - outer[0].start,
                left - outer[1].start : right - outer[1].start,
            ]
            for name, plane in result.items():
                plane[top:bottom, left:right] = getattr(found, name)[inner]
            shapes[i, j] = found.psf
    return Matched(**result, psf=shapes)


_PLANES = ("difference", "difference_variance", "flux", "variance", "own_light", "lost", "leak")


def _pair(
    science: Epoch, template: Epoch, registered: Registered, planes: Planes,
    cut: tuple[slice, slice], centre: tuple[float, float], half: int,
) -> Pair:  # fmt: skip
    """Return one tile of both images with its point spreads."""
    seen = ~planes.lost[cut]
    soft = taper(half)
    whole = np.maximum(
        science.psf.picture(*centre, half=2 * half),
        registered.psf_at(template.psf, *centre, 2 * half),
    )
    return Pair(
        new=planes.new[cut],
        template=planes.template[cut],
        new_variance=planes.new_variance[cut],
        template_variance=planes.template_variance[cut],
        lost=planes.lost[cut].astype(np.float32),
        bright=planes.bright[cut],
        hidden=planes.hidden[cut],
        new_psf=science.psf.picture(*centre, half=half) * soft,
        template_psf=registered.psf_at(template.psf, *centre, half) * soft,
        wing=np.maximum(whole, 0) * (1 - np.pad(soft, half)),
        flux_ratio=registered.flux_ratio,
        new_sigma=_sky_sigma(planes.new_variance[cut], seen),
        template_sigma=_sky_sigma(planes.template_variance[cut], seen),
    )


def _sky_sigma(variance: Image, seen: NDArray[np.bool_]) -> float:
    """Return the noise of the sky of a piece: sources only add to a variance."""
    values = variance[::5, ::5][seen[::5, ::5]]
    return float(np.sqrt(np.percentile(values if values.size else variance[::5, ::5], 30)))
