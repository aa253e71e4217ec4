"""Follow objects along the dispersion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import ndimage

from reducers.frame import Vector, read_only
from reducers.spectroscopy.sources import FWHM_PER_SIGMA, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Zones of rows in which an object is followed at first.
COARSE_ZONES = 28
#: Rows in a bin of the final trace: few enough to follow it, many enough to hold signal.
LEAST_ROWS, MOST_ROWS = 8, 120
#: Signal-to-noise of one centroid that counts.
LEAST_SNR = 4.0
#: Centroids are never better than this (px): pixels are not perfect.
CENTROID_FLOOR_PX = 0.02
HIGHEST_DEGREE = 5

Planes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where an object runs.

    Attributes
    ----------
    rows : (n,) float64
        Every image row.
    columns : (n,) float64
        Centre of the object in that row.
    fwhm_px : float
        Width along the slit at the middle row.
    rms_px : float
        Scatter of the centroids about the trace; NaN when it was not measured.
    forced : bool
        The position was assumed, not found.
    """

    rows: Vector
    columns: Vector
    fwhm_px: float
    rms_px: float
    forced: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))


def trace_source(
    residual: NDArray[np.float64],
    variance: NDArray[np.float64],
    good: NDArray[np.bool_],
    source: Source,
    *,
    crutch: Trace | None = None,
    bin_snr: float = 12.0,
) -> Trace:
    """Follow a source along the rows with centroids in bins of equal signal-to-noise.

    Parameters
    ----------
    residual, variance, good : (ny, nx)
        Sky-subtracted electrons, their variance, and usable pixels.
    crutch
        Trace of a brighter object through the same optics: a faint one runs parallel to it.

    Notes
    -----
    Centroids are Gaussian-weighted. The object is followed from its brightest zone outwards,
    then measured again along that first path. The degree of the Legendre polynomial (to 5)
    is the one of least Bayesian information criterion.
    """
    rows = np.arange(residual.shape[0], dtype=np.float64)
    sigma = max(source.fwhm_px, 2.0) / FWHM_PER_SIGMA
    planes = (residual, variance, good)
    shape = crutch.columns - crutch.columns.mean() if crutch is not None else np.zeros(rows.size)
    path = source.column + shape
    found = _followed(planes, path, sigma)
    rms = float("nan")
    for edges_from in (None, bin_snr, bin_snr):
        if edges_from is not None:
            found = _measured(planes, path, sigma, edges_from)
        if found.rows.size == 0:
            break
        fitted, rms = _fitted(found, rows, shape, lowest=0 if crutch is not None else 1)
        path = fitted
    return Trace(rows=rows, columns=path, fwhm_px=source.fwhm_px, rms_px=rms)


def light_along(planes: Planes, trace: Trace) -> float:
    """Return the signal-to-noise of all light along a trace, weighted with a Gaussian."""
    sigma = max(trace.fwhm_px, 2.0) / FWHM_PER_SIGMA
    distance, data, noise, _ = _window(planes, trace.columns, sigma)
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    return float((weight * data).sum() / np.sqrt(max((weight**2 * noise).sum(), 1e-9)))


@dataclass(frozen=True, slots=True)
class _Centroids:
    """Mean row, column, its error and signal-to-noise of bins of rows."""

    rows: Vector
    columns: Vector
    errors: Vector
    snr: Vector

    def where(self, keep: NDArray[np.bool_]) -> _Centroids:
        return _Centroids(self.rows[keep], self.columns[keep], self.errors[keep], self.snr[keep])


