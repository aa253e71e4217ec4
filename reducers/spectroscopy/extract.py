"""Extract spectra of every object at once, with weights from a model of the variance.

Horne (1986, PASP 98, 609) generalised to several blended sources by least squares per row.
Weights made from the data bias faint fluxes low, so the variance is that of the model:
sky, smoothed objects and measured read noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from reducers.frame import Mask, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.spectroscopy.trace import Trace


#: Moffat exponent of ordinary seeing, held where an object is too faint to fit it.
TYPICAL_BETA = 3.0
BETA_SNR = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Moffat profile along the slit whose width changes linearly with the row.

    Attributes
    ----------
    beta : float
        Moffat exponent.
    fwhm_px, slope : float
        FWHM = fwhm_px * (1 + slope * u), u running from -1 to 1 over the rows.
    """

    beta: float
    fwhm_px: float
    slope: float

    def values(self, trace: Trace, columns: int) -> NDArray[np.float64]:
        """Return the (ny, nx) profile, unit sum within four FWHM of the trace."""
        rows = trace.rows.size
        u = np.linspace(-1, 1, rows)
        fwhm = np.maximum(self.fwhm_px * (1 + self.slope * u), 1.0)[:, None]
        distance = np.arange(columns)[None, :] - trace.columns[:, None]
        core = fwhm / (2 * np.sqrt(2 ** (1 / self.beta) - 1))
        shape = _pixel_moffat(distance, core, self.beta)
        inside = np.abs(distance) <= 4 * fwhm
        # Normalise on the whole line, so that an object at the window's edge is not brightened.
        reach = np.arange(-int(4 * fwhm.max()) - 1, int(4 * fwhm.max()) + 2)[None, :]
        offset = reach - (trace.columns % 1.0)[:, None]
        whole = np.where(np.abs(offset) <= 4 * fwhm, _pixel_moffat(offset, core, self.beta), 0)
        return np.asarray(np.where(inside, shape, 0) / whole.sum(axis=1, keepdims=True))


