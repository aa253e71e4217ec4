"""Panels about the stars of an image: their shape, their light, their places and zero point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from daemon.publish.page import (
    BLUE,
    GREEN,
    ORANGE,
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
from reducers.imaging.phot_products import magnitudes
from reducers.imaging.source_flags import SourceFlag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.imaging.references import ReferenceCatalogue, References
    from reducers.imaging.sky_map import Astrometry
    from reducers.imaging.zero_point import ZeroPoint

_MOST_STARS = 60
#: A source and an entry this near are the same, arcsec.
_SAME_ARCSEC = 1.0
_DOUBTFUL = int(SourceFlag.MASKED | SourceFlag.SATURATED | SourceFlag.EDGE | SourceFlag.MOVED)


def draw_point_spread(axes: Axes, found: Photometry) -> dict[str, Any]:
    """Draw the mean of the PSF stars, their model, and what the model leaves."""
    half = max(6, math.ceil(2.2 * found.psf.fwhm_px))
    data = _mean_stamps(found, found.plane.light, half)
    left = _mean_stamps(found, found.fit.residual, half)
    title(axes, f"PSF stars ({len(found.psf_stars)}): data, model, data - model")
    if data is None or left is None:
        return say(axes, "no star gave the shape: a guess was used")
    model, peak = data - left, float(data.max())
    side = 2 * half + 1
    shown = [np.arcsinh(each / (0.02 * peak)) for each in (data, model)]
    top = max(float(each.max()) for each in shown)
    for place, each in enumerate(shown):
        axes.imshow(each, origin="lower", cmap="gray_r", vmin=-0.5, vmax=top, aspect="auto",
                    interpolation="nearest", extent=_slot(place, side))  # fmt: skip
    percent = 100 * left / peak
    reach = max(2.0, float(np.abs(percent).max()))
    axes.imshow(percent, origin="lower", cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto",
                interpolation="nearest", extent=_slot(2, side))  # fmt: skip
    frame(axes, (-0.5, 3 * side + 1.5), (-0.5, side - 0.5), x_ticks=0, y_ticks=0)
    note(axes, f"+-{reach:.1f} % of the peak", y=0.12)
    return {"stars": len(found.psf_stars), "fwhm_px": found.psf.fwhm_px,
            "largest_residual_per_cent": float(np.abs(percent).max())}  # fmt: skip


def _slot(place: int, side: int) -> tuple[float, float, float, float]:
    left = place * (side + 1) - 0.5
    return left, left + side, -0.5, side - 0.5


def _mean_stamps(found: Photometry, plane: Any, half: int) -> NDArray[np.float64] | None:
    """Return the mean of a plane around the PSF stars, each over its flux."""
    ny, nx = plane.shape
    total, number = np.zeros((2 * half + 1, 2 * half + 1)), 0
    for index in found.psf_stars[:_MOST_STARS]:
        column, row = round(float(found.x[index])), round(float(found.y[index]))
        inside = half <= column < nx - half and half <= row < ny - half
        if inside and found.flux[index] > 0:
            box = plane[row - half : row + half + 1, column - half : column + half + 1]
            total += np.nan_to_num(np.asarray(box, float)) / found.flux[index]
            number += 1
    return total / number if number else None


def draw_growth(axes: Axes, found: Photometry) -> dict[str, Any]:
    """Draw the share of light within each radius, of every PSF star and of the curve used."""
    title(axes, "% of the light within")
    stars = found.psf_stars
    if not len(stars):
        return say(axes, "no star")
    radii = found.apertures.radii_px
    share = 100 * found.apertures.flux[stars] / found.flux[stars][:, None]
    for line in share[:_MOST_STARS]:
        axes.plot(radii, line, color=PALE, lw=0.6)
    factors = [found.growth.aperture_factor(k, *_centre(found)) for k in range(len(radii))]
    curve = 100 / np.array(factors)
    axes.plot(radii, curve.ravel(), "o-", color=BLUE, ms=3, lw=1.2)
    axes.axhline(100, color="0.5", lw=0.7)
    low = max(0.0, percentiles(share, (1,))[0] - 5)
    frame(axes, (0, 1.03 * radii[-1]), (low, 108), x_label="radius (px)", x_ticks=5)
    return {"radii_px": radii, "per_cent": curve.ravel()}


def _centre(found: Photometry) -> tuple[float, float]:
    rows, columns = found.psf.shape
    return columns / 2, rows / 2


def draw_zero_by_magnitude(
    axes: Axes, found: Photometry, zero: ZeroPoint | None, exposure_s: float
) -> dict[str, Any]:
    """Draw what stars differ from the zero point, against their magnitude."""
    title(axes, "catalogue less ours (mag): kept blue, left out red")
    if zero is None or not zero.known:
        return say(axes, _why(zero))
    value, _ = magnitudes(found.flux, found.flux_error, zero, exposure_s)
    said = _draw_residuals(axes, value[zero.source_index], zero, f"{zero.band} magnitude")
    note(axes, f"{zero.magnitude:.3f} +- {zero.error:.3f} {zero.system}\n{zero.stars} stars of "
         f"{zero.catalogue}, scatter beyond errors {known(zero.scatter, '.3f')}")  # fmt: skip
    return said


def draw_zero_by_colour(
    axes: Axes, found: Photometry, zero: ZeroPoint | None, references: References,
    astrometry: Astrometry | None,
) -> dict[str, Any]:  # fmt: skip
    """Draw the same against the colour of the catalogue."""
    title(axes, "the same against the colour of the star")
    if zero is None or not zero.known or astrometry is None:
        return say(axes, _why(zero))
    listed = next((c for c in references.photometric if c.name == zero.catalogue), None)
    colour, name = _colours(found, zero, listed, astrometry)
    if not np.isfinite(colour).any():
        return say(axes, "the catalogue tells no colours")
    return _draw_residuals(axes, colour, zero, name)


def _draw_residuals(axes: Axes, x: Vector, zero: ZeroPoint, label: str) -> dict[str, Any]:
    kept = zero.kept
    reach = max(0.08, 5 * robust_sigma(zero.residual[kept]) if kept.any() else 0.3)
    shown = np.clip(zero.residual, -reach, reach)
    axes.plot(x[~kept], shown[~kept], "x", color=RED, ms=4)
    axes.plot(x[kept], shown[kept], "o", color=BLUE, ms=3)
    axes.axhline(0, color=PALE, lw=0.8)
    low, high = percentiles(x, (0, 100))
    room = 0.05 * (high - low) + 0.05
    frame(axes, (low - room, high + room), (-1.05 * reach, 1.45 * reach), x_label=label,
          y_label="mag", x_ticks=6)  # fmt: skip
    return {"stars": int(kept.sum()), "left_out": int((~kept).sum()),
            "scatter_mag": robust_sigma(zero.residual[kept])}  # fmt: skip


def _why(zero: ZeroPoint | None) -> str:
    return "no zero point was sought" if zero is None else f"no zero point: {zero.why}"


def _colours(
    found: Photometry, zero: ZeroPoint, listed: ReferenceCatalogue | None, astrometry: Astrometry
) -> tuple[Vector, str]:
    """Return a colour for every matched star from the catalogue that gave the zero point."""
    nothing = np.full(len(zero.source_index), np.nan)
    if listed is None or not len(listed):
        return nothing, ""
    bands = listed.magnitudes
    pair = next((p for p in (("g", "r"), ("BP", "RP"), ("B", "V")) if set(p) <= set(bands)), None)
    if pair is None:
        return nothing, ""
    x, y = astrometry.sky_map.pixels(listed.ra_deg, listed.dec_deg)
    usable = np.isfinite(x) & np.isfinite(y)
    if not usable.any():
        return nothing, ""
    colour = (bands[pair[0]] - bands[pair[1]])[usable]
    tree = cKDTree(np.column_stack([x[usable], y[usable]]))
    own = np.column_stack([found.x, found.y])[zero.source_index]
    limit = _SAME_ARCSEC / astrometry.sky_map.pixel_scale_arcsec
    apart, nearest = tree.query(own, distance_upper_bound=limit)
    hit = np.isfinite(apart)
    nothing[hit] = colour[nearest[hit]]
    return nothing, f"{pair[0]} - {pair[1]} ({listed.name})"


def draw_errors(axes: Axes, reduced: ReducedImage, exposure_s: float) -> dict[str, Any]:
    """Draw the error of every source against its magnitude, with the limits of the image."""
    found, zero, depth = reduced.photometry, reduced.zero_point, reduced.depth
    title(axes, "error of every source (log10 mag); lines: 10, 5 and 3 sigma")
    if found is None or not len(found):
        return say(axes, "no source was measured")
    value, sigma = magnitudes(found.flux, found.flux_error, zero, exposure_s)
    clean = (found.flags & _DOUBTFUL) == 0
    for chosen, colour in ((~clean, ORANGE), (clean, BLUE)):
        axes.plot(value[chosen], np.log10(sigma[chosen]), ".", ms=3, color=colour)
    limits = (math.nan,) * 3 if depth is None else depth.psf
    for limit in limits:
        if math.isfinite(limit):
            axes.axvline(limit, color=GREEN, lw=0.8, ls="--")
    low, high = percentiles(np.append(value, limits), (0, 100))
    what = "magnitude" if zero is not None and zero.known else "instrumental magnitude"
    frame(axes, (low - 0.2, high + 0.3), (-3.2, 0.3), x_label=what, y_label="log10 mag", x_ticks=6)
    return {"sources": len(found), "limits_3_5_10_sigma": limits}


def draw_offsets(
    axes: Axes, found: Photometry, references: References, astrometry: Astrometry | None
) -> dict[str, Any]:
    """Draw how far stars lie from their entries, in arcseconds on the image's own axes."""
    title(axes, "stars less catalogue")
    listed = references.astrometric
    if astrometry is None or listed is None or not len(listed):
        return say(axes, "no catalogue")
    x, y = astrometry.sky_map.pixels(listed.ra_deg, listed.dec_deg)
    scale = astrometry.sky_map.pixel_scale_arcsec
    usable = np.isfinite(x) & np.isfinite(y)
    bright = (found.flags & _DOUBTFUL == 0) & (found.flux > 20 * found.flux_error)
    if not usable.any() or not bright.any():
        return say(axes, "no clean star")
    tree = cKDTree(np.column_stack([x[usable], y[usable]]))
    own = np.column_stack([found.x, found.y])[bright]
    apart, nearest = tree.query(own, distance_upper_bound=_SAME_ARCSEC / scale)
    hit = np.isfinite(apart)
    off = 1000 * scale * (own[hit] - tree.data[nearest[hit]])
    if not len(off):
        return say(axes, "no star is where the catalogue has one")
    reach = max(30.0, 4 * robust_sigma(off))
    axes.plot(np.clip(off[:, 0], -reach, reach), np.clip(off[:, 1], -reach, reach), ".", ms=4,
              color=BLUE if astrometry.solved else RED)  # fmt: skip
    axes.axhline(0, color=PALE, lw=0.8)
    axes.axvline(0, color=PALE, lw=0.8)
    frame(axes, (-reach, reach), (-reach, reach), x_label="mas", x_ticks=3, y_ticks=3)
    return {"stars": len(off), "median_mas": (middle(off[:, 0]), middle(off[:, 1])),
            "scatter_mas": robust_sigma(off)}  # fmt: skip
