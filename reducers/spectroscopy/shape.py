"""The shape of an object along the slit: a Moffat and, where the data show it, what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from reducers.frame import Vector, read_only

if TYPE_CHECKING:
    from reducers.spectroscopy.trace import Trace

#: Half the width, in FWHM, within which a profile has unit sum; nothing lies beyond.
REACH_FWHM = 4.0
#: Breakpoints of the correction on either side of the trace (FWHM): close in the core.
BREAKS_FWHM = (0.0, 0.25, 0.5, 0.75, 1.0, 1.3, 1.7, 2.3, 3.1, REACH_FWHM)
#: Degree of the polynomial along the rows that each coefficient of the correction follows.
ROW_DEGREE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Profile along the slit: a Moffat whose width changes with the row, and its correction.

    Attributes
    ----------
    beta : float
        Moffat exponent.
    fwhm_px, slope : float
        FWHM = fwhm_px * (1 + slope * u), u running from -1 to 1 over the rows.
    offset_px : float
        Where the Moffat's centre lies from the trace, which is a centroid.
    correction : (ROW_DEGREE + 1, splines) or None
        Added to the Moffat of unit sum: cubic B-splines in distance from its centre over FWHM,
        times Legendre polynomials in u.
    """

    beta: float
    fwhm_px: float
    slope: float
    offset_px: float = 0.0
    correction: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.correction is not None:
            object.__setattr__(self, "correction", read_only(self.correction, np.float64))

    def values(self, trace: Trace, columns: int) -> NDArray[np.float64]:
        """Return the (ny, nx) profile, unit sum within four FWHM of the trace.

        The sum runs beyond the window's edge, so that an object there is not brightened.
        """
        index, line = self.along(trace)
        image = np.zeros((trace.rows.size, columns))
        rows = np.broadcast_to(np.arange(trace.rows.size)[:, None], index.shape)
        inside = (index >= 0) & (index < columns)
        image[rows[inside], index[inside]] = line[inside]
        return image

    def along(self, trace: Trace) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return columns around the trace, (ny, k), and the profile in them."""
        index = self.window(trace)
        distance = index - trace.columns[:, None]
        line = self.moffat(trace, distance)
        if self.correction is not None:
            scaled = self.scaled(trace, distance)
            u = row_coordinate(trace.rows.size)[:, None]
            spline = BSpline(KNOTS, np.ascontiguousarray(self.correction.T), 3, extrapolate=False)
            parts = np.nan_to_num(spline(scaled))
            for degree in range(len(self.correction)):
                line += parts[..., degree] * legendre.legval(u, np.eye(ROW_DEGREE + 1)[degree])
            line = np.maximum(line, 0)
        return index, np.asarray(line / line.sum(axis=1, keepdims=True))

    def window(self, trace: Trace) -> NDArray[np.int64]:
        """Return, for every row, the columns (also beyond the image) that the profile covers."""
        reach = REACH_FWHM * self.fwhm_px * (1 + abs(self.slope)) + abs(self.offset_px)
        half = int(np.ceil(reach)) + 1
        first = np.floor(trace.columns).astype(np.int64) - half
        return np.asarray(first[:, None] + np.arange(2 * half + 2)[None, :])

    def scaled(self, trace: Trace, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return distances from the Moffat's centre in units of the row's FWHM."""
        u = row_coordinate(trace.rows.size)
        fwhm = np.maximum(self.fwhm_px * (1 + self.slope * u), 1.0)
        return np.asarray((distance - self.offset_px) / fwhm[:, None])

    def moffat(self, trace: Trace, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Moffat alone, with unit sum over each row's distances."""
        u = row_coordinate(trace.rows.size)
        fwhm = np.maximum(self.fwhm_px * (1 + self.slope * u), 1.0)[:, None]
        core = moffat_core(fwhm, self.beta)
        off = distance - self.offset_px
        line = np.where(np.abs(off) <= REACH_FWHM * fwhm, pixel_moffat(off, core, self.beta), 0)
        return np.asarray(line / line.sum(axis=1, keepdims=True))


def _knots() -> Vector:
    right = np.array(BREAKS_FWHM)
    inner = np.concatenate([-right[:0:-1], right])
    return np.concatenate([np.full(3, inner[0]), inner, np.full(3, inner[-1])])


#: Knots of the correction: the breakpoints mirrored, with clamped ends.
KNOTS: Vector = _knots()


def row_coordinate(rows: int) -> Vector:
    """Return u, running from -1 to 1 over the rows."""
    return np.linspace(-1, 1, rows)


def moffat_core(fwhm: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return the core radius of a Moffat of given FWHM."""
    return np.asarray(fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1)))


def pixel_moffat(
    distance: NDArray[np.float64], core: NDArray[np.float64], beta: float
) -> NDArray[np.float64]:
    """Average a Moffat over the pixel by Simpson's rule."""

    def at(offset: float) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (1 + ((distance + offset) / core) ** 2) ** -beta
        return value

    return (at(-0.5) + 4 * at(0.0) + at(0.5)) / 6
