"""How far the instrument bent between the arc and the exposure, from night-sky lines."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.spectroscopy.line_profile import LineProfile, measure_lines
from reducers.spectroscopy.lines import SKY_LINES
from reducers.spectroscopy.stray_lines import count_stray_lines
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Geometry
    from reducers.spectroscopy.lines import SkyLine

Array = NDArray[np.float64]

#: Slit columns (unbinned) that are joined before a line is centred.
BIN_PX = 10
#: A larger shift (px) is not flexure but a wrong arc.
LIMIT_PX = 8.0
#: How far (px) a grism's nominal wavelengths may be off, whose zero point nothing holds.
NOMINAL_LIMIT_PX = 20.0
#: How far (px) lines are sought that are missing while the sky shows others, and how many of them
#: name the shift: two may be any two.
WIDE_PX, WIDE_LINES = 40.0, 3
#: Two lines that are left within so much (px) confirm a scale that no arc supports.
CONFIRMED_LINES, CONFIRMED_PX = 2, 0.3
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
    strays : int
        Sky lines where the scale knows none, while those that it knows are missing.
    """

    shift_px: float
    error_px: float
    n_lines: int
    applied: bool
    residual_px: float
    oxygen_5577_angstrom: float
    oxygen_5577_arc_angstrom: float
    lines: tuple[SkyLineShift, ...]
    strays: int = 0

    @property
    def confirms(self) -> bool:
        """True where several sky lines agree with the scale, as it is after the correction."""
        return self.n_lines >= CONFIRMED_LINES and self.residual_px < CONFIRMED_PX


#: No line was looked for, or none was seen.
UNKNOWN = Flexure(
    shift_px=math.nan,
    error_px=math.nan,
    n_lines=0,
    applied=False,
    residual_px=math.nan,
    oxygen_5577_angstrom=math.nan,
    oxygen_5577_arc_angstrom=math.nan,
    lines=(),
)


def measure_flexure(
    sky: Array,
    solution: WavelengthSolution,
    geometry: Geometry,
    shape: tuple[int, int],
    *,
    lines: Sequence[SkyLine] = SKY_LINES,
    nominal: bool = False,
) -> Flexure:
    """Return the flexure that the `sky` shows against an arc's `solution`.

    Parameters
    ----------
    sky : (ny, nx) or (ny,) counts
        The sky as recorded, for an image of this `geometry` and `shape`; or its spectrum on the
        rows of the middle column, which is less accurate because it was resampled.
    nominal
        The solution is a grism's nominal one: lines are looked for farther off, and whatever
        shift several of them agree on is applied, for there is no zero point to defend.
    """
    if solution.grism.in_pixels:
        return UNKNOWN
    bins = _SkyBins.of(np.asarray(sky, dtype=np.float64), solution, geometry, shape)
    found = bins.seen(lines, NOMINAL_LIMIT_PX if nominal else LIMIT_PX)
    if found:
        return _combined(found, nominal=nominal)
    green = solution.row(lines[0].wavelength_angstrom, bins.detector_x)
    strays = count_stray_lines(bins.counts, bins.detector_y, green, solution, bins.detector_x)
    if not strays:
        return UNKNOWN
    far = _combined(bins.seen(lines, WIDE_PX), nominal=False)
    shifts = [line.shift_px for line in far.lines]
    if len(shifts) >= WIDE_LINES and np.std(shifts) < CONFIRMED_PX:
        return far
    return replace(UNKNOWN, strays=strays)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SkyBins:
    """Sky spectra (n_bins, ny) of slit bins, the detector x of each, and the arc's solution."""

    counts: Array
    detector_x: Array
    detector_y: Array
    solution: WavelengthSolution

    @classmethod
    def of(
        cls, sky: Array, solution: WavelengthSolution, geometry: Geometry, shape: tuple[int, int]
    ) -> _SkyBins:
        """Cut the sky into bins along the slit."""
        counts, detector_x = _slit_bins(sky, geometry, shape)
        rows = np.asarray(geometry.detector_y(np.arange(shape[0])), dtype=np.float64)
        return cls(counts=counts, detector_x=detector_x, detector_y=rows, solution=solution)

    def seen(self, lines: Sequence[SkyLine], reach_px: float) -> tuple[SkyLineShift, ...]:
        """Return the lines that stand within reach of where the solution puts them."""
        y, x = self.detector_y, self.detector_x
        profile = _profile(self.solution, abs(float(y[1] - y[0])))
        found: list[SkyLineShift] = []
        around, reach = 0.0, reach_px
        for line in lines:  # the brightest comes first and tells where the others are
            expected = self.solution.row(line.wavelength_angstrom, x)
            if expected.min() - 30 < y.min() or expected.max() + 30 > y.max():
                continue
            shift = _line_shift(self.counts, y, expected, profile, around, reach)
            if shift is None and not found:
                break  # a fainter line alone could be mistaken for its neighbour
            if shift is None:
                continue
            if not found:
                around, reach = shift[0], 1.5
            found.append(_described(line, *shift, self.solution, float(np.median(x))))
        return tuple(found)


