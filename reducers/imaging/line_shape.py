"""The course, width and ends of a faint straight line in an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

if TYPE_CHECKING:
    from reducers.imaging.line_search import Line

#: Pixels on either side of a line that are looked at.
HALF_STRIP_PX = 28
CHUNKS = 24
#: Signal to noise above which a pixel counts no more.
MOST_PER_PIXEL = 50.0
#: Length of the pieces by which the ends are found.
PIECE_PX = 24


@dataclass(frozen=True, slots=True)
class LineShape:
    """A line as it was measured.

    Attributes
    ----------
    angle_rad, offset_px
        As in `Line`, now to a fraction of a pixel.
    start_px, end_px
        Along the line, from the foot of the perpendicular through the image's centre.
    fwhm_px, half_width_px
        Of the profile across, and where it sinks into the noise.
    peak
        Signal to noise per pixel on the ridge.
    along : (n,) float
        Signal to noise on the ridge, piece by piece of `PIECE_PX`, NaN where nothing is usable.
    along_px : (n,) float
        Where those pieces are.
    """

    angle_rad: float
    offset_px: float
    start_px: float
    end_px: float
    fwhm_px: float
    half_width_px: float
    peak: float
    along: NDArray[np.float64]
    along_px: NDArray[np.float64]


def measure_line(
    signal: NDArray[np.float32], usable: NDArray[np.bool_], line: Line
) -> LineShape | None:
    """Return the shape of a line found by `find_lines`; None where nothing is left of it.

    Parameters
    ----------
    signal : (ny, nx)
        Signal to noise of the pixels; stars may shine in it, medians pass over them.
    usable : (ny, nx) bool
        Pixels that count.
    """
    angle, offset = line.angle_rad, line.offset_px
    for _ in range(2):
        strip, along, across = _strip(signal, usable, angle, offset)
        turn, shift = _straightened(strip, along, across)
        angle, offset = angle + turn, offset + shift
    strip, along, across = _strip(signal, usable, angle, offset)
    ridge, pieces = _pieces(strip, along, np.abs(across) <= 2)
    ends = _ends(ridge, pieces)
    if ends is None:
        return None
    inside = (along >= ends[0]) & (along <= ends[1])
    profile = _median(strip[inside], axis=0)
    profile -= np.nanmedian(profile[np.abs(across) > HALF_STRIP_PX - 10])
    profile = np.nan_to_num(profile)
    fwhm, half_width, peak = _width(profile, across, int(inside.sum()))
    if not peak > 0:
        return None
    return LineShape(
        angle, offset, ends[0], ends[1], fwhm, half_width, peak, along=ridge, along_px=pieces
    )


def _strip(
    signal: NDArray[np.float32], usable: NDArray[np.bool_], angle: float, offset: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the nearest pixels along (rows) and across (columns) a line, NaN outside."""
    reach = math.hypot(*signal.shape) / 2
    along = np.arange(-math.ceil(reach), math.ceil(reach) + 1.0)
    across = np.arange(-HALF_STRIP_PX, HALF_STRIP_PX + 1.0)
    middle_y, middle_x = (signal.shape[0] - 1) / 2, (signal.shape[1] - 1) / 2
    beside = across + offset
    column = middle_x + along[:, None] * math.cos(angle) - beside * math.sin(angle)
    row = middle_y + along[:, None] * math.sin(angle) + beside * math.cos(angle)
    row, column = np.rint(row).astype(np.intp), np.rint(column).astype(np.intp)
    inside = (row >= 0) & (row < signal.shape[0]) & (column >= 0) & (column < signal.shape[1])
    strip = np.full(row.shape, np.nan)
    row, column = row[inside], column[inside]
    strip[inside] = np.where(
        usable[row, column], np.clip(signal[row, column], -5, MOST_PER_PIXEL), np.nan
    )
    return strip, along, across