def _pixel_moffat(
    distance: NDArray[np.float64], core: NDArray[np.float64], beta: float
) -> NDArray[np.float64]:
    """Average a Moffat over the pixel by Simpson's rule."""

    def at(offset: float) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (1 + ((distance + offset) / core) ** 2) ** -beta
        return value

    return (at(-0.5) + 4 * at(0.0) + at(0.5)) / 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Extracted counts of one object, row by row.

    Attributes
    ----------
    flux, variance : (ny,) electrons
        Optimal.
    box_flux, box_variance : (ny,) electrons
        Sum within 1.5 FWHM of the trace, corrected for the profile outside.
    sky : (ny,) electrons
        Sky under the object, weighted like the object.
    mask : (ny,) uint16
        Bits of `Mask`.
    """

    flux: Vector
    variance: Vector
    box_flux: Vector
    box_variance: Vector
    sky: Vector
    mask: NDArray[np.uint16]


def fit_profile(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
) -> Profile:
    """Fit the Moffat profile of an object to its data stacked along the trace in 3 zones.

    No free constant is fitted: it would steal flux from the wings.
    """
    zones = np.array_split(np.arange(residual.shape[0]), 3)
    measured = [_zone_profile(residual, variance, good, trace, zone) for zone in zones]
    fits = [_fit_moffat(m, trace.fwhm_px) for m in measured if m is not None]
    usable = [f for f in fits if f is not None]
    if not usable:
        return Profile(beta=TYPICAL_BETA, fwhm_px=trace.fwhm_px, slope=0.0)
    weight = np.array([f[2] for f in usable])
    beta = float(np.clip(np.average([f[1] for f in usable], weights=weight), 2.0, 5.0))
    widths = np.array([f[0] for f in usable])
    if len(usable) == 3 and weight.min() > BETA_SNR:
        slope, middle = np.polyfit([-2 / 3, 0, 2 / 3], widths, 1, w=np.sqrt(weight))
        relative = float(np.clip(slope / middle, -0.3, 0.3))
        return Profile(beta=beta, fwhm_px=float(middle), slope=relative)
    return Profile(beta=beta, fwhm_px=float(np.average(widths, weights=weight)), slope=0.0)


def _zone_profile(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    trace: Trace,
    zone: NDArray[np.int64],
) -> tuple[Vector, Vector, Vector] | None:
    """Return distance, mean signal and error in half-pixel bins of distance from the trace."""
    reach = 4 * trace.fwhm_px
    distance = np.arange(residual.shape[1])[None, :] - trace.columns[zone][:, None]
    keep = good[zone] & (np.abs(distance) < reach)
    step = 0.5
    bins = np.floor((distance[keep] + reach) / step).astype(int)
    count = np.bincount(bins)
    total = np.bincount(bins, weights=residual[zone][keep])
    noise = np.bincount(bins, weights=variance[zone][keep])
    filled = count > 3
    if filled.sum() < 8:
        return None
    where = np.bincount(bins, weights=distance[keep])[filled] / count[filled]
    return where, total[filled] / count[filled], np.sqrt(noise[filled]) / count[filled]


def _fit_moffat(
    measured: tuple[Vector, Vector, Vector], guess_fwhm: float
) -> tuple[float, float, float] | None:
    """Return FWHM, beta and signal-to-noise, or None where the zone is too faint."""
    distance, value, error = measured
    near = np.abs(distance) < guess_fwhm
    if not near.any() or value[near].sum() < 10 * np.sqrt((error[near] ** 2).sum()):
        return None

    def model(p: NDArray[np.float64]) -> NDArray[np.float64]:
        core = np.array(p[1] / (2 * np.sqrt(2 ** (1 / p[2]) - 1)))
        return np.asarray(p[0] * _pixel_moffat(distance - p[3], core, float(p[2])))

    snr = float(value[near].sum() / np.sqrt((error[near] ** 2).sum()))
    # Wings and core trade against each other: below this the data cannot tell them apart.
    beta = (2.0, 5.0) if snr > BETA_SNR else (TYPICAL_BETA - 1e-6, TYPICAL_BETA + 1e-6)
    start = np.array([max(value[near].max(), 1e-3), guess_fwhm, TYPICAL_BETA, 0.0])
    low = [0.0, 0.4 * guess_fwhm, beta[0], -1.0]
    high = [np.inf, 2.5 * guess_fwhm, beta[1], 1.0]
    result = optimize.least_squares(
        lambda p: (model(p) - value) / error, start, bounds=(low, high), loss="soft_l1"
    )
    return float(result.x[1]), float(result.x[2]), snr


def model_variance(
    sky: NDArray[np.float64],
    signal: NDArray[np.float64],
    floor: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Return the variance (electrons squared) of sky, objects and the floor under both.

    Parameters
    ----------
    sky, signal : (ny, nx) electrons
        Models, not data: weights that follow the data bias faint fluxes low.
    floor : (ny, nx) or float, electrons^2
        Read noise squared and what the masters add.
    """
    return np.asarray(np.clip(sky, 0, None) + np.clip(signal, 0, None) + floor)


def extract(
    residual: NDArray[np.float64],
    sky: NDArray[np.float64],
    floor: NDArray[np.float64],
    mask: NDArray[np.uint16],
    good: NDArray[np.bool_],
    traces: Sequence[Trace],
    profiles: Sequence[Profile],
) -> tuple[Extraction, ...]:
    """Extract all objects together.

    Parameters
    ----------
    residual, sky : (ny, nx) electrons
        Sky-subtracted data, and the sky that was subtracted.
    floor : (ny, nx) electrons^2
        Read noise squared and what the masters add.
    mask, good : (ny, nx)
        Reasons per pixel, and which pixels may be used.
    """
    shapes = [p.values(t, residual.shape[1]) for t, p in zip(traces, profiles, strict=True)]
    usable = good.copy()
    signal = np.zeros_like(residual)
    for _ in range(3):
        variance = model_variance(sky, signal, floor)
        fluxes, inverse = _solve_rows(residual, variance, usable, shapes)
        signal = _model([_smoothed(f) for f in fluxes], shapes)
        fitted = _model(fluxes, shapes)
        # An imperfect profile must not be eaten as cosmic rays, neither in the core (5 % of the
        # model) nor in the wings (3 % of the row's peak).
        peak = fitted.max(axis=1, keepdims=True)
        allowed = 5 * np.sqrt(variance) + 0.05 * np.abs(fitted) + 0.03 * np.clip(peak, 0, None)
        usable = good & (residual - fitted < allowed)
    return tuple(
        _one_extraction(k, residual, sky, variance, mask, usable, good, shapes, fluxes, inverse)
        for k in range(len(shapes))
    )


