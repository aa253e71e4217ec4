"""Extract spectra of every object at once, with weights from a model of the variance.

Horne (1986, PASP 98, 609) generalised to several blended sources by least squares per row.
Weights made from the data bias faint fluxes low, so the variance is that of the model:
sky, smoothed objects and measured read noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.frame import Mask, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.spectroscopy.shape import Profile
    from reducers.spectroscopy.trace import Trace

#: Solutions of one slit at most; every one leaves out the cosmic rays that the last one showed.
MOST_ROUNDS = 6
#: What a model is wrong by at least, as a share of itself.
LEAST_MISFIT = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Extracted counts of one object, row by row.

    Attributes
    ----------
    flux, variance : (ny,) electrons
        Optimal.
    box_flux, box_variance : (ny,) electrons
        Sum within the aperture, corrected for the profile outside.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatNoise:
    """What dividing by the flat did to the noise.

    Attributes
    ----------
    response : (ny, nx)
        The flat: where it is below one, flat-fielded light is noisier than its own root.
    variance : (ny, nx)
        Relative variance of the flat itself: it limits bright objects.
    """

    response: NDArray[np.floating]
    variance: NDArray[np.floating]


def model_variance(
    sky: NDArray[np.float64],
    signal: NDArray[np.float64] | None,
    floor: NDArray[np.float64] | float,
    flat: FlatNoise | None = None,
) -> NDArray[np.float64]:
    """Return the variance (electrons squared) of sky, objects and the floor under both.

    Parameters
    ----------
    sky, signal : (ny, nx) electrons
        Models, not data: weights that follow the data bias faint fluxes low. Without `signal`
        there is only sky.
    floor : (ny, nx) or float, electrons^2
        Read noise squared and what the masters add, flat-fielded as the data are.
    flat
        Without it the flat is taken as one and free of noise.
    """
    light = np.clip(sky, 0, None)
    if signal is not None:
        light += np.clip(signal, 0, None)
    if flat is None:
        light += floor
        return light
    variance = light / flat.response
    variance += floor
    light *= light
    light *= flat.variance
    variance += light
    return np.asarray(variance)


def extract(
    residual: NDArray[np.float64],
    sky: NDArray[np.float64],
    floor: NDArray[np.float64],
    mask: NDArray[np.uint16],
    good: NDArray[np.bool_],
    traces: Sequence[Trace],
    profiles: Sequence[Profile],
    *,
    flat: FlatNoise | None = None,
    aperture_px: float | None = None,
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
    flat
        What the flat did to the noise.
    aperture_px
        Half-width of the plain sum; without it, where the profile has fallen to a tenth.
    """
    around = _around(traces, profiles, aperture_px, residual.shape[1])
    residual, sky, floor = residual[:, around], sky[:, around], floor[:, around]
    mask, good = mask[:, around], good[:, around]
    if flat is not None:
        flat = FlatNoise(response=flat.response[:, around], variance=flat.variance[:, around])
    traces = [replace(trace, columns=trace.columns - around.start) for trace in traces]
    shapes = [p.values(t, residual.shape[1]) for t, p in zip(traces, profiles, strict=True)]
    usable, signal = good.copy(), None
    for attempt in range(MOST_ROUNDS):
        variance = model_variance(sky, signal, floor, flat)
        fluxes, inverse = solve_rows(residual, variance, usable, shapes)
        fitted = image_of(fluxes, shapes)
        survivors = good & ~_hit(residual - fitted, fitted, variance, usable)
        if attempt > 1 and (survivors == usable).all():
            break
        errors = [np.sqrt(inverse[:, k, k]) for k in range(len(shapes))]
        smooth = [smoothed(f, e) for f, e in zip(fluxes, errors, strict=True)]
        signal = image_of(smooth, shapes)
        usable = survivors
    columns = np.arange(residual.shape[1])[None, :]
    cores = [
        shape > 0.1 * shape.max(axis=1, keepdims=True)
        if aperture_px is None
        else np.abs(columns - trace.columns[:, None]) <= aperture_px
        for shape, trace in zip(shapes, traces, strict=True)
    ]
    return tuple(
        _one_extraction(
            k, residual, sky, variance, mask, usable, good, shapes, cores[k], fluxes, inverse
        )
        for k in range(len(shapes))
    )


