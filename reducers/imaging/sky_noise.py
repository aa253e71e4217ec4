"""The noise of the sky alone, taken out of a frame's variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reducers.frame import Frame, Image


def photon_slope(frame: Frame) -> float:
    """Return by how much the variance grows per unit of signal.

    A variance made from the counts themselves rises and falls with their noise (slope 1 for one
    frame in electrons, 1/N for the mean of N); one made from a model does not (slope 0). The
    slope of the differences of neighbours tells which, whatever the sky does.

    Returns
    -------
    float
        Between 0 and 10; 0 where it cannot be told.
    """
    rows = slice(None, None, 7)
    good = frame.good[rows, 1:] & frame.good[rows, :-1]
    signal = np.diff(frame.data[rows].astype(np.float64), axis=1)[good]
    variance = np.diff(frame.variance[rows].astype(np.float64), axis=1)[good]
    known = np.isfinite(signal) & np.isfinite(variance)
    signal, variance = signal[known], variance[known]
    if len(signal) < 100:
        return 0.0
    # The sky's own pixels only: beside a star or an edge of coverage both jump together.
    quiet = (np.abs(signal) < 4 * _spread(signal)) & (np.abs(variance) <= 4 * _spread(variance))
    power = float(np.sum(signal[quiet] ** 2))
    if power == 0:
        return 0.0
    return float(np.clip(np.sum(signal[quiet] * variance[quiet]) / power, 0, 10))


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation of the middle of a distribution."""
    low, high = np.percentile(values, [15.87, 84.13])
    return float(high - low) / 2


def sky_variance(frame: Frame, background: Image) -> Image:
    """Return the variance that each pixel would have without the sources on it.

    Parameters
    ----------
    frame : Frame
        Sky included.
    background : (ny, nx) float32
        The sky, in the unit of the frame.

    Returns
    -------
    (ny, nx) float32
        The frame's variance less the photon noise of what lies above the sky; also free of the
        noise that a variance made from counts has itself. Never below a tenth of its median;
        infinite where the frame has no variance.
    """
    slope = photon_slope(frame)
    variance = frame.variance - np.float32(slope) * (frame.data - background)
    known = np.isfinite(variance) & (frame.variance > 0)
    sample = variance[::7, ::7][known[::7, ::7]]
    floor = 0.1 * float(np.median(sample)) if len(sample) else 1e-6
    return np.where(known, np.maximum(variance, max(floor, 1e-12)), np.inf).astype(np.float32)
