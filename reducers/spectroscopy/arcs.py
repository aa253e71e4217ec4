"""Identify the lines of an arc lamp without a human: predict, search, match, verify."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.errors import PoorWavelengthFit
from reducers.instrument import ArcLine
from reducers.spectroscopy.arc_pattern import (
    Pattern,
    Peaks,
    find_arc_peaks,
    find_patterns,
    subtract_continuum,
    transfer,
)
from reducers.spectroscopy.dispersion import (
    MARGIN_PX,
    evaluate_correction,
    fit_correction,
    guess_row,
    row_of_ideal,
)
from reducers.spectroscopy.line_profile import (
    LineProfile,
    MeasuredLines,
    fit_profile,
    measure_lines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.instrument import Grism

Array = NDArray[np.float64]

#: The gate: below these an identification is refused.
MIN_LINES = 6
MIN_CORRELATION = 0.5
MIN_EXPLAINED = 0.6
MAX_RMS_PX = 0.3
#: The standard error of the correction, from scatter, lines and degree (px).
MAX_ERROR_PX = 0.08
#: How far (px) a night may bend the shape of a grism; more means wrong lines at one end.
MOST_BEND_PX = 1.5
#: Many lines that fit this well outweigh a weak correlation (lamps at odd strengths).
MANY_LINES = 10
WELL_EXPLAINED = 0.85
#: A blend may stand for its strength-weighted mean when its lines scatter less than this (px).
TIGHT_BLEND_PX = 0.4
#: Lines that shape the profile; more cost time and change nothing.
SHAPE_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedArc:
    """The lines of one arc profile with their wavelengths, and how sure we are.

    Attributes
    ----------
    lines : tuple of ArcLine
        Every line that was looked for, wavelength rising.
    centre, error, residual_px : (n,) float64
        Measured detector y, its error, and measured minus fitted position, unbinned pixels.
    used : (n,) bool
        Lines that carry the fit.
    correction : tuple of float
        Legendre coefficients (px): ideal row = detector y + correction, over `domain_px`.
    shift_px, stretch : float
        Where the correlation found the pattern, relative to the prediction.
    correlation : float
        Compressed correlation with the synthetic arc, 0 to 1.
    explained : float
        Fraction of the strong observed peaks that a listed line accounts for.
    """

    lines: tuple[ArcLine, ...]
    centre: Array
    error: Array
    residual_px: Array
    used: NDArray[np.bool_]
    correction: tuple[float, ...]
    domain_px: tuple[float, float]
    profile: LineProfile
    shift_px: float
    stretch: float
    correlation: float
    explained: float

    @property
    def rms_px(self) -> float:
        """Scatter of the used lines, unbinned pixels."""
        return float(np.sqrt(np.mean(self.residual_px[self.used] ** 2)))

    def ideal_row(self, detector_y: Array) -> Array:
        """Return the row at which the grism's first guess gives the wavelength of `detector_y`."""
        return detector_y + evaluate_correction(self.correction, self.domain_px, detector_y)