def _followed(planes: Planes, path: Vector, sigma: float) -> _Centroids:
    """Follow an object through coarse zones from where it is brightest near its column."""
    edges = np.linspace(0, path.size, COARSE_ZONES + 1).astype(int)
    start = _centroids(planes, path, sigma, edges)
    near = np.abs(start.columns - path[start.rows.astype(int)]) < 1.5 * sigma
    if not (near & (start.snr > LEAST_SNR)).any():
        return start.where(np.zeros(start.rows.size, bool))
    first = int(np.argmax(np.where(near, start.snr, 0)))
    zone = int(np.searchsorted(edges, start.rows[first], side="right")) - 1
    found = {zone: start.where(np.arange(start.rows.size) == first)}
    for zones in (range(zone + 1, COARSE_ZONES), range(zone - 1, -1, -1)):
        last = [float(found[zone].columns[0] - path[int(found[zone].rows[0])])]
        for k in zones:
            step = (last[-1] - last[-3]) / 2 if len(last) > 2 else 0.0
            moved = path + last[-1] + float(np.clip(step, -sigma, sigma))
            one = _centroids(planes, moved, sigma, edges[k : k + 2])
            if one.rows.size and one.snr[0] > LEAST_SNR:
                offset = float(one.columns[0] - path[int(one.rows[0])])
                if abs(offset - last[-1]) < 2 * sigma:
                    found[k] = one
                    last.append(offset)
    every = [found[k] for k in sorted(found)]
    return _Centroids(
        *(np.concatenate([getattr(c, n) for c in every]) for n in _Centroids.__slots__)
    )


def _measured(planes: Planes, path: Vector, sigma: float, bin_snr: float) -> _Centroids:
    """Measure centroids along a path in bins of equal signal-to-noise."""
    found = _centroids(planes, path, sigma, _equal_bins(planes, path, sigma, bin_snr))
    close = np.abs(found.columns - path[found.rows.astype(int)]) < sigma
    return found.where(close & (found.snr > LEAST_SNR))


