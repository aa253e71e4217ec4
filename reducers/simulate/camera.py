"""The detector and its electronics: from expected electrons to raw counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.signal import lfilter

from reducers.simulate.cosmics import add_cosmic_rays
from reducers.simulate.sources import GAIN_E_PER_ADU

READ_NOISE_ADU = 32.0
#: The last rows that see light, and how much of the last one does.
LIT_ROWS, LAST_ROW_SHARE = 2064, 0.26
LIT_COLUMNS = (50, 2098)
PIXEL_SENSITIVITY_RMS = 0.007
#: Unbinned 0-based columns that respond less than their neighbours.
BAD_COLUMNS = {402: 0.55, 877: 0.90, 1185: 0.88, 1702: 0.40}
#: Raw count where a pixel stops, unbinned and with rows added.
CLIP_ADU = {False: 700_000, True: 873_000}
ROW_DRIFT_ADU = 1.6
DARK_E_PER_HOUR, WARM_PIXELS = 1.3, 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of the detector that is read, and its binning; x and y are 0-based, half-open."""

    x0: int
    x1: int
    y0: int
    y1: int
    x_binning: int
    y_binning: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the raw image; a last odd pixel is not read."""
        rows = (self.y1 - self.y0) // self.y_binning
        columns = (self.x1 - self.x0) // self.x_binning
        return rows, columns

    @property
    def y_edges(self) -> Any:
        """Unbinned detector y of the pixel edges, (rows + 1,); pixel centres are integers."""
        return self.y0 - 0.5 + self.y_binning * np.arange(self.shape[0] + 1)

    @property
    def x_edges(self) -> Any:
        """Unbinned detector x of the pixel edges, (columns + 1,)."""
        return self.x0 - 0.5 + self.x_binning * np.arange(self.shape[1] + 1)

    @property
    def y(self) -> Any:
        """Unbinned detector y of the pixel centres, (rows,)."""
        return (self.y_edges[1:] + self.y_edges[:-1]) / 2

    @property
    def x(self) -> Any:
        """Unbinned detector x of the pixel centres, (columns,)."""
        return (self.x_edges[1:] + self.x_edges[:-1]) / 2

    def add_up(self, unbinned: Any) -> Any:
        """Return the image binned by addition, from the unbinned pixels of the window."""
        rows, columns = self.shape
        cut = unbinned[: rows * self.y_binning, : columns * self.x_binning]
        return cut.reshape(rows, self.y_binning, columns, self.x_binning).sum(axis=(1, 3))


@lru_cache(maxsize=4)
def sensitivity(window: Window) -> Any:
    """Return how each raw pixel responds against a perfect one, (rows, columns)."""
    rng = np.random.default_rng(12234)
    full = 1 + rng.normal(0, PIXEL_SENSITIVITY_RMS, (2102, 2148)).astype(np.float32)
    for column, share in BAD_COLUMNS.items():
        full[:, column] *= share
    full[LIT_ROWS:] = 0
    full[LIT_ROWS - 1] *= LAST_ROW_SHARE
    full[:, : LIT_COLUMNS[0]] = 0
    full[:, LIT_COLUMNS[1] :] = 0
    binned = window.add_up(full[window.y0 : window.y1, window.x0 : window.x1])
    return binned / (window.x_binning * window.y_binning)


def dark_current(window: Window, exposure_s: float) -> Any:
    """Return electrons that gather without light, (rows, columns): few, and warm pixels."""
    rng = np.random.default_rng(12235)
    full = np.full((2102, 2148), DARK_E_PER_HOUR, dtype=np.float32)
    at = rng.integers(0, 2102, WARM_PIXELS), rng.integers(0, 2148, WARM_PIXELS)
    full[at] += rng.lognormal(6.0, 1.0, WARM_PIXELS)
    cut = full[window.y0 : window.y1, window.x0 : window.x1]
    return window.add_up(cut) * (exposure_s / 3600)


def bias_pattern(shape: tuple[int, int]) -> Any:
    """Return the start-up transient of a window above its level, ADU.

    The first columns stand high, the first rows a little, and the very first pixels swing so far
    below zero that the unsigned count wraps.
    """
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    along_x = 2590 * np.exp(-1.11 * columns) + 300 * np.exp(-columns / 190) - 84.5
    along_y = 263 * np.exp(-0.55 * rows) - 15 * (1 - np.exp(-rows / 250))
    pattern = along_x + along_y
    first = columns[0]
    pattern[0] += -31600 * np.exp(-1.18 * first) + 60 * np.exp(-first / 40)
    return pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """Raw counts and what struck the detector.

    Attributes
    ----------
    raw : (ny, nx) int64
        Counts, possibly negative.
    charge : (ny, nx) float
        Electrons of cosmic rays in each raw pixel.
    hits : int
        Cosmic rays.
    """

    raw: Any
    charge: Any
    hits: int

    @property
    def struck_pixels(self) -> int:
        """Pixels where cosmic rays exceed five times the read noise."""
        return int((self.charge > 5 * READ_NOISE_ADU * GAIN_E_PER_ADU).sum())


def read_out(
    expected: Any,
    window: Window,
    level_adu: float,
    exposure_s: float,
    rng: np.random.Generator,
    *,
    hit_rate: float = 1.0,
) -> Readout:
    """Turn expected electrons into raw counts.

    Parameters
    ----------
    expected : (ny, nx) float
        Electrons in each raw pixel, sensitivity included.
    hit_rate
        Factor on the number of cosmic rays.
    """
    rows, columns = window.shape
    electrons = rng.poisson(np.clip(expected, 0, None)).astype(np.float64)
    struck = np.zeros((rows * window.y_binning, columns * window.x_binning))
    readout_s = 2 + rows * columns / 112_000
    # An unread row still gathers hits while the others are read.
    exposed_s = (exposure_s + readout_s / 2) * hit_rate
    hits = add_cosmic_rays(struck[: LIT_ROWS - window.y0], exposed_s, rng)
    charge = np.rint(window.add_up(struck))
    counts = (electrons + charge) / GAIN_E_PER_ADU
    counts += level_adu + bias_pattern((rows, columns)) + _row_drift(rows, rng)[:, None]
    counts += rng.normal(0, READ_NOISE_ADU, (rows, columns))
    ceiling = CLIP_ADU[window.x_binning * window.y_binning > 1]
    over = counts > ceiling
    counts[over] = ceiling + rng.normal(0, 300, int(over.sum()))
    return Readout(raw=np.rint(counts).astype(np.int64), charge=charge, hits=hits)


def _row_drift(rows: int, rng: np.random.Generator) -> Any:
    memory = np.exp(-1 / 120)
    slow = lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.normal(0, ROW_DRIFT_ADU, rows + 600))
    return slow[600:] + rng.normal(0, ROW_DRIFT_ADU, rows)
