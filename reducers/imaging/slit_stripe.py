"""The slit on an image: a stripe of sky."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from reducers.frame import Frame, Geometry, Vector

if TYPE_CHECKING:
    from reducers.instrument import Instrument

#: The slit is looked for so far from where the header has it (detector pixels).
_SEARCH_PX = 40.0
#: The stripe of sky must stand so many sigma above what is beside it,
_STRIPE_SIGMA = 8.0
#: and be so much narrower or wider than the slit at most.
_WIDTH_RANGE = (0.5, 1.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlitImage:
    """The image with the slit along its rows.

    Attributes
    ----------
    data, variance : (ny, nx) float64
        Electrons, NaN where a pixel is unusable.
    geometry : Geometry
        Of the image as turned.
    across_arcsec, along_arcsec : float
        Per pixel, across the slit (rows) and along it (columns).
    """

    data: NDArray[np.float64]
    variance: NDArray[np.float64]
    geometry: Geometry
    across_arcsec: float
    along_arcsec: float

    @classmethod
    def of(cls, frame: Frame, instrument: Instrument, *, turned: bool) -> SlitImage:
        """Return the image of a frame, `turned` where its slit runs along the columns."""
        geometry = frame.geometry.transposed() if turned else frame.geometry
        data, variance, good = frame.data.astype(float), frame.variance.astype(float), frame.good
        if turned:
            data, variance, good = data.T, variance.T, good.T
        scale = instrument.detector.pixel_scale_arcsec
        return cls(
            data=np.where(good, data, np.nan),
            variance=variance,
            geometry=geometry,
            across_arcsec=scale * geometry.y_binning,
            along_arcsec=scale * geometry.x_binning,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripe:
    """Where the slit is.

    Attributes
    ----------
    low, high : float
        Rows of its edges, at half of the sky's light.
    first : int
        First of the rows that see some of it.
    sky : (k,) float64
        Which part of the light each of these rows gets.
    """

    low: float
    high: float
    first: int
    sky: Vector = field(repr=False)

    @property
    def middle(self) -> float:
        """Row between the edges."""
        return (self.low + self.high) / 2

    @property
    def rows(self) -> slice:
        """Those that see some of the slit."""
        return slice(self.first, self.first + len(self.sky))


def find_stripe(image: SlitImage, width_arcsec: float, expected: float | None) -> Stripe | None:
    """Return the slit as the sky shows it; None where no stripe stands out."""
    lit = _row_medians(image.data)
    width = max(1.0, width_arcsec / image.across_arcsec)
    window = int(4 * width) * 2 + 21
    above = lit - median_filter(lit, window, mode="nearest")
    noise = 1.4826 * float(np.median(np.abs(above - np.median(above)))) + 1e-9
    light = gaussian_filter1d(above, width / 3)
    if expected is not None:
        rows = np.arange(len(lit))
        reach = _SEARCH_PX * image.along_arcsec / image.across_arcsec
        light = np.where(np.abs(rows - expected) <= reach, light, -np.inf)
    peak = int(np.argmax(light))
    if not above[peak] > _STRIPE_SIGMA * noise:
        return None
    half = above[max(0, peak - 1) : peak + 2].max() / 2
    low, high = _crossing(above, peak, half, -1), _crossing(above, peak, half, 1)
    if not _WIDTH_RANGE[0] * width <= high - low <= _WIDTH_RANGE[1] * width + 1:
        return None
    first = max(0, math.floor(low) - 2)
    share = np.clip(above[first : math.ceil(high) + 3], 0.0, None)
    return Stripe(low=low, high=high, first=first, sky=share / share.max())


def _row_medians(data: NDArray[np.float64]) -> Vector:
    seen = np.isfinite(data).sum(axis=1) > data.shape[1] // 4
    medians = np.full(len(data), np.nan)
    medians[seen] = np.nanmedian(data[seen], axis=1)
    fill = float(np.nanmedian(medians)) if np.any(seen) else 0.0
    return np.where(np.isfinite(medians), medians, fill)


def _crossing(values: Vector, peak: int, level: float, step: int) -> float:
    """Return where values fall through a level, going from the peak in one direction."""
    at = peak
    while 0 <= at + step < len(values) and values[at + step] > level:
        at += step
    beyond = at + step
    if not 0 <= beyond < len(values):
        return float(at)
    fall = (values[at] - level) / max(values[at] - values[beyond], 1e-9)
    return at + step * float(fall)


def sky_along(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sky of every row and column: a running median that passes over stars."""
    filled = np.where(np.isfinite(rows), rows, np.nanmedian(rows, axis=1, keepdims=True))
    width = min(101, rows.shape[1] // 2 * 2 - 1)
    return np.asarray(median_filter(filled, (1, width), mode="mirror"))
