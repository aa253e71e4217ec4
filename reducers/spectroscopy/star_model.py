"""A star's spectrum as a smooth continuum with symmetric absorption at known wavelengths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from reducers.spectroscopy.oxygen import BANDS, oxygen_band
from reducers.spectroscopy.wavelength import WavelengthSolution

Array = NDArray[np.float64]

#: Lines beyond the ends of the spectrum by this much (unbinned px) may have wings in it.
SEARCH_PX = 30.0
#: Distance of the knots of the continuum, Angstrom: wider than any line, narrower than a response.
KNOT_ANGSTROM = 350.0
#: Bluer than this the Balmer lines merge and the atmosphere cuts; vacuum Angstrom.
BLUEST_ANGSTROM = 3850.0
#: Below this a line does not count as seen.
SIGNIFICANCE = 5.0
#: A line that is placed worse than this (px) carries nothing.
WORST_LINE_PX = 1.5
#: A line farther than this (px) from the others belongs to something else.
FARTHEST_LINE_PX = 6.0
SPEED_OF_LIGHT_KM_S = 299_792.458

#: Lines of stars without molecules: name, vacuum Angstrom, whether pressure may widen them.
STELLAR_LINES = (
    ("H8", 3890.16, True),
    ("Ca K", 3934.78, False),
    ("H-epsilon", 3971.20, True),
    ("He I 4026", 4027.33, False),
    ("H-delta", 4102.90, True),
    ("CH", 4305.6, False),
    ("H-gamma", 4341.69, True),
    ("He I 4471", 4472.73, False),
    ("He II 4686", 4687.02, False),
    ("H-beta", 4862.69, True),
    ("Mg b", 5174.1, False),
    ("Mg b3", 5185.05, False),
    ("He II 5412", 5413.03, False),
    ("He I 5876", 5877.25, False),
    ("Na D", 5893.6, False),
    ("H-alpha", 6564.61, True),
)
#: Blends whose centre depends on the star: they may be there, but do not carry the shift.
UNRELIABLE = frozenset({"CH", "Mg b", "Mg b3", "Na D", "H8", "He I 5876"})
#: What a star shows that shows lines at all.
STRONG = frozenset({"H-alpha", "H-beta", "H-gamma", "H-delta", "He I 4471", "He II 4686"})
#: Bands of the air in the star's light: no star's velocity moves them. Name, vacuum Angstrom.
TELLURIC_BANDS = (("O2 B", 6883.0), ("O2 A", 7620.0))
#: Half widths of the profiles that may add up to one line, in those of a lamp line.
_WIDTHS = (1.0, 2.5, 6.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StellarLineShift:
    """One line: measured minus expected detector y (unbinned px) and its error."""

    name: str
    wavelength_angstrom: float
    shift_px: float
    error_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StarModel:
    """Smooth continuum plus absorption at known wavelengths, linear in the log of the counts.

    Attributes
    ----------
    y, x, log_counts, weight : (n,)
        Unbinned detector position, ln(counts) and the signal-to-noise of the usable pixels.
    continuum : (n, m)
        Spline columns.
    lines : tuple of (name, vacuum Angstrom, widened by pressure)
    length_angstrom
        Range that the pixels cover.
    """

    y: Array
    x: Array
    log_counts: Array
    weight: Array
    continuum: Array
    solution: WavelengthSolution
    lines: tuple[tuple[str, float, bool], ...]
    angstrom_per_px: float
    length_angstrom: float

    def wavelength(self, solution: WavelengthSolution) -> Array:
        """Return vacuum Angstrom of the pixels under a solution."""
        return solution.wavelength(self.y, self.x)

    def columns(self, wavelength: Array) -> tuple[Array, NDArray[np.intp]]:
        """Return the absorption columns (n, m) and the line that each belongs to."""
        half = self.solution.fwhm_px * self.angstrom_per_px / 2
        columns, owner = [], []
        for index, (name, centre, widened) in enumerate(self.lines):
            if name in BANDS:
                depth = oxygen_band(name, wavelength, 2 * half)
                columns += [-depth, -(depth**2)]
                owner += [index, index]
                continue
            for factor in _WIDTHS if widened else _WIDTHS[:1]:
                off = (wavelength - centre) / (half * factor)
                columns.append(-1 / (1 + (math.sqrt(2) - 1) * off**2) ** 2)
                owner.append(index)
        return np.stack(columns, axis=1), np.array(owner)

    def fit(self, design: Array) -> tuple[Array, Array, float]:
        """Return coefficients, their covariance and chi2 of a weighted linear fit."""
        scaled = design * self.weight[:, None]
        normal = scaled.T @ scaled
        size = np.sqrt(np.maximum(np.diag(normal), 1e-30))
        ridge = normal / size[:, None] / size + 1e-7 * np.eye(len(size))
        inverse = np.linalg.inv(ridge) / size[:, None] / size
        solved = inverse @ (scaled.T @ (self.log_counts * self.weight))
        left = (self.log_counts - design @ solved) * self.weight
        return solved, inverse, float((left**2).sum())

    def chi2(self, shift_px: float) -> float:
        """Return chi2 with the lines at a shift."""
        wavelength = self.wavelength(self.solution.shifted(shift_px))
        return self.fit(np.hstack([self.continuum, self.columns(wavelength)[0]]))[2]

    def line_shifts(self, solution: WavelengthSolution) -> list[StellarLineShift]:
        """Return how far each significant line stands off a solution, all fitted together."""
        wavelength = self.wavelength(solution)
        columns, owner = self.columns(wavelength)
        design = np.hstack([self.continuum, columns])
        depth = self.fit(design)[0][self.continuum.shape[1] :]
        # A line that lies higher by a pixel looks as if the wavelengths were those a pixel below.
        per_px = np.gradient(wavelength, self.y)
        ahead = self.columns(wavelength - 0.25 * per_px)[0]
        behind = self.columns(wavelength + 0.25 * per_px)[0]
        sums = owner[:, None] == np.arange(len(self.lines))
        lines, slopes = (columns * depth) @ sums, ((ahead - behind) * 2 * depth) @ sums
        tried = np.flatnonzero(((slopes * self.weight[:, None]) ** 2).sum(axis=0) > 1)
        extended = np.hstack([design, slopes[:, tried]])
        solved, covariance, chi2 = self.fit(extended)
        free = max(len(self.y) - extended.shape[1], 1)
        noise = math.sqrt(max(chi2 / free, 1.0))
        first = design.shape[1]
        sigma = noise * np.sqrt(np.maximum(np.diag(covariance)[first:], 0.0))
        found = [
            StellarLineShift(
                name=self.lines[k][0],
                wavelength_angstrom=self.lines[k][1],
                shift_px=float(solved[first + place]),
                error_px=float(sigma[place]),
            )
            for place, k in enumerate(tried)
            if self.lines[k][0] not in UNRELIABLE and self._is_seen(lines[:, k], noise)
        ]
        return [
            line
            for line in found
            if 0 < line.error_px < WORST_LINE_PX and abs(line.shift_px) < FARTHEST_LINE_PX
        ]

    def _is_seen(self, line: Array, noise: float) -> bool:
        """Tell whether a fitted line absorbs, significantly."""
        strength = math.sqrt(float(((line * self.weight) ** 2).sum()))
        return bool(line.sum() < 0) and strength > SIGNIFICANCE * noise


def star_model(
    detector_y: Array,
    detector_x: Array,
    counts: Array,
    error: Array,
    good: NDArray[np.bool_],
    solution: WavelengthSolution,
    velocity_km_s: float,
) -> StarModel | None:
    """Return the model of a star's counts, or None where too little of it is usable."""
    wavelength = solution.wavelength(detector_y, detector_x)
    per_px = float(np.median(np.abs(np.gradient(wavelength, detector_y))))
    reach = SEARCH_PX * per_px
    # The same pixels serve at every shift: those that stay in range.
    use = good & (counts > 10 * error) & (wavelength > BLUEST_ANGSTROM + reach / 3)
    if use.sum() < 100:
        return None
    stretch = 1 + velocity_km_s / SPEED_OF_LIGHT_KM_S
    low, high = float(wavelength[use].min()), float(wavelength[use].max())
    lines = (
        *(
            (name, centre * stretch, widened)
            for name, centre, widened in STELLAR_LINES
            if low - reach < centre < high + reach
        ),
        *(
            (name, at, False)
            for name, at in TELLURIC_BANDS
            if low < at - reach and at + reach < high
        ),
    )
    inside = sum(low < centre < high for _, centre, _ in lines)
    if inside < 2:
        return None
    picked = np.flatnonzero(use)
    return StarModel(
        y=np.asarray(detector_y, dtype=np.float64)[picked],
        x=np.asarray(detector_x, dtype=np.float64)[picked],
        log_counts=np.log(counts[picked]),
        weight=counts[picked] / error[picked],
        continuum=_splines(wavelength[picked]),
        solution=solution,
        lines=lines,
        angstrom_per_px=per_px,
        length_angstrom=high - low,
    )


def _splines(wavelength: Array) -> Array:
    low, high = wavelength.min() - 1e-6, wavelength.max() + 1e-6
    inner = np.linspace(low, high, max(2, round((high - low) / KNOT_ANGSTROM) + 1))
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    return np.asarray(BSpline.design_matrix(wavelength, knots, 3).toarray())
