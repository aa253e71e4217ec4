"""From raw counts to a frame that knows its place, its bad pixels and its level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import polynomial

from reducers.detector.grow import grown
from reducers.errors import SetupMismatch
from reducers.frame import Frame, Geometry, Image, Mask
from reducers.instrument import Section

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.identity import Setup
    from reducers.instrument import Detector


#: Columns and rows at the beginning of a window in which the readout settles.
SETTLING_PIXELS = 10
#: How far along a column a full pixel spills.
SPILL_PIXELS = 3


def geometry_of(setup: Setup) -> Geometry:
    """Return where an image of this set-up lies on the detector."""
    x1, _, y1, _ = setup.window
    return Geometry(x0=x1 - 1, y0=y1 - 1, x_binning=setup.x_binning, y_binning=setup.y_binning)


def start_frame(counts: Image, setup: Setup, detector: Detector) -> Frame:
    """Wrap raw counts as a frame in adu, with saturated and non-linear pixels masked.

    Parameters
    ----------
    counts : (ny, nx) adu
        Raw image with wrapped pixels repaired.

    Raises
    ------
    SetupMismatch
        If the image is not of the size that its window and binning declare.
    """
    x1, x2, y1, y2 = setup.window
    declared = ((y2 - y1 + 1) // setup.y_binning, (x2 - x1 + 1) // setup.x_binning)
    if counts.shape != declared:
        raise SetupMismatch(
            f"the image is {counts.shape[1]} x {counts.shape[0]} pixels, "
            f"its window and binning declare {declared[1]} x {declared[0]}"
        )
    mask = np.zeros(counts.shape, np.uint16)
    mask[counts > detector.nonlinear_adu] |= np.uint16(Mask.NONLINEAR)
    saturated = detector.saturation_adu(setup.x_binning, setup.y_binning)
    full = counts >= saturated
    if full.any():
        mask[full] |= np.uint16(Mask.SATURATED)
        mask[spilled(full)] |= np.uint16(Mask.NEIGHBOUR)
    mask[~(counts >= 0)] |= np.uint16(Mask.BAD)  # also what is no number, in edited files
    return Frame(
        data=counts,
        variance=np.zeros_like(counts),
        mask=mask,
        geometry=geometry_of(setup),
    )


def spilled(full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels beside saturated ones: charge spills along the columns, and diffuses."""
    around = grown(full, rows=1, columns=1) | grown(full, rows=SPILL_PIXELS, columns=0)
    return np.asarray(around & ~full)


def mask_settling(frame: Frame) -> Frame:
    """Mark the columns and rows that a window reads first as BAD: only a bias corrects them."""
    mask = frame.mask.copy()
    mask[:, :SETTLING_PIXELS] |= np.uint16(Mask.BAD)
    mask[:SETTLING_PIXELS] |= np.uint16(Mask.BAD)
    return frame.after("start-up columns and rows marked: there is no bias", mask=mask)


def correct_linearity(frame: Frame, linearity: tuple[float, ...]) -> Frame:
    """Make counts above the bias proportional to the light, as far as the profile knows how.

    Parameters
    ----------
    linearity
        Coefficients as in `Detector.linearity`; empty leaves the frame as it is.
    """
    if not linearity:
        return frame
    x = np.clip(frame.data, 0, None) / np.float32(1e5)
    factor = polynomial.polyval(x, (1.0, *linearity)).astype(np.float32)
    slope = polynomial.polyval(x, [1.0, *(c * (k + 2) for k, c in enumerate(linearity))])
    return frame.after(
        "linearity: corrected with the profile's polynomial",
        data=frame.data * factor,
        variance=frame.variance * slope.astype(np.float32) ** 2,
    )


def box(section: Section, frame: Frame) -> tuple[slice, slice]:
    """Return the rows and columns of `frame` that lie wholly inside a detector section."""
    rows = _inside(section.y_start, section.y_stop, frame.geometry.y0, frame.geometry.y_binning)
    columns = _inside(section.x_start, section.x_stop, frame.geometry.x0, frame.geometry.x_binning)
    return (
        slice(max(rows[0], 0), min(max(rows[1], 0), frame.shape[0])),
        slice(max(columns[0], 0), min(max(columns[1], 0), frame.shape[1])),
    )


def _inside(start: int, stop: int, origin: int, binning: int) -> tuple[int, int]:
    return -((origin - start) // binning), (stop - origin) // binning


def cut_out(frame: Frame, setup: Setup) -> Frame:
    """Return the part of a frame that a window reads out; all of it where it is no larger."""
    x1, x2, y1, y2 = setup.window
    window = Section(x_start=x1 - 1, x_stop=x2, y_start=y1 - 1, y_stop=y2)
    rows, columns = box(window, frame)
    if (rows.stop - rows.start, columns.stop - columns.start) == frame.shape:
        return frame
    return trim(frame, window)


def trim(frame: Frame, image: Section) -> Frame:
    """Keep the pixels that see light."""
    rows, columns = box(image, frame)
    before = frame.geometry
    geometry = Geometry(
        x0=before.x0 + columns.start * before.x_binning,
        y0=before.y0 + rows.start * before.y_binning,
        x_binning=before.x_binning,
        y_binning=before.y_binning,
    )
    return frame.after(
        f"trim: rows {rows.start}:{rows.stop}, columns {columns.start}:{columns.stop}",
        data=frame.data[rows, columns],
        variance=frame.variance[rows, columns],
        mask=frame.mask[rows, columns],
        geometry=geometry,
    )


def turn(frame: Frame) -> Frame:
    """Transpose a frame whose spectra run along the rows, so that everything after sees columns."""
    return frame.after(
        "turn: rows now follow the detector's x",
        data=frame.data.T,
        variance=frame.variance.T,
        mask=frame.mask.T,
        geometry=frame.geometry.transposed(),
    )


def clipped_mean(values: NDArray[np.float64], clip_sigma: float = 4.0) -> tuple[float, float]:
    """Return mean and standard deviation after clipping about the median (5 rounds at most)."""
    kept = values[np.isfinite(values)]
    for _ in range(5):
        if kept.size < 3:
            break
        middle = np.median(kept)
        width = 1.4826 * np.median(np.abs(kept - middle))
        inside = np.abs(kept - middle) <= clip_sigma * max(width, 1e-12)
        if inside.all() or inside.sum() < 3:
            break
        kept = kept[inside]
    if kept.size == 0:
        return float("nan"), float("nan")
    return float(kept.mean()), float(kept.std())
