"""How the sky lights the slit where the lamp lit it otherwise: the twilight along the slit.

Valdes (1992, NOAO, "Guide to the Slit Spectra Reduction Task DOSLIT", illumination): a spectrum of
the twilight, flat-fielded and divided by its own colour, shows what the lamp of the flat did wrong
from one end of the slit to the other. It is smooth, so that a low polynomial holds it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from reducers.errors import NotEnoughFrames
from reducers.frame import Frame, Mask
from reducers.spectroscopy.running_median import running_median
from reducers.spectroscopy.wavelength import tilt_along_slit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector

#: Bands along the dispersion that are averaged; lines of the twilight are far narrower.
BANDS = 8
#: A band counts where it has this share of the light of the brightest, and so many electrons.
LEAST_SHARE, LEAST_ELECTRONS = 0.05, 100.0
#: Highest degree along the slit and along the dispersion.
SLIT_DEGREE, BAND_DEGREE = 6, 1
#: Columns in which the lines' tilt is measured together, and how deep the lines must be.
GROUP_COLUMNS, LEAST_DEPTH = 8, 0.02
#: Lit columns without which nothing is said.
FEWEST_COLUMNS = 40
_CLIP_SIGMA = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Twilight:
    """The light of the sky along the slit.

    Attributes
    ----------
    surface : (ny, nx)
        Twilight over flat, mean 1 along every row; 1 beyond the slit.
    error
        Standard error of the surface.
    degree
        Along the slit.
    measurements
        'illumination_rms', 'illumination_range', 'residual_rms', 'bands', 'frames'.
    """

    surface: NDArray[np.float64]
    error: float
    degree: int
    measurements: dict[str, float]


def measure_twilight(frames: Sequence[Frame]) -> Twilight:
    """Return the light along the slit that flat-fielded twilights have in common.

    Parameters
    ----------
    frames
        Electrons after the flat, rows along the dispersion, in one set-up. With three or more a
        star that crosses the slit in one of them does not count.

    Raises
    ------
    NotEnoughFrames
        If there is too little light, or too little slit.
    """
    lit = np.all([(f.mask & np.uint16(Mask.VIGNETTED) == 0).mean(axis=0) > 0.5 for f in frames], 0)
    if lit.sum() < FEWEST_COLUMNS:
        raise NotEnoughFrames(f"the twilight shows only {int(lit.sum())} lit columns of the slit")
    ratios, rows = zip(*(_bands_of(frame, lit) for frame in frames), strict=True)
    together = _median(np.array(ratios), axis=0)
    seen = np.isfinite(together).mean(axis=1) > 0.5
    if not seen.any():
        raise NotEnoughFrames(
            "the twilight is too faint: take it nearer to sunset, or expose longer"
        )
    u = np.linspace(-1.0, 1.0, frames[0].shape[1])
    v = 2 * rows[0] / max(frames[0].shape[0] - 1, 1) - 1
    fit = _fit(together[seen], u[lit], v[seen])
    return _evaluated(fit, frames[0].shape, lit, len(frames), int(seen.sum()))


def _bands_of(frame: Frame, lit: NDArray[np.bool_]) -> tuple[NDArray[np.float64], Vector]:
    """Return light over that of the row, averaged in bands (bands, lit columns), and their rows."""
    data = _straightened(np.where(frame.good, frame.data, np.nan)[:, lit])
    level = _median(data, axis=1)
    parts = np.array_split(np.arange(data.shape[0]), BANDS)
    found = np.full((BANDS, data.shape[1]), np.nan)
    brightest = max(float(_median(level[part], axis=0)) for part in parts)
    for k, part in enumerate(parts):
        middle = float(_median(level[part], axis=0))
        if middle > max(LEAST_SHARE * brightest, LEAST_ELECTRONS):
            found[k] = _median(data[part] / level[part][:, None], axis=0)
    return found, np.array([part.mean() for part in parts])


def _straightened(data: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the spectrum with its lines straight along the slit.

    On tilted lines the colour of the twilight would be taken for light along the slit.
    """
    rows, columns = data.shape
    groups = np.array_split(np.arange(columns), max(columns // GROUP_COLUMNS, 1))
    light = np.nan_to_num(np.array([_median(data[:, group], axis=1) for group in groups]))
    smooth = np.maximum(running_median(light, 61, axis=1), 1.0)
    depth = np.clip(1 - light / smooth, 0, None)
    if len(groups) < 6 or np.percentile(depth, 97) < LEAST_DEPTH:
        return np.asarray(data, dtype=np.float64)
    shift = tilt_along_slit(depth, np.arange(rows, dtype=np.float64))
    middles = np.array([group.mean() for group in groups])
    place = np.arange(rows)[:, None] + np.interp(np.arange(columns), middles, shift)
    low = np.clip(np.floor(place).astype(np.intp), 0, rows - 2)
    part = np.clip(place - low, 0, 1)
    below, above = (np.take_along_axis(data, low + step, axis=0) for step in (0, 1))
    return np.asarray(below * (1 - part) + above * part)


def _median(values: NDArray[np.floating], *, axis: int) -> NDArray[np.float64]:
    """Return the median of what is finite; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy says so of empty slices
        return np.asarray(np.nanmedian(values, axis=axis), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Fit:
    coefficients: NDArray[np.float64]
    scatter: float
    points: int

    @property
    def criterion(self) -> float:
        """Bayesian information criterion, up to a constant."""
        terms = self.coefficients.size
        return float(2 * self.points * np.log(self.scatter) + terms * np.log(self.points))


def _fit(ratio: NDArray[np.float64], u: Vector, v: Vector) -> _Fit:
    """Return the polynomial that the information criterion asks for (Schwarz 1978), clipped."""
    x, y = np.meshgrid(u, v)
    band_degree = min(BAND_DEGREE, v.size - 1)
    tried = [_fit_of_degree(ratio, x, y, (k, band_degree)) for k in range(SLIT_DEGREE + 1)]
    return min(tried, key=lambda fit: fit.criterion)


def _fit_of_degree(
    ratio: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    degrees: tuple[int, int],
) -> _Fit:
    basis = legendre.legvander2d(x, y, degrees)
    kept = np.isfinite(ratio)
    for _ in range(6):
        found, *_ = np.linalg.lstsq(basis[kept], ratio[kept], rcond=None)
        off = ratio - basis @ found
        scatter = max(1.4826 * float(np.median(np.abs(off[kept]))), 1e-6)
        again = np.isfinite(ratio) & (np.abs(off) < _CLIP_SIGMA * scatter)
        if (again == kept).all():
            break
        kept = again
    shape = (degrees[0] + 1, degrees[1] + 1)
    values = np.asarray(found, dtype=np.float64).reshape(shape)
    return _Fit(coefficients=values, scatter=scatter, points=int(kept.sum()))


def _evaluated(
    fit: _Fit, shape: tuple[int, int], lit: NDArray[np.bool_], frames: int, bands: int
) -> Twilight:
    u, v = np.linspace(-1.0, 1.0, shape[1]), np.linspace(-1.0, 1.0, shape[0])
    degrees = np.array(fit.coefficients.shape) - 1
    values = legendre.legvander(u, degrees[0]) @ fit.coefficients
    surface = (values @ legendre.legvander(v, degrees[1]).T).T
    surface = surface / surface[:, lit].mean(axis=1, keepdims=True)
    surface[:, ~lit] = 1.0
    error = fit.scatter * np.sqrt(fit.coefficients.size / max(fit.points, 1))
    own = surface[:, lit]
    return Twilight(
        surface=surface,
        error=float(error),
        degree=int(degrees[0]),
        measurements={
            "frames": float(frames),
            "bands": float(bands),
            "slit_degree": float(degrees[0]),
            "illumination_rms": float(own.std()),
            "illumination_range": float(np.ptp(own)),
            "residual_rms": fit.scatter,
        },
    )


def divide_illumination(frame: Frame, illumination: Frame) -> Frame:
    """Divide flat-fielded light by what the sky does along the slit."""
    factor = illumination.data
    variance = frame.variance / factor**2
    variance += illumination.variance * (frame.data / factor) ** 2
    spread = 100 * float(illumination.data.std())
    return frame.after(
        f"illumination: divided by the twilight's along the slit, {spread:.1f} % rms",
        data=frame.data / factor,
        variance=variance,
    )


def lit_flat(flat: Frame | None, illumination: Frame | None) -> Frame | None:
    """Return the flat by which a frame was divided altogether, for the noise that this made."""
    if flat is None or illumination is None:
        return flat
    factor = illumination.data
    return flat.after(
        "illumination: the twilight's",
        data=flat.data * factor,
        variance=flat.variance * factor**2 + illumination.variance * flat.data**2,
    )
