"""The shape of a lamp line on the detector, and the centres of many overlapping lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProfile:
    """A slit image: box of the slit, blurred by a Gaussian, sampled by pixels; area 1 per pixel.

    Attributes
    ----------
    slit_px : float
        Width of the slit on the detector, unbinned pixels.
    blur_px : float
        Standard deviation of the blur, unbinned pixels.
    pixel_px : float
        Height of an image pixel, unbinned pixels.
    """

    slit_px: float
    blur_px: float
    pixel_px: float

    def value(self, offset: Any) -> Array:
        """Return the profile at `offset` (unbinned px) from the line centre."""
        outer, inner = (self.slit_px + self.pixel_px) / 2, (self.slit_px - self.pixel_px) / 2
        ramps = (
            self._ramp(offset + outer)
            - self._ramp(offset + inner)
            - self._ramp(offset - inner)
            + self._ramp(offset - outer)
        )
        return np.asarray(ramps / self.slit_px)

    def slope(self, offset: Any) -> Array:
        """Return the derivative of `value`, per unbinned pixel."""
        outer, inner = (self.slit_px + self.pixel_px) / 2, (self.slit_px - self.pixel_px) / 2
        edges = (
            ndtr((offset + outer) / self.blur_px)
            - ndtr((offset + inner) / self.blur_px)
            - ndtr((offset - inner) / self.blur_px)
            + ndtr((offset - outer) / self.blur_px)
        )
        return np.asarray(edges / self.slit_px)

    @property
    def half_width_px(self) -> float:
        """Offset beyond which the profile is negligible, unbinned pixels."""
        return (self.slit_px + self.pixel_px) / 2 + 2.5 * self.blur_px

    @property
    def fwhm_px(self) -> float:
        """Full width at half maximum, unbinned pixels."""
        offset = np.linspace(0.0, 2 * self.half_width_px, 2001)
        value = self.value(offset)
        return float(2 * np.interp(-value[0] / 2, -value, offset))

    def _ramp(self, x: Any) -> Any:
        z = x / self.blur_px
        return x * ndtr(z) + self.blur_px * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


#: A line whose core is masked is centred on its wings where either holds this share of what its
#: edge would tell if nothing were masked.
LEAST_WING = 0.25
#: What the profile is wrong by, of the peak: the least residual of a line that shows only wings.
#: Lines of real arcs that are whole leave 0.025.
WING_MISFIT = 0.03
#: How far (px) a line that nobody sees may wander from where it is expected.
HOLD_PX = 0.5
#: Steps per pixel of a sampled profile: linear interpolation between them errs by 1e-4 of the peak.
SAMPLES_PER_PX = 64


class SampledProfile:
    """Value and slope of a `LineProfile` from a table: many times faster for many offsets."""

    def __init__(self, profile: LineProfile) -> None:
        self.reach = int(np.ceil(profile.half_width_px + 6.0))
        offset = np.arange(-self.reach * SAMPLES_PER_PX, self.reach * SAMPLES_PER_PX + 2)
        self.values = profile.value(offset / SAMPLES_PER_PX)
        self.slopes = profile.slope(offset / SAMPLES_PER_PX)

    def at(self, offset: Array) -> tuple[Array, Array]:
        """Return value and slope at `offset` (unbinned px), both 0 far out."""
        last = 2 * self.reach * SAMPLES_PER_PX
        place = np.clip((offset + self.reach) * SAMPLES_PER_PX, 0, last)
        low = place.astype(np.intp)
        part = place - low
        value = self.values[low] * (1 - part) + self.values[low + 1] * part
        slope = self.slopes[low] * (1 - part) + self.slopes[low + 1] * part
        return value, slope


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLines:
    """Centres of the same lines in several profiles.

    Attributes
    ----------
    centre, error : (n_profiles, n_lines) float64
        Detector y and its standard error from the residuals, unbinned pixels.
    flux : (n_profiles, n_lines) float64
        Counts of the line in the unit of the profiles (area over pixels).
    misfit : (n_profiles, n_lines) float64
        Residual rms in the window over the peak of the line.
    """

    centre: Array
    error: Array
    flux: Array
    misfit: Array


def measure_lines(
    counts: Array,
    usable: NDArray[np.bool_],
    detector_y: Array,
    expected: Array,
    profile: LineProfile,
    *,
    iterations: int = 10,
) -> MeasuredLines:
    """Return line centres in `counts` (n_profiles, n_rows), starting from `expected` (n_p, n_l) px.

    Every line is fitted on what the others leave, so neighbours that overlap do not pull. Where the
    core is not usable (saturated) the wings on both sides count, as far as they are symmetric; a
    line without enough of them has an infinite error.
    """
    rows, inside = _windows(detector_y, expected, profile)
    picked = np.arange(len(counts))[:, None, None]
    y = detector_y[rows]
    clean = usable[picked, rows] & inside
    wings = _wings(y - expected[..., None], clean, inside, profile)
    weight = wings.weight
    start = np.where(weight > 0, counts[picked, rows], 0.0).max(axis=2)
    peak = float(profile.value(np.zeros(1))[0])
    flux, shift = np.maximum(start, 0.0) / peak * 0.7, np.zeros_like(expected)
    variance, misfit = np.zeros_like(expected), np.zeros_like(expected)
    sampled, flat = SampledProfile(profile), picked * counts.shape[1] + rows
    observed = counts[picked, rows]
    for _ in range(iterations):
        value, slope = sampled.at(y - (expected + shift)[..., None])
        lines = np.where(inside, flux[..., None] * value, 0.0)
        model = np.bincount(flat.ravel(), lines.ravel(), counts.size)
        left = np.where(weight > 0, observed - model[flat] + lines, 0.0)
        floor = np.maximum(flux, 1e-6 + 1e-3 * flux.max())
        least = np.where(wings.only, WING_MISFIT * peak * flux, 0.0)
        tilt = -floor[..., None] * slope
        solution, variance, misfit = _solve(value, tilt, left, weight, shift, least)
        new_flux = np.maximum(solution[..., 0], 0.0)
        shift = np.clip(shift + np.clip(solution[..., 1], -0.7, 0.7), -4.0, 4.0)
        flux = 0.3 * flux + 0.7 * new_flux
    return MeasuredLines(
        centre=expected + shift,
        error=np.where(wings.enough, np.sqrt(np.maximum(variance, 0.0)), np.inf),
        flux=flux,
        misfit=misfit / np.maximum(flux * peak, 1e-9),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wings:
    """Weight of every row of a window; lines that show wings only; lines that show enough."""

    weight: Array
    only: NDArray[np.bool_]
    enough: NDArray[np.bool_]


def _wings(
    offset: Array, clean: NDArray[np.bool_], inside: NDArray[np.bool_], profile: LineProfile
) -> _Wings:
    """Mask the core of lines on both sides alike, as far out as any row of it is unusable."""
    reach = np.abs(offset)
    hit = inside & ~clean & (reach < profile.half_width_px)
    if not hit.any():
        none = np.zeros(hit.shape[:-1], bool)
        return _Wings(weight=clean.astype(np.float64), only=none, enough=~none)
    core = np.where(hit, reach, -1.0).max(axis=-1)
    kept = clean & (reach > core[..., None])
    told = profile.slope(offset) ** 2
    either = [(told * kept * (side * offset > 0)).sum(axis=-1) for side in (-1, 1)]
    whole = 0.5 * (told * inside).sum(axis=-1)
    only = hit.any(axis=-1)
    enough = ~only | (np.minimum(*either) > LEAST_WING * whole)
    weight = np.where(enough[..., None], kept, clean).astype(np.float64)
    return _Wings(weight=weight, only=only & enough, enough=enough)


def _windows(
    detector_y: Array, expected: Array, profile: LineProfile
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    step = abs(detector_y[1] - detector_y[0])
    reach = int(np.ceil((profile.half_width_px + 1.5) / step))
    nearest = np.rint((expected - detector_y[0]) / (detector_y[1] - detector_y[0])).astype(np.intp)
    rows = nearest[..., None] + np.arange(-reach, reach + 1)
    inside = (rows >= 0) & (rows < len(detector_y))
    return np.clip(rows, 0, len(detector_y) - 1), inside


def _solve(
    value: Array, slope: Array, left: Array, weight: Array, shift: Array, least: Array
) -> tuple[Array, Array, Array]:
    """Return (flux, step of the shift), variance of the shift and residual rms of every window.

    Weighted least squares of line, its slope and a constant; the constant is projected out first.
    A line that drowns in the residuals of its window stays where it is expected. Residuals below
    `least` count as that.
    """
    count = np.maximum(weight.sum(axis=-1), 1.0)

    def centred(values: Array) -> Array:
        mean = (values * weight).sum(axis=-1) / count
        return np.asarray((values - mean[..., None]) * weight)

    line, tilt, rest = centred(value), centred(slope), centred(left)
    aa = (line * line).sum(-1) * (1 + 1e-6) + 1e-12
    ab, al = (line * tilt).sum(-1), (line * rest).sum(-1)
    stiffness = np.maximum((tilt * tilt).sum(-1) - ab**2 / aa, 1e-12)
    pull = (tilt * rest).sum(-1) - ab * al / aa
    free = rest - (al / aa)[..., None] * line
    hold = (free**2).sum(axis=-1) / count / HOLD_PX**2
    step = (pull - hold * shift) / (stiffness + hold)
    flux = (al - ab * step) / aa
    residual = rest - flux[..., None] * line - step[..., None] * tilt
    scatter = (residual**2).sum(axis=-1) / np.maximum(count - 3, 1.0)
    variance = np.maximum(scatter, least**2) / stiffness
    return np.stack([flux, step], axis=-1), variance, np.sqrt(scatter)


def fit_profile(
    counts: Array,
    usable: NDArray[np.bool_],
    detector_y: Array,
    expected: Array,
    start: LineProfile,
) -> LineProfile:
    """Return the profile that leaves the least residual at the `expected` isolated lines."""
    low, high = np.array([0.3, 0.55]), np.array([20.0, 6.0])

    def cost(widths: Array) -> float:
        slit, blur = np.clip(widths, low, high)
        trial = LineProfile(slit_px=slit, blur_px=blur, pixel_px=start.pixel_px)
        found = measure_lines(
            counts[None], usable[None], detector_y, expected[None], trial, iterations=5
        )
        return float(np.median(found.misfit) + np.abs(widths - np.clip(widths, low, high)).sum())

    first = np.array([start.slit_px, start.blur_px])
    corners = first * np.array([[1.0, 1.0], [1.3, 1.0], [1.0, 0.7]])
    options = {"xatol": 0.02, "fatol": 1e-4, "maxiter": 60, "initial_simplex": corners}
    slit, blur = np.clip(minimize(cost, first, method="Nelder-Mead", options=options).x, low, high)
    return LineProfile(slit_px=float(slit), blur_px=float(blur), pixel_px=start.pixel_px)
