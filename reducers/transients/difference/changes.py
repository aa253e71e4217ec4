"""New light on a difference: where, how bright, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from reducers.frame import UNUSABLE, Mask, Vector
from reducers.imaging.psf_photometry import without_search_gain
from reducers.quality import Flag, judge, load_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.transients.difference.subtraction import Difference

#: Least score of a detection, sigma, and the window in which it is the largest.
THRESHOLD, WINDOW_PX = 5.0, 7
#: More detections than this are no sky but a failed subtraction: the brightest are kept.
MOST = 500
#: How far from a detection its surroundings are looked at, pixels.
AROUND_PX = 30
#: Part of the light of a pixel by which the point spread of a difference is wrong: both images'
#: point spreads vary within a tile and are known to some hundredths each.
SHAPE_ERROR = 0.1
#: What cosmic rays leave unmasked is fainter than this score.
FAINT_SNR = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One source of new light.

    Attributes
    ----------
    x_px, y_px, error_px : float
        0-based pixels of the image, and the error per axis.
    flux, flux_error : float
        Total light by the forced fit of the point spread, in the unit of the image.
    snr : float
        The corrected score.
    a_px, b_px, theta_deg : float
        Shape of the point spread of the difference.
    vetoes : tuple of Flag
    measurements : mapping of str to float
    """

    x_px: float
    y_px: float
    error_px: float
    flux: float
    flux_error: float
    snr: float
    a_px: float
    b_px: float
    theta_deg: float
    vetoes: tuple[Flag, ...] = ()
    measurements: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against it."""
        return all(flag.quality < 3 for flag in self.vetoes)


def find_changes(difference: Difference, threshold: float = THRESHOLD) -> tuple[Change, ...]:
    """Return new light above a score, the most significant first, each with its vetoes."""
    score = difference.score
    peak = ndimage.maximum_filter(score, WINDOW_PX) == score
    rows, columns = np.nonzero(peak & (score > threshold))
    order = np.argsort(-score[rows, columns])[:MOST]
    return tuple(_change(difference, score, int(columns[n]), int(rows[n])) for n in order)


def forced(difference: Difference, x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Return total flux of a new star and its error at places; NaN where nothing can be said."""
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    rows, columns = difference.frame.shape
    near = (
        np.clip(np.rint(y), 0, rows - 1).astype(int),
        np.clip(np.rint(x), 0, columns - 1).astype(int),
    )
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1) & difference.valid[near]
    flux, sigma = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    for n in np.flatnonzero(inside):
        flux[n] = _at(difference.flux, x[n], y[n], 3)
        sigma[n] = _at(difference.sigma, x[n], y[n], 1)
    return flux * difference.total, sigma * difference.total


def _at(plane: NDArray[np.float32], x: float, y: float, order: int) -> float:
    """Return a smooth plane between its pixels."""
    top, left = max(int(y) - 8, 0), max(int(x) - 8, 0)
    piece = plane[top : top + 18, left : left + 18]
    return float(
        ndimage.map_coordinates(piece, [[y - top], [x - left]], order=order, mode="nearest")[0]
    )


def _change(difference: Difference, score: NDArray[np.float32], column: int, row: int) -> Change:
    x, y = _peak(score, column, row)
    flux, sigma = forced(difference, np.array([x]), np.array([y]))
    psf = difference.psf_at(x, y)
    a, b, theta = _shape(psf)
    width = 2.3548 * np.sqrt(a * b)
    snr = float(flux[0] / sigma[0])
    seen = _measured(difference, psf, x, y, float(flux[0]), snr, width)
    vetoes, _ = judge(seen, load_limits("transients"))
    gain = without_search_gain(flux, sigma)
    return Change(
        x_px=x,
        y_px=y,
        error_px=float(np.hypot(0.6 * width / max(snr, 1.0), difference.registered.scatter_px)),
        flux=float(gain[0]),
        flux_error=float(sigma[0]),
        snr=snr,
        a_px=a,
        b_px=b,
        theta_deg=theta,
        vetoes=vetoes,
        measurements=seen,
    )


def _peak(score: NDArray[np.float32], column: int, row: int) -> tuple[float, float]:
    """Return the top of the parabola through the largest pixel and its neighbours."""
    rows, columns = score.shape
    if not (0 < row < rows - 1 and 0 < column < columns - 1):
        return float(column), float(row)
    here = float(score[row, column])

    def step(before: float, after: float) -> float:
        bend = before - 2 * here + after
        return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0

    dx = step(float(score[row, column - 1]), float(score[row, column + 1]))
    dy = step(float(score[row - 1, column]), float(score[row + 1, column]))
    return column + dx, row + dy