def identify_arc(
    counts: Array,
    usable: NDArray[np.bool_],
    detector_y: Array,
    grism: Grism,
    lines: Sequence[ArcLine],
    *,
    slit_offset_px: float = 0.0,
) -> IdentifiedArc:
    """Return the identified lines of `counts` (n_rows,); `usable` is False where saturated.

    `lines` carry relative strengths; the pattern is predicted at `slit_offset_px` from the grism's
    first guess and searched around it.  Raises `PoorWavelengthFit` rather than guess.
    """
    signal = subtract_continuum(counts)
    peaks = find_arc_peaks(signal, usable, detector_y)
    listed, ideal = _within_reach(grism, lines)
    strength = np.array([line.strength for line in listed])
    predicted, pivot = ideal + slit_offset_px, sum(grism.valid_px) / 2
    patterns = find_patterns(
        signal, detector_y, predicted, strength, pivot_px=pivot, fwhm_px=peaks.fwhm_px
    )
    joined, ideal = join_blends(listed, ideal, peaks.fwhm_px)
    strength = np.array([line.strength for line in joined])
    view = _View(signal=signal, usable=usable, detector_y=detector_y, peaks=peaks)
    refusal: PoorWavelengthFit | None = None
    for found in patterns:
        predicted = ideal + slit_offset_px
        start = predicted + found.shift_px + found.stretch * (predicted - pivot)
        try:
            arc = _match(
                view, joined, ideal, transfer(peaks, start, strength, pivot_px=pivot), found
            )
            _refuse_if_poor(arc)
        except PoorWavelengthFit as poor:
            refusal = refusal or poor
            continue
        return arc
    raise refusal or PoorWavelengthFit("the arc shows no pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One arc profile and its peaks."""

    signal: Array
    usable: NDArray[np.bool_]
    detector_y: Array
    peaks: Peaks


def _within_reach(grism: Grism, lines: Sequence[ArcLine]) -> tuple[list[ArcLine], Array]:
    """Return the lines that the grism's measured range holds, and their ideal rows."""
    ideal = guess_row(grism, np.array([line.wavelength_angstrom for line in lines]))
    inside = (ideal > grism.valid_px[0] - MARGIN_PX) & (ideal < grism.valid_px[1] + MARGIN_PX)
    listed = [line for line, keep in zip(lines, inside, strict=True) if keep]
    if len(listed) < MIN_LINES:
        raise PoorWavelengthFit(
            f"only {len(listed)} lines of the lit lamps are listed for {grism.name}: "
            "take an arc with another lamp as well"
        )
    return listed, ideal[inside]


def join_blends(
    lines: Sequence[ArcLine], ideal: Array, fwhm_px: float
) -> tuple[tuple[ArcLine, ...], Array]:
    """Return `lines` and rows with tight groups of one ion joined into their mean.

    Lines of one ion keep their ratio from lamp to lamp much better than lines of two, so a group
    whose strength-weighted scatter is below `TIGHT_BLEND_PX` has a known centre.
    """
    order = np.argsort(ideal)
    groups: list[list[int]] = []
    for k in order:
        last = groups[-1] if groups else []
        apart = ideal[k] - ideal[last[-1]] if last else np.inf
        same = bool(last) and lines[last[-1]].ion == lines[k].ion
        if same and apart < 0.6 * fwhm_px and _scatter(lines, ideal, [*last, k]) < TIGHT_BLEND_PX:
            last.append(int(k))
        else:
            groups.append([int(k)])
    joined = []
    for group in groups:
        strength = np.array([max(lines[k].strength, 1e-12) for k in group])
        wave = np.array([lines[k].wavelength_angstrom for k in group])
        joined.append(
            (
                replace(
                    lines[group[0]],
                    wavelength_angstrom=float(np.average(wave, weights=strength)),
                    strength=float(strength.sum()),
                ),
                float(np.average(ideal[group], weights=strength)),
            )
        )
    joined.sort(key=lambda pair: pair[0].wavelength_angstrom)
    return tuple(line for line, _ in joined), np.array([row for _, row in joined])


def _scatter(lines: Sequence[ArcLine], ideal: Array, group: list[int]) -> float:
    strength = np.array([max(lines[k].strength, 1e-12) for k in group])
    mean = np.average(ideal[group], weights=strength)
    return float(np.sqrt(np.average((ideal[group] - mean) ** 2, weights=strength)))


def _match(
    view: _View, listed: tuple[ArcLine, ...], ideal: Array, start: Array, found: Pattern
) -> IdentifiedArc:
    """Return the arc after centring every line, fitting the correction, and centring again."""
    signal, usable, detector_y = view.signal, view.usable, view.detector_y
    strength = np.array([line.strength for line in listed])
    pixel = abs(float(detector_y[1] - detector_y[0]))
    profile = LineProfile(slit_px=max(0.9 * view.peaks.fwhm_px, 1.0), blur_px=1.0, pixel_px=pixel)
    expected, relative = start, strength
    coefficients: tuple[float, ...] = (0.0,)
    domain = (float(ideal.min()), float(ideal.max()))
    measured = measure_lines(signal[None], usable[None], detector_y, start[None], profile)
    used, residual = np.zeros(len(ideal), dtype=bool), np.zeros(len(ideal))
    for attempt, tolerance in enumerate((2.0, 1.2, 0.8, 0.6)):
        clear = _clear_lines(expected, relative, profile, usable, detector_y)
        if attempt == 1:
            best = np.flatnonzero(used)[np.argsort(measured.flux[0][used])[::-1][:SHAPE_LINES]]
            profile = fit_profile(signal, usable, detector_y, expected[best], profile)
        measured = measure_lines(signal[None], usable[None], detector_y, expected[None], profile)
        good = clear & _is_detected(measured, view.peaks.noise, rough=attempt < 2)
        good &= np.abs(measured.centre[0] - expected) < tolerance
        coefficients, used, domain = fit_correction(measured.centre[0], ideal, good)
        fitted = row_of_ideal(coefficients, domain, ideal)
        residual = measured.centre[0] - fitted
        expected = fitted
        relative = _lamp_strength(listed, strength, measured.flux[0], clear)
    return IdentifiedArc(
        lines=listed,
        centre=measured.centre[0],
        error=measured.error[0],
        residual_px=residual,
        used=used,
        correction=coefficients,
        domain_px=domain,
        profile=profile,
        shift_px=found.shift_px,
        stretch=found.stretch,
        correlation=found.correlation,
        explained=_explained(view, expected, profile),
    )


def _lamp_strength(
    lines: Sequence[ArcLine], strength: Array, flux: Array, clear: NDArray[np.bool_]
) -> Array:
    """Return `strength` scaled ion by ion to what this arc shows: lamps age, and some stay dark."""
    scaled = strength.copy()
    for ion in {line.ion for line in lines}:
        of_ion = np.array([line.ion == ion for line in lines])
        known = of_ion & clear & (strength > 0)
        if known.any():
            bright = known & (strength >= np.median(strength[known]))
            scaled[of_ion] *= float(np.median(flux[bright] / strength[bright]))
    return scaled


def _clear_lines(
    expected: Array,
    strength: Array,
    profile: LineProfile,
    usable: NDArray[np.bool_],
    detector_y: Array,
) -> NDArray[np.bool_]:
    """Return which lines stand clear of stronger company and of saturated rows but their own."""
    apart = np.abs(expected[:, None] - expected[None, :]) + 1e9 * np.eye(len(expected))
    blended = (apart < 0.8 * profile.fwhm_px) & (strength[None, :] > 0.02 * strength[:, None])
    touched = apart < profile.fwhm_px
    blended |= touched & (strength[None, :] > 2.0 * strength[:, None])
    bad = detector_y[~usable]
    if len(bad) == 0:
        return np.asarray(~blended.any(axis=1))
    away = np.abs(expected[:, None] - bad[None, :])
    own = away < profile.half_width_px
    near = (away < profile.half_width_px + 3.0) & ~(own & (own.sum(axis=0) == 1))
    return np.asarray(~blended.any(axis=1) & ~near.any(axis=1))


def _is_detected(measured: MeasuredLines, noise: float, *, rough: bool) -> NDArray[np.bool_]:
    strong = measured.flux[0] > 8 * noise
    # Before the profile is known its misfit says little.
    error, misfit = (0.4, 0.4) if rough else (0.2, 0.15)
    return np.asarray(strong & (measured.error[0] < error) & (measured.misfit[0] < misfit))


def _explained(view: _View, expected: Array, profile: LineProfile) -> float:
    """Return the fraction of the strong clean peaks between the lines that a line accounts for.

    Peaks count by the root of their height, up to the fifth: a faint other lamp does no harm.
    """
    row, height = view.peaks.row, view.peaks.height
    inside = (row > expected.min()) & (row < expected.max())
    bad = view.detector_y[~view.usable]
    if bad.size:
        inside &= np.abs(row[:, None] - bad[None, :]).min(axis=1) > profile.half_width_px
    row, height = row[inside][:25], height[inside][:25]
    if len(row) == 0:
        return 0.0
    nearest = np.abs(row[:, None] - expected[None, :]).min(axis=1)
    reach = max(0.6 * profile.pixel_px + 0.8, 0.35 * profile.fwhm_px)
    weight = np.sqrt(np.clip(height, 0.0, max(height[min(4, len(height) - 1)], 1e-9)))
    return float(np.average(nearest < reach, weights=weight))


def _refuse_if_poor(arc: IdentifiedArc) -> None:
    number, rms = int(arc.used.sum()), arc.rms_px
    found = (
        f"{number} lines, rms {rms:.2f} px, correlation {arc.correlation:.2f}, "
        f"{100 * arc.explained:.0f} % of the strong peaks explained"
    )
    bends = len(arc.correction)
    error = rms * np.sqrt(bends / max(number - bends, 1))
    well = number >= MANY_LINES and error < MAX_ERROR_PX / 2 and arc.explained > WELL_EXPLAINED
    if (
        number < MIN_LINES
        or rms > MAX_RMS_PX
        or error > MAX_ERROR_PX
        or (bends > 2 and abs(arc.correction[2]) > MOST_BEND_PX)
        or (arc.correlation < MIN_CORRELATION and not well)
        or arc.explained < MIN_EXPLAINED
    ):
        raise PoorWavelengthFit(f"arc not identified: {found}")
