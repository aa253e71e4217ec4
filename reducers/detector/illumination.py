"""Light along the slit: its pattern in a flat, how scattered light washes it out, where it stands.

Dust and edges of the slit dim whole columns, at every wavelength alike, and move with the slit and
the flexure; the response of the pixels stays where it is. Hence the two are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter1d, median_filter

from reducers.frame import Vector

if TYPE_CHECKING:
    from reducers.frame import Frame, Image

#: Columns over which the slit's own marks stand out of its smooth illumination.
MARK_WIDTH_PX = 41
#: Rows that share one measurement of the contrast.
BAND_ROWS = 20
#: Columns by which the pattern may have moved between flat and exposure, and how sure it must be.
LARGEST_SHIFT_PX, SHIFT_SIGMA = 8.0, 5.0
#: Dust on the slit takes 3 to 6 % of the light; a deeper column is the detector's.
DEEPEST_MARK = 0.09


@dataclass(frozen=True, slots=True, kw_only=True)
class SlitPattern:
    """Illumination along the slit.

    Attributes
    ----------
    light : (nx,)
        Relative light in every column, about 1.
    marks : (nx,)
        Its narrow features, relative: dust and scratches.
    interior : (nx,) bool
        Columns that the slit lights fully, clear of its ends.
    contrast : (ny,)
        Depth of the marks in every row against the bright rows; less than 1 where scattered
        light, which knows no slit, fills them.
    measured : bool
        False where the slit shows too few marks to tell; `contrast` is then 1.
    """

    light: Vector
    marks: Vector
    interior: NDArray[np.bool_]
    contrast: Vector
    measured: bool


def slit_pattern(normalised: Image, bright: NDArray[np.bool_]) -> SlitPattern:
    """Measure the illumination on a flat divided by its lamp's spectrum.

    Parameters
    ----------
    normalised : (ny, nx)
        Flat over the spectrum of the lamp.
    bright : (ny,) bool
        Rows where scattered light is negligible.
    """
    light = np.median(normalised[bright], axis=0).astype(np.float64)
    marks = narrow_features(light)
    interior = fully_lit(light)
    dust = interior & (np.abs(marks) <= DEEPEST_MARK)
    rows = normalised.shape[0]
    starts = np.arange(0, rows, BAND_ROWS)
    slope, error = np.empty(starts.size), np.empty(starts.size)
    for index, start in enumerate(starts):
        band = np.median(normalised[start : start + BAND_ROWS], axis=0).astype(np.float64)
        slope[index], error[index] = _regression(narrow_features(band), marks, dust)
    measured = bool(np.median(error) < 0.1)
    if not measured:
        return SlitPattern(
            light=light, marks=marks, interior=interior, contrast=np.ones(rows), measured=False
        )
    # A plateau of 1 is what `bright` means; the clip keeps noise from inventing contrast.
    smooth = gaussian_filter1d(median_filter(slope, 3, mode="nearest"), 1.0, mode="nearest")
    smooth /= np.median(smooth[bright[np.minimum(starts + BAND_ROWS // 2, rows - 1)]])
    centres = starts + (BAND_ROWS - 1) / 2
    contrast = np.interp(np.arange(rows), centres, np.clip(smooth, 0.0, 1.0))
    return SlitPattern(
        light=light, marks=marks, interior=interior, contrast=contrast, measured=True
    )


def narrow_features(profile: Vector) -> Vector:
    """Return a profile along the slit over its running median, less 1."""
    smooth = median_filter(profile, MARK_WIDTH_PX, mode="nearest")
    return np.asarray(profile / np.where(smooth > 0.2, smooth, np.inf) - (smooth > 0.2))


def fully_lit(light: Vector) -> NDArray[np.bool_]:
    """Return the columns (nx,) with most of the light, clear of the ends of the slit."""
    lit = median_filter(light, MARK_WIDTH_PX, mode="nearest") > 0.7 * np.percentile(light, 90)
    # Beyond the window the slit goes on: only ends inside it are kept clear of.
    return np.asarray(binary_erosion(lit, iterations=MARK_WIDTH_PX // 2, border_value=1))


def _regression(values: Vector, marks: Vector, use: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and error of `values` on `marks` in the columns `use`, outliers left out."""
    use = use & np.isfinite(values) & (np.abs(values) < 0.3)
    slope = 0.0
    for _ in range(3):
        power = float(marks[use] @ marks[use])
        if power <= 0 or use.sum() < 20:
            return float("nan"), float("inf")
        slope = float(values[use] @ marks[use]) / power
        rest = values - slope * marks
        width = 1.4826 * float(np.median(np.abs(rest[use])))
        use = use & (np.abs(rest) <= 5 * max(width, 1e-6))
    return slope, width / np.sqrt(power)