def _straightened(
    strip: NDArray[np.float64], along: NDArray[np.float64], across: NDArray[np.float64]
) -> tuple[float, float]:
    """Return by how much a line is turned (rad) and shifted (px) against the strip's middle."""
    profiles, places = [], []
    for rows in np.array_split(np.arange(along.size), CHUNKS):
        if np.isfinite(strip[rows]).mean() > 0.2:
            profile = _median(strip[rows], axis=0)
            profiles.append(np.nan_to_num(profile - np.nanmedian(profile)))
            places.append(along[rows].mean())
    if len(profiles) < 2:
        return 0.0, 0.0
    smooth = uniform_filter1d(np.array(profiles), 5, axis=1)
    smooth = np.clip(smooth, -np.inf, 3 * np.median(smooth.max(axis=1)))
    turns = np.linspace(-0.008, 0.008, 65)
    middle = float(np.mean(places))
    sums = np.zeros((turns.size, across.size))
    for profile, place in zip(smooth, places, strict=True):
        for number, turn in enumerate(turns):
            moved = across + turn * (place - middle)
            sums[number] += np.interp(moved, across, profile, left=0, right=0)
    best = int(np.argmax(sums))
    turn, shift = float(turns[best // across.size]), float(across[best % across.size])
    # The strip turns about its own foot, the fit about the middle of what is usable.
    return turn, shift - turn * middle


def _pieces(
    strip: NDArray[np.float64], along: NDArray[np.float64], ridge: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean signal on the ridge above the strip's sides, and place, piece by piece."""
    values, places = [], []
    for start in range(0, along.size, PIECE_PX):
        piece = strip[start : start + PIECE_PX]
        enough = np.isfinite(piece[:, ridge]).mean() > 0.3
        sides = _median(piece[:, ~ridge].reshape(1, -1), axis=1)[0] if enough else math.nan
        value = np.nanmean(piece[:, ridge]) - sides if enough else math.nan
        values.append(value)
        places.append(along[start : start + PIECE_PX].mean())
    return np.array(values), np.array(places)


def _ends(ridge: NDArray[np.float64], pieces: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the stretch that is brighter than a third of the line's usual signal as a whole."""
    seen = np.flatnonzero(np.isfinite(ridge))
    if seen.size < 4:
        return None
    bright = np.clip(ridge[seen], None, 8)
    usual = float(np.median(bright[bright >= np.percentile(bright, 50)]))
    gain = np.clip(bright - 0.35 * usual, -usual, usual)
    total = np.concatenate(([0.0], np.cumsum(gain)))
    lowest = np.minimum.accumulate(total)
    last = int(np.argmax(total - lowest))
    first = int(np.argmin(total[: last + 1]))
    if last - first < 3:
        return None
    half = PIECE_PX / 2
    return float(pieces[seen[first]] - half), float(pieces[seen[last - 1]] + half)


def _width(
    profile: NDArray[np.float64], across: NDArray[np.float64], length: int
) -> tuple[float, float, float]:
    """Return FWHM, the distance at which a profile sinks into its noise, and its peak."""
    noise = 1.25 / math.sqrt(max(length, 1))
    smooth = uniform_filter1d(profile, 3)
    middle = np.abs(across) <= 6
    peak = float(np.nanmax(smooth[middle]))
    top = int(np.flatnonzero(middle)[np.nanargmax(smooth[middle])])

    def reach(level: float) -> float:
        left = _crossing(across[top::-1], smooth[top::-1], level)
        right = _crossing(across[top:], smooth[top:], level)
        return abs(right - left)

    half_width = reach(max(3 * noise, 0.02 * peak)) / 2 + 1
    fwhm = reach(peak / 2)
    return fwhm, min(max(half_width, fwhm), float(HALF_STRIP_PX)), peak


def _crossing(places: NDArray[np.float64], values: NDArray[np.float64], level: float) -> float:
    """Return where values that begin above a level first sink below it."""
    below = np.flatnonzero(values <= level)
    if not below.size or below[0] == 0:
        return float(places[0 if below.size else -1])
    high, low = values[below[0] - 1], values[below[0]]
    part = (high - level) / (high - low)
    return float(places[below[0] - 1] + part * (places[below[0]] - places[below[0] - 1]))


def _median(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the median of what is finite, NaN where nothing is."""
    filled = np.ma.masked_invalid(values)
    median = np.ma.median(filled, axis=axis)  # type: ignore[no-untyped-call]
    return np.asarray(median.filled(np.nan), np.float64)