def _around(
    traces: Sequence[Trace], profiles: Sequence[Profile], aperture_px: float | None, columns: int
) -> slice:
    """Return the columns in which any object has light or is summed: there is nothing elsewhere."""
    low, high = columns, 0
    for trace, profile in zip(traces, profiles, strict=True):
        window = profile.window(trace)
        reach = 0.0 if aperture_px is None else aperture_px + 1
        low = min(low, int(window.min()), int(trace.columns.min() - reach))
        high = max(high, int(window.max()), int(trace.columns.max() + reach))
    low = min(max(low, 0), columns - 1)
    return slice(low, max(min(high + 1, columns), low + 1))


def _hit(
    deviation: NDArray[np.float64],
    fitted: NDArray[np.float64],
    variance: NDArray[np.float64],
    usable: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return the pixels that cosmic rays hit: above the model by 5 sigma and its own misfit.

    A model is wrong by a share of itself and of the row's peak (where the profile is steep);
    the share is measured where the signal is strong.
    """
    peak = np.maximum(fitted.max(axis=1, keepdims=True), 0)
    scale = np.maximum(fitted, 0) + 0.3 * peak
    strong = usable & (fitted > 10 * np.sqrt(variance))
    share = LEAST_MISFIT
    if strong.sum() > 200:
        ratio = (deviation[strong] / scale[strong]) ** 2
        # 0.4549 is the median of chi-squared with one degree of freedom.
        excess = float(np.median(ratio) / 0.4549 - np.median(variance[strong] / scale[strong] ** 2))
        share = max(share, float(np.sqrt(max(excess, 0.0))))
    return np.asarray(deviation > 5 * np.sqrt(variance + (share * scale) ** 2))


def image_of(
    fluxes: Sequence[Vector], shapes: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the image that objects of given fluxes (ny,) and shapes (ny, nx) make."""
    model = np.zeros_like(shapes[0])
    for flux, shape in zip(fluxes, shapes, strict=True):
        span = _span(shape)
        model[:, span] += flux[:, None] * shape[:, span]
    return model


def smoothed(flux: Vector, error: Vector | None = None) -> Vector:
    """Return a spectrum's median over 9 rows, and lines themselves where they stand out.

    Weights that follow every row's own noise would bias faint fluxes low; a line's own photons
    belong into its variance.
    """
    smooth = np.asarray(ndimage.median_filter(flux, size=9))
    if error is None:
        return smooth
    line = np.abs(flux - smooth) > 5 * error
    return np.asarray(np.where(line, flux, smooth))


def solve_rows(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    usable: NDArray[np.bool_],
    shapes: Sequence[NDArray[np.float64]],
) -> tuple[list[Vector], NDArray[np.float64]]:
    """Solve the normal equations of every row; return fluxes and (ny, k, k) covariances."""
    weight = np.zeros(variance.shape)
    np.divide(1, variance, out=weight, where=usable)
    count = len(shapes)
    normal = np.zeros((residual.shape[0], count, count))
    right = np.zeros((residual.shape[0], count))
    spans = [_span(shape) for shape in shapes]
    for i, (shape, span) in enumerate(zip(shapes, spans, strict=True)):
        weighted = weight[:, span] * shape[:, span]
        right[:, i] = (weighted * residual[:, span]).sum(axis=1)
        for j, other in enumerate(shapes[: i + 1]):
            if spans[j].start < span.stop and span.start < spans[j].stop:
                normal[:, i, j] = normal[:, j, i] = (weighted * other[:, span]).sum(axis=1)
    ridge = 1e-12 + 1e-9 * np.trace(normal, axis1=1, axis2=2)
    normal += ridge[:, None, None] * np.eye(count)
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    solved = np.einsum("nij,nj->ni", inverse, right)
    return [solved[:, k] for k in range(count)], inverse


def _span(shape: NDArray[np.float64]) -> slice:
    """Return the columns in which a shape is not zero everywhere: most of the image is empty."""
    seen = np.flatnonzero((shape != 0).any(axis=0))
    return slice(int(seen[0]), int(seen[-1]) + 1) if seen.size else slice(0, 0)


def _one_extraction(
    index: int,
    residual: NDArray[np.float64],
    sky: NDArray[np.float64],
    variance: NDArray[np.float64],
    mask: NDArray[np.uint16],
    usable: NDArray[np.bool_],
    good: NDArray[np.bool_],
    shapes: Sequence[NDArray[np.float64]],
    core: NDArray[np.bool_],
    fluxes: Sequence[Vector],
    inverse: NDArray[np.float64],
) -> Extraction:
    shape = shapes[index]
    others = image_of(fluxes, shapes) - fluxes[index][:, None] * shape
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
