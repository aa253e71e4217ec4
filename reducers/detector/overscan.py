"""Subtract the level that the electronics add, as the overscan shows it.

The error of the level is common to all pixels of a frame. It enters the variance of each, but a
sum over n pixels has n times the error of the level, not the square root of n times: a measurement
over many pixels must take it from the background beside it, as the sky subtraction does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from reducers.detector.start import SETTLING_PIXELS, box, clipped_mean
from reducers.errors import NoOverscan
from reducers.frame import Vector

if TYPE_CHECKING:
    from reducers.frame import Frame
    from reducers.instrument import Detector, Section

#: Fewest pixels of a section that give a level.
FEWEST_PIXELS = 100
#: Rows (or columns) over which levels that follow the readout are smoothed, unbinned.
SMOOTH_PX = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The level of the pixels (a number, or what broadcasts), its error, how it was found."""

    adu: NDArray[np.float64] | float
    error_adu: float
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """Levels along a strip of overscan: per row beside the image, per column above it."""

    position: Vector
    level: Vector
    error: float


def has_overscan(frame: Frame, detector: Detector) -> bool:
    """Tell whether the window of an untrimmed frame holds enough overscan for a level."""
    return any(_pixels(frame, part).size >= FEWEST_PIXELS for part in detector.overscan)


def overscan_level(frame: Frame, sections: tuple[Section, ...]) -> tuple[float, float]:
    """Return the overscan level and its standard error (adu), from the first usable section.

    Lines of the section into which light has spilled differ from the rest and are left out. The
    error is the larger of what independent pixels and what the scatter of the lines give.

    Raises
    ------
    NoOverscan
        If the window holds no section with at least 100 pixels.
    """
    for section in sections:
        lines = _lines(frame, section)
        if lines.size < FEWEST_PIXELS:
            continue
        middle = np.median(lines, axis=0)
        off, scatter = clipped_mean((lines - middle).ravel())
        means = (lines - middle).mean(axis=1)
        shared = float(np.std(means)) / np.sqrt(len(means)) if len(means) > 2 else 0.0
        return float(middle.mean()) + off, max(scatter / np.sqrt(lines.size), shared)
    raise NoOverscan("the window holds no overscan pixels; the bias level cannot be followed")


def _lines(frame: Frame, section: Section) -> NDArray[np.float64]:
    """Return the lines along the longer side of a section that light has not reached.

    The first pixels that a window reads stand high while the electronics settle: they are left out.
    """
    rows, columns = box(section, frame)
    if columns.start == 0 and columns.stop > 4 * SETTLING_PIXELS:
        columns = slice(SETTLING_PIXELS, columns.stop)
    if rows.start == 0 and rows.stop > 4 * SETTLING_PIXELS:
        rows = slice(SETTLING_PIXELS, rows.stop)
    pixels = frame.data[rows, columns].astype(np.float64)
    lines = pixels if pixels.shape[0] <= pixels.shape[1] else pixels.T
    return lines[_undisturbed(lines)] if lines.size >= FEWEST_PIXELS else lines


