"""How bright the lamps of an arc burn: electrons per second in their brightest whole lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask
from reducers.spectroscopy.lines import LAMP_IONS
from reducers.spectroscopy.wavelength import NONLINEAR_ADU

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from reducers.frame import Frame
    from reducers.spectroscopy.wavelength import WavelengthSolution

#: The median of so many of a lamp's brightest lines: one that saturates or fades moves it little.
_BRIGHTEST, _FEWEST = 10, 2
#: Columns (unbinned px) either side of the middle of the slit that are averaged.
_HALF_SLIT_PX = 20.0
#: Half of the window of a line, and where its background ends, in line widths.
_WINDOW, _BACKGROUND = 1.2, 2.5


def lamp_light(
    frame: Frame, solution: WavelengthSolution, seconds: Mapping[str, float], gain: float
) -> dict[str, float]:
    """Return 'lamp_he_e_per_s' and the like: light of each lamp in one column at mid slit.

    Parameters
    ----------
    frame : Frame
        The arc above its bias, adu.
    solution : WavelengthSolution
        The lines that were identified on it.
    seconds
        Lamp -> for how long it was exposed.
    gain : float
        Electrons per adu.
    """
    profile, whole = _middle_of_slit(frame, solution)
    y = np.asarray(frame.geometry.detector_y(np.arange(frame.shape[0])), np.float64)
    ions = np.array(solution.line_ion)
    found: dict[str, float] = {}
    for lamp, exposed_s in seconds.items():
        wanted = solution.line_used & np.isin(ions, LAMP_IONS.get(lamp, ()))
        light = [
            _line(profile, whole, y, row, solution.fwhm_px) for row in solution.line_row[wanted]
        ]
        bright = sorted((x for x in light if x > 0), reverse=True)[:_BRIGHTEST]
        if len(bright) >= _FEWEST and exposed_s > 0:
            found[f"lamp_{lamp.lower()}_e_per_s"] = float(np.median(bright)) * gain / exposed_s
    return found


def _middle_of_slit(
    frame: Frame, solution: WavelengthSolution
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean spectrum (adu) of the columns at mid slit, and where it is whole."""
    x = np.asarray(frame.geometry.detector_x(np.arange(frame.shape[1])), np.float64)
    off = np.abs(x - sum(solution.domain_x_px) / 2)
    chosen = off <= max(_HALF_SLIT_PX, float(off.min()))
    data = frame.data[:, chosen].astype(np.float64)
    full = (frame.mask[:, chosen] & np.uint16(Mask.SATURATED | Mask.NONLINEAR)) != 0
    full |= data > NONLINEAR_ADU
    good = frame.good[:, chosen] & np.isfinite(data)
    mean = np.where(good, data, 0.0).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    return mean, ~full.any(axis=1) & good.any(axis=1)


def _line(
    profile: NDArray[np.float64],
    whole: NDArray[np.bool_],
    y: NDArray[np.float64],
    row: float,
    fwhm_px: float,
) -> float:
    """Return the light of a line above its surroundings; NaN where a pixel of it is full."""
    off = np.abs(y - row) / fwhm_px
    line, around = off <= _WINDOW, (off > _WINDOW) & (off <= _BACKGROUND)
    if not line.any() or not whole[line].all() or around.sum() < 2:
        return float("nan")
    # The lower quartile: neighbours stand in the surroundings of many lines.
    return float((profile[line] - np.percentile(profile[around], 25)).sum())
