"""How far the instrument bent between the arc and the exposure, from night-sky lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.special import ndtr

from reducers.spectroscopy.lines import SKY_LINES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Geometry
    from reducers.spectroscopy.lines import SkyLine
    from reducers.spectroscopy.wavelength import WavelengthSolution

Array = NDArray[np.float64]

#: A larger shift (px) is not flexure but a wrong arc.
LIMIT_PX = 8.0
#: Below this a sky line is not measured.
MIN_SIGNAL_TO_NOISE = 10.0
#: What line blends and the shape of the slit image leave uncertain (px), whatever the counts.
FLOOR_PX = 0.05
#: A shift below this many errors is not applied.
SIGNIFICANCE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyLineShift:
    """One sky line: measured minus expected detector y (unbinned px), its error, its S/N."""

    wavelength_angstrom: float
    emitter: str
    shift_px: float
    error_px: float
    signal_to_noise: float
    angstrom_per_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexure:
    """The shift of an exposure against its arc.

    Attributes
    ----------
    shift_px, error_px : float
        Towards larger detector y, unbinned px; give `shift_px` to `WavelengthSolution.shifted`.
        NaN when no sky line was measured.
    n_lines : int
        Sky lines that carry the shift.
    applied : bool
        The shift is significant and small enough to be flexure.
    residual_px : float
        Median absolute offset of the lines after the correction, if it is applied.
    oxygen_5577_angstrom : float
        Where [O I] 5577.34 (vacuum 5578.89) falls on the delivered scale; NaN when not measured.
    oxygen_5577_arc_angstrom : float
        The same on the arc's own scale, before any correction.
    lines : tuple of SkyLineShift
    """

    shift_px: float
    error_px: float
    n_lines: int
    applied: bool
    residual_px: float
    oxygen_5577_angstrom: float
    oxygen_5577_arc_angstrom: float
    lines: tuple[SkyLineShift, ...]


def measure_flexure(
    sky: Array,
    solution: WavelengthSolution,
    geometry: Geometry,
    shape: tuple[int, int],
    *,
    lines: Sequence[SkyLine] = SKY_LINES,
) -> Flexure:
    """Return the flexure that the `sky` spectrum shows against an arc's `solution`.

    Parameters
    ----------
    sky : (ny,) counts
        Sky on the rows of the middle column of an image of this `geometry` and `shape`.
    """
    counts = np.asarray(sky, dtype=np.float64)
    detector_y = np.asarray(geometry.detector_y(np.arange(shape[0])), dtype=np.float64)
    middle_x = float(geometry.detector_x(shape[1] // 2))
    found: list[SkyLineShift] = []
    around, reach = 0.0, LIMIT_PX
    for line in lines:  # the brightest comes first and tells where the others are
        shift = _line_shift(counts, detector_y, middle_x, solution, line, around, reach)
        if shift is None:
            continue
        if not found:
            around, reach = shift.shift_px, 1.5
        found.append(shift)
    return _combined(tuple(found))


def _line_shift(
    counts: Array,
    detector_y: Array,
    middle_x: float,
    solution: WavelengthSolution,
    line: SkyLine,
    around_px: float,
    reach_px: float,
) -> SkyLineShift | None:
    expected = float(solution.row(line.wavelength_angstrom, middle_x))
    width, step = solution.fwhm_px, abs(float(detector_y[1] - detector_y[0]))
    near = np.abs(detector_y - expected - around_px) <= reach_px
    if near.sum() < 3 or not np.isfinite(counts[near]).all():
        return None
    centre = float(detector_y[near][np.argmax(counts[near])])
    window = np.abs(detector_y - centre) <= 2.0 * width + step
    if window.sum() < 7 or not np.isfinite(counts[window]).all():
        return None
    fitted = _fit_line(detector_y[window], counts[window], centre, width, step)
    if fitted is None:
        return None
    position, error, signal_to_noise = fitted
    if signal_to_noise < MIN_SIGNAL_TO_NOISE or abs(position - expected - around_px) > reach_px:
        return None
    around = solution.wavelength(np.array([expected - 0.5, expected + 0.5]), middle_x)
    return SkyLineShift(
        wavelength_angstrom=line.wavelength_angstrom,
        emitter=line.emitter,
        shift_px=position - expected,
        error_px=math.hypot(error, FLOOR_PX),
        signal_to_noise=signal_to_noise,
        angstrom_per_px=float(around[1] - around[0]),
    )


def _fit_line(
    y: Array, counts: Array, centre: float, width: float, step: float
) -> tuple[float, float, float] | None:
    """Return (centre, its error, signal-to-noise) of one line on a sloping floor."""

    def model(
        at: Array, peak: float, place: float, sigma: float, floor: float, tilt: float
    ) -> Array:
        low, high = (at - place - step / 2) / sigma, (at - place + step / 2) / sigma
        line = peak * sigma * math.sqrt(2 * math.pi) / step * (ndtr(high) - ndtr(low))
        return np.asarray(line + floor + tilt * (at - centre))

    floor, sigma = float(np.percentile(counts, 25)), width / 2.355
    height = float(counts.max()) - floor
    if not height > 0:
        return None
    bounds = (
        [0.0, centre - 2 * step, 0.4 * sigma, -np.inf, -np.inf],
        [np.inf, centre + 2 * step, 2.0 * sigma, np.inf, np.inf],
    )
    start = (height, centre, sigma, floor, 0.0)
    try:
        best, covariance = curve_fit(model, y, counts, start, bounds=bounds, max_nfev=400)
    except RuntimeError:  # scipy's word for "did not converge"
        return None
    noise = math.sqrt(max(float(covariance[0, 0]), 1e-30))
    error = math.sqrt(max(float(covariance[1, 1]), 0.0))
    if not (math.isfinite(noise) and math.isfinite(error)):
        return None
    return float(best[1]), error, float(best[0]) / noise


def _combined(found: tuple[SkyLineShift, ...]) -> Flexure:
    if not found:
        return Flexure(
            shift_px=math.nan,
            error_px=math.nan,
            n_lines=0,
            applied=False,
            residual_px=math.nan,
            oxygen_5577_angstrom=math.nan,
            oxygen_5577_arc_angstrom=math.nan,
            lines=(),
        )
    shift = np.array([line.shift_px for line in found])
    weight = np.array([line.error_px for line in found]) ** -2.0
    mean = float((shift * weight).sum() / weight.sum())
    formal = float(weight.sum() ** -0.5)
    scatter = float(np.sqrt((weight * (shift - mean) ** 2).sum() / weight.sum() / len(shift)))
    error = max(formal, scatter)
    applied = SIGNIFICANCE * error < abs(mean) < LIMIT_PX
    left = shift - mean if applied else shift
    green = found[0] if abs(found[0].wavelength_angstrom - 5578.89) < 0.1 else None
    moved = mean if applied else 0.0
    return Flexure(
        shift_px=mean,
        error_px=error,
        n_lines=len(found),
        applied=bool(applied),
        residual_px=float(np.median(np.abs(left))),
        oxygen_5577_angstrom=_place(green, moved),
        oxygen_5577_arc_angstrom=_place(green, 0.0),
        lines=found,
    )


def _place(line: SkyLineShift | None, moved_px: float) -> float:
    if line is None:
        return math.nan
    return line.wavelength_angstrom + (line.shift_px - moved_px) * line.angstrom_per_px
