"""Lines of the night sky that no wavelength scale explains: the scale is not this exposure's.

[O I] 5577 is the brightest line of a dark sky below 6800 A (Osterbrock et al. 1996, PASP 108, 277).
Where it is missing although a tenth of it would show, and another line stands out instead, arc and
exposure do not belong together. Moonlight and twilight hide the line, but show no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from reducers.spectroscopy.wavelength import WavelengthSolution

Array = NDArray[np.float64]

#: Between these (vacuum Angstrom, on the scale in question) no other line of the sky is as bright.
RANGE_ANGSTROM = (5000.0, 6800.0)
#: Height over the continuum that makes a line; in a dark sky [O I] 5577 reaches ten at R = 400.
LEAST_CONTRAST = 0.5
#: A line so high would have been seen at this signal-to-noise where it is missed; a stray is seen.
OUGHT_SNR, STRAY_SNR = 10.0, 20.0
#: What is wider than this many lamp lines is the image of a wider slit, in which no line is sharp.
WIDEST_LINE = 2.0
#: Width of a lamp line (unbinned px) where no arc has told it.
USUAL_LINE_PX = 5.0
#: Rows of the running medians that are continuum and noise.
CONTINUUM_ROWS = 61


def count_stray_lines(
    counts: Array,
    detector_y: Array,
    green_y: Array,
    solution: WavelengthSolution,
    detector_x: Array,
) -> int:
    """Return how many sky lines stand out while [O I] 5577, which ought to, is missing.

    Parameters
    ----------
    counts : (n_bins, ny)
        Sky spectra of bins along the slit.
    detector_y : (ny,) unbinned px
    green_y, detector_x : (n_bins,) unbinned px
        Where 5577 should be, and the bins.
    """
    step = float(detector_y[1] - detector_y[0])
    rows = (green_y - detector_y[0]) / step
    on_detector = rows.min() > CONTINUUM_ROWS / 2 and rows.max() < len(detector_y) - 1
    if not on_detector:
        return 0
    index, middle = np.arange(len(detector_y)), float(np.median(rows))
    # Lines are nearly parallel: what straightens one straightens all.
    straight = np.stack(
        [
            np.interp(index + row - middle, index, np.nan_to_num(one))
            for row, one in zip(rows, counts, strict=True)
        ]
    )
    spectrum = np.median(straight, axis=0)
    # From row to row: bins of a fitted sky share their errors, and differ where the slit is uneven.
    rough = np.abs(spectrum[1:-1] - 0.5 * (spectrum[:-2] + spectrum[2:]))
    noise = np.pad(1.4826 / np.sqrt(1.5) * ndimage.median_filter(rough, CONTINUUM_ROWS), 1, "edge")
    noise += 1e-9
    continuum = ndimage.median_filter(spectrum, CONTINUUM_ROWS)
    level = LEAST_CONTRAST * np.maximum(continuum, 0.0)
    if level[round(middle)] < OUGHT_SNR * noise[round(middle)]:
        return 0
    above = spectrum - continuum
    top = above == ndimage.maximum_filter(above, 5)
    top &= (above > level) & (above > STRAY_SNR * noise)
    width_px = solution.fwhm_px if np.isfinite(solution.fwhm_px) else USUAL_LINE_PX
    narrow = WIDEST_LINE * max(width_px / step, 2.0)
    top &= np.array([t and _rows_above_half(above, k) <= narrow for k, t in enumerate(top)])
    wavelength = solution.wavelength(detector_y, float(np.median(detector_x)))
    low, high = RANGE_ANGSTROM
    return int((top & (wavelength > low) & (wavelength < high)).sum())


def _rows_above_half(above: Array, row: int) -> int:
    """Return how many rows around a peak exceed half of it."""
    runs, _ = ndimage.label(above > above[row] / 2)
    return int((runs == runs[row]).sum())
