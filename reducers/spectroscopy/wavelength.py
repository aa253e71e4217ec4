"""Which wavelength falls on which pixel: the two-dimensional solution of an arc."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from reducers.errors import PoorWavelengthFit
from reducers.frame import Mask, read_only
from reducers.instrument import Grism
from reducers.spectroscopy.arc_pattern import subtract_continuum
from reducers.spectroscopy.dispersion import guess_row, guess_wavelength
from reducers.spectroscopy.lamps import identify_lamps
from reducers.spectroscopy.line_profile import measure_lines
from reducers.spectroscopy.lines import complete_strengths, reference_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.frame import Frame, Geometry
    from reducers.instrument import ArcLine
    from reducers.spectroscopy.arcs import IdentifiedArc

Array = NDArray[np.float64]

#: Slit columns (unbinned) that are averaged before the lines are centred.
BIN_PX = 8
#: Counts above this (ADU, bias subtracted) are not trusted even when no mask says so.
NONLINEAR_ADU = 545_000.0
#: Degree of the correction along the slit.
SLIT_DEGREE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WavelengthSolution:
    """Vacuum wavelengths in unbinned detector coordinates, so that any binning may use them.

    Attributes
    ----------
    grism : Grism
        Whose first guess carries the shape.
    coefficients : (n_y, n_x) float64
        Legendre correction (px) over `domain_y_px` and `domain_x_px`.
    domain_y_px, domain_x_px : tuple of float
        Detector range that the used lines cover; beyond it the solution is extrapolated.
    flexure_px : float
        Shift already applied, unbinned pixels towards larger detector y.
    rms_angstrom, rms_px : float
        Scatter of the used line centres, all slit bins together (unbinned px).
    n_lines : int
        Lines used.
    fwhm_px : float
        Width of a lamp line, unbinned pixels.
    slit_px, blur_px : float
        The same as slit width and Gaussian blur (`LineProfile`); NaN when not measured.
    shift_px, correlation : float
        Zero point found, relative to the prediction from the slit; pattern correlation.
    aperture_y_px : float
        Where the slit stood on the detector (header), NaN when not recorded.
    line_wavelength, line_row, line_residual_angstrom, line_used, line_ion : (n,)
        The lines looked at: vacuum A, detector y at mid slit, measured minus fitted wavelength.
    """

    grism: Grism
    coefficients: Array
    domain_y_px: tuple[float, float]
    domain_x_px: tuple[float, float]
    rms_angstrom: float
    rms_px: float
    n_lines: int
    fwhm_px: float
    shift_px: float
    correlation: float
    line_wavelength: Array
    line_row: Array
    line_residual_angstrom: Array
    line_used: NDArray[np.bool_]
    line_ion: tuple[str, ...]
    flexure_px: float = 0.0
    slit_px: float = math.nan
    blur_px: float = math.nan
    aperture_y_px: float = math.nan

    def __post_init__(self) -> None:
        for name in ("coefficients", "line_wavelength", "line_row", "line_residual_angstrom"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))
        object.__setattr__(self, "line_used", read_only(self.line_used, np.bool_))

    def wavelength(self, detector_y: Any, detector_x: Any) -> Array:
        """Return vacuum Angstrom at unbinned detector positions (arrays broadcast)."""
        y = np.asarray(detector_y, dtype=np.float64) - self.flexure_px
        x = np.asarray(detector_x, dtype=np.float64)
        y, x = np.broadcast_arrays(y, x)
        scaled_y = _scaled(y, self.domain_y_px)
        scaled_x = _scaled(x, self.domain_x_px)
        correction = legendre.legval2d(scaled_y, scaled_x, self.coefficients)
        return guess_wavelength(self.grism, y + correction)

    def map_for(self, shape: tuple[int, int], geometry: Geometry) -> Array:
        """Return the (ny, nx) vacuum Angstrom of an image of this shape and geometry."""
        rows, columns = np.arange(shape[0]), np.arange(shape[1])
        y, x = geometry.detector_y(rows) - self.flexure_px, geometry.detector_x(columns)
        # As `wavelength`, but the polynomials of a grid are products of those of its sides.
        along, across = (np.array(self.coefficients.shape) - 1).tolist()
        correction = (
            legendre.legvander(_scaled(y, self.domain_y_px), along)
            @ self.coefficients
            @ legendre.legvander(_scaled(x, self.domain_x_px), across).T
        )
        return guess_wavelength(self.grism, y[:, None] + correction)

    def is_extrapolated(self, wavelength: Any) -> NDArray[np.bool_]:
        """Return True where vacuum `wavelength` lies beyond the first or last used line."""
        used = self.line_wavelength[self.line_used]
        w = np.asarray(wavelength)
        if not used.size:
            return np.ones(w.shape, bool)
        return np.asarray((w < used.min() - 1.0) | (w > used.max() + 1.0))

    def row(self, wavelength: Any, detector_x: Any) -> Array:
        """Return the unbinned detector y of vacuum `wavelength` at `detector_x` (broadcast)."""
        w, x = np.broadcast_arrays(
            np.asarray(wavelength, dtype=np.float64), np.asarray(detector_x, dtype=np.float64)
        )
        ideal = guess_row(self.grism, w)
        y, scaled_x = ideal.copy(), _scaled(x, self.domain_x_px)
        for _ in range(12):
            scaled_y = _scaled(y, self.domain_y_px)
            y = ideal - legendre.legval2d(scaled_y, scaled_x, self.coefficients)
        return np.asarray(y + self.flexure_px)

    def shifted(self, shift_px: float) -> WavelengthSolution:
        """Return the solution for a frame whose lines lie `shift_px` higher in detector y."""
        return replace(self, flexure_px=self.flexure_px + shift_px)

    def behind_slit_at(self, aperture_y_px: float | None) -> WavelengthSolution:
        """Return the solution for a slit that stands elsewhere; itself where a place is unknown."""
        if not aperture_y_px or not math.isfinite(self.aperture_y_px):
            return self
        moved = self.shifted(aperture_y_px - self.aperture_y_px)
        return replace(moved, aperture_y_px=float(aperture_y_px))

    def to_arrays(self) -> dict[str, Any]:
        """Return the solution as arrays, numbers, texts and tuples of these, by name."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grism"}
        grism = {f"grism_{f.name}": getattr(self.grism, f.name) for f in fields(Grism)}
        return plain | grism

    @classmethod
    def from_arrays(cls, stored: Mapping[str, Any]) -> WavelengthSolution:
        """Return the solution that `to_arrays` wrote; sequences may come back as arrays."""
        grism = Grism(**{f.name: _plain(stored[f"grism_{f.name}"]) for f in fields(Grism)})
        arrays = ("coefficients", "line_wavelength", "line_row", "line_residual_angstrom")
        values: dict[str, Any] = {
            f.name: np.asarray(stored[f.name])
            if f.name in (*arrays, "line_used")
            else _plain(stored[f.name])
            for f in fields(cls)
            if f.name != "grism" and f.name in stored
        }
        return cls(grism=grism, **values)


