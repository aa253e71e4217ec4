"""How the sky lights the slit otherwise than the lamp did, from the exposure's own sky.

A flat levels the slit for the lamp's light. What the sky does otherwise is the same at all
wavelengths, so that the rows of one exposure together tell it far better than each of them, which
bears a parabola along the slit at most (`SlitSpline`). A thousandth of a moonlit sky that is left
under a faint object adds up, over its width, to a tenth of its noise in every row, and widens it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.spectroscopy.sky import SkyFit

#: Highest degree of the polynomial along the slit, and the lowest that a sky fit lacks.
HIGHEST_DEGREE, LOWEST_DEGREE = 6, 3
#: Columns of sky that carry one degree, at least.
COLUMNS_PER_DEGREE = 20
#: Under an object the curve may be this much less certain than between objects on average.
WORST_LEVERAGE = 3.0
#: Columns farther (robust sigma) from the curve show a faint object or a mark of the slit.
CLIP_SIGMA = 3.0
#: A column counts where at least this share of its rows carries the sky.
LEAST_SHARE = 0.5


def follow_illumination(
    data: NDArray[np.float64], fit: SkyFit, variance: NDArray[np.float64]
) -> SkyFit:
    """Return the sky with the light along the slit that its residuals ask for.

    Parameters
    ----------
    data, variance : (ny, nx) electrons, electrons^2

    Notes
    -----
    The degree is the one of least Bayesian information criterion (Schwarz 1978), 0 among them; one
    that runs wild where there is no sky is not tried.
    """
    weight = np.where(fit.kept, np.maximum(fit.sky, 0.0) / np.maximum(variance, 1e-9), 0.0)
    light = (weight * fit.sky).sum(axis=0)
    left = (weight * np.where(fit.kept, data - fit.sky, 0.0)).sum(axis=0)
    number = fit.kept.sum(axis=0)
    use = (number > LEAST_SHARE * number.max(initial=1)) & (light > 0)
    if use.sum() < COLUMNS_PER_DEGREE * (LOWEST_DEGREE + 1):
        return fit
    seen = np.flatnonzero(use)
    along = 2.0 * (np.arange(use.size) - seen[0]) / max(seen[-1] - seen[0], 1) - 1.0
    share = left[use] / light[use]
    curve = _curve(along, use, share, 1 / np.sqrt(light[use]))
    if curve is None:
        return fit
    return replace(fit, sky=fit.sky * (1 + curve))


def _curve(
    along: NDArray[np.float64],
    use: NDArray[np.bool_],
    share: NDArray[np.float64],
    error: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    """Return the relative correction of every column; None where none is asked for."""
    highest = min(HIGHEST_DEGREE, int(use.sum()) // COLUMNS_PER_DEGREE - 1)
    full = np.asarray(legendre.legvander(np.clip(along, -1, 1), highest), dtype=np.float64)
    keep, noise = np.ones(share.size, bool), error
    for _ in range(4):
        off = share - full[use] @ _solved(full[use][keep], share[keep], noise[keep])
        scatter = 1.4826 * float(np.median(np.abs(off[keep]) / error[keep]))
        noise = error * max(scatter, 1.0)
        keep = np.abs(off) < CLIP_SIGMA * noise
    best: NDArray[np.float64] | None = None
    lowest = float(np.sum((share[keep] / noise[keep]) ** 2))
    for degree in range(LOWEST_DEGREE, highest + 1):
        basis = full[:, : degree + 1]
        curve = basis @ _solved(basis[use][keep], share[keep], noise[keep])
        cost = float(np.sum(((share - curve[use])[keep] / noise[keep]) ** 2))
        cost += (degree + 1) * np.log(keep.sum())
        if cost < lowest and _is_tame(basis, use, keep, noise):
            best, lowest = curve, cost
    return best


def _solved(
    basis: NDArray[np.float64], share: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    solved, *_ = np.linalg.lstsq(basis / noise[:, None], share / noise, rcond=None)
    return np.asarray(solved)


def _is_tame(
    basis: NDArray[np.float64],
    use: NDArray[np.bool_],
    keep: NDArray[np.bool_],
    noise: NDArray[np.float64],
) -> bool:
    """Tell whether the curve is nearly as certain in the gaps as where there is sky."""
    scaled = basis[use][keep] / noise[keep][:, None]
    covariance = np.linalg.inv(scaled.T @ scaled)
    sigma = np.sqrt(np.einsum("ij,jk,ik->i", basis, covariance, basis))
    lit = np.flatnonzero(use)
    inner = slice(int(lit[0]), int(lit[-1]) + 1)
    return bool(sigma[inner].max() < WORST_LEVERAGE * np.sqrt(np.mean(sigma[use] ** 2)))