def _undisturbed(lines: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which lines agree with the median line; all of them where too few would be left."""
    residual = lines - np.median(lines, axis=0)
    means = np.median(residual, axis=1)
    noise = 1.4826 * float(np.median(np.abs(residual)))
    error = 1.2533 * noise / np.sqrt(lines.shape[1])  # of a median
    width = max(1.4826 * float(np.median(np.abs(means - np.median(means)))), error)
    keep = np.abs(means - np.median(means)) <= 6 * width
    return keep if keep.sum() >= max(3, len(means) // 2) else np.ones(len(means), bool)


def overscan_noise(frame: Frame, sections: tuple[Section, ...]) -> tuple[float, float]:
    """Return the read noise of this very exposure and its error (adu); NaN without overscan.

    The noise changes by a few per cent within a night. Differences of neighbouring lines hold
    neither the start-up columns nor, with their median taken off, the drift between rows.
    """
    for section in sections:
        lines = _lines(frame, section)
        if lines.size < FEWEST_PIXELS or len(lines) < 3:
            continue
        difference = np.diff(lines, axis=0)
        difference -= np.median(difference, axis=1, keepdims=True)
        noise = clipped_mean(difference.ravel(), 5.0)[1] / np.sqrt(2)
        # Neighbouring differences share a line: 1.5 is the variance of the variance they have.
        return noise, noise * np.sqrt(1.5 / (2 * difference.size))
    return float("nan"), float("nan")


def correct_overscan(frame: Frame, detector: Detector) -> Frame:
    """Subtract the overscan in the mode of the profile; the history says which was possible.

    Raises
    ------
    NoOverscan
        If there is none and the mode is not 'trim'.
    """
    level = find_level(frame, detector)
    if level.mode == "trim":
        return frame.after("overscan: not subtracted")
    middle = float(np.median(level.adu))
    return frame.after(
        f"overscan: subtracted {middle:.2f} +- {level.error_adu:.2f} adu ({level.mode})",
        data=frame.data - np.asarray(level.adu, np.float32),
        variance=frame.variance + np.float32(level.error_adu**2),
    )


def find_level(frame: Frame, detector: Detector) -> Level:
    """Return the level of every pixel.

    'constant' is one number; 'ramp' a straight line along the rows; 'column' follows the columns
    beside the image row by row, smoothed; 'full' follows the rows above the image as well; 'trim'
    subtracts nothing. Where the window lacks the columns beside the image, 'constant' stands in.
    """
    mode = detector.overscan_mode
    if mode == "trim":
        return Level(adu=0.0, error_adu=0.0, mode=mode)
    constant, error = overscan_level(frame, detector.overscan)
    if mode == "constant":
        return Level(adu=constant, error_adu=error, mode=mode)
    beside = _strip(frame, _section(detector, beside=True), axis=1)
    if beside is None:
        return Level(adu=constant, error_adu=error, mode=f"constant: no columns for {mode!r}")
    rows = np.arange(frame.shape[0], dtype=np.float64)
    if mode == "ramp":
        line = np.polynomial.Polynomial.fit(beside.position, beside.level, 1)
        spread = beside.error / np.sqrt(beside.level.size / 4)
        return Level(adu=line(rows)[:, None], error_adu=spread, mode=mode)
    sigma = SMOOTH_PX / frame.geometry.y_binning
    along_y = np.interp(rows, beside.position, _smooth(beside.level, sigma))[:, None]
    spread = beside.error / np.sqrt(min(3.5 * sigma, beside.level.size))
    above = _strip(frame, _section(detector, beside=False), axis=0) if mode == "full" else None
    corner = _corner(frame, detector)
    if above is None or not np.isfinite(corner):
        return Level(adu=along_y, error_adu=spread, mode="column")
    sigma_x = SMOOTH_PX / frame.geometry.x_binning
    columns = np.arange(frame.shape[1], dtype=np.float64)
    profile = _smooth(above.level, sigma_x)
    along_x = np.interp(columns, above.position, profile)[None, :] - corner
    spread_x = above.error / np.sqrt(min(3.5 * sigma_x, above.level.size))
    return Level(adu=along_y + along_x, error_adu=float(np.hypot(spread, spread_x)), mode=mode)


def _pixels(frame: Frame, section: Section) -> NDArray[np.float64]:
    return np.asarray(frame.data[box(section, frame)], np.float64)


def _section(detector: Detector, *, beside: bool) -> Section | None:
    """Return the first section beside the image (or above or below it)."""
    image = detector.image
    for section in detector.overscan:
        outside = section.x_start >= image.x_stop or section.x_stop <= image.x_start
        if outside == beside:
            return section
    return None


def _corner(frame: Frame, detector: Detector) -> float:
    """Return the level where the strips beside and above the image would meet; NaN if nowhere."""
    beside, above = (_section(detector, beside=side) for side in (True, False))
    if beside is None or above is None:
        return float("nan")
    both = replace(beside, y_start=above.y_start, y_stop=above.y_stop)
    pixels = _pixels(frame, both).ravel()
    return clipped_mean(pixels)[0] if pixels.size >= FEWEST_PIXELS else float("nan")


def _strip(frame: Frame, section: Section | None, axis: int) -> _Strip | None:
    """Return the mean along `axis` of every line of a section; None where the window has none."""
    if section is None:
        return None
    pixels, place = _pixels(frame, section), box(section, frame)[1 - axis]
    if pixels.size < FEWEST_PIXELS or pixels.shape[axis] < 3:
        return None
    # Columns that differ as a whole are disturbed; what is left is averaged across.
    lines = pixels.T if axis == 1 else pixels
    lines = lines[_undisturbed(lines)]
    middle = np.median(lines, axis=0)
    scatter = clipped_mean((lines - middle).ravel())[1]
    off = np.abs(lines - middle) > 5 * scatter
    level = np.where(off, middle, lines).mean(axis=0)
    position = np.arange(place.start, place.stop, dtype=np.float64)
    return _Strip(position=position, level=level, error=scatter / np.sqrt(len(lines)))


def _smooth(level: Vector, sigma: float) -> Vector:
    return np.asarray(gaussian_filter1d(level, sigma, mode="nearest"))