def _plain(value: Any) -> Any:
    """Return numpy scalars as Python numbers and sequences as tuples of them."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return value.decode() if isinstance(value, bytes) else value


def _scaled(position: Any, domain: tuple[float, float]) -> Array:
    low, high = domain
    return np.asarray(2 * (np.clip(position, low, high) - low) / max(high - low, 1.0) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SlitProfiles:
    """Arc profiles of slit bins: counts and usable (n_bins, ny); detector x of each bin."""

    counts: Array
    usable: NDArray[np.bool_]
    detector_x: Array


def solve_wavelength(
    frame: Frame,
    grism: Grism,
    lines: Sequence[ArcLine],
    *,
    lamps: Sequence[str] = (),
    slit_offset_px: float = 0.0,
) -> WavelengthSolution:
    """Return the wavelength solution of the arc `frame`, or raise `PoorWavelengthFit`.

    `slit_offset_px` is the slit's position on the detector less the grism's `slit_reference_px`.
    """
    detector_y = np.asarray(frame.geometry.detector_y(np.arange(frame.shape[0])), dtype=np.float64)
    slit = _slit_profiles(frame)
    middle = len(slit.detector_x) // 2

    def identify(listed: Sequence[ArcLine]) -> IdentifiedArc:
        return identify_lamps(
            slit.counts[middle], slit.usable[middle], detector_y, grism, listed, lamps,
            slit_offset_px=slit_offset_px,
        )  # fmt: skip

    try:
        arc = identify(reference_lines(grism, lines))
    except PoorWavelengthFit as refusal:
        # New lamps differ more in strength than in wavelength: the list's own strengths may fit.
        try:
            arc = identify(complete_strengths(lines))
        except PoorWavelengthFit:
            raise refusal from None
    return _fit_along_slit(slit, detector_y, grism, arc)


def _slit_profiles(frame: Frame) -> _SlitProfiles:
    """Return the arc averaged in bins along the slit; only bins that see the lamp."""
    width = max(1, BIN_PX // frame.geometry.x_binning)
    n_bins = frame.shape[1] // width
    if n_bins < 1:
        raise PoorWavelengthFit(f"the arc has only {frame.shape[1]} columns")
    used = n_bins * width
    cube = frame.data[:, :used].astype(np.float64).reshape(frame.shape[0], n_bins, width)
    clipped = (frame.mask & np.uint16(Mask.SATURATED | Mask.NONLINEAR)) != 0
    if frame.unit == "adu":
        clipped = clipped | (frame.data > NONLINEAR_ADU)
    good = (frame.good & ~clipped & np.isfinite(frame.data))[:, :used].reshape(cube.shape)
    number = good.sum(axis=2)
    mean = np.where(good, cube, 0.0).sum(axis=2) / np.maximum(number, 1)
    saturated = clipped[:, :used].reshape(cube.shape).any(axis=2)
    counts = np.where(number > 0, mean, np.nanmax(np.where(np.isfinite(cube), cube, 0.0), axis=2))
    usable = (number > 0) & ~saturated
    columns = np.arange(n_bins) * width + (width - 1) / 2
    light = np.percentile(counts, 97, axis=0)
    lit = light > 0.2 * np.median(light)
    if not lit.any():
        raise PoorWavelengthFit("no light along the slit")
    detector_x = np.asarray(frame.geometry.detector_x(columns), dtype=np.float64)
    return _SlitProfiles(
        counts=np.where(saturated, NONLINEAR_ADU, counts).T[lit],
        usable=usable.T[lit],
        detector_x=detector_x[lit],
    )


def _fit_along_slit(
    slit: _SlitProfiles, detector_y: Array, grism: Grism, arc: IdentifiedArc
) -> WavelengthSolution:
    signal = subtract_continuum(slit.counts)
    wavelength = np.array([line.wavelength_angstrom for line in arc.lines])
    ideal = guess_row(grism, wavelength)
    fitted = np.where(np.isfinite(arc.residual_px), arc.centre - arc.residual_px, arc.centre)
    expected = fitted[None, :] + tilt_along_slit(signal, detector_y)[:, None]
    for _ in range(2):
        found = measure_lines(signal, slit.usable, detector_y, expected, arc.profile)
        good = arc.used & (found.error < 0.3) & (np.abs(found.centre - expected) < 1.5)
        surface = _fit_surface(found.centre, ideal, slit.detector_x, good)
        expected = surface.solve_rows(ideal, slit.detector_x)
    return _solution(surface, found.centre, wavelength, slit, grism, arc)


def tilt_along_slit(signal: Array, detector_y: Array) -> Array:
    """Return the shift (px) of every slit bin against the middle one, smooth along the slit."""
    step = float(detector_y[1] - detector_y[0])
    compressed = np.arcsinh(np.maximum(signal, 0.0) / (0.01 * np.percentile(signal, 99.5) + 1e-9))
    reference = compressed[len(signal) // 2]
    lags = np.arange(-6, 7)
    score = np.array([np.roll(reference, k) @ compressed.T for k in lags])
    best = np.clip(score.argmax(axis=0), 1, len(lags) - 2)
    bins = np.arange(len(signal))
    left, top, right = score[best - 1, bins], score[best, bins], score[best + 1, bins]
    bend = np.minimum(left - 2 * top + right, -1e-12)
    shift = (lags[best] + 0.5 * (left - right) / bend) * step
    if len(signal) < 6:
        return np.asarray(shift - shift[len(signal) // 2])
    scaled = np.linspace(-1.0, 1.0, len(signal))
    smooth = legendre.legval(scaled, legendre.legfit(scaled, shift, 2))
    return np.asarray(smooth - smooth[len(signal) // 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surface:
    coefficients: Array
    domain_y_px: tuple[float, float]
    domain_x_px: tuple[float, float]
    kept: NDArray[np.bool_]

    def correction(self, y: Array, x: Array) -> Array:
        return np.asarray(
            legendre.legval2d(
                _scaled(y, self.domain_y_px), _scaled(x, self.domain_x_px), self.coefficients
            )
        )

    def solve_rows(self, ideal: Array, x: Array) -> Array:
        y = np.broadcast_to(ideal, (len(x), len(ideal))).copy()
        column = np.broadcast_to(x[:, None], y.shape)
        for _ in range(12):
            y = ideal - self.correction(y, column)
        return y


def _fit_surface(
    centre: Array, ideal: Array, detector_x: Array, good: NDArray[np.bool_]
) -> _Surface:
    """Return the Legendre correction ideal - centre over the detector, clipped at 4 sigma."""
    kept = good & (good.mean(axis=0) > 0.4)
    if kept.any(axis=0).sum() < 3:
        raise PoorWavelengthFit("fewer than 3 arc lines could be followed along the slit")
    x = np.broadcast_to(detector_x[:, None], centre.shape)
    target = ideal - centre
    domain_x = (float(detector_x.min()), float(detector_x.max()))
    slit_degree = min(SLIT_DEGREE, len(detector_x) - 1)
    for _ in range(8):
        domain_y = (float(centre[kept].min()), float(centre[kept].max()))
        # The shape of the dispersion is the grism's: few lines may only move and stretch it.
        degree = int(np.searchsorted([5, 10], kept.any(axis=0).sum()))
        basis = legendre.legvander2d(
            _scaled(centre, domain_y), _scaled(x, domain_x), [degree, slit_degree]
        )
        flat, *_ = np.linalg.lstsq(basis[kept], target[kept], rcond=None)
        miss = target - basis @ flat
        scatter = max(1.4826 * float(np.median(np.abs(miss[kept]))), 0.04)
        line_miss = np.where(kept.any(axis=0), _median_of(miss, kept), np.inf)
        again = kept & (np.abs(miss) < 4 * scatter) & (np.abs(line_miss) < 3.5 * scatter)
        if (again == kept).all() or again.any(axis=0).sum() < 3:
            break
        kept = again
    return _Surface(
        coefficients=flat.reshape(degree + 1, slit_degree + 1),
        domain_y_px=domain_y,
        domain_x_px=domain_x,
        kept=kept,
    )


def _median_of(values: Array, kept: NDArray[np.bool_]) -> Array:
    """Return the median of the kept `values` of every column; 0 where none is kept."""
    columns = [values[kept[:, k], k] for k in range(values.shape[1])]
    return np.array([float(np.median(column)) if len(column) else 0.0 for column in columns])


def _solution(
    surface: _Surface,
    centre: Array,
    wavelength: Array,
    slit: _SlitProfiles,
    grism: Grism,
    arc: IdentifiedArc,
) -> WavelengthSolution:
    kept = surface.kept
    x = np.broadcast_to(slit.detector_x[:, None], centre.shape)
    reached = guess_wavelength(grism, centre + surface.correction(centre, x))
    miss = reached - wavelength
    dispersion = guess_wavelength(grism, centre + 0.5) - guess_wavelength(grism, centre - 0.5)
    rms_angstrom = float(np.sqrt(np.mean(miss[kept] ** 2)))
    rms_px = float(np.sqrt(np.mean((miss / dispersion)[kept] ** 2)))
    used = np.asarray(kept.any(axis=0), dtype=np.bool_)
    middle = len(slit.detector_x) // 2
    residual = np.where(used, _median_of(miss, kept), miss[middle])
    if rms_angstrom > grism.rms_limit_angstrom:
        raise PoorWavelengthFit(
            f"arc rms {rms_angstrom:.2f} A ({rms_px:.2f} px) with {int(used.sum())} lines; "
            f"the limit of {grism.name} is {grism.rms_limit_angstrom:.2f} A"
        )
    return WavelengthSolution(
        grism=grism,
        coefficients=surface.coefficients,
        domain_y_px=surface.domain_y_px,
        domain_x_px=surface.domain_x_px,
        rms_angstrom=rms_angstrom,
        rms_px=rms_px,
        n_lines=int(used.sum()),
        fwhm_px=arc.profile.fwhm_px,
        slit_px=arc.profile.slit_px,
        blur_px=arc.profile.blur_px,
        shift_px=arc.shift_px,
        correlation=arc.correlation,
        line_wavelength=wavelength,
        line_row=centre[middle],
        line_residual_angstrom=residual,
        line_used=used,
        line_ion=tuple(line.ion for line in arc.lines),
    )
