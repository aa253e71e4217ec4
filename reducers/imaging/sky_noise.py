"""The noise of the sky alone, taken out of a frame's variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sep

from reducers.frame import Image
from reducers.imaging.box_mean import mean_of_nine

if TYPE_CHECKING:
    from reducers.frame import Frame

#: Boxes of the mesh that bridges sources, which is made of every third pixel.
MESH_PX, THINNED = 63, 3


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
    finite = np.isfinite(frame.data[rows]) & np.isfinite(frame.variance[rows])
    good &= finite[:, 1:] & finite[:, :-1]
    signal = np.diff(np.where(finite, frame.data[rows], 0).astype(np.float64), axis=1)[good]
    variance = np.diff(np.where(finite, frame.variance[rows], 0).astype(np.float64), axis=1)[good]
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


@dataclass(frozen=True, slots=True)
class SkyNoise:
    """The variance of a frame, taken apart.

    Attributes
    ----------
    variance : (ny, nx) float32
        What each pixel would have without a source on it; infinite where nothing is known.
    photon_gain : float
        Variance per unit of light of a source: 1 for one frame in electrons, 1/N for the mean
        of N.
    """

    variance: Image
    photon_gain: float


def sky_noise(frame: Frame, background: Image) -> SkyNoise:
    """Return the variance of the sky alone and what a source adds to it.

    Between the sources it is the frame's own, freed of the noise of the counts where it was made
    from them; under a source it is that of the surroundings, on a mesh.

    Parameters
    ----------
    frame : Frame
        Sky included.
    background : (ny, nx) float32
        The sky, in the unit of the frame.
    """
    slope = photon_slope(frame)
    light = frame.data - background
    known = frame.good & np.isfinite(frame.variance) & (frame.variance > 0) & np.isfinite(light)
    if not known.any():
        return SkyNoise(np.full(frame.shape, np.inf, np.float32), 1.0)
    typical = float(
        np.median(frame.variance[::7, ::7][known[::7, ::7]] if known[::7, ::7].any() else 1.0)
    )
    # A mean of 3 x 3 pixels three of its sigma above the sky belongs to a source.
    mean = mean_of_nine(np.where(known, light, np.float32(0)))
    source = known & (mean > np.sqrt(typical))
    variance = frame.variance - np.float32(slope) * light
    thin = (slice(None, None, THINNED), slice(None, None, THINNED))
    coarse = sep.Background(
        np.ascontiguousarray(np.where(known[thin], variance[thin], np.float32(typical))),
        mask=np.ascontiguousarray(source[thin] | ~known[thin]),
        bw=MESH_PX // THINNED,
        bh=MESH_PX // THINNED,
    ).back(dtype=np.float32)
    rows, columns = np.nonzero(source)
    below = coarse[rows // THINNED, columns // THINNED]
    gain = _photon_gain(frame.variance[rows, columns], light[rows, columns], below, typical)
    variance[rows, columns] = below
    variance = np.maximum(variance, np.float32(max(0.1 * typical, 1e-12)))
    unknown = ~np.isfinite(frame.variance) | (frame.variance <= 0)
    variance[unknown] = np.inf
    return SkyNoise(variance, gain if gain is not None else slope if slope > 0.02 else 1.0)


def _photon_gain(variance: Image, light: Image, sky: Image, typical: float) -> float | None:
    """Return the variance per light of the bright ones of some pixels; None of too few."""
    bright = np.isfinite(variance) & (light > 10 * np.sqrt(typical))
    if np.count_nonzero(bright) < 50:
        return None
    excess = variance[bright].astype(float) - sky[bright]
    return float(np.clip(np.median(excess / light[bright]), 1e-4, 10))