def _shape(psf: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the axes (Gaussian sigma) and the angle of a point spread's core, degrees."""
    half = psf.shape[0] // 2
    step = np.arange(-half, half + 1)
    core = np.where(psf > 0.2 * psf.max(), psf - 0.2 * psf.max(), 0)
    total = core.sum()
    # The core above a fifth of the peak: a Gaussian's moments there are 0.60 of the whole.
    xx, yy = (float((core.sum(axis=n) * step**2).sum() / total) for n in (0, 1))
    xy = float((core * step[:, None] * step[None, :]).sum() / total)
    middle, half_gap = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    a, b = (float(np.sqrt(max(v, 0.05) / 0.60)) for v in (middle + half_gap, middle - half_gap))
    return a, b, float(np.degrees(np.arctan2(2 * xy, xx - yy) / 2))


def _measured(
    difference: Difference, psf: NDArray[np.float64], x: float, y: float, flux: float, snr: float,
    width: float,
) -> dict[str, float]:  # fmt: skip
    """Return what tells new light from the rests of stars and from bad pixels."""
    frame = difference.frame
    column, row = round(x), round(y)
    top, left = max(row - AROUND_PX, 0), max(column - AROUND_PX, 0)
    cut = np.s_[top : row + AROUND_PX + 1, left : column + AROUND_PX + 1]
    light, mask = frame.data[cut].astype(float), frame.mask[cut]
    gy, gx = np.ogrid[top : top + light.shape[0], left : left + light.shape[1]]
    radius = np.hypot(gx - x, gy - y)
    noise = np.sqrt(np.maximum(frame.variance[cut], 1e-20))
    usable = (mask & np.uint16(UNUSABLE)) == 0
    unrest = _unrest(light / noise, usable & (radius > 1.5 * width))
    near = usable & (radius < 1.5 * width)
    plus = light[near & (light > 2 * unrest * noise)].sum()
    minus = -light[near & (light < -2 * unrest * noise)].sum()
    own = float(difference.own_light[row, column]) * difference.total
    model = _on_pixels(psf, flux / difference.total, x, y, gx, gy)
    host = difference.measurements["difference_light_error"] * own * model / max(flux, 1e-9)
    doubt = (SHAPE_ERROR * model) ** 2 + host**2
    core = usable & (radius < 0.9 * width)
    freedom = max(int(core.sum()) - 3, 1)
    chi2, faint_chi2 = (
        float(np.sum(((light - model) ** 2 / ((factor * noise) ** 2 + doubt))[core])) / freedom
        for factor in (unrest, 1.0)
    )
    # Chi square of n degrees of freedom scatters by sqrt(2 n).
    misfit = (faint_chi2 - 1) * float(np.sqrt(freedom / 2))
    hit = _nearest(radius, (mask & np.uint16(Mask.COSMIC)) != 0)
    return {
        "difference_snr": snr,
        "difference_chi2": chi2,
        "difference_negative": float(minus / plus) if plus > 0 else 0.0,
        "difference_of_source": flux / own if own > 0 else float("inf"),
        # New light is on the image itself; what is not is missing on the template.
        "difference_missing": snr * (1 - own / flux) if flux > 0 else float("nan"),
        "difference_faint_misfit": misfit if snr < FAINT_SNR else float("nan"),
        "full_distance_px": _nearest(radius, (mask & np.uint16(Mask.SATURATED)) != 0),
        "edge_distance_px": _edge_distance(difference, radius, mask, x, y),
        "snr_by_cosmic": snr if hit < width else float("nan"),
    }


def _unrest(pulls: NDArray[np.float64], around: NDArray[np.bool_]) -> float:
    """Return the scatter of the difference about a place over its noise, no less than 1.

    Whitened differences ring far from bleeding columns: the shape of a bright source is held
    against that. What is faint there cannot be told from a cosmic ray.
    """
    if around.sum() < 50:
        return 1.0
    return max(1.0, 1.4826 * float(np.median(np.abs(pulls[around]))))


def _on_pixels(
    psf: NDArray[np.float64],
    flux: float,
    x: float,
    y: float,
    gx: NDArray[np.intp],
    gy: NDArray[np.intp],
) -> NDArray[np.float64]:
    half = psf.shape[0] // 2
    at = np.broadcast_arrays(gy - y + half, gx - x + half)
    return np.asarray(flux * ndimage.map_coordinates(psf, at, order=3, cval=0.0))


def _nearest(radius: NDArray[np.float64], marked: NDArray[np.bool_]) -> float:
    return float(radius[marked].min()) if marked.any() else float(AROUND_PX)


def _edge_distance(
    difference: Difference,
    radius: NDArray[np.float64],
    mask: NDArray[np.uint16],
    x: float,
    y: float,
) -> float:
    rows, columns = difference.frame.shape
    rim = min(x, y, columns - 1 - x, rows - 1 - y)
    return min(rim, _nearest(radius, (mask & np.uint16(Mask.EDGE)) != 0))