def _model(fluxes: Sequence[Vector], shapes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the image that the objects make."""
    model = np.zeros_like(shapes[0])
    for flux, shape in zip(fluxes, shapes, strict=True):
        model += flux[:, None] * shape
    return model


def _smoothed(flux: Vector) -> Vector:
    return np.asarray(ndimage.median_filter(flux, size=9))


def _solve_rows(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    usable: NDArray[np.bool_],
    shapes: Sequence[NDArray[np.float64]],
) -> tuple[list[Vector], NDArray[np.float64]]:
    """Solve the normal equations of every row; return fluxes and (ny, k, k) covariances."""
    weight = np.where(usable, 1 / variance, 0)
    count = len(shapes)
    normal = np.zeros((residual.shape[0], count, count))
    right = np.zeros((residual.shape[0], count))
    for i, a in enumerate(shapes):
        right[:, i] = (weight * a * residual).sum(axis=1)
        for j, b in enumerate(shapes[: i + 1]):
            normal[:, i, j] = normal[:, j, i] = (weight * a * b).sum(axis=1)
    ridge = 1e-12 + 1e-9 * np.trace(normal, axis1=1, axis2=2)
    normal += ridge[:, None, None] * np.eye(count)
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    solved = np.einsum("nij,nj->ni", inverse, right)
    return [solved[:, k] for k in range(count)], inverse


def _one_extraction(
    index: int,
    residual: NDArray[np.float64],
    sky: NDArray[np.float64],
    variance: NDArray[np.float64],
    mask: NDArray[np.uint16],
    usable: NDArray[np.bool_],
    good: NDArray[np.bool_],
    shapes: Sequence[NDArray[np.float64]],
    fluxes: Sequence[Vector],
    inverse: NDArray[np.float64],
) -> Extraction:
    shape = shapes[index]
    core = shape > 0.1 * shape.max(axis=1, keepdims=True)
    others = _model(fluxes, shapes) - fluxes[index][:, None] * shape
    inside = core & usable
    covered = np.maximum((shape * inside).sum(axis=1), 1e-9)
    box = ((residual - others) * inside).sum(axis=1) / covered
    box_variance = (variance * inside).sum(axis=1) / covered**2
    seen = (shape * usable).sum(axis=1)
    reasons = np.bitwise_or.reduce(np.where(core, mask, 0).astype(np.uint16), axis=1)
    # A row that lost most of the profile has no flux; a few lost pixels are made up for.
    lost = seen < 0.5
    # A reason that took no more than half the profile does not condemn the row.
    kept_bits = np.uint16(~int(Mask.COSMIC | Mask.BAD | Mask.EDGE) & 0xFFFF)
    bits = np.where(lost, reasons | np.uint16(Mask.BAD), reasons & kept_bits).astype(np.uint16)
    bits[(core & good & ~usable).any(axis=1)] |= np.uint16(Mask.COSMIC_IN_PROFILE)
    under = (sky * shape).sum(axis=1)
    return Extraction(
        flux=fluxes[index],
        variance=inverse[:, index, index],
        box_flux=box,
        box_variance=box_variance,
        sky=under,
        mask=bits,
    )
