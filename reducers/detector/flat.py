"""Normalise a spectral flat: the lamp's colour and scattered light go, pixels and slit stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import LSQUnivariateSpline, RectBivariateSpline
from scipy.ndimage import median_filter

from reducers.detector.bad_pixels import unusable_response, with_bad_pixels
from reducers.detector.illumination import MARK_WIDTH_PX, SlitPattern, slit_pattern
from reducers.frame import Frame, Image, Mask, Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows between the knots of the lamp's spectral shape (unbinned); fringes are far narrower.
KNOT_SPACING_PX = 70
#: The lamp gives light where it has this many adu, this fraction of its peak, and where the marks
#: of the slit are at least this deep: below that most of the light is scattered.
FEWEST_ADU, FEWEST_OF_PEAK, LEAST_CONTRAST = 1500.0, 0.01, 0.3
#: Columns with less light than this lie beyond the slit.
SLIT_EDGE = 0.2


def normalise_flat(
    stacked: Frame, row_wavelength: Vector, floor_angstrom: float
) -> tuple[Frame, dict[str, float]]:
    """Return pixel response times the light along the slit.

    Parameters
    ----------
    stacked : Frame
        Combined flats in adu above the bias.
    row_wavelength : (ny,) Angstrom
        Approximate wavelength of every row; NaN where none can be said.
    floor_angstrom
        Below this the lamp is too faint to divide by.

    Returns
    -------
    Frame
        Unit-free flat with its variance. Where there is no lamp light the pixels' response is
        taken as 1 and the bit NO_FLAT is set; the marks of the slit are corrected there too.
    dict
        'pixel_rms', 'lit_fraction', 'scattered_fraction' beyond the slit (NaN when the slit fills
        the window), 'slit_contrast' at the faintest lit rows (NaN when the slit shows no marks).
    """
    stacked, scattered = subtract_scattered_light(stacked)
    lamp = _lamp_spectrum(stacked)
    normalised = np.asarray(stacked.data / np.maximum(lamp, 1.0)[:, None], np.float32)
    bright = lamp > 0.5 * float(lamp.max())
    slit = slit_pattern(normalised, bright)
    lit = ~(row_wavelength <= floor_angstrom) & (slit.contrast > LEAST_CONTRAST)
    lit &= lamp > max(FEWEST_ADU, FEWEST_OF_PEAK * float(lamp.max()))
    inside = slit.light > SLIT_EDGE
    response = _pixel_response(normalised, slit, lit, inside)
    data = response * slit.light.astype(np.float32)
    relative = stacked.variance / np.maximum(stacked.data, 1.0) ** 2
    use = lit[:, None] & inside
    # Where no pixel is corrected its own response, as it scatters elsewhere, is the error.
    own = float(np.var(_clipped(response[bright][:, inside])))
    own = max(own - float(np.median(relative[bright][:, inside])), 0.0)
    variance = np.where(use, relative, own) * data**2
    mask = stacked.mask.copy()
    mask[~lit] |= np.uint16(Mask.NO_FLAT)
    mask[:, ~inside] |= np.uint16(Mask.VIGNETTED)
    flat = stacked.after(
        "flat: divided by the lamp's spectrum", data=data, variance=variance, mask=mask, unit=""
    )
    alone = np.asarray(response * (1 + slit.marks), np.float32)
    bad = unusable_response(alone, lit[:, None] & slit.interior)
    flat, condemned = with_bad_pixels(flat, bad, "dead, blind or blocked")
    measured = response[lit][:, inside] if lit.any() and inside.any() else np.ones((1, 1))
    return flat, {
        "pixel_rms": 1.4826 * float(np.median(np.abs(measured - 1))),
        "lit_fraction": float(lit.mean()),
        "scattered_fraction": scattered,
        "slit_contrast": float(slit.contrast[lit].min())
        if slit.measured and lit.any()
        else float("nan"),
        **condemned,
    }


def _pixel_response(
    normalised: Image, slit: SlitPattern, lit: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> Image:
    """Divide the slit's light out of a flat, marks as deep as each row shows them, and smooth rest.

    What is left varies slowly: the lamp's colour on tilted lines, and scattered light.
    """
    smooth = median_filter(slit.light, MARK_WIDTH_PX, mode="nearest")
    narrow = np.where(smooth > SLIT_EDGE, slit.light / np.maximum(smooth, SLIT_EDGE) - 1, 0.0)
    light = smooth * (1 + slit.contrast[:, None] * narrow)
    pixels = np.where(inside, normalised / np.where(inside, light, 1.0), 1.0)
    pixels /= _smooth_surface(pixels)
    return np.asarray(np.where(lit[:, None] & inside, pixels, np.float32(1)), np.float32)


def _smooth_surface(
    pixels: NDArray[np.float64], band_rows: int = 35, group_columns: int = 20
) -> NDArray[np.float64]:
    """Return the medians of blocks, joined by a spline surface."""
    bands = np.array_split(np.arange(pixels.shape[0]), max(pixels.shape[0] // band_rows, 4))
    groups = np.array_split(np.arange(pixels.shape[1]), max(pixels.shape[1] // group_columns, 4))
    grid = np.array(
        [[np.median(pixels[b[0] : b[-1] + 1, g[0] : g[-1] + 1]) for g in groups] for b in bands]
    )
    y, x = (np.array([np.mean(part) for part in parts]) for parts in (bands, groups))
    spline = RectBivariateSpline(y, x, grid, kx=3, ky=2)
    surface = spline(np.arange(pixels.shape[0]), np.arange(pixels.shape[1]))
    return np.asarray(np.clip(surface, 0.2, 5.0))


def _clipped(response: Image) -> Image:
    off = np.abs(response - 1)
    return np.asarray(response[off < 5 * 1.4826 * np.median(off)])


def subtract_scattered_light(stacked: Frame) -> tuple[Frame, float]:
    """Subtract the light that falls beside the slit, interpolated across it.

    Returns
    -------
    Frame, float
        The flat, and the fraction of the light that was scattered; the flat as it came and NaN
        where fewer than 20 columns on either side lie beyond the slit.
    """
    profile = np.median(stacked.data, axis=0)
    lit = np.flatnonzero(profile > 0.5 * np.percentile(profile, 90))
    if lit.size == 0:
        return stacked, float("nan")
    # Keep clear of the slit's ends, whose light the seeing of the optics spreads.
    left, right = slice(0, max(int(lit[0]) - 10, 0)), slice(int(lit[-1]) + 11, profile.size)
    sides = [(side, stacked.data[:, side]) for side in (left, right)]
    sides = [(side, data) for side, data in sides if data.shape[1] >= 20]
    dark = [median_filter(np.median(data, axis=1), 31, mode="nearest") for _, data in sides]
    if len(sides) < 2:
        return stacked, float("nan")
    place = [np.mean(np.arange(profile.size)[side]) for side, _ in sides]
    share = (np.arange(profile.size) - place[0]) / (place[1] - place[0])
    light = dark[0][:, None] * (1 - share) + dark[1][:, None] * share
    fraction = float(np.median(light) / max(float(np.median(stacked.data[:, lit])), 1.0))
    return stacked.after("flat: scattered light subtracted", data=stacked.data - light), fraction


def _lamp_spectrum(stacked: Frame) -> Vector:
    """Return the smooth spectrum of the lamp: a cubic spline through the row medians."""
    values = np.median(stacked.data, axis=1).astype(np.float64)
    rows = np.arange(values.size, dtype=np.float64)
    known = stacked.good.mean(axis=1) > 0.5  # a few bad pixels do not move a median
    known = known if known.mean() > 0.5 else np.ones(values.size, bool)
    spacing = KNOT_SPACING_PX / stacked.geometry.y_binning
    knots = np.arange(spacing, values.size - spacing, spacing)
    keep = known
    for _ in range(3):
        spline = LSQUnivariateSpline(rows[keep], values[keep], knots)
        smooth = spline(rows)
        # Where the lamp gives nothing, what is small against its peak is no outlier.
        off = np.abs(values - smooth) / np.maximum(smooth, FEWEST_OF_PEAK * float(smooth.max()))
        inliers = known & (off < 5 * max(1.4826 * float(np.median(off[keep])), 1e-4))
        if np.histogram(rows[inliers], np.concatenate([[0.0], knots, [values.size]]))[0].min() < 4:
            break
        keep = inliers
    return np.asarray(smooth)