def _slit_bins(sky: Array, geometry: Geometry, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return sky spectra (n_bins, ny) of slit bins, and the detector x of each bin."""
    if sky.ndim == 1:
        return sky[None, :], np.atleast_1d(np.asarray(geometry.detector_x(shape[1] // 2), float))
    width = max(1, BIN_PX // geometry.x_binning)
    n_bins = max(1, sky.shape[1] // width)
    cube = sky[:, : n_bins * width].reshape(sky.shape[0], n_bins, -1)
    columns = np.arange(n_bins) * width + (width - 1) / 2
    return np.median(cube, axis=2).T, np.asarray(geometry.detector_x(columns), dtype=np.float64)


def _profile(solution: WavelengthSolution, pixel_px: float) -> LineProfile:
    if math.isfinite(solution.slit_px) and math.isfinite(solution.blur_px):
        slit_px, blur_px = solution.slit_px, max(solution.blur_px, 0.4)
    else:
        slit_px, blur_px = 4.0, 1.0
    return LineProfile(slit_px=slit_px, blur_px=blur_px, pixel_px=pixel_px)


def _line_shift(
    counts: Array,
    detector_y: Array,
    expected: Array,
    profile: LineProfile,
    around_px: float,
    reach_px: float,
) -> tuple[float, float, float] | None:
    """Return (shift px, error px, signal-to-noise) of one line, or None when it is too weak."""
    offset = detector_y - expected[:, None]
    local = np.abs(offset) <= 30
    usable = np.isfinite(counts)
    floor = np.array([np.median(c[k & u]) if (k & u).any() else 0.0
                      for c, k, u in zip(counts, local, usable, strict=True)])  # fmt: skip
    signal = np.where(usable, counts - floor[:, None], 0.0)
    near = np.where(np.abs(offset - around_px) <= reach_px + profile.pixel_px, signal, -np.inf)
    peak_at = np.take_along_axis(offset, near.argmax(axis=1)[:, None], axis=1)
    start = expected + float(np.median(peak_at))
    measured = measure_lines(signal, usable, detector_y, start[:, None], profile)
    shift, error = measured.centre[:, 0] - expected, measured.error[:, 0]
    noise = measured.misfit[:, 0]
    seen = (measured.flux[:, 0] > 0) & (noise < 1 / 3) & (error < 1.0)
    seen &= np.abs(shift - around_px) <= reach_px
    if seen.mean() < 0.5:
        return None
    middle = float(np.median(shift[seen]))
    spread = 1.4826 * float(np.median(np.abs(shift[seen] - middle)))
    number = math.sqrt(float(seen.sum()))
    signal_to_noise = number / max(float(np.median(noise[seen])), 1e-6)
    if signal_to_noise < MIN_SIGNAL_TO_NOISE:
        return None
    return middle, max(spread, float(np.median(error[seen]))) / number, signal_to_noise


def _described(
    line: SkyLine,
    shift_px: float,
    error_px: float,
    signal_to_noise: float,
    solution: WavelengthSolution,
    detector_x: float,
) -> SkyLineShift:
    row = float(solution.row(line.wavelength_angstrom, detector_x))
    ends = solution.wavelength(np.array([row - 0.5, row + 0.5]), detector_x)
    return SkyLineShift(
        wavelength_angstrom=line.wavelength_angstrom,
        emitter=line.emitter,
        shift_px=shift_px,
        error_px=math.hypot(error_px, FLOOR_PX),
        signal_to_noise=signal_to_noise,
        angstrom_per_px=float(ends[1] - ends[0]),
    )


def _combined(found: tuple[SkyLineShift, ...], *, nominal: bool) -> Flexure:
    if not found:
        return UNKNOWN
    shift = np.array([line.shift_px for line in found])
    weight = np.array([line.error_px for line in found]) ** -2.0
    mean = float((shift * weight).sum() / weight.sum())
    formal = float(weight.sum() ** -0.5)
    scatter = float(np.sqrt((weight * (shift - mean) ** 2).sum() / weight.sum() / len(shift)))
    error = max(formal, scatter)
    applied = SIGNIFICANCE * error < abs(mean) < LIMIT_PX
    if nominal:
        agree = float(np.median(np.abs(shift - mean))) < CONFIRMED_PX
        applied = agree and len(found) >= CONFIRMED_LINES
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