def _window(
    planes: Planes, path: Vector, sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return distances from the path and the planes within 3.5 sigma of it, (ny, k)."""
    residual, variance, good = planes
    half = int(np.ceil(3.5 * sigma))
    index = np.round(path).astype(np.int64)[:, None] + np.arange(-half, half + 1)[None, :]
    inside = np.clip(index, 0, residual.shape[1] - 1)
    ok = np.take_along_axis(good, inside, 1) & (index == inside)
    data = np.where(ok, np.take_along_axis(residual, inside, 1), 0)
    noise = np.where(ok, np.take_along_axis(variance, inside, 1), 0)
    return index - path[:, None], data, noise, ok


def _equal_bins(planes: Planes, path: Vector, sigma: float, bin_snr: float) -> NDArray[np.int64]:
    distance, data, noise, _ = _window(planes, path, sigma)
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    level = np.maximum(ndimage.uniform_filter1d((weight * data).sum(axis=1), 31), 0)
    information = level**2 / np.maximum((weight**2 * noise).sum(axis=1), 1e-9)
    edges, gathered = [0], 0.0
    for row in range(path.size):
        gathered += information[row]
        many = row + 1 - edges[-1]
        if many >= MOST_ROWS or (many >= LEAST_ROWS and gathered >= bin_snr**2):
            edges.append(row + 1)
            gathered = 0.0
    if edges[-1] < path.size:
        edges.append(path.size)
    return np.array(edges)


def _centroids(
    planes: Planes, path: Vector, sigma: float, edges: NDArray[np.int64] | Sequence[int]
) -> _Centroids:
    """Return Gaussian-weighted centroids of bins between consecutive edges (rows)."""
    first, last = int(edges[0]), int(edges[-1])
    rows = slice(first, last)
    cut = (planes[0][rows], planes[1][rows], planes[2][rows])
    distance, data, noise, ok = _window(cut, path[rows], sigma)
    starts = np.asarray(edges[:-1]) - first
    length = np.diff(np.asarray(edges))

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.add.reduceat(values, starts, axis=0))

    many = total(ok.astype(np.float64))
    profile, error2 = total(data) / np.maximum(many, 1), total(noise) / np.maximum(many, 1) ** 2
    distance = total(distance) / length[:, None]
    where = np.zeros(starts.size)
    usable = ~((many == 0) & (np.abs(distance) < 2.5 * sigma)).any(axis=1)
    for _ in range(8):
        away = distance - where[:, None]
        weight = np.exp(-0.5 * (away / sigma) ** 2)
        light = (weight * profile).sum(axis=1)
        usable &= light > 0
        # Weighting with the profile's own width halves the step towards the centroid.
        step = 2 * (weight * profile * away).sum(axis=1) / np.where(usable, light, 1)
        where = np.clip(where + np.where(usable, step, 0), -2 * sigma, 2 * sigma)
    error = 2 * np.sqrt((weight**2 * error2 * away**2).sum(axis=1)) / np.where(usable, light, 1)
    snr = light / np.sqrt(np.maximum((weight**2 * error2).sum(axis=1), 1e-12))
    middle = total(np.arange(first, last, dtype=np.float64)) / length
    columns = total(path[rows]) / length + where
    found = _Centroids(middle, columns, error, snr)
    return found.where(usable & (np.abs(where) < 1.9 * sigma))


def _fitted(found: _Centroids, rows: Vector, shape: Vector, *, lowest: int) -> tuple[Vector, float]:
    """Return the smooth path through centroids, and their scatter about it."""
    scaled = _scaled(found.rows, rows)
    columns = found.columns - np.interp(found.rows, rows, shape)
    weight = 1 / np.hypot(found.errors, CENTROID_FLOOR_PX)
    most = found.rows.size - 1
    highest = min(int(np.clip(found.rows.size // 4, lowest, HIGHEST_DEGREE)), most)
    best: tuple[float, NDArray[np.float64], NDArray[np.bool_]] | None = None
    for degree in range(min(lowest, most), highest + 1):
        fit, keep = _robust(scaled, columns, weight, degree)
        off = (columns - legendre.legval(scaled, fit)) * weight
        # A centroid that was left out counts as one at the limit.
        cost = float(np.minimum(off**2, 16).sum()) + (degree + 1) * np.log(found.rows.size)
        if best is None or cost < best[0]:
            best = (cost, fit, keep)
    assert best is not None  # at least the lowest degree was tried
    _, fit, keep = best
    first, last = scaled[0], scaled[-1]
    u = _scaled(rows, rows)
    path = legendre.legval(np.clip(u, first, last), fit)
    # Beyond the outermost centroids go on straight, as the outer third does.
    third = (last - first) / 3
    for end, inner, beyond in ((first, first + third, u < first), (last, last - third, u > last)):
        rise = float(legendre.legval(end, fit) - legendre.legval(inner, fit))
        slope = rise / (end - inner) if end != inner else 0.0
        path = np.where(beyond, path + slope * (u - end), path)
    rms = float(np.std((columns - legendre.legval(scaled, fit))[keep]))
    return np.asarray(path + shape), rms if found.rows.size > 1 else float("nan")


def _robust(
    scaled: Vector, columns: Vector, weight: Vector, degree: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit a Legendre polynomial, leaving out centroids beyond 4 sigma."""
    keep: NDArray[np.bool_] = np.ones(scaled.size, bool)
    for _ in range(5):
        fit = np.asarray(legendre.legfit(scaled[keep], columns[keep], degree, w=weight[keep]))
        off = np.abs(columns - legendre.legval(scaled, fit)) * weight
        inside = np.asarray(off < 4 * max(1.0, float(np.median(off[keep]) / 0.6745)))
        if (inside == keep).all() or inside.sum() <= degree + 2:
            break
        keep = inside
    return np.asarray(fit), keep


def _scaled(values: Vector, rows: Vector) -> Vector:
    return np.asarray(2 * values / max(rows.size - 1, 1) - 1)


def forced_trace(rows: int, column: float, fwhm_px: float, crutch: Trace | None = None) -> Trace:
    """Return a trace at an assumed position, parallel to another or straight."""
    every = np.arange(rows, dtype=np.float64)
    shape = crutch.columns - crutch.columns.mean() if crutch is not None else np.zeros(rows)
    return Trace(
        rows=every,
        columns=column + shape,
        fwhm_px=fwhm_px,
        rms_px=float("nan"),
        forced=True,
    )
