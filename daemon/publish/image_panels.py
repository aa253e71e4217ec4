"""Panels about the pixels and stars of an image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import draw_histogram
from daemon.publish.page import (
    BLUE,
    GREEN,
    PALE,
    RED,
    frame,
    known,
    middle,
    note,
    percentiles,
    robust_sigma,
    say,
    title,
)
from reducers.frame import UNUSABLE, Mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from reducers.imaging.reduced_image import ReducedImage

_HALF_PX = 12
_MOST_STARS = 40
_SOURCE = np.uint16(UNUSABLE | Mask.VIGNETTED)


def _stamps(reduced: ReducedImage) -> list[tuple[NDArray[np.float64], float, float]]:
    """Return the sky-subtracted surroundings of bright clean stars, and where each lies in it."""
    found = reduced.detections
    if found is None:
        return []
    plane, mask = reduced.image.data - reduced.background, reduced.image.mask
    ny, nx = plane.shape
    stamps = []
    for x, y, bits, shared in zip(found.x, found.y, found.mask_bits, found.deblended, strict=True):
        column, row = round(x), round(y)
        inside = _HALF_PX <= column < nx - _HALF_PX and _HALF_PX <= row < ny - _HALF_PX
        if not inside or shared or bits & (_SOURCE | np.uint16(Mask.SATURATED | Mask.NONLINEAR)):
            continue
        box = (slice(row - _HALF_PX, row + _HALF_PX + 1),
               slice(column - _HALF_PX, column + _HALF_PX + 1))  # fmt: skip
        if (mask[box] & _SOURCE).any():
            continue
        stamps.append((plane[box].astype(float), x - column + _HALF_PX, y - row + _HALF_PX))
        if len(stamps) == _MOST_STARS:
            break
    return stamps


def draw_star(axes: Axes, reduced: ReducedImage) -> dict[str, Any]:
    """Draw the mean of the bright clean stars."""
    stamps = _stamps(reduced)
    title(axes, "mean of bright stars")
    if not stamps:
        return say(axes, "no clean star")
    total = sum(stamp / max(stamp.sum(), 1e-9) for stamp, _, _ in stamps) / len(stamps)
    shown = np.arcsinh(np.asarray(total) / (0.02 * float(np.max(total))))
    ends = (-_HALF_PX - 0.5, _HALF_PX + 0.5)
    axes.imshow(shown, origin="lower", cmap="gray_r", aspect="auto", interpolation="nearest",
                extent=(*ends, *ends))  # fmt: skip
    frame(axes, ends, ends, x_ticks=3, y_ticks=3, x_label="px")
    return {"stars": len(stamps)}


def draw_star_profile(axes: Axes, reduced: ReducedImage, scale_arcsec: float) -> dict[str, Any]:
    """Draw the light of the bright clean stars against the distance from their centres."""
    title(axes, "light of bright stars against the distance from their centres (log)")
    stamps = _stamps(reduced)
    if not stamps:
        return say(axes, "no clean star to show")
    rows, columns = np.indices(stamps[0][0].shape)
    radius = np.concatenate([np.hypot(columns - x, rows - y).ravel() for _, x, y in stamps])
    light = np.concatenate([(stamp / max(stamp.max(), 1e-9)).ravel() for stamp, _, _ in stamps])
    keep = (radius < _HALF_PX) & (light > 1e-4)
    axes.plot(radius[keep][::2], np.log10(light[keep][::2]), ",", color=BLUE, alpha=0.5)
    edges = np.arange(0, _HALF_PX + 0.5, 0.5)
    centres = 0.5 * (edges[1:] + edges[:-1])
    within = [(radius >= low) & (radius < low + 0.5) for low in edges[:-1]]
    medians = np.array([middle(light[each]) for each in within])
    axes.plot(centres, np.log10(np.maximum(medians, 1e-4)), "o-", ms=3, lw=1, color=RED)
    fwhm = reduced.measurements.get("fwhm_px", math.nan)
    if math.isfinite(fwhm):
        axes.axvline(fwhm / 2, color=GREEN, lw=0.9, ls="--")
    frame(axes, (0, _HALF_PX), (-3.6, 0.2), x_label="image pixel", y_label="log10 of the peak")
    note(axes, f'FWHM {known(fwhm, ".2f")} px = {known(fwhm * scale_arcsec, ".2f")}"\n'
         f"{len(stamps)} stars")  # fmt: skip
    return {"stars": len(stamps), "fwhm_px": fwhm, "profile": medians}


def draw_sky_model(axes: Axes, reduced: ReducedImage) -> dict[str, Any]:
    """Draw the sky that was taken off, in per cent of its median."""
    sky = np.asarray(reduced.background[4::16, 4::16], float)
    level = middle(sky)
    percent = 100 * (sky / level - 1) if level > 0 else sky - level
    low, high = percentiles(percent, (1, 99))
    reach = max(abs(low), abs(high), 0.1)
    ny, nx = reduced.background.shape
    axes.imshow(percent, origin="lower", cmap="RdBu_r", aspect="auto", vmin=-reach, vmax=reach,
                extent=(-0.5, nx - 0.5, -0.5, ny - 0.5))  # fmt: skip
    title(axes, f"sky model: {known(level, '.0f')} e, +-{reach:.1f} %")
    frame(axes, (-0.5, nx - 0.5), (-0.5, ny - 0.5), x_ticks=3, y_ticks=3)
    return {"median_e": level, "from_per_cent": low, "to_per_cent": high}


def draw_pulls(axes: Axes, reduced: ReducedImage) -> dict[str, Any]:
    """Draw the empty sky in units of its error: a Gaussian of width one if the errors are true."""
    title(axes, "empty sky over its error (blue), Gaussian of its width (red)")
    empty = (reduced.image.mask & _SOURCE) == 0
    if reduced.segmentation is not None:
        empty &= reduced.segmentation == 0
    step = max(1, math.isqrt(empty.size // 300_000))
    some = (slice(None, None, step), slice(None, None, step))
    seen = empty[some]
    if np.count_nonzero(seen) < 100:
        return say(axes, "no empty sky")
    pull = (reduced.image.data[some] - reduced.background[some])[seen]
    pull = pull / np.sqrt(np.maximum(reduced.image.variance[some][seen], 1e-9))
    sigma = robust_sigma(pull)
    said: dict[str, Any] = draw_histogram(axes, pull, sigma, x_label="sigma")
    note(axes, f"width {sigma:.2f}\n(1 if errors are true)")
    return said | {"median": middle(pull)}


def draw_counts(axes: Axes, reduced: ReducedImage) -> dict[str, Any]:
    """Draw how many sources there are by their flux."""
    title(axes, "sources by instrumental magnitude (electrons within one FWHM)")
    found = reduced.detections
    if found is None or not len(found):
        return say(axes, "no source was sought, or none was found")
    magnitude = -2.5 * np.log10(np.maximum(found.flux, 1e-3))
    low, high = percentiles(magnitude, (0, 100))
    edges = np.arange(math.floor(low), math.ceil(high) + 0.5, 0.5)
    if edges.size < 2:
        edges = np.array([low - 0.5, low + 0.5])
    number, _ = np.histogram(magnitude, edges)
    axes.plot(0.5 * (edges[1:] + edges[:-1]), number, drawstyle="steps-mid", color=BLUE)
    axes.axhline(0, color=PALE, lw=0.8)
    frame(axes, (edges[0], edges[-1]), (0, 1.15 * max(number.max(), 1)),
          x_label="-2.5 log10 electrons", y_label="sources")  # fmt: skip
    return {"sources": len(found)}