def illumination_of(flat: Frame) -> Vector:
    """Return the light along the slit (nx,) that is contained in a normalised flat."""
    return np.asarray(np.median(flat.data, axis=0), dtype=np.float64)


def measure_shift(frame: Frame, flat: Frame) -> tuple[float, float]:
    """Return how far the marks of the slit stand from where the flat has them (px), and an error.

    Parameters
    ----------
    frame : Frame
        An exposure that is not yet divided by `flat`.

    Returns
    -------
    shift, error : float
        Columns, positive towards larger ones; (0, nan) where the exposure shows no marks.
    """
    light = illumination_of(flat)
    marks = _dust(light)
    response = np.maximum(flat.data / np.maximum(light, 0.2).astype(np.float32), np.float32(0.2))
    values = narrow_features(_mean_along_rows(np.asarray(frame.data / response), frame.good))
    # Stars stand far above the marks; leave room for their wings.
    width = max(1.4826 * float(np.median(np.abs(values))), 1e-6)
    use = fully_lit(light)
    use &= ~binary_dilation(np.abs(values) > max(8 * width, 0.1), iterations=10)
    reach = int(LARGEST_SHIFT_PX)
    use[: reach + 2] = use[-reach - 2 :] = False
    if use.sum() < 100:
        return 0.0, float("nan")
    shifts = np.arange(-reach, reach + 0.01, 0.25)
    fits = [_fit(values[use], moved(marks, shift)[use]) for shift in shifts]
    best = int(np.argmin([chi2 for _, chi2, _ in fits]))
    slope, chi2, error = fits[best]
    if slope < SHIFT_SIGMA * error or not 0.5 < slope < 1.6 or best in (0, len(shifts) - 1):
        return 0.0, float("nan")
    left, right = fits[best - 1][1], fits[best + 1][1]
    bend = (left - 2 * chi2 + right) / 0.25**2
    if bend <= 0:
        return 0.0, float("nan")
    vertex = float(shifts[best]) + 0.125 * (left - right) / (left - 2 * chi2 + right)
    return vertex, float(np.sqrt(2.0 * chi2 / use.sum() / bend))


def _fit(values: Vector, marks: Vector) -> tuple[float, float, float]:
    """Return slope, sum of squared residuals, and error of the slope."""
    power = float(marks @ marks)
    slope = float(values @ marks) / power
    squares = float(np.sum((values - slope * marks) ** 2))
    return slope, squares, float(np.sqrt(squares / values.size / power))


def _mean_along_rows(data: NDArray[np.floating], good: NDArray[np.bool_]) -> Vector:
    """Return the mean of every column without cosmic rays, bright sky lines counting more."""
    middle = np.median(data, axis=1, keepdims=True)
    off = data - middle
    width = 1.4826 * np.median(np.abs(off), axis=1, keepdims=True)
    keep = good & (np.abs(off) < 5 * width)
    return np.asarray(np.where(keep, data, middle).mean(axis=0, dtype=np.float64))


def moved(profile: Vector, shift_px: float) -> Vector:
    """Return a profile along the slit moved towards larger columns."""
    columns = np.arange(profile.size, dtype=np.float64)
    return np.interp(columns - shift_px, columns, profile)


def follow_slit(flat: Frame, shift_px: float) -> Frame:
    """Return the flat with the marks of its slit moved by `shift_px` columns, its pixels in place.

    Deeper features than dust makes belong to the detector and stay.
    """
    marks = _dust(illumination_of(flat))
    ratio = ((1 + moved(marks, shift_px)) / (1 + marks)).astype(np.float32)
    return flat.after(
        f"flat: marks of the slit moved by {shift_px:+.2f} columns",
        data=flat.data * ratio,
        variance=flat.variance * ratio**2,
    )


def _dust(light: Vector) -> Vector:
    marks = narrow_features(light)
    return np.where((np.abs(marks) <= DEEPEST_MARK) & fully_lit(light), marks, 0.0)
